"""What can break around Paddock: context managers, while which it is broken, and after which all is as it was."""

import contextlib
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

import pytest

from . import accounts, file_server, machine, process
from .dashboard import Dashboard
from .mailbox import Mailbox
from .visit import CUT


# --- disks and files


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


def _stop_sandbox(paddock, tenant):
    paddock.cli("stop", tenant)
    machine.wait_for(lambda: not paddock.sandbox(tenant), 10, f"{tenant} has no sandbox")


@contextlib.contextmanager
def _on_a_file_server(paddock, tenant):
    """The directory that its home is in, and nobody else's. Without a sandbox at the begin and at the end."""
    _stop_sandbox(paddock, tenant)
    try:
        with file_server.serving(paddock.tenants[tenant].home.parent) as server:
            yield server
            server.go_on()
            machine.wait_for(lambda: paddock.visit(tenant).result() == 200, 60, "its server answers, and it is served")
            _stop_sandbox(paddock, tenant)
    except FileNotFoundError as error:
        if error.filename != "/dev/fuse":
            raise
        pytest.skip("this kernel has no FUSE")


@contextlib.contextmanager
def home_hangs(paddock, tenant, started=True, restart=False):
    """The file server of its home stops answering, while its sandbox runs or not; or before paddockd starts."""
    with _on_a_file_server(paddock, tenant) as server:
        if started:
            assert paddock.visit(tenant).result() == 200
        if restart:
            assert paddock.stop() == 0
        server.hang()
        if restart:
            paddock.start()
        yield
        assert server.held(), "nobody has noticed that it hangs"


# --- what a process may have


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
def fork_fails(paddock, pid, code, calls="fork,vfork,clone,clone3", children=False, when="1+"):
    """Each system call of a process, or also of those that it makes, by which it would make another is refused.
    `when`: which of them, of each process (strace(1), --inject)."""
    said, traced = paddock.directory / "strace.err", paddock.directory / "strace.out"
    with open(said, "wb") as errors:
        strace = subprocess.Popen(["strace", *(["-f"] if children else []), "-o", traced, "-e", f"trace={calls}",
                                   "-e", f"inject={calls}:error={code}:when={when}", "-p", str(pid)],
                                  stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, preexec_fn=process.end_with_parent)
    try:
        machine.wait_for(lambda: strace.poll() is not None or "attached" in said.read_text(), 10, "strace has the process")
        assert strace.poll() is None, said.read_text()
        yield
    finally:
        strace.terminate()
        strace.wait(machine.patience(10))
    assert "(INJECTED)" in traced.read_text(), "nobody wanted to make a process"


@contextlib.contextmanager
def keeper_cannot_fork(paddock, tenant):
    """And its only worker dies."""
    (worker,) = paddock.workers(tenant)
    with fork_fails(paddock, paddock.keeper(tenant), "ENOMEM"):
        process.kill(worker)
        machine.wait_for(lambda: "fork a worker: Cannot allocate memory" in paddock.tenant_log(tenant), 10, "it has tried")
        yield


@contextlib.contextmanager
def supervisor_cannot_fork(paddock):
    """And its zygote dies."""
    with fork_fails(paddock, paddock.supervisor.pid, "EAGAIN"):
        process.kill(paddock.zygote())
        machine.wait_for(lambda: re.search("zygote ended: clone a process.*temporarily unavailable", paddock.log()), 10,
                         "it has tried to start another")
        yield


@contextlib.contextmanager
def without_spares(fault, *spares):
    """`fault` has befallen who makes them, and then those that were made before end."""
    with fault:
        for spare in spares:
            process.kill(spare)
        yield


@contextlib.contextmanager
def spare_killed_in_a_start(paddock, tenant):
    """When it has been asked for the tenant's sandbox, and before it has made it."""
    spare = paddock.spare_zygote()
    with stopped(spare):
        visit = paddock.visit(tenant)
        machine.wait_for(lambda: paddock.tenant_status(tenant)["state"] == "starting", 10, f"{tenant}'s start")
        time.sleep(0.3)
        process.kill(spare)
        yield
    assert visit.result() == 200


def spares_of_opener(paddock):
    return machine.wait_for(lambda: process.children_of(paddock.opener()), 10, "a spare child of the opener")


@contextlib.contextmanager
def opener_killed(paddock):
    process.kill(paddock.opener())
    machine.wait_for(lambda: "the process that opens homes ended" in paddock.log(), 10, "the supervisor knows")
    yield


# --- memory


@contextlib.contextmanager
def killed_for_memory(paddock, pid, *group):
    """A process's cgroup may have no memory at all for a moment: the kernel kills who is most worth it."""
    path = machine.cgroup2_mount() / paddock.cgroup / pathlib.Path(*group)

    def kills():
        return int(re.search(r"^oom_kill (\d+)", (path / "memory.events").read_text(), re.MULTILINE)[1])
    before = kills()
    pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
    try:
        # Returns when there is nobody left to kill.
        (path / "memory.max").write_text("0")
        machine.wait_for(lambda: not process.alive(pid), 10, f"{pid} is dead")
    finally:
        with contextlib.suppress(OSError):  # a sandbox's goes with it, and its events tell of it
            (path / "memory.max").write_text("max")
            assert kills() > before
    yield


@contextlib.contextmanager
def script_takes_all_memory(paddock, tenant):
    """Of its sandbox: the worker dies of it, and nobody else."""
    keeper = paddock.keeper(tenant)
    assert paddock.visit(tenant, "ini_set('memory_limit', '-1'); return str_repeat('x', 400 << 20) != '';").result() == CUT
    yield
    assert paddock.keeper(tenant) == keeper


# --- processes that stand still


@contextlib.contextmanager
def stopped(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        machine.wait_for(lambda pid=pid: process.state(pid) == "T", 5, f"{pid} is stopped")
    yield
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def dashboard_stopped(paddock):
    """While somebody looks at it: it follows what happens, and is told of it all the while."""
    (pid,) = paddock.in_cgroup("dashboard")
    page = Dashboard(paddock).wait().log_in()
    with page.live() as live:
        assert live.readline(), "the page is told something"
        with stopped(pid):
            yield
        assert page.get("/api/overview").status == 200
    assert paddock.in_cgroup("dashboard") == [pid]


# --- what the host does


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
    with accounts._account_files_locked():
        subprocess.run(["userdel", account.pw_name], check=True)
    try:
        yield
    finally:
        with accounts._account_files_locked():
            subprocess.run(["groupadd", "--gid", str(account.pw_gid), account.pw_name], check=True)
            subprocess.run(["useradd", "--no-create-home", "--gid", account.pw_name, "--home-dir", "/nonexistent", "--shell",
                            "/usr/sbin/nologin", "--uid", str(account.pw_uid), account.pw_name], check=True)


@contextlib.contextmanager
def clock_set(paddock, days):
    """The clock jumps while a request of alice's runs and another waits, whose times it is not about; later it jumps back."""
    end = paddock.tenants["alice"].docroot / "end"
    running = paddock.visit("alice", "while (!file_exists(__DIR__ . '/end')) { clearstatcache(); usleep(20000); } return true;")
    keepers = [paddock.keeper(name) for name in ("alice", "bob")]
    machine.wait_for(lambda: paddock.tenant_status("alice")["busy"] == 1, 10, "it runs")
    waiting = paddock.visit("alice")
    machine.wait_for(lambda: paddock.tenant_status("alice")["queue"] == 1, 10, "the other one waits")
    real = time.time() - time.monotonic()
    time.clock_settime(time.CLOCK_REALTIME, real + time.monotonic() + days * 86400)
    try:
        yield
        assert running.is_alive() and waiting.is_alive(), "a request has ended before its time"
        end.touch()
        assert (running.result(), waiting.result()) == (200, 200)
    finally:
        end.touch()
        time.clock_settime(time.CLOCK_REALTIME, real + time.monotonic())
    assert [paddock.keeper(name) for name in ("alice", "bob")] == keepers, "a sandbox was ended"


# --- what is given before the start


def with_mailbox(paddock):
    paddock.mailbox = Mailbox(paddock.directory)
    paddock.with_mail([paddock.mailbox.program, "-i"])
