"""paddock-dashboard over HTTP: who gets in, what they see, what they may do, and what its hostile clients reach."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest

from harness import machine, process
from harness.dashboard import Dashboard


@pytest.fixture(scope="module")
def dashboard(dashboard_host):
    return Dashboard(dashboard_host.paddock).wait()


@pytest.fixture
def admin(dashboard):
    return Dashboard(dashboard.paddock).log_in()


def _events(paddock, kind):
    events = map(json.loads, paddock.cli("events", "--json").stdout.splitlines())
    return [event for event in events if event["kind"] == kind]


# --- who gets in

def test_without_a_session_nothing_is_told(dashboard):
    for path in ("/api/session", "/api/overview", "/api/live", "/api/tenants/alice", "/api/tenants/nobody",
                 "/api/usage", "/api/events"):
        answer = dashboard.get(path)
        assert (answer.status, answer.json()["error"]["code"]) == (401, "session"), path
        assert b"alice" not in answer.body
    assert dashboard.post("/api/tenants/alice/kill").status == 401
    assert dashboard.get("/api/overview", Cookie="paddock_session=" + "0" * 64).status == 401


def test_a_wrong_token_gets_nowhere(dashboard):
    dashboard.token()
    begun = time.monotonic()
    for wrong in ("x", "0" * 64, "' OR 1=1", "\N{SNOWMAN}"):
        answer = dashboard.post("/api/login", {"token": wrong})
        assert answer.status == 401
        assert "Set-Cookie" not in answer.headers
    assert time.monotonic() - begun > 1  # held back, longer each time
    assert _events(dashboard.paddock, "login-failed")[-1]["actor"] == "dashboard, 127.0.0.1"


def test_a_new_token_voids_the_old(dashboard):
    old = dashboard.token()
    new = dashboard.token()
    assert dashboard.post("/api/login", {"token": old}).status == 401
    assert dashboard.post("/api/login", {"token": new}).status == 200
    # The file holds hashes only, and is root's.
    file = dashboard.paddock.directory / "state/dashboard.tokens"
    assert file.stat().st_mode & 0o777 == 0o600
    assert new not in file.read_text()


def test_the_cookie_is_for_this_site_and_no_script(dashboard):
    answer = dashboard.post("/api/login", {"token": dashboard.token()})
    parts = answer.headers["Set-Cookie"].split("; ")
    assert "HttpOnly" in parts and "SameSite=Strict" in parts
    assert _events(dashboard.paddock, "login")[-1]["text"] == "admin"


def test_logging_out_ends_the_session(admin):
    assert admin.get("/api/session").status == 200
    assert admin.post("/api/logout").status == 200
    assert admin.get("/api/session").status == 401


def test_another_site_can_do_nothing_in_the_admins_name(admin):
    path = "/api/tenants/alice/stop"
    assert admin.post(path, X_Paddock_CSRF="0" * 64).json()["error"]["code"] == "csrf"
    assert admin.post(path, Origin="https://evil.example").json()["error"]["code"] == "origin"
    assert admin.post(path, Content_Type="text/plain").status == 400
    # A name that was rebound to 127.0.0.1.
    assert admin.get("/api/overview", Host="evil.example").status == 421
    assert admin.post(path, Origin=admin.url("")).status == 200


# --- what they see and do

def test_an_admin_sees_all(admin):
    overview = admin.get("/api/overview").json()
    assert {tenant["name"] for tenant in overview["tenants"]} == {"alice", "bob"}
    assert overview["host"]["gateway"] and overview["machine"]["cpus"] >= 1


def test_a_tenants_link_works_once_and_shows_one_tenant(dashboard):
    url = dashboard.paddock.cli("link", "alice").stdout.strip()
    assert url.startswith(dashboard.url("/#link="))
    code = url.partition("#link=")[2]
    alice = Dashboard(dashboard.paddock).log_in(code)
    assert alice.get("/api/session").json()["role"] == "tenant"
    assert dashboard.post("/api/login", {"token": code}).status == 401
    overview = alice.get("/api/overview").json()
    assert [tenant["name"] for tenant in overview["tenants"]] == ["alice"]
    assert "host" not in overview and "machine" not in overview
    assert alice.get("/api/tenants/alice").status == 200
    assert alice.get("/api/tenants/bob").status == alice.get("/api/tenants/nobody").status == 404
    assert alice.get("/api/events?tenant=bob").status == alice.get("/api/usage?tenant=bob").status == 404
    assert {event["tenant"] for event in alice.get("/api/events").json()["events"]} <= {"alice"}
    assert alice.post("/api/tenants/alice/kill").status == 403
    assert alice.get("/api/tenants/alice/log").status == 200 and alice.get("/api/tenants/bob/log").status == 404
    assert alice.get("/api/rules").status == 403
    assert dashboard.get("/metrics", Authorization=f"Bearer {code}").status == 401


def test_what_is_unknown_or_malformed_is_said(admin):
    for path, status, expected in (("/api/tenants/nobody", 404, "no tenant"), ("/nothing", 404, "nothing here"),
                                   ("/api/usage?step=week", 400, "minute, hour or day"),
                                   ("/api/usage?top=beauty", 400, "cpu, memory"),
                                   ("/api/usage?since=yesterday", 400, "Unix time"),
                                   ("/api/events?limit=many", 400, "integer"),
                                   ("/api/events?limit=0", 400, "limit"),
                                   ("/api/events?colour=red", 400, "unknown key"),
                                   ("/api/events?%zz", 400, "%XX"),
                                   ("/api/live?x=1", 400, "takes no query")):
        answer = admin.get(path)
        assert answer.status == status, path
        assert expected in answer.json()["error"]["message"], path
    assert admin.post("/api/tenants/alice/explode").status == 404
    assert admin.post("/api/tenants/nobody/kill").status == 404
    assert admin.post("/api/tenants/alice/block").status == 400  # no reason
    assert admin.post("/api/tenants/alice/throttle").status == 400  # to which plan?
    assert admin.post("/api/tenants/alice/throttle", {"plan": "none"}).json()["error"]["message"].startswith("there is no plan")
    assert "expected" in admin.post("/api/tenants/alice/throttle", {"reason": "x"}).json()["error"]["message"]
    assert admin.post("/api/tenants/alice/unthrottle").status == 409
    assert admin.get("/api/tenants/nobody/log").status == 404
    assert admin.get("/api/rules").json()["rules"] == []
    assert admin.post("/api/tenants/alice/thaw").status == 409
    assert admin.post("/api/tenants/alice/kill", "[").status == 400
    assert admin.request("DELETE", "/api/tenants/alice").status == 405


def test_a_kill_ends_the_sandbox_and_is_in_the_books(admin, dashboard_host):
    paddock = dashboard_host.paddock
    paddock.cli("start", "alice")
    machine.wait_for(lambda: paddock.keeper("alice"), 20, "a sandbox of alice")
    assert admin.post("/api/tenants/alice/kill").status == 200
    assert not paddock.sandbox("alice")
    assert _events(paddock, "kill")[-1]["actor"].startswith("admin by dashboard, ")


def test_a_block_by_the_page_refuses_requests(admin, dashboard_host):
    answer = admin.post("/api/tenants/bob/block", {"reason": "<b>spam</b>", "until": int(time.time()) + 3600})
    assert answer.json() == {"tenant": "bob", "state": "blocked"}
    assert dashboard_host.bob.get("/hello.php").status == 503
    assert admin.get("/api/tenants/bob").json()["tenants"][0]["block_reason"] == "<b>spam</b>"
    assert admin.post("/api/tenants/bob/unblock").status == 200


def test_the_dashboards_own_user_can_look_and_not_act(dashboard):
    """Somebody who has taken the dashboard over, and speaks to the control socket as it does."""
    account = dashboard.paddock.accounts.get(8)

    def ask(**request):
        script = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                  "s.sendall(sys.argv[2].encode()+b'\\n')\nprint(s.makefile().readline())")
        done = subprocess.run(["/usr/bin/python3", "-c", script, dashboard.paddock.directory / "run/control.sock",
                               json.dumps({"v": 1, **request})], capture_output=True, text=True, check=True,
                              timeout=machine.patience(20), user=account.pw_uid, group=account.pw_gid, extra_groups=[])
        return json.loads(done.stdout)

    assert len(ask(command="status")["result"]["tenants"]) == 2
    for command in ("start", "stop", "kill", "freeze", "thaw", "unblock", "link"):
        assert ask(command=command, tenant="alice")["error"]["code"] == "not-permitted", command
    assert ask(command="block", tenant="alice", reason="x")["error"]["code"] == "not-permitted"
    assert ask(command="kill", tenant="alice", token="0" * 64)["error"]["code"] == "not-permitted"
    metrics = dashboard.token("metrics")
    assert ask(command="kill", tenant="alice", token=metrics)["error"]["code"] == "not-permitted"
    for command in ("sockets", "reload"):
        assert ask(command=command)["error"]["code"] == "not-permitted", command
    assert ask(command="stop", tenant="alice", token=dashboard.token())["ok"]


def test_live_figures_move_under_load(admin, dashboard_host):
    """The stream tells of a busy tenant within a few samples."""
    connection = socket.create_connection(tuple(_place(admin)), timeout=machine.patience(30))
    try:
        connection.sendall(f"GET /api/live HTTP/1.1\r\nHost: {admin.address}\r\nCookie: {admin.cookie}\r\n\r\n".encode())
        lines = connection.makefile("rb")
        event, seen = "", []
        end = time.monotonic() + machine.patience(25)
        while time.monotonic() < end:
            line = lines.readline().decode().strip()
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                seen.append(event)
                data = json.loads(line.removeprefix("data: "))
                if event == "tick" and any(row[0] == "alice" and row[4] > 0 for row in data["rows"]):
                    break
                dashboard_host.alice.get("/hello.php")
        else:
            raise AssertionError(f"alice's requests do not show: {seen}")
        assert seen[0] == "overview"
    finally:
        connection.close()


def _place(dashboard):
    host, _, port = dashboard.address.rpartition(":")
    return host, int(port)


# --- the pages

def test_pages_come_with_a_strict_policy(dashboard):
    page = dashboard.get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert b"http://" not in page.body and b"https://" not in page.body
    script = next(part for part in page.body.decode().split('"') if part.endswith(".js"))
    answer = dashboard.get("/" + script.removeprefix("./"))
    assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"]
    assert dashboard.get("/api/session").headers["Content-Security-Policy"] == policy
    for path in ("/../../etc/passwd", "/assets/../../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd"):
        assert dashboard.get(path).status == 404


# --- hostile clients

def _raw(dashboard, data, patience=20):
    """What comes back for raw bytes, until the server closes."""
    with socket.create_connection(_place(dashboard), timeout=machine.patience(patience)) as connection:
        answer = b""
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                answer += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


def test_endless_headers_and_bodies_are_cut_off(dashboard, dashboard_host):
    pid = json.loads(dashboard_host.paddock.cli("status", "--json").stdout)["host"]["dashboard_pid"]
    before = process.rss(pid)
    start = f"GET / HTTP/1.1\r\nHost: {dashboard.address}\r\nX: ".encode()
    assert b" 431 " in _raw(dashboard, start + b"x" * 60_000)
    _raw(dashboard, start + b"x" * 100_000_000)
    head = f"POST /api/login HTTP/1.1\r\nHost: {dashboard.address}\r\nContent-Length: 100000000\r\n\r\n".encode()
    assert b" 413 " in _raw(dashboard, head)
    _raw(dashboard, head + b"x" * 10_000_000)
    chunked = f"POST /api/login HTTP/1.1\r\nHost: {dashboard.address}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    _raw(dashboard, chunked + b"8000\r\n" + b"x" * 0x8000 + b"\r\n" * 2)
    assert b" 400 " in _raw(dashboard, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    assert process.rss(pid) < before + 32 * 2**20
    assert dashboard.get("/").status == 200


def test_half_sent_requests_and_floods_keep_nobody_out(dashboard, admin):
    """More idle and half-sent connections than it takes: who comes after is served at once."""
    crowd = []
    try:
        for i in range(300):
            connection = socket.create_connection(_place(dashboard), timeout=machine.patience(5))
            crowd.append(connection)
            if i % 2:
                connection.sendall(b"GET / HT")
        assert admin.get("/api/overview").status == 200
    finally:
        for connection in crowd:
            connection.close()


def test_json_that_nests_without_end_is_refused(dashboard):
    assert dashboard.post("/api/login", "[" * 10_000).status == 400
    assert dashboard.post("/api/login", {"token": ""}).status == 400
    assert dashboard.post("/api/login", {"token": "x" * 10_000}).status == 400


# --- it is down

def test_without_a_dashboard_requests_go_on(own_host):
    host = own_host(dashboard=True)
    dashboard = Dashboard(host.paddock).wait()
    pid = json.loads(host.paddock.cli("status", "--json").stdout)["host"]["dashboard_pid"]
    os.kill(pid, signal.SIGSTOP)
    assert host.alice.get("/hello.php").status == 200
    os.kill(pid, signal.SIGKILL)
    assert host.alice.get("/hello.php").status == 200
    dashboard.wait()  # it is started again
    assert process.cgroup(json.loads(host.paddock.cli("status", "--json").stdout)["host"]["dashboard_pid"]).endswith(
        "/dashboard")


def test_a_busy_port_stops_nothing_else(make_paddock):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        paddock = make_paddock().with_dashboard(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        paddock.add_tenant("alice")
        paddock.start()
        machine.wait_for(lambda: "Address already in use" in paddock.log(), 20, "the log tells")
        assert paddock.cli("status").returncode == 0
