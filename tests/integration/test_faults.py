"""What happens when something around Paddock breaks: written in a table, and so it happens.

alice and bob have a running sandbox when the fault strikes, carol has none. bob is never affected, whatever the fault.
While it lasts, alice's and carol's visitors get what the table says: a status, or they wait until it is over.
Afterwards everybody is served, and nothing that was durable before is lost.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from harness import accounts as accounts_
from harness import fastcgi, machine, process
from harness.paddock import make_home

pytestmark = pytest.mark.no_vm

WAITS = "waits"


# --- the faults: context managers


@contextlib.contextmanager
def full(directory):
    """Not a byte more fits into a directory (a filesystem of its own)."""
    path = directory / "filler"
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    yield
    path.unlink()


@contextlib.contextmanager
def read_only(directory):
    # Over the old mount, which cannot become read-only while files are open for writing in it.
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


@contextlib.contextmanager
def no_more_descriptors(pid):
    uid, gid = (int(process.status(pid)[key].split()[0]) for key in ("Uid", "Gid"))
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    soft, hard = map(int, re.search(r"Max open files +(\d+) +(\d+)", limits).groups())

    def limit(count):
        # As its own user: in a container, root may not change other users' limits.
        subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "prlimit", f"--pid={pid}",
                        f"--nofile={count}:{hard}"], check=os.path.exists(f"/proc/{pid}"))
    limit(len(process.open_files(pid)))
    yield
    limit(soft)


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    machine.wait_for(lambda: process.state(pid) == "T", 5, f"{pid} is stopped")
    yield
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def cgroup_removed(paddock, tenant):
    """Somebody kills a tenant's cgroup and removes it."""
    group = machine.cgroup2_mount() / paddock.cgroup / "tenants" / tenant
    (group / "cgroup.kill").write_text("1")
    with contextlib.suppress(FileNotFoundError, OSError):
        machine.wait_for(lambda: "populated 0" in (group / "cgroup.events").read_text(), 5)
        group.rmdir()
    yield


@contextlib.contextmanager
def account_deleted(paddock, tenant):
    """Its account goes while its sandbox runs, and comes back with the same ids, which the tests after this one rely on."""
    account = paddock.tenants[tenant].account
    with accounts_._account_files_locked():
        subprocess.run(["userdel", account.pw_name], check=True)
    try:
        yield
    finally:
        with accounts_._account_files_locked():
            subprocess.run(["groupadd", "--gid", str(account.pw_gid), account.pw_name], check=True)
            subprocess.run(["useradd", "--no-create-home", "--gid", account.pw_name, "--home-dir", "/nonexistent", "--shell",
                            "/usr/sbin/nologin", "--uid", str(account.pw_uid), account.pw_name], check=True)


@contextlib.contextmanager
def history_overwritten(paddock):
    """The database is garbage at the next start."""
    assert paddock.stop() == 0
    with open(paddock.state / "history.db", "r+b") as file:
        file.write(os.urandom(4096))
    paddock.start()
    yield
    set_aside = [path.name for path in paddock.state.glob("history.db.corrupt-*")]
    assert set_aside, "the broken database is kept for whoever wants to mend it"
    with contextlib.closing(sqlite3.connect(paddock.state / "history.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def cannot_block(paddock):
    """What cannot be recorded is refused, and does not happen."""
    done = paddock.cli("block", "alice", "--reason", "test", check=False)
    assert done.returncode != 0 and "block" in done.stderr, done
    assert paddock.tenant_status("alice")["state"] != "blocked"


def nothing(_):
    pass


@dataclasses.dataclass
class Fault:
    name: str
    strike: Callable  # (paddock) → context manager
    alice: object = 200
    carol: object = 200
    meanwhile: Callable = nothing


FAULTS = [
    Fault("state_dir full", lambda p: full(p.state), meanwhile=cannot_block),
    Fault("state_dir read-only", lambda p: read_only(p.state), meanwhile=cannot_block),
    Fault("log_dir full", lambda p: full(p.logs)),
    Fault("log_dir read-only", lambda p: read_only(p.logs), carol=503),
    Fault("the tenant's disk full", lambda p: full(p.directory / "disk")),
    Fault("paddockd: EMFILE", lambda p: no_more_descriptors(p.supervisor.pid), carol=503),
    Fault("gateway: EMFILE", lambda p: no_more_descriptors(p.gateway())),
    # It ends, and the next one has descriptors.
    Fault("zygote: EMFILE", lambda p: no_more_descriptors(p.zygote())),
    Fault("paddockd: SIGSTOP", lambda p: stopped(p.supervisor.pid), carol=WAITS),
    Fault("gateway: SIGSTOP", lambda p: stopped(p.gateway()), carol=WAITS),
    Fault("zygote: SIGSTOP", lambda p: stopped(p.zygote()), carol=WAITS),
    Fault("keeper: SIGSTOP", lambda p: stopped(p.keeper("alice"))),
    Fault("worker: SIGSTOP", lambda p: stopped(p.workers("alice")[0]), alice=WAITS),
    Fault("the sandbox's cgroup vanishes", lambda p: cgroup_removed(p, "alice")),
    Fault("the account is deleted", lambda p: account_deleted(p, "alice")),
    Fault("history.db is garbage", history_overwritten),
]


@pytest.fixture
def paddock(make_paddock):
    paddock = make_paddock(plan={"workers": 1, "queue_time": "30s"})
    mounted = []
    try:
        paddock.state, paddock.logs = paddock.directory / "state", paddock.directory / "log"
        for path in (paddock.state, paddock.logs, paddock.directory / "disk"):
            path.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "paddock-it", path], check=True)
            mounted.append(path)
        for name in ("alice", "bob", "carol"):
            paddock.add_tenant(name)
        alice = paddock.tenants["alice"]
        shutil.rmtree(alice.home)
        alice.home = paddock.directory / "disk" / "alice"
        make_home(alice.home, alice.account)
        paddock.start()
        yield paddock
        if paddock.running():
            assert not paddock.settle()
            assert paddock.stop() == 0
    finally:
        if paddock.running():
            paddock.destroy()
        for path in reversed(mounted):
            machine.wait_for(lambda path=path: subprocess.run(["umount", path]).returncode == 0, 10, f"umount {path}")


class Visit(threading.Thread):
    """One request on a tenant's socket, as a web server would send it."""

    def __init__(self, sockets, paddock, tenant):
        super().__init__()
        self.arguments = (sockets[tenant], paddock.tenants[tenant].docroot / "hello.php", machine.patience(40))
        self.status = None
        self.start()

    def run(self):
        try:
            answer = fastcgi.fetch(*self.arguments)
            status = re.match(rb"Status: (\d+)", answer.stdout)
            self.status = int(status[1]) if status else 200 if answer.body == b"hello\n" else answer
        except OSError as error:
            self.status = repr(error)

    def result(self):
        self.join()
        return self.status


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(paddock, fault):
    sockets = paddock.sockets()

    def visit(tenant):
        return Visit(sockets, paddock, tenant)

    # carol's first start made her log and her sessions' directory; she has been here before.
    for name in ("alice", "bob", "carol"):
        assert visit(name).result() == 200
    paddock.cli("stop", "carol")
    machine.wait_for(lambda: not paddock.sandbox("carol"), 10, "carol has no sandbox")
    paddock.cli("block", "carol", "--reason", "durable")
    paddock.cli("unblock", "carol")

    waiting = {}
    with fault.strike(paddock):
        expected = {"bob": 200, "alice": fault.alice, "carol": fault.carol}
        for name, status in expected.items():
            request = visit(name)
            if status == WAITS:
                waiting[name] = request
            else:
                assert request.result() == status, f"{name} during the fault"
        fault.meanwhile(paddock)
        assert visit("bob").result() == 200
        if waiting:
            time.sleep(0.3)
            assert all(request.is_alive() for request in waiting.values())
    for name, request in waiting.items():
        assert request.result() == 200, f"{name}, who had waited"
    for name in ("alice", "bob", "carol"):
        machine.wait_for(lambda name=name: visit(name).result() == 200, 30, f"{name} is served", interval=0.2)
    paddock.cli("block", "alice", "--reason", "works again")
    assert paddock.tenant_status("alice")["state"] == "blocked"
    paddock.cli("unblock", "alice")
