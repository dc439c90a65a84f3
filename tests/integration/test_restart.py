"""No accepted request is lost when paddockd is restarted or dies, where a service manager holds its sockets."""

import signal
import threading

import pytest

from harness import machine, process
from harness.service_manager import ServiceManager

# test_recovery.py restarts paddockd in the VM as well; there every request takes its time.
pytestmark = pytest.mark.no_vm


class Load:
    """Requests all the time, by so many visitors a site; each outcome is kept."""

    def __init__(self, *requests):
        self.outcomes = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=request) for request in requests]

    def _visit(self, site, path):
        while not self._done.is_set():
            try:
                response = site.get(path, seconds=60)
                self.outcomes.append((path, response.status))
            except OSError as error:
                self.outcomes.append((path, repr(error)))

    def more(self, count, seconds=30):
        """Waits until so many further requests have been answered."""
        seen = len(self.outcomes)
        machine.wait_for(lambda: len(self.outcomes) >= seen + count, seconds, f"{count} more answers")

    def failures(self):
        return [outcome for outcome in self.outcomes if outcome[1] != 200]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        for thread in self._threads:
            thread.join()

# What the gateway held, beside the tenants' sockets.
INHERITANCE = ("_inheritance-in", "_inheritance-out")


@pytest.fixture
def kept_host(make_paddock, make_apache):
    """alice and bob, served by a paddockd under a service manager."""
    paddock = make_paddock(plan={"workers": 4})
    for name in ("alice", "bob"):
        tenant = paddock.add_tenant(name)
        slow = tenant.docroot / "slow.php"
        slow.write_text("<?php usleep(400000); echo 'slow';")
        slow.chmod(0o644)
    paddock.manager = ServiceManager()
    paddock.start()
    paddock.manager.wait_for("READY=1", machine.patience(10))
    apache = make_apache(paddock)
    paddock.apache = apache
    yield paddock
    # A last start without the manager removes what a hand-over leaves on purpose.
    if paddock.running():
        paddock.stop()
    manager, paddock.manager = paddock.manager, None
    manager.close()
    paddock.start()


def start_again(paddock):
    paddock.start(30)
    paddock.manager.wait_for("READY=1", machine.patience(20))


def visitors(host):
    alice, bob = host.apache.sites["alice"], host.apache.sites["bob"]
    return Load((alice, "/hello.php"), (alice, "/slow.php"), (bob, "/hello.php"), (bob, "/slow.php"))


def test_restart(kept_host):
    """Requests run, arrive and wait while it is stopped and started, three times; slow ones outlive it."""
    before = kept_host.sockets()
    with visitors(kept_host) as load:
        for _ in range(3):
            load.more(20)
            assert kept_host.stop() == 0
            assert set(kept_host.manager.stored) == {"alice", "bob", *INHERITANCE}
            start_again(kept_host)
        load.more(20)
    assert not load.failures(), f"{len(load.failures())} of {len(load.outcomes)}: {load.failures()[:10]}"
    assert kept_host.sockets() == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_supervisor_dies(kept_host, number):
    with visitors(kept_host) as load:
        for _ in range(2):
            load.more(20)
            kept_host.supervisor.send_signal(number)
            kept_host.supervisor.wait()
            start_again(kept_host)
        load.more(20)
    assert not load.failures(), f"{len(load.failures())} of {len(load.outcomes)}: {load.failures()[:10]}"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_helpers_die(kept_host, number):
    with visitors(kept_host) as load:
        for find in (kept_host.gateway, kept_host.guardian, kept_host.zygote):
            load.more(20)
            pid = find()
            process.kill(pid, number)
            machine.wait_for(lambda find=find, pid=pid: find() != pid, 20, f"another {find.__name__}")
        load.more(20)
    assert not load.failures(), f"{len(load.failures())} of {len(load.outcomes)}: {load.failures()[:10]}"


def test_what_waits_at_a_stop_is_served_by_the_next(kept_host):
    """Nobody serves while it is down; who connected then is answered once it is up."""
    kept_host.cli("stop", "alice", check=False)
    assert kept_host.stop() == 0
    answers = []
    alice = kept_host.apache.sites["alice"]
    waiting = [threading.Thread(target=lambda: answers.append(alice.get("/hello.php", seconds=60).status))
               for _ in range(5)]
    for thread in waiting:
        thread.start()
    start_again(kept_host)
    for thread in waiting:
        thread.join()
    assert answers == [200] * 5


def test_reload_moves_the_store(kept_host):
    """A tenant that is taken out has no socket in the store any more, one that comes in has."""
    assert kept_host.apache.sites["alice"].get("/hello.php").status == 200
    keeper = kept_host.keeper("alice")
    bob = kept_host.tenants.pop("bob")
    kept_host.write_config()
    kept_host.supervisor.send_signal(signal.SIGHUP)
    machine.wait_for(lambda: set(kept_host.manager.stored) == {"alice", *INHERITANCE}, 10, "bob's socket is forgotten")
    kept_host.manager.wait_for("READY=1", machine.patience(10))
    kept_host.tenants["bob"] = bob
    kept_host.write_config()
    kept_host.cli("reload")
    machine.wait_for(lambda: set(kept_host.manager.stored) == {"alice", "bob", *INHERITANCE}, 10, "bob's socket is stored")
    assert kept_host.apache.sites["bob"].get("/hello.php").status == 200
    assert kept_host.keeper("alice") == keeper, "a tenant that has not changed notices nothing"


def test_a_stored_socket_without_its_file_is_replaced(kept_host):
    path = kept_host.sockets()["alice"]
    assert kept_host.stop() == 0
    path.unlink()
    start_again(kept_host)
    assert kept_host.apache.sites["alice"].get("/hello.php").status == 200
    assert set(kept_host.manager.stored) == {"alice", "bob", *INHERITANCE}
