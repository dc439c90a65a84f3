"""A sandbox appears with the first request, serves without anybody's help, and disappears when nobody comes."""

import concurrent.futures
import json
import re
import threading
import time

import pytest

from harness import machine, process

pytestmark = pytest.mark.sanitizer


def gone(paddock, tenant):
    machine.wait_for(lambda: not paddock.sandbox(tenant), 15, f"the sandbox of {tenant} is gone")


def test_nothing_runs_before_the_first_request(own_host):
    host = own_host()
    assert host.paddock.sandbox() == []
    assert host.alice.get("/hello.php").ok().text == "hello\n"
    assert host.paddock.keeper("alice") is not None
    assert host.paddock.sandbox("bob") == []


@pytest.mark.any_kernel
def test_a_warm_request_is_served_by_the_same_worker(host):
    for _ in range(3):  # on a machine that is short of CPU, a second worker may once have seemed to be needed
        served = {host.alice.run("return getmypid();") for _ in range(20)}
        if len(served) == 1:
            return
        host.paddock.cli("restart", "alice")
    raise AssertionError(f"workers {served} served one request after the other")


@pytest.mark.any_kernel
def test_warm_requests_do_not_wake_gateway_or_supervisor(host):
    for _ in range(5):
        host.alice.get("/hello.php").ok()
    time.sleep(machine.patience(0.3))  # until whatever the cold start still had to report has been reported
    watched = (host.paddock.gateway(), host.paddock.supervisor.pid, host.paddock.zygote())
    before = [(process.switches(pid), process.cpu_ticks(pid)) for pid in watched]
    for _ in range(200):
        host.alice.get("/hello.php").ok()
    after = [(process.switches(pid), process.cpu_ticks(pid)) for pid in watched]
    assert after[0] == before[0], "the gateway took part in warm requests"
    assert after[2] == before[2], "the zygote took part in warm requests"
    # The supervisor may have a timer that runs out meanwhile, but nothing that grows with the requests.
    assert after[1][0] - before[1][0] < 20


def test_an_idle_sandbox_disappears_and_comes_back(own_host):
    host = own_host(plan={"idle": "500ms"})
    host.alice.get("/hello.php").ok()
    keeper = host.paddock.keeper("alice")
    assert keeper is not None
    gone(host.paddock, "alice")
    groups = machine.cgroup2_mount() / host.paddock.cgroup / "tenants"
    assert not (groups / "alice").exists() or "populated 0" in (groups / "alice/cgroup.events").read_text()
    assert host.alice.get("/hello.php").ok().text == "hello\n"
    assert host.paddock.keeper("alice") not in (None, keeper)


@pytest.mark.any_kernel
def test_requests_keep_it_from_being_idle(own_host):
    host = own_host(plan={"idle": "1s"})
    host.alice.get("/hello.php").ok()
    keeper = host.paddock.keeper("alice")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        host.alice.get("/hello.php").ok()
        time.sleep(0.1)
    assert host.paddock.keeper("alice") == keeper


def test_a_request_longer_than_the_idle_time_is_not_idle(own_host):
    host = own_host(plan={"idle": "500ms"})
    assert host.alice.run("usleep(2000000); return 'done';") == "done"


@pytest.mark.any_kernel
def test_no_request_is_lost_between_idle_and_start(own_host):
    """Requests that come just when a sandbox goes: each is answered, by the old one or by a new one."""
    host = own_host(plan={"idle": "200ms"})
    starts = set()
    for attempt in range(30):
        host.alice.get("/hello.php").ok()
        starts.add(host.paddock.keeper("alice"))
        time.sleep(0.18 + (attempt % 10) * 0.005)
    assert len(starts) > 1, "it never went: the test did not test anything"


def test_workers_are_added_up_to_the_plans_number(own_host):
    host = own_host(plan={"workers": 3})
    script = "usleep(400000); return getmypid();"
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        pids = list(pool.map(lambda _: host.alice.run(script), range(9)))
        assert len(set(pids)) == 3
        assert len(host.paddock.workers("alice")) <= 3


@pytest.mark.any_kernel
def test_tenants_do_not_wait_for_each_other(own_host):
    host = own_host(plan={"workers": 2})
    host.bob.get("/hello.php").ok()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(host.alice.run, "usleep(3000000); return 1;") for _ in range(2)]
        machine.wait_for(lambda: len(host.paddock.workers("alice")) == 2, 5)
        answers = [host.bob.get("/hello.php").ok().seconds for _ in range(10)]
        assert max(answers) < 2 or machine.slowness() > 1
        assert [future.result() for future in slow] == [1, 1]


@pytest.mark.any_kernel
def test_a_worker_is_replaced_after_its_requests(own_host):
    host = own_host(plan={"workers": 1, "requests_per_worker": 5})
    pids = [host.alice.run("return getmypid();") for _ in range(20)]
    assert len(set(pids)) >= 4
    assert max(pids.count(pid) for pid in pids) <= 5


@pytest.mark.any_kernel
def test_many_at_once_on_a_cold_sandbox(own_host):
    host = own_host()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: host.alice.get("/hello.php").status, range(40)))
    assert answers == [200] * 40
    assert len([pid for pid in host.paddock.sandbox("alice")]) <= 5  # one keeper, four workers: started once


def test_stop_start_restart_kill(host):
    paddock = host.paddock
    host.alice.get("/hello.php").ok()
    first = paddock.keeper("alice")
    paddock.cli("stop", "alice")
    gone(paddock, "alice")
    paddock.cli("start", "alice")
    second = machine.wait_for(lambda: paddock.keeper("alice"), 5, "a sandbox without a request")
    assert second != first
    paddock.cli("restart", "alice")
    machine.wait_for(lambda: paddock.keeper("alice") not in (None, second), 10, "another sandbox")
    host.alice.get("/hello.php").ok()
    paddock.cli("kill", "alice")
    gone(paddock, "alice")
    host.alice.get("/hello.php").ok()


@pytest.mark.any_kernel
def test_orders_that_overtake_a_start(host):
    """The zygote's answer to a start that was called off may come when another start is under way."""
    paddock = host.paddock
    for order in ("stop", "restart", "kill") * 8:
        paddock.cli("start", "alice")
        paddock.cli(order, "alice")
        host.alice.get("/hello.php").ok()
        paddock.cli("kill", "alice")
        gone(paddock, "alice")
    assert "could not be started" not in paddock.log()


@pytest.mark.any_kernel
def test_stop_lets_the_request_finish(host):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        host.alice.get("/hello.php").ok()
        answer = pool.submit(host.alice.run, "usleep(1500000); return 'finished';")
        time.sleep(0.5)
        host.paddock.cli("stop", "alice")
        assert answer.result() == "finished"
    gone(host.paddock, "alice")


def test_sigterm_finishes_requests_and_leaves_nothing(own_host):
    host = own_host()
    host.bob.get("/hello.php").ok()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        host.alice.get("/hello.php").ok()
        answer = pool.submit(host.alice.run, "usleep(1500000); return 'finished';")
        time.sleep(0.5)
        assert host.paddock.stop() == 0
        assert answer.result() == "finished"
    assert host.paddock.remains() == []


@pytest.mark.any_kernel
def test_sigterm_ends_even_what_does_not_want_to(own_host):
    host = own_host(runtime={"stop_patience": "1s"})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        endless = pool.submit(host.alice.post, "/run.php",
                              b"ignore_user_abort(true); set_time_limit(0); while (true); return 0;")
        machine.wait_for(lambda: host.paddock.keeper("alice"), 5)
        time.sleep(0.5)
        start = time.monotonic()
        assert host.paddock.stop() == 0
        assert time.monotonic() - start < machine.patience(8)
        assert endless.result().status >= 500
    assert host.paddock.remains() == []


@pytest.mark.any_kernel
def test_stops_at_any_moment_lose_nothing(host):
    """While it starts, while it serves, with clients that it is about to hand over: who was accepted is answered."""
    outcomes = []
    over = threading.Event()

    def visit():
        while not over.is_set():
            outcomes.append(host.alice.get("/hello.php", seconds=60).status)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        visitors = [pool.submit(visit) for _ in range(3)]
        for _ in range(20 if machine.IN_VM else 100):
            host.paddock.cli("restart", "alice")
        over.set()
        for visitor in visitors:
            visitor.result()
    assert len(outcomes) > 3 and set(outcomes) == {200}


@pytest.mark.any_kernel
def test_the_number_of_workers_changes_while_they_serve(own_host):
    host = own_host(plan={"workers": 1})
    home = host.paddock.tenants["alice"].home
    script = "touch('{0}'); while (!file_exists('{1}')) {{ usleep(5000); clearstatcache(); }} return 'done';"

    def set_workers(number):
        host.paddock.plans["default"]["workers"] = number
        host.paddock.write_config()
        assert "changed: alice bob" in host.paddock.cli("reload").stdout

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        first = pool.submit(host.alice.run, script.format(home / "first", home / "go"))
        machine.wait_for((home / "first").exists, 10)
        keeper = host.paddock.keeper("alice")
        set_workers(3)
        others = [pool.submit(host.alice.run, script.format(home / name, home / "go")) for name in ("second", "third")]
        machine.wait_for(lambda: (home / "second").exists() and (home / "third").exists(), 20, "three run at once")
        set_workers(1)
        (home / "go").touch()
        assert [one.result() for one in (first, *others)] == ["done"] * 3
    machine.wait_for(lambda: len(host.paddock.workers("alice")) == 1, 10, "two have ended")
    assert host.alice.get("/hello.php").ok() and host.paddock.keeper("alice") == keeper


def test_forked_children_end_with_the_sandbox(host):
    host.alice.run("exec('setsid sleep 1000 > /dev/null 2>&1 &'); return 1;")
    machine.wait_for(lambda: any("sleep" in process.title(pid) for pid in host.paddock.sandbox("alice")), 5)
    host.paddock.cli("stop", "alice")
    gone(host.paddock, "alice")


@pytest.mark.any_kernel
def test_two_instances_side_by_side(own_host):
    first, second = own_host(), own_host()
    assert first.alice.get("/hello.php").ok() and second.alice.get("/hello.php").ok()
    assert first.paddock.sockets()["alice"] != second.paddock.sockets()["alice"]
    assert first.paddock.stop() == 0
    assert second.alice.get("/hello.php").ok()


@pytest.mark.any_kernel
def test_status_tells_the_story(host):
    host.alice.get("/hello.php").ok()
    text = host.paddock.cli("status").stdout
    assert "alice" in text and "bob" in text
    host.paddock.cli("status", "alice")
    assert host.paddock.cli("status", "nobody-such", check=False).returncode == 5


def test_a_running_request_tells_its_memory(own_host):
    host = own_host(plan={"workers": 2, "php_admin_value": {"memory_limit": "256M"}})
    hold = "$held = str_repeat('x', %d << 20); usleep(%d); return strlen($held);"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        small = pool.submit(host.alice.run, hold % (1, machine.patience(3) * 1e6), "?small")
        large = pool.submit(host.alice.run, hold % (64, machine.patience(3) * 1e6), "?large")

        def held():
            running = host.paddock.tenant_status("alice")["running"]
            found = {entry["uri"].partition("?")[2]: entry["memory_bytes"] or 0 for entry in running}
            more = found.get("large", 0) - found.get("small", 1 << 40)
            return more if more >= 60 << 20 else None

        assert machine.wait_for(held, 3, "one holds 63 MiB more than the other") < 80 << 20
        table = host.paddock.cli("status", "alice").stdout.partition("MEMORY  METHOD")[2]
        assert re.search(r"s\s+\d+(\.\d)?M\s+POST\s+/run.php\?large", table), table
        # Where all tenants are asked for, that is not looked after.
        everybody = json.loads(host.paddock.cli("status", "--json").stdout)["tenants"]
        told = [entry["memory_bytes"] for tenant in everybody for entry in tenant["running"]]
        assert told == [None, None]
        assert small.result() and large.result()


@pytest.mark.any_kernel
def test_a_worker_that_dies_is_replaced_while_the_others_are_busy(own_host):
    """The gateway has taken the socket over by then, so that nobody waits in the backlog."""
    host = own_host(plan={"workers": 2})
    go = host.paddock.tenants["alice"].docroot / "go"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        busy = pool.submit(host.alice.post, "/run.php", b"while (!file_exists(__DIR__ . '/go')) "
                           b"{ clearstatcache(); usleep(20000); } return 7;", seconds=120)
        try:
            machine.wait_for(lambda: host.paddock.tenant_status("alice")["busy"] == 1, 10, "one worker is busy")
            for _ in range(4):
                assert host.alice.post("/run.php", b"posix_kill(getmypid(), 9); sleep(60);", seconds=60).status == 503
                assert host.alice.get("/hello.php", seconds=60).ok()
            assert not busy.done()
        finally:
            go.touch()
        assert busy.result().ok().json() == 7
