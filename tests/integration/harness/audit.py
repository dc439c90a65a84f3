"""After every test: is anything there that was not there before?

Everything that a test process makes is named after it (machine.PREFIX and the process id), and whatever it started
stays among its descendants (process.adopt_orphans()), so that tests that run beside it do not disturb the audit.
"""

import os
import pathlib
import pwd
import socket
import tempfile

from . import machine, process


def mark():
    return f"{machine.PREFIX}{os.getpid()}-"


def private_directory(place=None):
    """Passable but not listable, as the directories above a home are; in /tmp if nothing is said."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=mark(), dir=place))
    path.chmod(0o711)
    return path


def _reap_orphans(started):
    """Zombies whose parent died first are ours to reap; those in `started` their Popen waits for."""
    for pid in process.children_of(os.getpid()):
        if pid not in started and process.state(pid) == "Z":
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def _processes(started):
    _reap_orphans(started)
    own = os.getpid()
    return {pid: f"process {pid} ({process.state(pid)}): {process.title(pid)}"
            for pid in process.descendants(own) if process.state(pid) is not None and not _is_ahead(pid)}


def _is_ahead(pid):
    """One of those that a paddockd which runs makes for the next start, when it pleases."""
    parent = process.parent(pid)
    if process.is_opener(pid) and parent and process.is_opener(parent):
        parent = process.parent(parent)
    elif not process.is_spare_zygote(pid):
        return False
    return parent is not None and process.is_paddockd(parent)


def _mounts():
    """Ours by name. In the VM, where nobody else mounts, every one, by mount point, root and type."""
    found = {}
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            fields = line.split()
            foreign = machine.PREFIX in line and mark() not in line
            if mark() in line or (machine.IN_VM and not foreign):
                key = (fields[4], fields[3], fields[fields.index("-") + 1])
                found[key] = f"mount {line.strip()}"
    return found


def _cgroups():
    """In v2 and in every v1 hierarchy: Paddock must not write there at all."""
    found = {}
    with open("/proc/self/mountinfo") as lines:
        mounts = [fields[4] for fields in map(str.split, lines)
                  if fields[fields.index("-") + 1] in ("cgroup", "cgroup2")]
    for mount in mounts:
        for path in pathlib.Path(mount).glob(f"*{mark()}*"):
            found[str(path)] = f"cgroup {path}"
    return found


def _unix_sockets():
    found = {}
    with open("/proc/net/unix") as lines:
        for line in lines:
            path = line.split(maxsplit=7)[7:]
            if path and mark() in path[0]:
                found[path[0].strip()] = f"unix socket {path[0].strip()}"
    return found


def _files():
    found = {}
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/run"):
        for entry in pathlib.Path(place).iterdir():
            if mark() in entry.name:
                found[str(entry)] = f"file {entry}"
    return found


def _networks():
    """Interfaces and the table of tenants' networks: where the tests themselves run, Paddock makes none at all."""
    found = {name: f"interface {name}" for _, name in socket.if_nameindex() if name.startswith("paddock-")}
    with open("/proc/net/unix") as lines:
        found.update({line: "a lock of tenants' networks" for line in lines if line.rstrip().endswith("@paddock-network")})
    return found


def _accounts():
    return {account.pw_name: f"account {account.pw_name}" for account in pwd.getpwall()
            if account.pw_name.startswith(f"paddock-t-{os.getpid()}-")}


class Snapshot:
    def __init__(self, started=(), accounts=True):
        self._parts = [_processes(set(started)), _mounts(), _cgroups(), _unix_sockets(), _files(), _networks()]
        if accounts:
            self._parts.append(_accounts())

    def new_since(self, before):
        return [text for now, then in zip(self._parts, before._parts) for key, text in now.items() if key not in then]


def leftovers(before, started=(), accounts=True, seconds=5):
    """What is there now and was not then. A process may take a moment to end, so that it looks more than once."""
    try:
        machine.wait_for(lambda: not Snapshot(started, accounts).new_since(before), seconds, "nothing was left")
        return []
    except AssertionError:
        return Snapshot(started, accounts).new_since(before)
