"""What happens when something around Paddock breaks: written in a table, and so it happens.

alice and bob have a running sandbox when the fault strikes, carol has none. bob is never affected, whatever the fault.
While it lasts, alice's and carol's visitors get what the table says: a status, no answer (CUT), or they wait until it is
over. Afterwards everybody is served, and nothing that was durable before is lost.
"""

import contextlib
import dataclasses
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable

import pytest

from harness import faults, machine, process
from harness.faults import full, no_more_descriptors, read_only, stopped
from harness.paddock import make_home
from harness.visit import CUT, Visitors

WAITS = "waits"

# Where a row is run: on any machine; where file systems may be made; in the test VM, which has controllers, and a clock of
# its own.
HERE, FUSE = (pytest.mark.no_vm,), (pytest.mark.any_kernel,)
CONTROLLERS, OWN_CLOCK = (pytest.mark.vm_only,), (pytest.mark.own_kernel, pytest.mark.alone)


# --- what else is to be so meanwhile, and afterwards


def cannot_block(paddock):
    """What cannot be recorded is refused, and does not happen."""
    done = paddock.cli("block", "alice", "--reason", "test", check=False)
    assert done.returncode != 0 and "block" in done.stderr, done
    assert paddock.tenant_status("alice")["state"] != "blocked"


def obeys(paddock):
    """All that an admin may want with alice is done, or under way; of what does not concern her, nothing waits."""
    assert paddock.visit("alice").result() == 503, "her one worker hangs: the others wait as long as her plan says"
    assert paddock.tenant_status("alice")["state"] == "running"
    can_reload(paddock)
    # It answers once nothing is left, and until then the kernel lets nobody die.
    paddock.killing = subprocess.Popen([machine.BIN / "paddock", "--config", paddock.config, "kill", "alice"],
                                       stdin=subprocess.DEVNULL, preexec_fn=process.end_with_parent)
    machine.wait_for(lambda: paddock.tenant_status("alice")["state"] == "stopping", 10, "the order to kill is given")
    assert paddock.visit("alice").result() == 503
    assert paddock.killing.poll() is None


def killed(paddock):
    assert paddock.killing.wait(machine.patience(10)) == 0


def can_reload(paddock):
    """Though that looks at every home."""
    paddock.cli("stop", "carol")
    paddock.cli("reload", "bob")
    paddock.cli("reload")
    assert paddock.visit("carol").result() == 200


def was_tried_once(paddock):
    """Nobody is kept waiting through several attempts that each take long to fail."""
    assert paddock.log().count("alice: the sandbox could not be started") == 1
    can_reload(paddock)


def keeps_books(paddock):
    """Of this day by this clock as well: what is asked for is written."""
    def days():
        paddock.usage("alice")
        return _rows(paddock, "SELECT count(DISTINCT start) FROM days")[0][0]
    machine.wait_for(lambda: days() > 1, 10, "there is use of another day", interval=1)


def books_are_sound(paddock):
    """Nothing is counted twice or not at all, on whatever day it was."""
    paddock.usage("alice")
    assert _rows(paddock, "PRAGMA integrity_check") == [("ok",)]
    sums = {table: _rows(paddock, f"SELECT tenant, sum(requests) FROM {table} GROUP BY tenant ORDER BY tenant")
            for table in ("totals", "days", "hours")}
    assert sums["totals"] and sums["totals"] == sums["days"] == sums["hours"], sums
    texts = [text for (text,) in _rows(paddock, "SELECT text FROM events WHERE kind = 'block' ORDER BY id")]
    assert texts[0] == "durable", texts


def _rows(paddock, query):
    with contextlib.closing(sqlite3.connect(f"file:{paddock.state}/history.db?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def mail_has_arrived(paddock):
    ((_, message),) = machine.wait_for(paddock.mailbox.messages, 10, "the message")
    assert "Subject: durable" in message


def killed_for_memory_is_told(paddock):
    kinds = paddock.cli("events", "alice").stdout
    assert "oom-kill" in kinds, kinds


def nothing(_):
    pass


def _seconds(number):
    return f"{machine.patience(number):g}s"


@dataclasses.dataclass
class Fault:
    name: str
    strike: Callable  # (paddock) → context manager
    alice: object = 200
    carol: object = 200
    php: str | None = None  # what alice's visitor has her site do; None: say hello
    meanwhile: Callable = nothing
    afterwards: Callable = nothing
    setup: Callable = nothing  # before the start
    plan: dict = dataclasses.field(default_factory=dict)
    marks: tuple = HERE


FAULTS = [
    Fault("state_dir full", lambda p: full(p.state), meanwhile=cannot_block),
    Fault("state_dir read-only", lambda p: read_only(p.state), meanwhile=cannot_block),
    Fault("log_dir full", lambda p: full(p.logs)),
    Fault("log_dir read-only", lambda p: read_only(p.logs), carol=503),
    Fault("the tenant's disk full", lambda p: full(p.directory / "disk")),
    # The request is cut at its deadline, and its worker can be neither asked nor killed.
    Fault("the home hangs", lambda p: faults.home_hangs(p, "alice"), alice=CUT, meanwhile=obeys, afterwards=killed,
          plan={"deadline": _seconds(3), "queue_time": _seconds(2)}, marks=FUSE),
    Fault("the home hangs before her start", lambda p: faults.home_hangs(p, "alice", started=False), alice=503,
          meanwhile=was_tried_once, marks=FUSE),
    Fault("the home hangs before paddockd's start", lambda p: faults.home_hangs(p, "alice", started=False, restart=True),
          alice=503, meanwhile=was_tried_once, marks=FUSE),
    Fault("history.db is garbage", faults.history_overwritten),

    Fault("paddockd: EMFILE", lambda p: no_more_descriptors(p.supervisor.pid), carol=503),
    Fault("gateway: EMFILE", lambda p: no_more_descriptors(p.gateway())),
    # It ends, and the next one has descriptors.
    Fault("zygote: EMFILE", lambda p: faults.without_spares(no_more_descriptors(p.zygote()), p.spare_zygote())),
    # What it may have been asked is asked again.
    Fault("spare zygote: EMFILE", lambda p: no_more_descriptors(p.spare_zygote())),
    Fault("paddockd: EAGAIN at fork", faults.supervisor_cannot_fork, carol=WAITS),
    Fault("opener: EAGAIN at fork", lambda p: faults.without_spares(
        faults.fork_fails(p, p.opener(), "EAGAIN"), *faults.spares_of_opener(p)),
          carol=503),
    # The supervisor does without.
    Fault("opener: SIGKILL", faults.opener_killed),
    Fault("zygote: ENOMEM at fork",
          lambda p: faults.without_spares(faults.fork_fails(p, p.zygote(), "ENOMEM"), p.spare_zygote()), carol=503),
    Fault("spare zygote: ENOMEM at fork", lambda p: faults.fork_fails(p, p.spare_zygote(), "ENOMEM")),
    Fault("spare zygote: SIGKILL", lambda p: faults.spare_killed_in_a_start(p, "carol")),
    # Of the process that builds the view, and then of the first worker.
    Fault("keeper: ENOMEM at its first fork", lambda p: faults.without_spares(
        faults.fork_fails(p, p.zygote(), "ENOMEM", calls="clone", children=True), p.spare_zygote()), carol=503),
    Fault("keeper: ENOMEM at its second fork", lambda p: faults.without_spares(
        faults.fork_fails(p, p.zygote(), "ENOMEM", calls="clone", children=True, when="2+"), p.spare_zygote()), carol=503),
    # The gateway takes over what nobody accepts.
    Fault("keeper: ENOMEM at fork", lambda p: faults.keeper_cannot_fork(p, "alice"), alice=WAITS),

    Fault("gateway: OOM", lambda p: faults.killed_for_memory(p, p.gateway(), "gateway"), marks=CONTROLLERS),
    Fault("zygote: OOM", lambda p: faults.killed_for_memory(p, p.zygote(), "zygote"), marks=CONTROLLERS),
    Fault("keeper: OOM", lambda p: faults.killed_for_memory(p, p.keeper("alice"), "tenants", "alice"),
          afterwards=killed_for_memory_is_told, marks=CONTROLLERS),
    Fault("worker: OOM", lambda p: faults.script_takes_all_memory(p, "alice"), plan={"memory_max": "160M"},
          afterwards=killed_for_memory_is_told, marks=CONTROLLERS),

    Fault("paddockd: SIGSTOP", lambda p: stopped(p.supervisor.pid), carol=WAITS),
    Fault("opener: SIGSTOP", lambda p: stopped(p.opener(), *faults.spares_of_opener(p)), carol=WAITS),
    Fault("guardian: SIGSTOP", lambda p: stopped(p.guardian())),
    Fault("gateway: SIGSTOP", lambda p: stopped(p.gateway()), carol=WAITS),
    Fault("zygote: SIGSTOP", lambda p: stopped(p.zygote(), p.spare_zygote()), carol=WAITS),
    Fault("keeper: SIGSTOP", lambda p: stopped(p.keeper("alice"))),
    Fault("worker: SIGSTOP", lambda p: stopped(p.workers("alice")[0]), alice=WAITS),
    Fault("dashboard: SIGSTOP", faults.dashboard_stopped, setup=lambda p: p.with_dashboard()),
    Fault("mail broker: SIGSTOP", lambda p: stopped(p.in_cgroup("mail")[0]), alice=WAITS,
          php="return mail('a@example.org', 'durable', 'text');", setup=faults.with_mailbox, afterwards=mail_has_arrived),

    Fault("the sandbox's cgroup vanishes", lambda p: faults.cgroup_removed(p, "alice")),
    Fault("the account is deleted", lambda p: faults.account_deleted(p, "alice")),
    # alice's worker is busy all the time, with a request that is older than any deadline by the clock.
    Fault("the clock goes forward", lambda p: faults.clock_set(p, days=3), alice=WAITS, meanwhile=keeps_books,
          afterwards=books_are_sound, marks=OWN_CLOCK),
    Fault("the clock goes back", lambda p: faults.clock_set(p, days=-3), alice=WAITS, meanwhile=keeps_books,
          afterwards=books_are_sound, marks=OWN_CLOCK),
]


@pytest.fixture
def paddock(make_paddock, fault):
    paddock = make_paddock(plan={"workers": 1, "queue_time": _seconds(30), **fault.plan})
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
        fault.setup(paddock)
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


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name, marks=fault.marks) for fault in FAULTS])
def test_fault(paddock, fault):
    visit = paddock.visit = Visitors(paddock)
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
            request = visit(name, fault.php if name == "alice" else None)
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
    fault.afterwards(paddock)
    paddock.cli("block", "alice", "--reason", "works again")
    assert paddock.tenant_status("alice")["state"] == "blocked"
    paddock.cli("unblock", "alice")
