"""A FastCGI application that answers as a test tells it to, on a tenant's socket, without Paddock behind it."""

import asyncio
import contextlib
import dataclasses
import hashlib
import hmac
import os
import struct
import threading

from . import fastcgi

SETTINGS = 64  # protocols/fastcgi/settings.h


def socket_path(paddock, tenant):
    """Where mod_paddock looks for a tenant's socket; makes the key where there is none yet."""
    key = paddock.directory / "state" / "socket.key"
    if not key.exists():
        key.parent.mkdir(exist_ok=True)
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
    digest = hmac.new(key.read_bytes(), tenant.encode(), hashlib.sha256).hexdigest()[:32]
    return paddock.directory / "run" / "sockets" / f"{tenant}-{digest}.sock"


def pairs(data):
    values, at = {}, 0
    while at < len(data):
        lengths = []
        for _ in range(2):
            if data[at] < 128:
                lengths.append(data[at])
                at += 1
            else:
                lengths.append(struct.unpack_from("!I", data, at)[0] & 0x7fffffff)
                at += 4
        name, value = data[at:at + lengths[0]], data[at + lengths[0]:at + sum(lengths)]
        values[name.decode()] = value.decode(errors="surrogateescape")
        at += sum(lengths)
    return values


@dataclasses.dataclass
class Request:
    params: dict
    body: bytes
    settings: dict  # name: (value, admin, htaccess)
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def query(self):
        return self.params.get("QUERY_STRING", "")

    def out(self, data):
        if isinstance(data, str):
            data = data.encode()
        for start in range(0, len(data), 65528):
            self.writer.write(fastcgi.record(fastcgi.STDOUT, data[start:start + 65528]))

    def end(self, status=0):
        self.writer.write(fastcgi.record(fastcgi.END_REQUEST, struct.pack("!IB3x", 0, status)))

    def answer(self, body, headers=""):
        self.out(headers + "Content-Type: text/plain\r\n\r\n")
        self.out(body)
        self.end()

    async def peer_goes(self):
        """Waits until Apache says that nobody wants the answer: True if it has said so before it closed."""
        data = b""
        while piece := await self.reader.read(4096):
            data += piece
        return fastcgi.header(fastcgi.ABORT_REQUEST, 0) in data


class Responder:
    """`behave`: an async function that is given each Request. Runs in a thread of its own."""

    def __init__(self, path, behave):
        self.path = path
        self.behave = behave
        self.open = 0
        self.most_open = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for directory in (self.path.parents[1], self.path.parent):
            directory.chmod(0o755)
        started = threading.Event()
        self._loop.call_soon(lambda: self._loop.create_task(self._serve(started)))
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_):
        self.stop()

    def call(self, function):
        """In the responder's thread: asyncio's objects are not for others."""
        self._loop.call_soon_threadsafe(function)

    def stop(self):
        """Closes the socket and every connection; may be called again."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()
        self.path.unlink(missing_ok=True)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _serve(self, started):
        self._stop = asyncio.Event()
        server = await asyncio.start_unix_server(self._client, path=str(self.path), backlog=4096)
        self.path.chmod(0o777)
        started.set()
        await self._stop.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._loop.stop()

    async def _client(self, reader, writer):
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            request = await self._request(reader, writer)
            await self.behave(request)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _request(self, reader, writer):
        content = {fastcgi.PARAMS: bytearray(), fastcgi.STDIN: bytearray(), SETTINGS: bytearray()}
        while True:
            _, kind, _, length, padding = struct.unpack("!BBHHBx", await reader.readexactly(8))
            data = (await reader.readexactly(length + padding))[:length]
            if kind in content:
                content[kind] += data
            if kind == fastcgi.STDIN and not length:
                break
        settings = {}
        for name, value in pairs(bytes(content[SETTINGS])).items():
            kind = int(name[0])
            settings[name[1:]] = (value, bool(kind & 1), bool(kind & 2))
        return Request(pairs(bytes(content[fastcgi.PARAMS])), bytes(content[fastcgi.STDIN]), settings, reader, writer)
