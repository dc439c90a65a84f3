"""The dashboard's pages in a real Chromium (browser/run.js). Screenshots of each view are in build/screenshots."""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import threading

import pytest

from harness import fastcgi, machine, process
from harness.dashboard import Dashboard

HERE = machine.REPOSITORY / "tests/integration/browser"
MODULES = machine.REPOSITORY / "build/browser-tests"
SCREENSHOTS = machine.REPOSITORY / "build/screenshots"
HOSTILE = "/<img src=x onerror=globalThis.ran=1><script>globalThis.ran=2</script>\x1b[2J\x1b]0;owned\x07?\"'&lt;"


@pytest.fixture(scope="session")
def modules():
    """playwright-core and axe-core, as package-lock.json names them; fetched once."""
    MODULES.mkdir(parents=True, exist_ok=True)
    with open(MODULES / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (HERE / "package-lock.json").read_text()
        have = MODULES / "installed-lock.json"
        if not have.exists() or have.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, MODULES)
            subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                           cwd=MODULES, check=True, timeout=300, stdin=subprocess.DEVNULL)
            have.write_text(wanted)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return MODULES


@pytest.fixture(scope="module")
def dashboard(dashboard_host):
    return Dashboard(dashboard_host.paddock).wait()


@pytest.fixture
def browse(modules, directory):
    def run(dashboard, scenario, **given):
        given = {"url": dashboard.url("/"), "out": str(SCREENSHOTS), "slowness": machine.slowness(), **given}
        if "link" not in given:
            given["token"] = dashboard.token()
        # Chromium leaves directories in TMPDIR and HOME, which are this test's.
        done = subprocess.run(
            ["node", HERE / "run.js", scenario], input=json.dumps(given), capture_output=True, text=True,
            timeout=machine.patience(120), preexec_fn=process.end_with_parent,
            env={"PATH": os.environ["PATH"], "HOME": str(directory), "TMPDIR": str(directory),
                 "PADDOCK_BROWSER_MODULES": str(modules)})
        assert done.returncode == 0, done.stderr[-4000:]
        found = json.loads(done.stdout)
        assert "failed" not in found, found
        assert found["violations"] == [] and found["errors"] == [] and found["dialogs"] == [], found
        assert found["outside"] == [], "the page asked others than its own server"
        assert found["axe"] == [], "\n".join(found["axe"])
        return found
    return run


def events(paddock, tenant):
    return [json.loads(line) for line in paddock.cli("events", tenant, "--json").stdout.splitlines()]


@contextlib.contextmanager
def load(site, body, count=2):
    done = threading.Event()

    def work():
        while not done.is_set():
            with contextlib.suppress(OSError, AssertionError):
                site.run(body)
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_every_view(browse, dashboard, dashboard_host):
    with load(dashboard_host.alice, "for ($i = 0; $i < 200000; $i++) { md5((string)$i); } return 1;"), \
            load(dashboard_host.bob, "$x = str_repeat('x', 8 << 20); usleep(30000); return 1;", 1):
        found = browse(dashboard, "views", tenant="alice", settle=8000)
    assert found["wrong"] == {"stayed": True, "empty": True}
    assert len(found["charts"]) == 2 * (3 + 6)  # machine and tenant have charts
    assert all(colours > 3 for _, colours in found["charts"]), found["charts"]
    assert found["overflow"] == []
    assert found["loggedOut"] == 401
    for name in ("login", "machine-light", "machine-dark", "tenants-light", "tenant-light", "events-light",
                 "tenants-dark", "tenant-dark", "events-dark", "rules-light", "rules-dark", "dialog-dark",
                 "machine-phone", "tenants-phone", "tenant-phone", "events-phone", "rules-phone"):
        assert (SCREENSHOTS / f"{name}.png").stat().st_size > 5000, name


def test_live_values_move_under_load(browse, dashboard, dashboard_host):
    with load(dashboard_host.alice, "usleep(100000); return 1;"):
        found = browse(dashboard, "live", tenant="alice")
    assert len(found["values"]) >= 2, found
    assert "POST" in found["request"] or "GET" in found["request"]


def test_a_kill_from_the_page_stops_the_tenant(browse, dashboard, dashboard_host):
    paddock = dashboard_host.paddock
    paddock.cli("start", "alice")
    machine.wait_for(lambda: paddock.keeper("alice"), 20, "a sandbox of alice")
    found = browse(dashboard, "kill", tenant="alice")
    assert "Kill alice?" in found["question"]
    assert not paddock.sandbox("alice")


def test_a_throttle_from_the_page(browse, make_paddock):
    paddock = make_paddock().with_dashboard()
    paddock.plans["slow"] = {"workers": 2}
    paddock.add_tenant("alice")
    paddock.start()
    found = browse(Dashboard(paddock).wait(), "throttle", tenant="alice", plan="slow")
    assert "Throttle alice?" in found["question"]
    kinds = [event["kind"] for event in events(paddock, "alice")]
    assert kinds.count("throttle") == 1 and kinds.count("unthrottle") == 1


def test_the_rules_and_what_they_found(browse, make_paddock):
    paddock = make_paddock().with_dashboard()
    paddock.add_tenant("alice")
    paddock.write_config()
    paddock.config.write_text(paddock.config.read_text() + """
[rule.busy]
metric = "cpu_percent"
below = 99
window = "2s"
action = "block"
duration = "1h"
dry_run = true
""")
    paddock.start()
    paddock.cli("start", "alice")
    machine.wait_for(lambda: any(event["kind"] == "rule-fired" for event in events(paddock, "alice")), 40, "the rule has fired")
    found = browse(Dashboard(paddock).wait(), "rules")
    assert "busy" in found["cards"] and "dry run" in found["cards"] and "block for 1 h" in found["cards"]
    assert "1 time, 1 tenant" in found["cards"]
    assert "rule-fired" in found["fired"] and "dry run, would: block" in found["fired"]
    assert paddock.tenant_status("alice")["state"] == "running"


def test_slow_requests_are_shown_with_their_trace(browse, own_host):
    host = own_host(dashboard=True, plan={"workers": 2, "slow_log": "300ms"})
    host.alice.run("(function () { $end = microtime(true) + 1; while (microtime(true) < $end); })(); return 1;")
    log = host.paddock.directory / "log/tenants/alice.log"
    machine.wait_for(lambda: "slow: #0 " in log.read_text(), 20, "the slow log has the request")
    found = browse(Dashboard(host.paddock).wait(), "slow", tenant="alice", picture="tenant-slow")
    assert "POST /run.php" in found["trace"] and "{closure}()" in found["trace"]


def test_hostile_slow_traces_are_text(browse, own_host):
    """A tenant chooses URL, file and function of a trace, and may write lines to its log that look like one."""
    host = own_host(dashboard=True, plan={"workers": 2, "slow_log": "300ms"})
    file = "<b onclick=globalThis.ran=3>x\x1b[31m.php"
    script = host.paddock.tenants["alice"].docroot / file
    forged = ["slow: GET " + HOSTILE, "slow: #0 " + HOSTILE, "slow: #1 <iframe srcdoc=x>" + "B" * 4000]
    lines = base64.b64encode("".join(f"{line}\n" for line in forged).encode()).decode()
    script.write_text(f"<?php file_put_contents('php://stderr', base64_decode('{lines}'));"
                      "$end = microtime(true) + 1; while (microtime(true) < $end);")
    script.chmod(0o644)
    with fastcgi.Connection(host.paddock.sockets()["alice"]) as connection:
        connection.send(fastcgi.whole_request(script, REQUEST_URI=HOSTILE + "A" * 100_000, REQUEST_METHOD="GET"))
        log = host.paddock.directory / "log/tenants/alice.log"
        machine.wait_for(lambda: log.read_text(errors="replace").count("slow: ") >= 5, 20, "the log has both traces")
    found = browse(Dashboard(host.paddock).wait(), "slow", tenant="alice", picture="hostile-slow")
    assert "<script>globalThis.ran=2</script>" in found["trace"] and "<iframe srcdoc=x>BBBB" in found["trace"]
    assert "<b onclick=globalThis.ran=3>x" in found["trace"]
    assert "\x1b" not in found["trace"]
    assert found["injected"] == 0 and found["ran"] == 0
    assert found["wide"] <= 0


def test_a_session_that_has_ended_asks_for_the_token(browse, dashboard):
    found = browse(dashboard, "expired", tenant="alice")
    assert found["status"] == 401
    assert found["address"] == "#/tenants/alice"  # where the login leads back to


def test_the_keyboard_is_enough(browse, dashboard):
    found = browse(dashboard, "keyboard", tenant="alice")
    assert found["inDialog"]
    assert found["back"] == "Block"


def test_hostile_text_is_text(browse, dashboard, dashboard_host):
    """What a tenant puts into its URL, script's name and the like, 1 MB of it, shows and does nothing."""
    paddock = dashboard_host.paddock
    script = paddock.tenants["bob"].docroot / "<b onclick=alert(1)>x\x1b[31m.php"
    script.write_text("<?php sleep(60);")
    script.chmod(0o644)
    try:
        request = fastcgi.whole_request(script, REQUEST_URI=HOSTILE + "A" * 1_000_000, REQUEST_METHOD="G<i>\x1b")
        with fastcgi.Connection(paddock.sockets()["bob"]) as connection:
            connection.send(request)
            machine.wait_for(lambda: paddock.tenant_status("bob")["running"], 20, "the request runs")
            paddock.cli("kill", "alice", check=False)
            found = browse(dashboard, "hostile", tenant="bob")
    finally:
        paddock.cli("kill", "bob", check=False)
        script.unlink()
    assert "<img src=x onerror" in found["request"]
    assert "\x1b" not in found["request"]
    assert found["injected"] == 0 and found["ran"] == 0
    assert found["wide"] <= 0


def test_a_thousand_tenants_are_smooth(browse, make_paddock):
    paddock = make_paddock().with_dashboard()
    first = paddock.add_tenant("t0000")
    for number in range(1, 1000):
        paddock.add_tenant(f"t{number:04}", account=first.account, make=False).home = first.home
    paddock.write_config()
    paddock.start(60)
    paddock.tenants = {"t0000": first}
    found = browse(Dashboard(paddock).wait(), "thousand")
    print(f"a screenful is drawn in {found['drawing']} ms")
    assert found["rows"] < 80
    assert found["stayed"], "a refresh has moved what was scrolled to"
    assert found["matching"] == 1


def test_a_tenants_link(browse, dashboard):
    link = dashboard.paddock.cli("link", "alice").stdout.strip()
    found = browse(dashboard, "link", tenant="alice", link=link)
    assert found["hash"] == ""
    assert found["buttons"] == 0 and found["navigation"] == 0
