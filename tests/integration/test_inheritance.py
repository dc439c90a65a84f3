"""What the gateway holds outlives it, however it ends: what waits is served, what comes slowly is collected on, what
is taken slowly is sent on, each byte once."""

import contextlib
import hashlib
import os
import random
import signal
import socket

import pytest

from harness import fastcgi, machine, process
from harness.service_manager import ServiceManager

pytestmark = [pytest.mark.sanitizer, pytest.mark.any_kernel]

WORKERS = 2
SIZE = 3_000_000


def gateway_killed(paddock, number=signal.SIGKILL):
    before = paddock.gateway()
    os.kill(before, number)
    machine.wait_for(lambda: paddock.gateway() != before, 30, "another gateway")


def gateway_crashes(paddock):
    gateway_killed(paddock, signal.SIGABRT)  # of SIGSEGV a sanitizer makes a report


def guardian_killed(paddock):
    """Twice, and the gateway then: another one has taken its place."""
    for _ in range(2):
        before = paddock.guardian()
        process.kill(before)
        machine.wait_for(lambda before=before: paddock.guardian() != before, 30, "another guardian")
    gateway_killed(paddock)


def supervisor_killed(paddock):
    paddock.kill()
    paddock.start()


def restarted(paddock):
    assert paddock.stop() == 0
    paddock.start()


def gateway_killed_twice(paddock):
    gateway_killed(paddock)
    # What is inherited by another is held by that one.
    machine.wait_for(lambda: held(paddock)["unread"] == 1, 30, "the answer has been passed on")
    gateway_killed(paddock)


def held(paddock):
    status = paddock.tenant_status("alice")
    return {name: status[name] for name in ("queue", "slow_clients", "unread")}


@pytest.fixture
def site(make_paddock):
    paddock = make_paddock(plan={"workers": WORKERS, "queue": 20, "queue_time": "60s"})
    tenant = paddock.add_tenant("alice")
    (tenant.docroot / "digest.php").write_text("<?php echo md5(file_get_contents('php://input'));")
    (tenant.docroot / "random.php").write_text(f"<?php $s = random_bytes({SIZE}); header('X-Sum: ' . md5($s)); echo $s;")
    paddock.manager = ServiceManager()
    paddock.start()
    paddock.manager.wait_for("READY=1", machine.patience(10))
    yield paddock
    # A last start without the manager removes what a hand-over leaves on purpose.
    if paddock.running():
        paddock.stop()
    manager, paddock.manager = paddock.manager, None
    manager.close()
    paddock.start()


@pytest.mark.parametrize("ends", [gateway_killed, gateway_crashes, guardian_killed, gateway_killed_twice,
                                  supervisor_killed, restarted], ids=lambda ends: ends.__name__)
def test_nothing_is_lost(site, ends):
    docroot, path = site.tenants["alice"].docroot, site.sockets()["alice"]
    body = random.randbytes(SIZE)
    upload = fastcgi.whole_request(docroot / "digest.php", body, method="POST")
    small = fastcgi.whole_request(docroot / "digest.php", b"abc", method="POST")
    answer = fastcgi.whole_request(docroot / "random.php")
    busy = fastcgi.whole_request(docroot / "run.php", b"usleep(3000000); return 'done';", method="POST")
    hello = fastcgi.whole_request(docroot / "hello.php")
    with contextlib.ExitStack() as stack:
        def send(data):
            connection = stack.enter_context(fastcgi.Connection(path, 90))
            connection.send(data)
            return connection

        unread, slow, slower, silent = send(answer), send(upload[:SIZE // 2]), send(small[:20]), send(b"")
        assert unread.socket.recv(1, socket.MSG_PEEK)
        machine.wait_for(lambda: held(site) == {"queue": 0, "slow_clients": 3, "unread": 1}, 30, "they are held")
        working = [send(busy) for _ in range(WORKERS)]
        machine.wait_for(lambda: site.tenant_status("alice")["busy"] == WORKERS, 30, "all work")
        waiting = [send(hello) for _ in range(5)]
        machine.wait_for(lambda: held(site)["queue"] == len(waiting), 30, "the gateway has taken over")
        ends(site)
        slow.send(upload[SIZE // 2:])
        slower.send(small[20:])
        silent.send(hello)
        found = unread.receive()
        assert found.ended == (0, fastcgi.REQUEST_COMPLETE)
        assert hashlib.md5(found.body).hexdigest() == found.stdout.partition(b"X-Sum: ")[2][:32].decode()
        assert slow.receive().body.decode() == hashlib.md5(body).hexdigest()
        assert slower.receive().body.decode() == hashlib.md5(b"abc").hexdigest()
        assert [connection.receive().body for connection in [silent, *waiting]] == [b"hello\n"] * (len(waiting) + 1)
        assert [b'"done"' in connection.receive().body for connection in working] == [True] * WORKERS
    machine.wait_for(lambda: set(held(site).values()) == {0}, 30, "nothing is held any more")
