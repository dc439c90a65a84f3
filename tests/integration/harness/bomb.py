"""Many processes at once, in perl, and how long the kernel takes to kill them."""

import subprocess
import time

from . import machine


def of(count):
    """A program for perl -e: one that starts so many others; all of them sleep."""
    return f"for (1..{count}) {{ my $pid = fork; sleep 1000 if defined $pid and $pid == 0 }} sleep 1000"


def wait_until_gone_off(group, count):
    # The perl that starts them is one more.
    machine.wait_for(lambda: (group / "cgroup.procs").read_text().count("\n") > count, 60, "the bomb has gone off", interval=0.2)


def killed_by_the_kernel(paddock, count):
    """Seconds from a write to cgroup.kill until the cgroup is empty, of as many that are in no sandbox."""
    group = machine.cgroup2_mount() / paddock.cgroup / "tenants/bomb-in-no-sandbox"
    group.mkdir()
    try:
        perl = subprocess.Popen(["sh", "-c", 'echo $$ >"$1/cgroup.procs"; exec perl -e "$2"', "sh", group, of(count)],
                                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until_gone_off(group, count)
        finally:
            begin = time.monotonic()
            (group / "cgroup.kill").write_text("1")
            perl.wait()
        machine.wait_for(lambda: "populated 0" in (group / "cgroup.events").read_text(), 60, "it is empty", interval=0.001)
        return time.monotonic() - begin
    finally:
        group.rmdir()
