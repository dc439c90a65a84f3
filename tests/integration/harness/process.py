"""Processes as /proc shows them."""

import ctypes
import os
import re
import signal

NAMESPACES = ("user", "mnt", "pid", "ipc", "uts", "cgroup")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans():
    """Makes this process the one that orphaned descendants fall to: whatever a test started stays findable."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_with_parent():
    """For subprocess' preexec_fn: SIGTERM when the test process dies, so that a killed run leaves no servers."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def stat_fields(pid):
    """The fields of /proc/PID/stat (proc(5)) from the third, `state`, on; empty when there is no such process."""
    text = _read(pid, "stat").decode(errors="replace")
    return text.rpartition(")")[2].split() if text else []


def state(pid):
    fields = stat_fields(pid)
    return fields[0] if fields else None


def alive(pid):
    return state(pid) not in (None, "Z", "X")


def cpu_ticks(pid):
    fields = stat_fields(pid)
    return int(fields[11]) + int(fields[12])


def status(pid):
    """/proc/PID/status as a dictionary."""
    lines = _read(pid, "status").decode(errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def rss(pid):
    """Resident set in bytes."""
    return int(status(pid)["VmRSS"].split()[0]) * 1024


def switches(pid):
    """Context switches so far, voluntary or not: a process that sleeps has no more of them."""
    fields = status(pid)
    return int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])


def is_guardian(pid):
    """Whether that is the gateway's guardian."""
    return _read(pid, "comm").strip() == b"paddock-guardia"  # cut off by the kernel


def is_opener(pid):
    """Whether that is the process that opens homes."""
    return _read(pid, "comm").strip() == b"paddock-opener"


def is_paddockd(pid):
    return _read(pid, "comm").strip() == b"paddockd"


def parent(pid):
    fields = stat_fields(pid)
    return int(fields[1]) if fields else None


def is_spare_zygote(pid):
    return title(pid) == "paddock: zygote, spare"


def title(pid):
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def cgroup(pid):
    """The path below the cgroup2 mount."""
    match = re.search(r"^0::(.*)$", _read(pid, "cgroup").decode(errors="replace"), re.MULTILINE)
    return match[1] if match else None


def namespaces(pid="self"):
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in NAMESPACES}


def everyone():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def children_of(pid):
    found = []
    for candidate in everyone():
        fields = stat_fields(candidate)
        if fields and int(fields[1]) == pid:
            found.append(candidate)
    return found


def descendants(pid):
    parents = {}
    for candidate in everyone():
        fields = stat_fields(candidate)
        if fields:
            parents.setdefault(int(fields[1]), []).append(candidate)
    found, open_ = [], [pid]
    while open_:
        for child in parents.get(open_.pop(), []):
            found.append(child)
            open_.append(child)
    return found


def open_files(pid):
    """What each descriptor of a process is: {number: link}. Empty when it has ended."""
    links = {}
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            try:
                links[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
            except FileNotFoundError:
                pass
    except (FileNotFoundError, ProcessLookupError):
        pass
    return links


def kill(pid, number=signal.SIGKILL):
    """A signal to a process that this test's Paddock started; the pid comes from /proc a moment ago."""
    os.kill(pid, number)


def become(account):
    """For good: this process is the account's (struct_passwd)."""
    os.setgroups([])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)


def as_user(account, function):
    """function()'s text as computed by a child process that has become `account` (struct_passwd)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(account)
            os.write(writing, function().encode())
        except BaseException as error:  # nothing of pytest may run on in the child
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return text
