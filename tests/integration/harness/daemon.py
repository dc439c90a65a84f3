"""A server of somebody else's that a test starts: it ends with the test."""

import contextlib
import subprocess

from . import machine, process


@contextlib.contextmanager
def running(arguments, answers, what, seconds=20, account=None):
    """Starts it, as `account` (struct_passwd) if not as root; enters when answers() is true."""
    def prepare():
        # In this order, and rather than have a server change its user itself: that would undo the second.
        if account:
            process.become(account)
        process.end_with_parent()

    started = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, cwd="/", preexec_fn=prepare,
                               # At its end Apache signals its whole process group.
                               process_group=0,
                               env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def up():
        if started.poll() is not None:
            raise AssertionError(f"{arguments[0]} ended with {started.returncode}: not so that {what}")
        return answers()

    try:
        machine.wait_for(up, seconds, what)
        yield
    finally:
        started.terminate()
        try:
            started.wait(machine.patience(20))
        finally:
            if started.returncode is None:
                started.kill()
                started.wait()
