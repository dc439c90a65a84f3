"""The audit itself: a leak that it did not see would make every other test's word worthless."""

import os
import pwd
import re
import socket
import subprocess
import time

import pytest

from harness import accounts as accounts_
from harness import audit, machine, process


@pytest.fixture
def found(nothing_left_by_the_test):
    """found() → what the audit reports since the start of the test."""
    before = audit.Snapshot(accounts=False)
    return lambda: "\n".join(audit.leftovers(before, accounts=False, seconds=0.2))


def test_nothing(found):
    assert found() == ""


def test_a_child_process(found):
    with subprocess.Popen(["sleep", "100"]) as child:
        assert re.search(rf"process {child.pid} .*sleep 100", found())
        child.kill()
    assert found() == ""


def test_an_orphan(found):
    """A daemon that left its parent, its session and its group is still ours."""
    subprocess.run(["sh", "-c", "setsid -f sleep 100"], check=True)
    pid = machine.wait_for(lambda: [pid for pid in process.children_of(os.getpid())
                                    if process.title(pid) == "sleep 100"], 5)[0]
    assert f"process {pid}" in found()
    process.kill(pid)
    machine.wait_for(lambda: process.state(pid) == "Z", 5)
    assert found() == "", "a zombie that fell to us is reaped, not reported"


def test_a_mount(found, directory):
    subprocess.run(["mount", "-t", "tmpfs", "leaked", directory], check=True)
    try:
        assert re.search(rf"mount .* {directory} ", found())
    finally:
        subprocess.run(["umount", directory], check=True)
    assert "mount" not in found()


def test_a_cgroup(found, directory):
    group = machine.cgroup2_mount() / directory.name
    group.mkdir()
    try:
        assert f"cgroup {group}" in found()
    finally:
        group.rmdir()
    assert "cgroup" not in found()


def test_a_socket(found, directory):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "leaked.sock"))
        listener.listen()
        assert f"unix socket {directory}/leaked.sock" in found()
    assert "unix socket" not in found()


def test_a_file(found):
    path = audit.private_directory()
    assert f"file {path}" in found()
    path.rmdir()
    assert found() == ""


def test_what_others_do_does_not_disturb(found):
    other = f"/tmp/{machine.PREFIX}1-other"
    os.mkdir(other)
    try:
        assert found() == ""
    finally:
        os.rmdir(other)


def test_descriptors_of_a_program(make_paddock):
    """A descriptor more after a test than before it is reported, by what it is."""
    paddock = make_paddock()
    paddock.add_tenant("alice")
    with subprocess.Popen(["sleep", "100"]) as child:
        assert paddock._leaked_files("program", child.pid) == []
        child.kill()
    with open("/dev/null") as null, subprocess.Popen(["sleep", "100"], pass_fds=[null.fileno()]) as child:
        time.sleep(0.1)
        assert "/dev/null" in paddock._leaked_files("program", child.pid)[0]
        child.kill()


def test_accounts_of_dead_runs_are_removed(accounts):
    living = accounts.get(0)
    with subprocess.Popen(["true"]) as gone:
        pass
    name = f"paddock-t-{gone.pid}-0"
    span = ["-K", f"UID_MIN={accounts_.FIRST_UID}", "-K", f"UID_MAX={accounts_.LAST_UID}"]
    with accounts_._account_files_locked():
        subprocess.run(["useradd", "-M", "-U", *span, "-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0", name], check=True)
    assert name in accounts_.left_by_dead_runs()
    accounts_.remove_stale()
    assert name not in [account.pw_name for account in pwd.getpwall()]
    assert pwd.getpwnam(living.pw_name) == living
