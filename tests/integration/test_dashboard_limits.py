"""What the dashboard may take at most, whatever its clients do."""

import pytest

from harness import machine
from harness.dashboard import Dashboard


@pytest.mark.vm_only
def test_its_cgroup_bounds_it(make_paddock):
    paddock = make_paddock().with_dashboard()
    paddock.add_tenant("alice")
    paddock.start()
    Dashboard(paddock).wait()
    group = machine.cgroup2_mount() / paddock.cgroup / "dashboard"
    assert int((group / "memory.max").read_text()) == 256 << 20
    assert int((group / "pids.max").read_text()) == 16
    assert (group / "cgroup.procs").read_text().split()
