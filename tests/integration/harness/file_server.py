"""A file server that can stop answering, as one on the network does: files of a directory, read-only, over FUSE.

The kernel's protocol on /dev/fuse, as its include/uapi/linux/fuse.h has it, in a thread of the test process. The kernel
keeps nothing of what it is told, so that whoever touches a file there asks, and waits for the answer. A request that the
server has taken and not answered cannot be broken off: no signal ends that wait, SIGKILL neither, as with NFS.
"""

import contextlib
import ctypes
import errno
import os
import stat
import struct
import subprocess
import threading

from . import machine

_libc = ctypes.CDLL(None, use_errno=True)
_HEADER = struct.Struct("<IIQQIIIHH")  # length, opcode, unique, node, uid, gid, pid, 2 unused
_VERSION = (7, 31)
_MOST_WRITTEN = 1 << 16
(_LOOKUP, _FORGET, _GETATTR, _READLINK, _OPEN, _READ, _STATFS, _RELEASE, _FLUSH, _INIT, _OPENDIR, _READDIR, _RELEASEDIR,
 _INTERRUPT, _BATCH_FORGET) = (1, 2, 3, 5, 14, 15, 17, 18, 25, 26, 27, 28, 29, 36, 42)
_UNANSWERED = {_FORGET, _INTERRUPT, _BATCH_FORGET}
_NOTHING_TO_DO = {_RELEASE, _FLUSH, _READDIR, _RELEASEDIR}  # no test lists a directory
_ROOT = 1


def _attributes(status):
    return struct.pack("<6Q10I", status.st_ino, status.st_size, status.st_blocks, int(status.st_atime), int(status.st_mtime),
                       int(status.st_ctime), *(nanoseconds % 10**9 for nanoseconds in (
                           status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)),
                       status.st_mode, status.st_nlink, status.st_uid, status.st_gid, 0, 4096, 0)


class FileServer:
    """The server of one mount; made by serving()."""

    def __init__(self, directory, device):
        self._directory = directory
        self._device = device
        self._paths = {_ROOT: "."}
        self._nodes = {".": _ROOT}
        self._lock = threading.Lock()  # of the next two
        self._hung = False
        self._held = []
        threading.Thread(target=self._serve, daemon=True).start()

    def hang(self):
        """From now on requests are taken and not answered."""
        with self._lock:
            self._hung = True

    def go_on(self):
        """What was held is answered, and whatever comes."""
        with self._lock:
            self._hung = False
            held, self._held = self._held, []
        for request in held:
            self._answer(request)

    def held(self):
        """How many wait for an answer."""
        return len(self._held)

    def _serve(self):
        while True:
            try:
                request = os.read(self._device, _MOST_WRITTEN + 4096)
            except InterruptedError:
                continue
            except OSError:  # unmounted
                return
            opcode = _HEADER.unpack_from(request)[1]
            if opcode in _UNANSWERED:
                continue
            with self._lock:
                if self._hung:
                    self._held.append(request)
                    continue
            self._answer(request)

    def _answer(self, request):
        _, opcode, unique, node, *_ = _HEADER.unpack_from(request)
        try:
            failure, content = 0, self._result(opcode, node, request[_HEADER.size:])
        except OSError as error:
            failure, content = error.errno, b""
        with contextlib.suppress(OSError):  # whoever asked has gone
            os.write(self._device, struct.pack("<IiQ", 16 + len(content), -failure, unique) + content)

    def _result(self, opcode, node, data):
        if opcode == _INIT:
            return struct.pack("<4I2H2I2HI28x", *_VERSION, 0, 0, 12, 9, _MOST_WRITTEN, 1, 0, 0, 0)
        if opcode in _NOTHING_TO_DO:
            return b""
        if opcode == _STATFS:
            return struct.pack("<5Q4I24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)
        path = self._paths[node]
        if opcode == _LOOKUP:
            path = os.path.normpath(os.path.join(path, os.fsdecode(data.rstrip(b"\0"))))
            status = self._status(path)
            node = self._nodes.setdefault(path, len(self._nodes) + _ROOT)
            self._paths[node] = path
            return struct.pack("<4Q2I", node, 0, 0, 0, 0, 0) + _attributes(status)
        if opcode == _GETATTR:
            return struct.pack("<Q2I", 0, 0, 0) + _attributes(self._status(path))
        if opcode == _READLINK:
            return os.fsencode(os.readlink(path, dir_fd=self._directory))
        if opcode in (_OPEN, _OPENDIR):
            return struct.pack("<Q2I", 0, 0, 0)
        if opcode == _READ:
            _, offset, size = struct.unpack_from("<2QI", data)
            file = os.open(path, os.O_RDONLY, dir_fd=self._directory)
            try:
                return os.pread(file, size, offset)
            finally:
                os.close(file)
        raise OSError(errno.ENOSYS, "not served")

    def _status(self, path):
        return os.stat(path, dir_fd=self._directory, follow_symlinks=False)


def _device():
    if not os.path.exists("/dev/fuse"):
        subprocess.run(["modprobe", "--quiet", "fuse"], check=False)
    return os.open("/dev/fuse", os.O_RDWR)


def _mount(path, device):
    options = f"fd={device},rootmode={stat.S_IFDIR:o},user_id=0,group_id=0,allow_other,default_permissions"
    if _libc.mount(b"paddock-it", os.fsencode(path), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount a file server on {path}")


@contextlib.contextmanager
def serving(path):
    """A FileServer, mounted on a directory, of what was there before. FileNotFoundError: this kernel has no FUSE."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    device = None
    try:
        device = _device()
        _mount(path, device)
        server = FileServer(directory, device)
        try:
            yield server
        finally:
            server.go_on()
            machine.wait_for(lambda: subprocess.run(["umount", path]).returncode == 0, 10, f"umount {path}")
    finally:
        if device is not None:
            os.close(device)
        os.close(directory)
