"""/metrics, read by Prometheus' own programs."""

import contextlib
import json
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from harness import machine, process
from harness.dashboard import Dashboard

GRAFANA = machine.REPOSITORY / "dashboard/grafana"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def dashboard(dashboard_host):
    return Dashboard(dashboard_host.paddock).wait()


@pytest.fixture(scope="module")
def token(dashboard):
    return dashboard.token("metrics")


def scrape(dashboard, token, **headers):
    answer = dashboard.get("/metrics", Authorization=f"Bearer {token}", **headers)
    assert answer.status == 200, answer.body
    return answer


def series(text):
    """{name: {labels: value}}, of either format."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.rpartition(" ")
            name, _, labels = key.partition("{")
            found.setdefault(name, {})[labels.rstrip("}")] = float(value)
    return found


def test_only_who_has_the_token_may_scrape(dashboard, token):
    for authorization in (None, "Bearer ", "Bearer " + "0" * 64, f"Basic {token}", token):
        headers = {"Authorization": authorization} if authorization else {}
        answer = dashboard.get("/metrics", **headers)
        assert answer.status == 401 and b"paddock_" not in answer.body, authorization
    assert dashboard.post("/api/login", {"token": token}).status == 401  # it is for figures, not for pages


def test_promtool_finds_nothing_to_mend(dashboard, token):
    text = scrape(dashboard, token).body
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          timeout=machine.patience(30))
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    assert scrape(dashboard, token, Accept=OPENMETRICS).body.endswith(b"\n# EOF\n")


def test_figures_are_those_of_the_books(dashboard, token, dashboard_host):
    for _ in range(10):
        assert dashboard_host.alice.get("/hello.php").status == 200
    expected = dashboard_host.paddock.tenant_status("alice")

    def current():
        found = series(scrape(dashboard, token).body.decode())
        answered = found.get("paddock_tenant_requests_total", {}).get('tenant="alice",outcome="answered"', 0)
        workers = found.get("paddock_tenant_workers", {}).get('tenant="alice"', 0)
        return found if answered >= 10 and workers > 0 else None

    found = machine.wait_for(current, 30, "alice's requests are counted", interval=0.5)
    assert found["paddock_up"][""] == 1
    assert found["paddock_tenant_request_duration_seconds_count"]['tenant="alice"'] >= 10
    assert found["paddock_tenant_request_duration_seconds_sum"]['tenant="alice"'] > 0
    buckets = found["paddock_tenant_request_duration_seconds_bucket"]
    of_alice = [count for labels, count in buckets.items() if labels.startswith('tenant="alice"')]
    assert of_alice == sorted(of_alice) and of_alice[-1] >= 10
    assert sum(found["paddock_tenant_cpu_seconds_total"][f'tenant="alice",mode="{mode}"'] for mode in ("user", "system")) > 0
    assert found["paddock_tenant_workers_limit"]['tenant="alice"'] == expected["workers_max"]
    assert sum(found["paddock_tenants"].values()) == 2
    assert 'program="supervisor"' in found["paddock_process_resident_memory_bytes"]


def test_answers_are_told_by_class(dashboard, token, dashboard_host):
    alice = dashboard_host.alice

    def told():
        found = series(scrape(dashboard, token).body.decode()).get("paddock_tenant_responses_total", {})
        return [found.get(f'tenant="alice",code="{code}"', 0) for code in ("2xx", "3xx", "4xx", "5xx")]

    before = told()
    for code in ("http_response_code(301);", "header('Status: 404 Nowhere');", "header('HTTP/1.1 503 Later');",
                 "http_response_code(500);", "return 1;"):
        alice.post("/run.php", code.encode())

    def more():
        return [now - then for now, then in zip(told(), before)]

    machine.wait_for(lambda: more()[1:] == [1, 1, 2] and more()[0] >= 1, 30, "each class was counted", interval=0.5)


@contextlib.contextmanager
def prometheus(directory, dashboard, token):
    """A real one that scrapes the dashboard each second, with our alert rules; its address."""
    address = f"127.0.0.1:{machine.free_port()}"
    (directory / "token").write_text(token)
    (directory / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{GRAFANA}/alerts.yml]
scrape_configs:
  - job_name: paddock
    authorization: {{credentials_file: {directory}/token}}
    static_configs: [{{targets: ["{dashboard.address}"]}}]
""")
    with open(directory / "prometheus.log", "wb") as log:
        server = subprocess.Popen(
            ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address={address}", "--log.level=warn"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=process.end_with_parent)
    try:
        yield address
    finally:
        server.terminate()
        server.wait(machine.patience(20))


def ask(address, path, **query):
    url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=machine.patience(10)) as answer:
        return json.load(answer)["data"]


def test_prometheus_scrapes_and_loads_our_rules(directory, dashboard, token):
    with prometheus(directory, dashboard, token) as address:
        def up():
            try:
                return ask(address, "query", query="paddock_up")["result"]
            except OSError:
                return None
        result = machine.wait_for(up, 30, "a scrape of paddock_up", interval=0.2)
        assert result[0]["value"][1] == "1"
        (target,) = ask(address, "targets")["activeTargets"]
        assert target["health"] == "up", target["lastError"]

        rules = [rule for group in ask(address, "rules")["groups"] for rule in group["rules"]]
        assert len(rules) == (GRAFANA / "alerts.yml").read_text().count("- alert:")
        # What the plan has no limit for has no series of it.
        known = {*ask(address, "label/__name__/values"), "paddock_tenant_memory_limit_bytes"}
        board = json.loads((GRAFANA / "paddock.json").read_text())
        expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        assert len(expressions) > 15
        for expression in expressions + [rule["query"] for rule in rules]:
            # Grafana's variables, as it would put them in.
            expression = expression.replace("$__rate_interval", "1m").replace("$tenant", ".*")
            ask(address, "query", query=expression)  # a parse error is a 400, and raises
            for word in expression.replace("(", " ").replace("{", " ").split():
                if word.startswith("paddock_"):
                    assert word.rstrip(")") .partition("[")[0] in known, (word, expression)
        machine.wait_for(lambda: all(rule["health"] == "ok" for group in ask(address, "rules")["groups"]
                                     for rule in group["rules"]), 20, "every rule was evaluated", interval=0.2)


def test_a_supervisor_that_has_gone_is_told(own_host):
    host = own_host(dashboard=True)
    dashboard = Dashboard(host.paddock).wait()
    token = dashboard.token("metrics")
    scrape(dashboard, token)
    started = time.monotonic()
    process_id = json.loads(host.paddock.cli("status", "--json").stdout)["host"]["gateway_pid"]
    assert process_id
    assert b"paddock_program_up{program=\"gateway\"} 1\n" in scrape(dashboard, token).body
    assert time.monotonic() - started < machine.patience(20)
