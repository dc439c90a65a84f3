"""Login accounts for tenants, which the config names by user: made for a run, removed after it.

The name holds the run's process id, so that a later run can tell and remove what a killed one left. useradd(8) and
userdel(8) are serialised by a lock on the directory /etc: they would wait for each other anyway, but give up.
"""

import contextlib
import fcntl
import os
import pwd
import re
import subprocess

from . import machine

# Above the range of people (login.defs) and below that of systemd's dynamic users, so that none collides.
FIRST_UID, LAST_UID = 60600, 61100
NAME = re.compile(r"paddock-t-(\d+)-\d+")


@contextlib.contextmanager
def _account_files_locked():
    directory = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=machine.patience(60))
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()}")


def _remove(name):
    with _account_files_locked():
        _run("userdel", name)


def left_by_dead_runs():
    found = []
    for account in pwd.getpwall():
        match = NAME.fullmatch(account.pw_name)
        if match and not os.path.exists(f"/proc/{match[1]}"):
            found.append(account.pw_name)
    return found


def remove_stale():
    for name in left_by_dead_runs():
        with contextlib.suppress(RuntimeError):  # another run that starts now may have been faster
            _remove(name)


class Accounts:
    """The accounts of one test process; the same few serve all its tests."""

    def __init__(self):
        self._made = []

    def get(self, index):
        while index >= len(self._made):
            self._make()
        return self._made[index]

    def _make(self):
        name = f"paddock-t-{os.getpid()}-{len(self._made)}"
        span = [f"{kind}_{end}={value}" for kind in ("UID", "GID")
                for end, value in (("MIN", FIRST_UID), ("MAX", LAST_UID))]
        keys = [argument for key in span + ["SUB_UID_COUNT=0", "SUB_GID_COUNT=0"] for argument in ("-K", key)]
        with _account_files_locked():
            _run("useradd", "--no-create-home", "--user-group", "--home-dir", "/nonexistent",
                 "--shell", "/usr/sbin/nologin", *keys, name)
        self._made.append(pwd.getpwnam(name))

    def remove(self):
        while self._made:
            _remove(self._made.pop().pw_name)
