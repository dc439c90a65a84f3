"""Two network namespaces: a host for Paddock to run on, and the world that it is connected to.

A socket belongs to the namespace in which it was made, so that servers of either side are threads of the test process
with a socket from there. The namespaces have no name: they go with the descriptors of the test process.
"""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import threading

HOST, WORLD = "198.51.100.2", "198.51.100.1"
RANGE = "10.213.0.0/16"
GATEWAY = "10.213.0.1"
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _in_thread(action):
    """What action() returns, called by a thread that is used for nothing else: it may change its namespace."""
    results = []

    def run():
        try:
            results.append(action())
        except OSError as error:
            results.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(results[0], OSError):
        raise results[0]
    return results[0]


def _make_namespace():
    _checked(_libc.unshare(_CLONE_NEWNET))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Side:
    """The host, or the world."""

    def __init__(self):
        self._fd = _in_thread(_make_namespace)
        self.path = f"/proc/{os.getpid()}/fd/{self._fd}"
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments):
        return self.run("ip", *arguments)

    def run(self, *command):
        return subprocess.run(["nsenter", f"--net={self.path}", "--", *command], check=True, capture_output=True,
                              text=True).stdout

    def interfaces(self):
        return {link["ifname"]: link for link in json.loads(self.ip("-s", "-j", "link"))}

    def call(self, action):
        """What action() returns, called in there."""
        def run():
            _checked(_libc.setns(self._fd, _CLONE_NEWNET))
            return action()
        return _in_thread(run)

    def close(self):
        os.close(self._fd)


class Server:
    """Answers each connection with handle(connection, address), each of its own; remembers who came."""

    def __init__(self, side, address, port, handle):
        self.clients = []
        self._socket = side.call(lambda: socket.create_server((address, port), backlog=128))
        self._handle = handle
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, (address, _) = self._socket.accept()
            except OSError:
                return
            self.clients.append(address)
            with connection, contextlib.suppress(OSError):
                self._handle(connection)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


class Nameserver:
    """Says that every name is `answer`."""

    def __init__(self, side, address, answer):
        self.clients = []
        self._answer = socket.inet_aton(answer)
        self._socket = side.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._socket.bind((address, 53))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            query, client = self._socket.recvfrom(4096)
            if query == b"end":
                return
            self.clients.append(client[0])
            question = query[12:query.index(0, 12) + 5]
            is_a = question[-4:-2] == b"\0\1"
            self._socket.sendto(query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + bytes(4) + question +
                                (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + self._answer if is_a else b""), client)

    def close(self):
        self._socket.sendto(b"end", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


@contextlib.contextmanager
def two_sides():
    """(host, world), joined by a link; the world knows no way back to tenants' addresses."""
    with contextlib.closing(Side()) as host, contextlib.closing(Side()) as world:
        host.ip("link", "add", "uplink", "type", "veth", "peer", "name", "downlink", "netns", world.path)
        for side, interface, address in ((host, "uplink", HOST), (world, "downlink", WORLD)):
            side.ip("address", "add", f"{address}/24", "dev", interface)
            side.ip("link", "set", interface, "up")
        host.ip("route", "add", "default", "via", WORLD)
        yield host, world
