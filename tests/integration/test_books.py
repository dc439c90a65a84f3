"""What `paddock usage`, `paddock events` and the streams of the control socket say about tenants."""

import concurrent.futures
import contextlib
import http.server
import json
import os
import queue
import socket
import subprocess
import threading
import time

import pytest

from harness import machine, process

pytestmark = pytest.mark.sanitizer

# Milliseconds of CPU time, whoever else wants the CPU.
BURN = """$used = function () { $use = getrusage(); return 1e3 * ($use['ru_utime.tv_sec'] + $use['ru_stime.tv_sec']) +
    1e-3 * ($use['ru_utime.tv_usec'] + $use['ru_stime.tv_usec']); };
    $end = $used() + %d; while ($used() < $end); return 1;"""


class Stream:
    """A request to the control socket and the lines that answer it."""

    def __init__(self, paddock, **request):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(machine.patience(20))
        self.socket.connect(str(paddock.directory / "run/control.sock"))
        self.socket.sendall(json.dumps({"v": 1, **request}).encode() + b"\n")
        self.lines = self.socket.makefile()

    def next(self):
        return json.loads(self.lines.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()


def events(paddock, *arguments):
    return [json.loads(line) for line in paddock.cli("events", *arguments, "--json").stdout.splitlines()]


def cpu(usage_):
    return usage_["cpu_user_us"] + usage_["cpu_system_us"]


def as_tenant(paddock, tenant, *arguments):
    """`paddock` as a tenant's user calls it: its output and exit status."""
    with open(machine.BIN / "paddock", "rb") as program:  # the user need not be able to search the way to it
        def call():
            done = subprocess.run([f"/proc/self/fd/{program.fileno()}", "--socket",
                                   paddock.directory / "run/control.sock", *arguments], capture_output=True, text=True,
                                  timeout=machine.patience(30), pass_fds=[program.fileno()])
            return json.dumps([done.returncode, done.stdout, done.stderr])
        return json.loads(process.as_user(paddock.tenants[tenant].account, call))


def test_usage_counts_on_over_restarts_of_sandbox_and_supervisor(own_host):
    host = own_host()
    before = host.paddock.usage("alice")
    host.alice.run(BURN % 300)
    machine.wait_for(lambda: host.paddock.usage("alice")["requests"] == before["requests"] + 1, 10, "the request counts")
    machine.wait_for(lambda: cpu(host.paddock.usage("alice")) - cpu(before) >= 290_000, 10, "its CPU time counts")
    first = host.paddock.usage("alice")
    assert host.paddock.cli("kill", "alice").stdout == "alice: stopped\n"
    assert host.paddock.sandbox("alice") == []
    host.alice.run(BURN % 300)
    machine.wait_for(lambda: host.paddock.usage("alice")["starts"] == first["starts"] + 1, 10, "the start counts")
    host.paddock.stop()
    host.paddock.start()
    again = host.paddock.usage("alice")
    assert again["requests"] == before["requests"] + 2
    assert cpu(again) >= cpu(first) + 290_000
    by_minute = json.loads(host.paddock.cli("usage", "alice", "--by", "minute", "--json").stdout)["tenants"][0]
    assert sum(sample["usage"]["requests"] for sample in by_minute["samples"]) == again["requests"]


def test_bytes_are_counted(host):
    """Bodies as they came, whether PHP reads them or not, and answers with their headers."""
    before = host.paddock.usage("alice")
    size = 3 << 20
    code = b"echo str_repeat('x', 5 << 20); exit; /*"
    assert len(host.alice.post("/run.php", code + b"." * (size - len(code) - 2) + b"*/", seconds=60).ok().body) == 5 << 20
    assert host.alice.post("/hello.php", b"unread" * 10_000).ok()
    wanted_in, wanted_out = size + 60_000, (5 << 20) + len("hello\n")

    def counted():
        now = host.paddock.usage("alice")
        return (now["requests"] - before["requests"] == 2
                and (now["bytes_in"] - before["bytes_in"], now["bytes_out"] - before["bytes_out"]))
    bytes_in, bytes_out = machine.wait_for(counted, 10, "both requests count")
    assert bytes_in == wanted_in
    assert wanted_out < bytes_out < wanted_out + 2000
    assert "3.1M in" in host.paddock.cli("usage", "alice").stdout


@pytest.mark.any_kernel
def test_usage_ranks(host):
    host.bob.get("/hello.php").ok()
    host.alice.run(BURN % 500)

    def first():
        report = json.loads(host.paddock.cli("usage", "--top", "cpu", "--json").stdout)
        return [tenant["tenant"] for tenant in report["tenants"]][:1] == ["alice"]
    machine.wait_for(first, 10, "alice is first")

    def both():
        table = host.paddock.cli("usage", "--top", "requests").stdout.splitlines()
        assert table[0].startswith("TENANT")
        return {line.split()[0] for line in table[1:]} == {"alice", "bob"}
    machine.wait_for(both, 10, "both have had requests")


def test_what_was_done_is_an_event_with_what_ran(host):
    pending = host.alice.connect()
    pending.request("POST", "/run.php?who", body=b"usleep(60000000); return 1;")
    machine.wait_for(lambda: host.paddock.tenant_status("alice")["busy"] == 1, 10, "the request runs")
    last = events(host.paddock)[-1]["id"]
    host.paddock.cli("kill", "alice")
    assert pending.getresponse().status == 503
    pending.close()
    kill = [event for event in events(host.paddock, "alice") if event["id"] > last and event["kind"] == "kill"]
    assert len(kill) == 1 and kill[0]["actor"] == "uid 0"
    snapshot = json.loads(kill[0]["snapshot"])
    assert [request["uri"] for request in snapshot["requests"]] == ["/run.php?who"]
    assert snapshot["process_count"] >= 2
    assert "/run.php?who" in host.paddock.cli("events", "alice", "--snapshots").stdout


@pytest.mark.any_kernel
def test_events_are_followed(host):
    follower = subprocess.Popen([machine.BIN / "paddock", "--config", host.paddock.config, "events", "bob", "--follow"],
                                stdout=subprocess.PIPE, text=True)
    try:
        host.paddock.cli("block", "alice", "--reason", "not bob's")
        host.paddock.cli("unblock", "alice")
        host.paddock.cli("block", "bob", "--reason", "for the \x1btest")
        line = next(line for line in follower.stdout if "for the" in line)
        assert line.split()[1:4] == ["bob", "block", "uid"] and "\\x1b" in line
        host.paddock.cli("unblock", "bob")
        assert next(line for line in follower.stdout if "unblock" in line)
    finally:
        follower.terminate()
        rest = follower.stdout.read()
        follower.wait()
        follower.stdout.close()
    assert "not bob's" not in rest


@pytest.mark.any_kernel
def test_a_tenant_sees_itself_only(host):
    host.paddock.cli("block", "bob", "--reason", "bob's secret")
    host.paddock.cli("unblock", "bob")
    host.alice.get("/hello.php").ok()
    host.bob.get("/hello.php").ok()
    status, out, _ = as_tenant(host.paddock, "alice", "events")
    assert status == 0 and out and {line.split()[1] for line in out.splitlines()} == {"alice"}
    status, out, _ = as_tenant(host.paddock, "alice", "usage", "--json")
    assert status == 0 and [tenant["tenant"] for tenant in json.loads(out)["tenants"]] == ["alice"]
    for arguments in (("events", "bob"), ("events", "bob", "--follow"), ("usage", "bob"), ("usage", "nobody")):
        status, out, _ = as_tenant(host.paddock, "alice", *arguments)
        assert status == 4 and out == "", arguments

    def first_sample():
        with Stream(host.paddock, command="samples") as stream:
            return json.dumps(stream.next())
    sample = json.loads(process.as_user(host.paddock.tenants["alice"].account, first_sample))
    assert [tenant["tenant"] for tenant in sample["result"]["tenants"]] == ["alice"]


@pytest.mark.any_kernel
def test_exit_codes(host):
    for arguments, status in ((("usage", "nobody"), 5), (("events", "nobody"), 5), (("usage", "--since", "soon"), 2),
                              (("events", "--since", "9999-01-01"), 2), (("usage", "--top", "luck"), 2),
                              (("usage", "--limit", "0"), 2)):
        done = host.paddock.cli(*arguments, check=False)
        assert done.returncode == status and done.stdout == "" and done.stderr, (arguments, done)


def test_live_samples(host):
    host.alice.get("/hello.php").ok()
    with Stream(host.paddock, command="samples", tenant="alice", period_ms=500) as stream:
        def sample():
            while not (tenants := stream.next()["result"]["tenants"]):  # not sampled yet
                pass
            (tenant,) = tenants
            return tenant
        first = sample()
        assert first["tenant"] == "alice" and first["workers"] >= 1
        host.alice.run(BURN % 300)

        def used():
            total = sample()["total"]
            return (total["cpu_user_us"] + total["cpu_system_us"] - first["total"]["cpu_user_us"]
                    - first["total"]["cpu_system_us"] >= 290_000) and total["requests"] > first["total"]["requests"]
        machine.wait_for(used, 10, "the samples show it")


@pytest.mark.any_kernel
def test_a_client_that_does_not_read_or_says_too_much_is_no_burden(host):
    path = f"/proc/{host.paddock.supervisor.pid}/fd"
    count = len(os.listdir(path))
    with Stream(host.paddock, command="samples", period_ms=500) as talker:
        talker.next()
        talker.socket.sendall(b"{}\n")
        with contextlib.suppress(ConnectionResetError):
            while talker.lines.readline():
                pass
    silent = [Stream(host.paddock, command="events", follow=True) for _ in range(20)]
    for number in range(3):
        host.paddock.cli("block", "alice", "--reason", f"round {number} " + 500 * "x")
        host.paddock.cli("unblock", "alice")
    for stream in silent:
        stream.__exit__()
    machine.wait_for(lambda: len(os.listdir(path)) <= count, 5, "paddockd has closed them")


def test_the_history_outlives_a_kill_of_the_supervisor(own_host):
    """At most ten seconds are lost, the file opens clean, and what was durable is there."""
    host = own_host()
    host.alice.get("/hello.php").ok()
    host.paddock.cli("block", "bob", "--reason", "durable")
    time.sleep(machine.patience(0.1))
    deadline = time.monotonic() + machine.patience(10) + 12
    counted = 0
    while counted == 0 and time.monotonic() < deadline:  # without asking for it: that would flush
        rows = subprocess.run(["/usr/bin/python3", "-c", """
import sqlite3, sys
database = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)
print(database.execute("SELECT coalesce(sum(requests), 0) FROM totals JOIN tenants ON id = tenant WHERE name = 'alice'").fetchone()[0])
""", str(host.paddock.directory / "state/history.db")], capture_output=True, text=True, check=True)
        counted = int(rows.stdout)
        time.sleep(0.2)
    assert counted >= 1, "not on disk within ten seconds"
    host.paddock.kill()
    machine.wait_for(lambda: not host.paddock.sandbox(), 20, "the sandboxes have ended")
    host.paddock.start()
    assert host.paddock.usage("alice")["requests"] >= counted
    assert [event["text"] for event in events(host.paddock, "bob") if event["kind"] == "block"] == ["durable"]
    assert not list((host.paddock.directory / "state").glob("*.corrupt-*"))
    host.paddock.cli("unblock", "bob")


RULES = """
[plan.tight]
inherits = "default"
cpu = "30%%"

[rule.busy]
metric = "cpu_percent"
above = 20
window = "2s"
cooldown = "1h"
action = "%s"
%s
"""


def ruled(make_paddock, make_apache, action, *more):
    """alice behind a rule that fires when she uses CPU; with its notices in a file."""
    paddock = make_paddock(runtime={"notify_user": "daemon"})
    paddock.add_tenant("alice")
    notices = paddock.directory / "notices"
    notices.touch()
    notices.chmod(0o666)
    command = f'command = ["/bin/sh", "-c", "id -un >> {notices}; env | grep ^PADDOCK_RULE= >> {notices}; cat >> {notices}"]'
    paddock.write_config()
    paddock.config.write_text(paddock.config.read_text() + RULES % (action, "\n".join([command, *more])))
    paddock.start()
    site = make_apache(paddock).sites["alice"]
    site.get("/hello.php").ok()
    assert not paddock.settle()
    return paddock, site, notices


def burn(site):
    """CPU time for a while; the request need not survive."""
    with contextlib.suppress(OSError):
        return site.post("/run.php", (BURN % 8000).encode(), seconds=60).status


def fired(paddock):
    return [event for event in events(paddock, "alice") if event["kind"] == "rule-fired"]


def test_a_rule_throttles_for_a_time(make_paddock, make_apache):
    paddock, site, notices = ruled(make_paddock, make_apache, "throttle", 'plan = "tight"', 'duration = "2s"')
    burn(site)
    machine.wait_for(lambda: [event for event in events(paddock, "alice") if event["kind"] == "unthrottle"], 20,
                     "throttled, and not any more")
    told = events(paddock, "alice")
    (fire,) = fired(paddock)
    assert fire["actor"] == "rule busy" and json.loads(fire["snapshot"])["figure"] > 20
    assert [event["actor"] for event in told if event["kind"] == "throttle"] == ["rule busy"]
    user, rule, text = machine.wait_for(lambda: len(lines := notices.read_text().splitlines()) == 3 and lines, 10,
                                        "the command has been run")
    assert user == "daemon" and rule == "PADDOCK_RULE=busy"
    assert json.loads(text)["tenant"] == "alice" and json.loads(text)["figures"]["threshold"] == 20
    assert paddock.tenant_status("alice")["throttled_to"] == ""
    # Of the history: averages of minutes, for which the threshold has to be lower.
    assert "above = 20" in paddock.config.read_text()
    paddock.config.write_text(paddock.config.read_text().replace("above = 20", "above = 2"))
    replayed = machine.wait_for(lambda: json.loads(paddock.cli("rules", "replay", "--since", "1h", "--json").stdout)["firings"],
                                20, "the history is on disk, and the rule would have fired", interval=0.5)
    assert {(firing["rule"], firing["tenant"]) for firing in replayed} == {("busy", "alice")}


@pytest.mark.any_kernel
def test_a_rule_calls_a_webhook(make_paddock, make_apache):
    calls = queue.Queue()

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            calls.put((self.path, self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            _, site, _ = ruled(make_paddock, make_apache, "notify",
                               f'webhook = "http://127.0.0.1:{server.server_port}/hook?of=paddock"')
            assert burn(site) == 200
            path, kind, body = calls.get(timeout=machine.patience(20))
        finally:
            server.shutdown()
            thread.join()
    assert (path, kind) == ("/hook?of=paddock", "application/json")
    told = json.loads(body)
    assert (told["tenant"], told["rule"], told["action"], told["dry_run"]) == ("alice", "busy", "notify", False)
    assert told["figures"]["figure"] > 20 and told["figures"]["threshold"] == 20


@pytest.mark.parametrize("action", ["freeze", "kill", "block"])
def test_a_rule_acts(make_paddock, make_apache, action):
    paddock, site, _ = ruled(make_paddock, make_apache, action, *([] if action == "kill" else ['duration = "1h"']))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        burning = pool.submit(burn, site)
        machine.wait_for(lambda: [event for event in events(paddock, "alice") if event["kind"] == action], 20,
                         "the rule has acted")
        if action == "freeze":
            machine.wait_for(lambda: paddock.tenant_status("alice")["state"] == "frozen", 10)
            assert site.get("/hello.php").headers["X-Paddock-Reason"] == "frozen"
            paddock.cli("kill", "alice")
        elif action == "block":
            machine.wait_for(lambda: not paddock.sandbox("alice"), 10, "nothing runs any more")
            assert "rule busy: cpu_percent" in paddock.tenant_status("alice")["block_reason"]
            paddock.cli("unblock", "alice")
        assert burning.result() in (503, None)


@pytest.mark.any_kernel
def test_a_dry_run_only_tells_and_a_restart_keeps_the_cooldown(make_paddock, make_apache):
    paddock, site, notices = ruled(make_paddock, make_apache, "block", "dry_run = true")
    assert burn(site) == 200
    machine.wait_for(lambda: fired(paddock), 10, "the rule has fired")
    assert "dry run, would: block" in fired(paddock)[0]["text"]
    machine.wait_for(lambda: '"dry_run":true' in notices.read_text(), 10, "and has told so")
    assert paddock.tenant_status("alice")["state"] in ("running", "stopped")
    paddock.stop()
    paddock.start()
    assert burn(site) == 200
    time.sleep(machine.patience(1))
    assert len(fired(paddock)) == 1


def test_a_throttle_by_hand_outlives_the_supervisor(make_paddock, make_apache):
    paddock, site, _ = ruled(make_paddock, make_apache, "kill", "dry_run = true")
    paddock.cli("throttle", "alice", "--plan", "tight", "--until", "1h")
    paddock.stop()
    paddock.start()
    site.get("/hello.php").ok()
    assert paddock.tenant_status("alice")["throttled_to"] == "tight"
    if "cpu" in machine.controllers():
        group = machine.cgroup2_mount() / process.cgroup(paddock.keeper("alice")).lstrip("/")
        assert (group / "cpu.max").read_text().split()[0] == "30000"
        paddock.cli("unthrottle", "alice")
        assert (group / "cpu.max").read_text().split()[0] == "max"
    else:
        paddock.cli("unthrottle", "alice")
    assert paddock.cli("throttle", "alice", "--plan", "none", check=False).returncode == 1
    assert paddock.cli("unthrottle", "alice", check=False).returncode == 1
    assert paddock.cli("rules").stdout.splitlines()[1].split()[0] == "busy"


@pytest.mark.any_kernel
def test_a_full_queue_and_a_late_request_are_events(make_paddock, make_apache):
    paddock = make_paddock(plan={"workers": 1, "queue": 1, "queue_time": "1s", "deadline": "5s"})
    paddock.add_tenant("alice")
    site = make_apache(paddock.start()).sites["alice"]
    site.get("/hello.php").ok()
    assert not paddock.settle()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        attempts = [pool.submit(site.post, "/run.php?endless", b"while (true) usleep(100000);", seconds=60) for _ in range(12)]
        told = machine.wait_for(lambda: {event["kind"]: event for event in events(paddock, "alice")}.get("queue-full"), 20,
                                "the queue is full")
        assert "/run.php?endless" in told["snapshot"]
        machine.wait_for(lambda: "deadline" in [event["kind"] for event in events(paddock, "alice")], 30,
                         "a request is late")
        paddock.cli("block", "alice", "--reason", "enough")
        assert all(attempt.result().status >= 500 for attempt in attempts)
    counted = paddock.usage("alice")
    assert counted["refused"] >= 10 and counted["late"] >= 1
    paddock.cli("unblock", "alice")
