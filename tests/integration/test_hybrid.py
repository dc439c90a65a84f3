"""Where the kernel's v2 hierarchy lacks controllers: what is not enforced is said, and v1 is left alone."""

import pathlib
import re

import pytest

from harness import machine, process

WANTED = {"cpu", "memory", "pids", "io"}
MISSING = WANTED - set(machine.controllers())

pytestmark = pytest.mark.no_vm


def v1_groups(pid):
    """What /proc/PID/cgroup says of hierarchies other than v2's."""
    lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return sorted(line for line in lines if not line.startswith("0::"))


def test_what_is_not_enforced_is_said_exactly(host):
    said = re.search(r"NOT ENFORCED.*controllers: (.*)", host.paddock.log())
    assert set(said[1].split(", ") if said else []) == MISSING
    status = host.paddock.cli("status").stderr
    told = re.search(r"cgroup v2 lacks (.*): those limits are not enforced", status)
    assert set(told[1].split(", ") if told else []) == MISSING
    doctor = host.paddock.cli("doctor", check=False).stdout
    found = re.search(r"cgroup: .*without ([a-z, ]+)", doctor)
    assert set(found[1].split(", ") if found else []) == MISSING, doctor
    usage = host.paddock.cli("usage", "alice").stdout
    assert "cpu:" in usage


def test_nothing_is_written_into_v1(host):
    """No cgroup of ours there (the audit looks after each test, too), and no process of ours moved in one."""
    host.alice.get("/hello.php").ok()
    own = v1_groups("self")
    for pid in (host.paddock.supervisor.pid, host.paddock.gateway(), host.paddock.zygote(), *host.paddock.sandbox()):
        assert v1_groups(pid) == own, process.title(pid)
    mounts = [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in (fields[4] for fields in mounts if fields[fields.index("-") + 1] == "cgroup"):
        assert not list(pathlib.Path(mount).glob(f"*{host.paddock.cgroup}*"))
    host.paddock.cli("throttle", "alice", "--plan", "default")
    host.paddock.cli("unthrottle", "alice")
    for pid in host.paddock.sandbox():
        assert v1_groups(pid) == own
