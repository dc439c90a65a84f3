"""One tenant's endless scripts: they hold no more of Apache's threads than the plan allows, and nobody else waits."""

import concurrent.futures
import contextlib
import time

import pytest

from harness import machine

ATTACKERS = 200
WORKERS, QUEUE = 4, 16


def flooded(make_paddock, make_apache, queue_time):
    """alice and bob behind an Apache of 50 threads."""
    paddock = make_paddock(plan={"workers": WORKERS, "queue": QUEUE, "queue_time": queue_time})
    for name in ("alice", "bob"):
        paddock.add_tenant(name)
    paddock.start()
    apache = make_apache(paddock, servers=2, threads=25)
    alice, bob = apache.sites["alice"], apache.sites["bob"]
    for site in (alice, bob):
        site.get("/hello.php").ok()
    # Now all that opens descriptors for good has been started, the zygote too.
    assert not paddock.settle()
    for site in (alice, bob):
        site.get("/hello.php").ok()
    return paddock, alice, bob


def refusals(answers):
    refused = [answer for answer in answers if "X-Paddock-Reason" in answer.headers]
    assert {answer.status for answer in refused} <= {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    return [answer.headers["X-Paddock-Reason"] for answer in refused]


@contextlib.contextmanager
def killed_at_last(paddock, tenant):
    """Endless requests end with the test, whatever it finds; else it would wait for their deadlines."""
    try:
        yield
    finally:
        paddock.cli("kill", tenant)


@pytest.mark.parametrize("script", ["while (true) sleep(1);", "set_time_limit(0); while (true);"],
                         ids=["sleeping", "spinning"])
def test_endless_scripts_do_not_hold_the_server(make_paddock, make_apache, script):
    paddock, alice, bob = flooded(make_paddock, make_apache, "3s")
    attack = [f"{script} return 0;".encode()] * ATTACKERS
    with concurrent.futures.ThreadPoolExecutor(ATTACKERS) as pool, killed_at_last(paddock, "alice"):
        running = [pool.submit(alice.post, "/run.php", body, seconds=120) for body in attack]
        machine.wait_for(lambda: sum(future.done() for future in running) > ATTACKERS // 4, 15,
                         "the surplus is refused")
        served, end = 0, time.monotonic() + 3
        while time.monotonic() < end or served < 20:
            assert bob.get("/hello.php").ok().text == "hello\n"
            served += 1
        machine.wait_for(lambda: sum(future.done() for future in running) >= ATTACKERS - WORKERS, 20,
                         "all but those in workers have been answered")
        assert bob.get("/hello.php").ok()
        reasons = refusals([future.result() for future in running if future.done()])
        assert len(reasons) >= ATTACKERS - WORKERS
        assert set(reasons) <= {"queue-full", "queue-time"}
        assert "queue-full" in reasons
    assert all(future.result().status == 503 for future in running)
    assert alice.get("/hello.php").ok().text == "hello\n"


@pytest.mark.any_kernel
@pytest.mark.parametrize("late", [False, True])
def test_all_tenants_together_leave_threads_free(make_paddock, make_apache, late):
    """Two tenants whose plans allow them more than the 50 threads of Apache, and a third; without a cap, and with."""
    cap = 40
    paddock = make_paddock(plan={"workers": WORKERS, "queue": 30, "queue_time": "60s"})
    names = ["alice", "bob", "carol"]
    for name in names:
        paddock.add_tenant(name)
    if not late:
        paddock.apache_section["requests"] = cap
    paddock.start()
    apache = make_apache(paddock, servers=2, threads=25)
    *greedy, carol = (apache.sites[name] for name in names)
    for site in apache.sites.values():
        site.get("/hello.php").ok()
    assert not paddock.settle()
    for site in apache.sites.values():
        site.get("/hello.php").ok()
    with concurrent.futures.ThreadPoolExecutor(100) as pool, contextlib.ExitStack() as stack:
        for name in names[:2]:  # what waits would go to the next sandbox
            stack.callback(paddock.cli, "block", name, "--reason", "the test is over")
        running = [pool.submit(site.post, "/run.php", b"while (true) sleep(1);", seconds=120)
                   for _ in range(50) for site in greedy]
        if late:
            machine.wait_for(lambda: sum(paddock.tenant_status(name)["queue"] for name in names[:2]) >= 40, 20,
                             "all threads wait")
            with pytest.raises(OSError):
                carol.get("/hello.php", seconds=2)
            paddock.apache_section["requests"] = cap
            paddock.write_config()
            paddock.cli("reload")
        machine.wait_for(lambda: sum(future.done() for future in running) >= 60, 20, "what is too much is refused")
        for _ in range(20):
            assert carol.get("/hello.php", seconds=20).ok().text == "hello\n"
        reasons = refusals([future.result() for future in running if future.done()])
        assert set(reasons) <= {"machine-full", "queue-full"} and "machine-full" in reasons

        def shares():
            return [status["busy"] + status["queue"] for status in map(paddock.tenant_status, names[:2])]

        machine.wait_for(lambda: sum(shares()) <= cap, 5, "what is told is a second old")
        assert max(shares()) - min(shares()) <= 1, "both have as much"
    assert carol.get("/hello.php").ok()


def test_what_fits_waits_its_turn(make_paddock, make_apache):
    """Requests for longer than a look of the gateway's, no more of them than workers and queue: all are served."""
    paddock, alice, _ = flooded(make_paddock, make_apache, "60s")
    with concurrent.futures.ThreadPoolExecutor(WORKERS + QUEUE) as pool:
        answers = list(pool.map(lambda number: alice.run(f"usleep(400000); return {number};"),
                                range(WORKERS + QUEUE)))
    assert answers == list(range(WORKERS + QUEUE))
    # And afterwards workers accept by themselves again.
    for _ in range(50):
        alice.get("/hello.php").ok()


def test_the_queue_outlives_the_sandbox(make_paddock, make_apache):
    """What waits in the gateway when a sandbox is killed goes to the next."""
    paddock, alice, _ = flooded(make_paddock, make_apache, "60s")
    with concurrent.futures.ThreadPoolExecutor(WORKERS + 5) as pool:
        stuck = [pool.submit(alice.post, "/run.php", b"while (true) sleep(1);", seconds=120) for _ in range(WORKERS)]
        machine.wait_for(lambda: len(paddock.workers("alice")) == WORKERS, 10)
        time.sleep(machine.patience(0.3))
        waiting = [pool.submit(alice.get, "/hello.php", seconds=120) for _ in range(5)]
        time.sleep(machine.patience(1))
        assert not any(future.done() for future in waiting)
        paddock.cli("kill", "alice")
        assert [future.result().status for future in waiting] == [200] * 5
        assert [future.result().status for future in stuck] == [503] * WORKERS
