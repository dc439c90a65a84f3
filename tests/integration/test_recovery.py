"""Whatever dies comes back, and nothing that it left stays."""

import concurrent.futures
import contextlib
import ctypes
import os
import socket
import subprocess
import threading
import time

import pytest

from harness import fastcgi, machine, process

pytestmark = pytest.mark.sanitizer

SYS_PIDFD_GETFD = 438
PID = "return getmypid();"
DIE = "posix_kill(getmypid(), %d); usleep(5000000); return 'survived';"


def crash(site, signal=9):
    answer = site.post("/run.php", (DIE % signal).encode())
    assert 500 <= answer.status < 600, answer.text
    return answer


@pytest.mark.any_kernel
@pytest.mark.parametrize("signal", [9, 11, 6])
def test_a_crashed_worker_is_replaced(host, signal):
    before = host.alice.run(PID)
    keeper = host.paddock.keeper("alice")
    crash(host.alice, signal)
    assert host.alice.run(PID) != before
    assert host.paddock.keeper("alice") == keeper


@pytest.mark.any_kernel
def test_exit_of_a_script_is_no_crash(host):
    before = host.alice.run(PID)
    assert host.alice.post("/run.php", b"exit('bye');").ok().text == "bye"
    assert host.alice.run(PID) == before


@pytest.mark.any_kernel
def test_a_fatal_error_is_a_500_and_no_crash(host):
    before = host.alice.run(PID)
    assert host.alice.post("/run.php", b"does_not_exist();").status == 500
    assert host.alice.run(PID) == before
    machine.wait_for(lambda: "does_not_exist" in host.paddock.tenant_log("alice"), 5, "the error is in the log")


@pytest.mark.any_kernel
def test_out_of_php_memory_is_no_crash(host):
    before = host.alice.run(PID)
    assert host.alice.post("/run.php", b"ini_set('memory_limit', '32M'); return str_repeat('x', 64 << 20);").status == 500
    assert host.alice.run(PID) == before


@pytest.mark.any_kernel
def test_a_crash_does_not_disturb_the_other_workers(own_host):
    host = own_host(plan={"workers": 3})
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        slow = [pool.submit(host.alice.run, "usleep(3000000); return getmypid();") for _ in range(2)]
        machine.wait_for(lambda: host.paddock.tenant_status("alice")["busy"] == 2, 5, "two busy workers")
        crash(host.alice)
        assert len({future.result() for future in slow}) == 2


@pytest.mark.any_kernel
def test_crash_after_crash_is_no_fork_storm(host):
    """Each request kills its worker: they fail one after the other, and then all is well."""
    start = time.monotonic()
    for _ in range(5):
        crash(host.alice)
        assert len(host.paddock.sandbox("alice")) <= 5
    assert time.monotonic() - start < machine.patience(30)
    assert host.alice.run(PID)


@pytest.mark.any_kernel
def test_workers_that_die_at_once_are_held_back(make_paddock, make_apache):
    """What kills a worker on every request must not make the keeper fork without pause."""
    paddock = make_paddock(plan={"workers": 2})
    tenant = paddock.add_tenant("alice")
    script, switch = tenant.home / "prepended.php", tenant.home / "deadly"
    script.write_text(f"<?php clearstatcache(); if (file_exists('{switch}')) posix_kill(getmypid(), 9);")
    script.chmod(0o644)
    tenant.options["php_value"] = {"auto_prepend_file": str(script)}
    site = make_apache(paddock.start()).sites["alice"]
    site.get("/hello.php").ok()
    switch.touch()
    switch.chmod(0o644)
    stop = time.monotonic() + 4

    def hammer(_):
        count = 0
        while time.monotonic() < stop:
            assert site.get("/hello.php", seconds=60).status >= 500
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        requests = sum(pool.map(hammer, range(8)))
    print(f"{requests} requests failed")
    assert requests < 400, f"{requests} workers were started and lost in 4 s"
    switch.unlink()
    machine.wait_for(lambda: site.get("/hello.php", seconds=60).status == 200, 30, "the site is back", interval=0.2)


def test_a_killed_keeper_takes_its_sandbox_along_and_the_next_request_starts_one(host):
    host.alice.get("/hello.php").ok()
    old = host.paddock.sandbox("alice")
    process.kill(host.paddock.keeper("alice"))
    machine.wait_for(lambda: not any(process.alive(pid) for pid in old), 5, "the old sandbox is gone")
    assert host.alice.get("/hello.php").ok().text == "hello\n"
    assert not set(old) & set(host.paddock.sandbox("alice"))


@pytest.mark.any_kernel
def test_a_killed_keeper_ends_the_running_request_with_an_error(host):
    host.alice.get("/hello.php").ok()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(host.alice.post, "/run.php", b"usleep(20000000); return 1;")
        time.sleep(0.5)
        process.kill(host.paddock.keeper("alice"))
        assert answer.result().status >= 500
    host.alice.get("/hello.php").ok()


def replaced(find, old):
    def other():
        try:
            return find() not in (None, old)
        except AssertionError:  # none, or for a moment two
            return False
    machine.wait_for(other, 15, f"another process in place of {old}")


@pytest.mark.any_kernel
def test_a_killed_gateway_is_replaced_while_sandboxes_serve(own_host):
    host = own_host()
    worker = host.alice.run(PID)
    gateway = host.paddock.gateway()
    process.kill(gateway)
    for _ in range(20):
        assert host.alice.run(PID) == worker
    replaced(host.paddock.gateway, gateway)
    assert host.alice.run(PID) == worker
    # The new one watches: a tenant without a sandbox is woken.
    assert host.bob.get("/hello.php").ok()


@pytest.mark.any_kernel
def test_a_request_that_comes_while_there_is_no_gateway_waits_for_it(own_host):
    host = own_host()
    process.kill(host.paddock.gateway())
    assert host.bob.get("/hello.php").ok()


@pytest.mark.any_kernel
def test_a_killed_zygote_is_replaced_while_sandboxes_serve(own_host):
    host = own_host(plan={"workers": 1})  # on a slow machine a second one may seem to be needed
    worker = host.alice.run(PID)
    zygote = host.paddock.zygote()
    process.kill(zygote)
    for _ in range(20):
        assert host.alice.run(PID) == worker
    assert host.bob.get("/hello.php").ok()
    replaced(host.paddock.zygote, zygote)
    assert host.alice.run(PID) == worker


@pytest.mark.any_kernel
def test_a_zygote_of_one_sandbox_that_is_killed_at_any_time(own_host):
    """Before it is asked, while it clones, after it: the start is tried again, and who waits for it is served."""
    host = own_host(plan={"own_start": True, "workers": 1})
    common = host.paddock.zygote()
    killed = 0
    for number in range(12):
        host.paddock.cli("kill", "alice")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(host.alice.get, "/hello.php", seconds=60)
            end = time.monotonic() + machine.patience(10)
            while not answer.done() and time.monotonic() < end:
                own = [pid for pid in host.paddock.zygotes() if pid != common]
                if own:
                    time.sleep(0.004 * number)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(own[0], 9)
                        killed += 1
                    break
            assert answer.result().ok().text == "hello\n"
    assert killed
    machine.wait_for(lambda: host.paddock.zygotes() == [common], 20, "the zygotes of one sandbox have ended")


@pytest.mark.any_kernel
def test_running_requests_survive_gateway_and_zygote(own_host):
    host = own_host()
    host.alice.get("/hello.php").ok()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(host.alice.run, "usleep(2000000); return 'unharmed';")
        time.sleep(0.5)
        process.kill(host.paddock.gateway())
        process.kill(host.paddock.zygote())
        assert answer.result() == "unharmed"


@pytest.mark.any_kernel
@pytest.mark.parametrize("part", ["gateway", "zygote"])
def test_a_part_that_is_killed_over_and_over_comes_back(own_host, part):
    host = own_host()
    for _ in range(3):
        old = machine.wait_for(lambda: _single(host.paddock, part), 20, f"a {part}")
        process.kill(old)
        machine.wait_for(lambda old=old: _single(host.paddock, part) not in (None, old), 20, f"another {part}")
    host.paddock.cli("stop", "alice", check=False)
    machine.wait_for(lambda: host.alice.get("/hello.php", seconds=60).status == 200, 20, "the site answers")


def _single(paddock, part):
    try:
        return getattr(paddock, part)()
    except AssertionError:
        return None


def test_a_supervisor_that_was_killed_leaves_no_orphans(own_host):
    host = own_host()
    host.alice.get("/hello.php").ok()
    host.bob.get("/hello.php").ok()
    sockets = host.paddock.sockets()
    old = host.paddock.in_cgroup()
    host.paddock.kill()
    host.paddock.start()
    assert host.paddock.sockets() == sockets
    assert host.alice.get("/hello.php").ok().text == "hello\n"
    assert host.bob.get("/hello.php").ok().text == "hello\n"

    def only_known():
        known = {host.paddock.supervisor.pid, host.paddock.gateway(), host.paddock.guardian(), host.paddock.zygote(),
                 *host.paddock.spare_zygotes(), *host.paddock.sandbox("alice"), *host.paddock.sandbox("bob")}
        return set(host.paddock.in_cgroup()) <= known and host.paddock.keeper("alice") and host.paddock.keeper("bob")

    machine.wait_for(only_known, 10, "no process but those of the new supervisor")
    left = [pid for pid in old if process.alive(pid) and not process.cgroup(pid).startswith(
        f"/{host.paddock.cgroup}/tenants/")]
    assert left == []


def test_supervisor_killed_in_the_middle_of_requests(own_host):
    host = own_host()
    host.alice.get("/hello.php").ok()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(host.alice.post, "/run.php", b"usleep(1500000); return 1;") for _ in range(4)]
        time.sleep(0.5)
        host.paddock.kill()
        host.paddock.start()
        assert {answer.result().status for answer in running} <= {200, 502, 503, 504}
    assert host.alice.get("/hello.php").ok()


def test_started_again_after_a_kill_of_everything(own_host):
    """As after a crash of the machine, but for the cgroups, which are still there."""
    host = own_host()
    host.alice.get("/hello.php").ok()
    (machine.cgroup2_mount() / host.paddock.cgroup / "cgroup.kill").write_text("1")
    host.paddock.supervisor.wait()
    host.paddock.start()
    assert host.alice.get("/hello.php").ok()


@pytest.mark.any_kernel
def test_a_second_supervisor_on_the_same_directories_is_refused(host):
    first = host.paddock.supervisor
    try:
        host.paddock.launch()
        second = host.paddock.supervisor
        assert second.wait(machine.patience(10)) != 0
    finally:
        host.paddock.supervisor = first
    assert host.alice.get("/hello.php").ok()


@pytest.mark.any_kernel
def test_a_vanished_home_is_no_fork_storm(own_host):
    host = own_host()
    home = host.paddock.tenants["alice"].home
    host.alice.get("/hello.php").ok()
    host.paddock.cli("stop", "alice")
    machine.wait_for(lambda: not host.paddock.sandbox("alice"), 10)
    aside = home.with_name("alice-aside")
    socket = host.paddock.sockets()["alice"]
    # Apache must find the file, so that the request reaches the socket: it is the sandbox that has no home.
    os.rename(home, aside)
    try:
        stop = time.monotonic() + 4
        answers = []
        while time.monotonic() < stop:
            answers.append(fastcgi.fetch(socket, home / "public_html/hello.php", seconds=30))
        assert answers and all(b"Status: 503" in answer.stdout for answer in answers), answers[0].stdout
        assert any(b"Retry-After" in answer.stdout for answer in answers)
        assert 1 <= host.paddock.log().count("the next attempt is in") <= 12
        assert host.bob.get("/hello.php").ok()
        assert "alice" in host.paddock.log()
    finally:
        os.rename(aside, home)
    machine.wait_for(lambda: host.alice.get("/hello.php", seconds=60).status == 200, 70, "back after the back-off",
                     interval=0.5)


def test_under_load_with_everything_dying(own_host):
    """Requests all the time; keeper, gateway and zygote killed in turn: only requests in a killed sandbox fail."""
    host = own_host()
    done = threading.Event()
    outcomes = []

    def browse(site):
        while not done.is_set():
            outcomes.append((site is host.bob, site.get("/hello.php", seconds=60).status))

    threads = [threading.Thread(target=browse, args=(site,)) for site in (host.alice, host.alice, host.bob)]
    for thread in threads:
        thread.start()
    try:
        for victim in ("gateway", "zygote", "keeper") * 2:
            time.sleep(0.7)
            pid = host.paddock.keeper("alice") if victim == "keeper" else _single(host.paddock, victim)
            if pid is not None:
                process.kill(pid)
    finally:
        time.sleep(0.5)
        done.set()
        for thread in threads:
            thread.join()
    assert {status for bob, status in outcomes if bob} == {200}, "bob was hit by what happened to alice"
    failed = [status for bob, status in outcomes if not bob and status != 200]
    assert len(failed) <= 10, f"{len(failed)} of {len(outcomes)}: {sorted(set(failed))}"
    machine.wait_for(lambda: _single(host.paddock, "gateway") and _single(host.paddock, "zygote"), 15)


def listening_socket(pid):
    """A duplicate of the socket that a worker accepts on: what any process of the tenant could have."""
    library = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        for number, link in process.open_files(pid).items():
            if not link.startswith("socket:"):
                continue
            fd = library.syscall(ctypes.c_long(SYS_PIDFD_GETFD), pidfd, int(number), 0)
            assert fd >= 0, os.strerror(ctypes.get_errno())
            found = socket.socket(fileno=fd)
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return found
            found.close()
    finally:
        os.close(pidfd)
    raise AssertionError(f"process {pid} listens nowhere")


@pytest.mark.any_kernel
def test_a_socket_that_its_tenant_shut_down_is_replaced(own_host):
    host = own_host()
    host.alice.run(PID)
    with listening_socket(host.paddock.workers("alice")[0]) as shared:
        shared.shutdown(socket.SHUT_RDWR)
    assert host.alice.get("/hello.php").status == 503
    assert host.bob.get("/hello.php").ok().text == "hello\n"
    host.paddock.cli("stop", "alice")
    machine.wait_for(lambda: host.alice.get("/hello.php").status == 200, 10, "another socket is in its place")
    assert "had shut its socket down" in host.paddock.log()


def test_a_sandbox_that_died_can_be_stopped_while_its_cgroup_stays(own_host):
    """Somebody on the host keeps the cgroup from being removed for a while: a mount on it."""
    host = own_host()
    host.alice.get("/hello.php").ok()
    keeper = host.paddock.keeper("alice")
    guest = machine.cgroup2_mount() / process.cgroup(keeper).lstrip("/") / "guest"
    guest.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "guest", str(guest)], check=True)
    try:
        process.kill(keeper)
        machine.wait_for(lambda: not host.paddock.sandbox("alice"), 20, "its processes have gone")
        host.paddock.cli("stop", "alice", check=False)
        assert process.alive(host.paddock.supervisor.pid)
        assert host.bob.get("/hello.php").ok()
    finally:
        subprocess.run(["umount", str(guest)], check=True)
    machine.wait_for(lambda: host.alice.get("/hello.php", seconds=60).status == 200, 30, "it serves again")
