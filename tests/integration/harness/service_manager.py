"""What systemd does for paddockd beyond starting it: NOTIFY_SOCKET, and the store for file descriptors."""

import array
import contextlib
import os
import socket
import subprocess
import sys
import threading


# Descriptors have to be 3, 4, … and LISTEN_PID the process's own, which only it knows.
_LAUNCHER = """
import os, sys
count = int(sys.argv[1])
given = [os.dup2(int(fd), 1000 + i) for i, fd in enumerate(sys.argv[2:2 + count])]
for i, fd in enumerate(given):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


class ServiceManager:
    """One service's. `stored`: descriptors by name; `said`: the first line of every message."""

    def __init__(self):
        self.stored = {}
        self.said = []
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("")  # autobind: an abstract name
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def launch(self, command, environment, **options):
        """Popen of the service, with what is in the store."""
        with self._changed:
            self.said.clear()
            stored = dict(self.stored)
        environment = {**environment, "NOTIFY_SOCKET": "@" + self._socket.getsockname()[1:].decode()}
        if stored:
            environment["LISTEN_FDNAMES"] = ":".join(stored)
            command = [sys.executable, "-c", _LAUNCHER, str(len(stored)), *map(str, stored.values()), *command]
        return subprocess.Popen(command, env=environment, pass_fds=tuple(stored.values()), **options)

    def wait_for(self, word, seconds):
        with self._changed:
            assert self._changed.wait_for(lambda: word in self.said, seconds), f"{word} in {self.said[:20]}"

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()
        for fd in self.stored.values():
            os.close(fd)

    def _listen(self):
        while True:
            numbers = array.array("i")
            text, ancillary, flags, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(4))
            if not text and not ancillary:
                return
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    numbers.frombytes(data)
            fields = dict(line.split("=", 1) for line in text.decode().splitlines())
            with self._changed:
                self.said.append(text.decode().splitlines()[0])
                self._obey(fields, list(numbers))
                self._changed.notify_all()

    def _obey(self, fields, numbers):
        if "FDSTORE" in fields:
            (fd,) = numbers
            assert fields["FDNAME"] not in self.stored, "stored twice"
            self.stored[fields["FDNAME"]] = fd
        elif "FDSTOREREMOVE" in fields:
            fd = self.stored.pop(fields["FDNAME"], None)
            if fd is not None:
                os.close(fd)
