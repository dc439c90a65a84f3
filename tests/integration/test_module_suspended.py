"""mod_paddock: no thread of Apache waits for PHP."""

import asyncio
import collections
import gzip
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness import machine, process
from harness.apache import MODULES, PROGRAM
from harness.responder import Responder, socket_path
from test_module import SLOW, serve  # noqa: F401

pytestmark = pytest.mark.sanitizer


class Gate:
    """Holds every request of a responder until open()."""

    def __init__(self):
        self._event = asyncio.Event()
        self.responder = None

    async def __call__(self, request):
        await asyncio.wait_for(self._event.wait(), machine.patience(60))
        request.answer("late " + request.query)

    def open(self):
        self.responder.call(self._event.set)


@pytest.fixture
def held(serve):  # noqa: F811
    """held(…) → (Server, Gate) with one child of two threads: whatever waits in one shows."""
    def make(**options):
        server = serve(**{"servers": 1, "threads": 2, **options})
        gate = Gate()
        gate.responder = server.respond(gate)
        return server, gate
    return make


class Client:
    """A request that has been sent, and whose answer is read later."""

    def __init__(self, site, path="/hello.php", headers="", close=True, receive_buffer=None, tls=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(machine.patience(60))
        self.socket.connect((site.host, site.port))
        if tls:
            self.socket = tls.wrap_socket(self.socket)
        self.send(path, headers, close)

    def send(self, path, headers="", close=True):
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{'Connection: close' + chr(13) + chr(10) if close else ''}"
                            f"{headers}\r\n".encode())

    def answer(self):
        """Everything until Apache closes."""
        data = b""
        while piece := self.socket.recv(1 << 20):
            data += piece
        self.socket.close()
        return data

    def read_until(self, end):
        data = b""
        while not data.endswith(end):
            piece = self.socket.recv(65536)
            assert piece, data
            data += piece
        return data


def test_more_requests_than_threads(held):
    server, gate = held()
    (server.docroot / "static.txt").write_text("static")
    clients = [Client(server.site, f"/hello.php?{number}") for number in range(40)]
    machine.wait_for(lambda: gate.responder.open == 40, 10)
    for _ in range(20):
        assert server.site.get("/static.txt").ok().text == "static"
    gate.open()
    for number, client in enumerate(clients):
        assert client.answer().endswith(f"late {number}\r\n0\r\n\r\n".encode())


def test_two_thousand_over_fifty_threads(held):
    server, gate = held(servers=2, threads=25, main="AsyncRequestWorkerFactor 200\n")
    (server.docroot / "static.txt").write_text("static")
    clients = []
    try:
        for number in range(2000):
            clients.append(Client(server.site, f"/hello.php?{number}"))
        machine.wait_for(lambda: gate.responder.open == 2000, 30, "all of them are at the backend")
        times = []
        for _ in range(200):
            times.append(server.site.get("/static.txt").ok().seconds)
        print("static files, ms: median", sorted(times)[100] * 1000, "longest", max(times) * 1000)
        gate.open()
        for number, client in enumerate(clients):
            assert client.answer().endswith(f"late {number}\r\n0\r\n\r\n".encode())
    finally:
        for client in clients:
            client.socket.close()
    machine.wait_for(lambda: gate.responder.open == 0, 10)


@pytest.mark.parametrize("path", ["/pretty/url", "/twice", "/sub/", "/hello.php/info"])
def test_rewritten_requests_are_suspended_too(held, path):
    """What WordPress and its like make of each URL is an internal redirect."""
    server, gate = held()
    server.script("sub/index.php")
    server.htaccess("RewriteEngine On\nRewriteRule ^twice$ once\nRewriteRule ^once$ hello.php?once\n"
                    "RewriteCond %{REQUEST_FILENAME} !-f\nRewriteRule ^pretty/(.*) hello.php?$1\n")
    clients = [Client(server.site, path) for _ in range(10)]
    machine.wait_for(lambda: gate.responder.open == 10, 10)
    gate.open()
    for client in clients:
        answer = client.answer()
        assert answer.startswith(b"HTTP/1.1 200 OK") and answer.count(b"late") == 1, answer
        assert answer.rstrip().endswith((b"0", b"late url", b"late once", b"late ")), answer
    log = (server.paddock.directory / "apache-access.log").read_text()
    assert log.count(f'"GET {path} ') == 10


def test_keep_alive_after_a_suspension(held):
    server, gate = held()
    client = Client(server.site, "/hello.php?1", close=False)
    machine.wait_for(lambda: gate.responder.open == 1, 10)
    gate.open()
    assert client.read_until(b"0\r\n\r\n").endswith(b"late 1\r\n0\r\n\r\n")
    (server.docroot / "static.txt").write_text("static")
    for number in range(3):
        client.send("/static.txt", close=False)
        assert client.read_until(b"static").startswith(b"HTTP/1.1 200")
        client.send(f"/hello.php?{number}", close=False)
        assert client.read_until(b"0\r\n\r\n").endswith(f"late {number}\r\n0\r\n\r\n".encode())
    # Pipelined, and one that is no request.
    client.socket.sendall(b"GET /hello.php?a HTTP/1.1\r\nHost: x\r\n\r\nGET /static.txt HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"late a" in client.read_until(b"static")
    client.socket.sendall(b"\x16\x03\x01\r\n\r\n")
    assert b"400 Bad Request" in client.answer()


def test_a_kept_connection_is_suspended_again(held):
    server, _ = held()

    async def slow(request):
        await asyncio.sleep(SLOW / 3)
        request.answer(request.query)

    # In the place of the gate's responder.
    path = socket_path(server.paddock, "alice")
    path.unlink()
    with Responder(path, slow):
        client = Client(server.site, "/hello.php?0", close=False)
        for number in range(1, 6):
            assert client.read_until(b"0\r\n\r\n").endswith(f"{number - 1}\r\n0\r\n\r\n".encode())
            client.send(f"/hello.php?{number}", close=number == 5)
        assert client.answer().endswith(b"0\r\n\r\n")


def test_a_kept_connection_ends_with_its_time(held):
    server, gate = held(main="KeepAliveTimeout 1\n")
    client = Client(server.site, close=False)
    gate.open()
    start = time.monotonic()
    assert client.answer().endswith(b"0\r\n\r\n")
    assert time.monotonic() - start >= 0.9


def test_a_client_that_goes(serve):  # noqa: F811
    server = serve(servers=1, threads=2)
    aborted = []

    async def behave(request):
        aborted.append(await request.peer_goes())

    responder = server.respond(behave)
    clients = [Client(server.site) for _ in range(20)]
    machine.wait_for(lambda: responder.open == 20, 10)
    for client in clients[:10]:
        client.socket.close()
    for client in clients[10:]:  # by RST
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.socket.close()
    machine.wait_for(lambda: len(aborted) == 20, 10)
    assert all(aborted)


def test_slow_readers_hold_no_thread(serve):  # noqa: F811
    server = serve(servers=1, threads=2)
    (server.docroot / "static.txt").write_text("static")
    size = 6_000_000

    async def large(request):
        await asyncio.sleep(SLOW / 10 if request.query else 0)
        request.answer(b"x" * size)
        await request.writer.drain()

    server.respond(large)
    clients = [Client(server.site, f"/hello.php?{'slow' * (number % 2)}", receive_buffer=4096) for number in range(10)]
    time.sleep(SLOW)
    for _ in range(5):
        assert server.site.get("/static.txt").ok().seconds < machine.patience(2)
    for client in clients:
        assert client.answer().count(b"x") >= size


def test_a_slow_reader_through_mod_deflate(serve):  # noqa: F811
    server = serve(servers=1, threads=2, main="LoadModule filter_module /usr/lib/apache2/modules/mod_filter.so\n"
                   "LoadModule deflate_module /usr/lib/apache2/modules/mod_deflate.so\nSetOutputFilter DEFLATE\n")
    (server.docroot / "static.txt").write_text("static")

    async def trickle(request):
        request.out("Content-Type: text/plain\r\n\r\n")
        for number in range(50):
            request.out(f"line {number}\n")
            await asyncio.sleep(0.002)
        request.end()

    server.respond(trickle)
    clients = [Client(server.site, headers="Accept-Encoding: gzip\r\n") for _ in range(6)]
    assert server.site.get("/static.txt").ok().seconds < machine.patience(2)
    for client in clients:
        head, _, body = client.answer().partition(b"\r\n\r\n")
        assert b"Content-Encoding: gzip" in head
        data = b""
        while body:
            length, _, body = body.partition(b"\r\n")
            data, body = data + body[:int(length, 16)], body[int(length, 16) + 2:]
        assert gzip.decompress(data).decode().splitlines() == [f"line {number}" for number in range(50)]


@pytest.mark.parametrize("how", ["restart", "stop"])
def test_graceful(held, how):
    """Nobody loses an answer."""
    server, gate = held(servers=2, threads=4)
    clients = [Client(server.site, f"/hello.php?{number}", close=number % 2 == 0) for number in range(60)]
    machine.wait_for(lambda: gate.responder.open == 60, 10)
    before = server.apache.children()
    stopper = None
    if how == "restart":
        server.apache.graceful()
    else:
        stopper = threading.Thread(target=server.apache.stop, kwargs={"graceful": True})
        stopper.start()
        machine.wait_for(lambda: not listens(server.site), 10)
    gate.open()
    for number, client in enumerate(clients):
        assert f"late {number}".encode() in client.answer()
    if stopper:
        stopper.join()
    else:
        machine.wait_for(lambda: not set(before) & set(server.apache.children()), 20, "the old children have ended")


def listens(site):
    try:
        socket.create_connection((site.host, site.port), 1).close()
        return True
    except OSError:
        return False


def test_a_stop_is_not_held_up(held):
    server, gate = held()
    clients = [Client(server.site) for _ in range(10)]
    machine.wait_for(lambda: gate.responder.open == 10, 10)
    start = time.monotonic()
    server.apache.stop(at_once=True)
    assert time.monotonic() - start < machine.patience(10)
    for client in clients:
        client.socket.close()


def test_a_backend_that_dies_while_suspended(held):
    server, gate = held()
    clients = [Client(server.site) for _ in range(10)]
    machine.wait_for(lambda: gate.responder.open == 10, 10)
    gate.responder.stop()
    for client in clients:
        assert client.answer().startswith(b"HTTP/1.1 503")


@pytest.mark.parametrize("mpm", [{"mpm": "worker", "servers": 1, "threads": 4},
                                 {"mpm": "prefork", "servers": 4, "threads": 1}], ids=lambda mpm: mpm["mpm"])
def test_a_thread_that_has_to_wait(serve, mpm):  # noqa: F811
    """These MPMs cannot suspend: requests wait, are answered, and a client that goes is noticed."""
    server = serve(**mpm)
    gone = []

    async def behave(request):
        if request.query:
            gone.append(await request.peer_goes())
        else:
            await asyncio.sleep(SLOW / 3)
            request.answer("late")

    responder = server.respond(behave)
    clients = [Client(server.site) for _ in range(8)]
    for client in clients:
        assert b"late" in client.answer()
    client = Client(server.site, "/hello.php?gone")
    machine.wait_for(lambda: responder.open == 1, 10)
    client.socket.close()
    machine.wait_for(lambda: gone == [True], 10)


def test_streams_of_http_2_wait(serve):  # noqa: F811
    """They cannot be suspended either."""
    server = serve(main=f"LoadModule http2_module {MODULES}/mod_http2.so\nProtocols h2c http/1.1\n")
    (server.docroot / "static.txt").write_text("static")

    gone = []

    async def behave(request):
        if request.query == "gone":
            gone.append(await request.peer_goes())
        await asyncio.sleep(SLOW / 3)
        request.answer("late " + request.query)

    responder = server.respond(behave)
    address = f"http://{server.site.host}:{server.site.port}"

    def fetch(path):
        """A connection each: this curl cannot multiplex with prior knowledge."""
        return subprocess.Popen(
            ["curl", "--silent", "--show-error", "--max-time", str(int(machine.patience(30))), "--http2-prior-knowledge",
             "--write-out", "|%{http_version} %{response_code}", f"{address}/{path}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)

    clients = [fetch(path) for path in [*(f"hello.php?{number}" for number in range(8)), "static.txt"]]
    answers = [client.communicate()[0] for client in clients]
    assert answers == [*(f"late {number}|2 200" for number in range(8)), "static|2 200"]
    client = fetch("hello.php?gone")
    machine.wait_for(lambda: responder.open == 1, 10)
    client.kill()
    client.communicate()
    machine.wait_for(lambda: gone == [True], 10)


def test_tls(held, directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=localhost", "-keyout", directory / "key", "-out", directory / "cert"],
                   check=True, capture_output=True, stdin=subprocess.DEVNULL)
    server, gate = held(main="LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\n",
                        handler=f"PaddockTenant alice\nSSLEngine on\nSSLCertificateFile {directory}/cert\n"
                                f"SSLCertificateKeyFile {directory}/key\n")
    (server.docroot / "static.txt").write_text("static")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    clients = []
    for number in range(12):
        clients.append(Client(server.site, f"/hello.php?{number}", close=False, tls=context))
    machine.wait_for(lambda: gate.responder.open == 12, 10)
    assert Client(server.site, "/static.txt", tls=context).answer().endswith(b"static")
    gate.open()
    for number, client in enumerate(clients):
        assert client.read_until(b"0\r\n\r\n").endswith(f"late {number}\r\n0\r\n\r\n".encode())
        client.send("/static.txt", close=True)
        assert client.answer().endswith(b"static")


def test_valgrind(serve, directory):  # noqa: F811
    """httpd -X under valgrind: suspensions, kept connections, bad answers and a client that goes."""
    if machine.sanitized():
        pytest.skip("valgrind and AddressSanitizer do not go together")
    log = directory / "valgrind.log"
    server = serve(servers=1, threads=4, mode="-X", command=(
        "/usr/bin/valgrind", f"--log-file={log}", "--leak-check=full", "--show-leak-kinds=definite", "--num-callers=40",
        "--keep-debuginfo=yes", PROGRAM))
    (server.docroot / "static.txt").write_text("static")
    gone = []

    async def behave(request):
        if "gone" in request.query:
            gone.append(await request.peer_goes())
        elif "bad" in request.query:
            request.out("no header")
            request.end()
        else:
            await asyncio.sleep(0.1 if "slow" in request.query else 0)
            request.answer("x" * 200_000)

    server.respond(behave)
    server.htaccess("RewriteEngine On\nRewriteRule ^pretty$ hello.php?slow [E=X:y]\nphp_value a b\n")
    for round_ in range(3):
        clients = [Client(server.site, path, close=True) for path in
                   ("/hello.php", "/hello.php?slow", "/hello.php?bad", "/pretty", "/static.txt", "/hello.php?slow")]
        kept = Client(server.site, "/hello.php?slow", close=False)
        kept.read_until(b"0\r\n\r\n")
        kept.send("/hello.php?slow")
        leaver = Client(server.site, "/hello.php?gone")
        machine.wait_for(lambda: server.apache.error_log().count("AH") >= 0, 1)
        for client in (*clients, kept):
            assert client.answer()
        leaver.socket.close()
        machine.wait_for(lambda round_=round_: len(gone) == round_ + 1, 20)
        assert server.site.post("/hello.php", b"x" * 100_000, seconds=60).ok()
    server.apache.stop(seconds=60)
    text = log.read_text()
    blocks = re.split(r"(?m)^==\d+== \n", text)
    ours = [block for block in blocks if "mod_paddock" in block or "paddock::" in block]
    assert "ERROR SUMMARY" in text and not ours, "\n".join(ours)[:5000]


def figures(server):
    """Descriptors and resident memory of Apache's children."""
    children = server.apache.children()
    return collections.Counter(link.split(":")[0] for pid in children for link in process.open_files(pid).values()), \
        sum(process.rss(pid) for pid in children)


def test_nothing_is_leaked(serve):  # noqa: F811
    """Suspensions, aborts, errors and graceful restarts, mixed."""
    server = serve(servers=1, threads=4)

    async def behave(request):
        await asyncio.sleep(0.03)
        if request.query == "broken":
            return
        request.answer("x" * 50_000)

    server.respond(behave)

    def load(rounds):
        for number in range(rounds):
            clients = [Client(server.site, f"/hello.php?{'broken' if i == 7 else i}", close=i % 3 != 0) for i in range(30)]
            for i, client in enumerate(clients):
                if i % 5 == 0:
                    client.socket.close()
                elif i % 3 != 0:
                    assert client.answer()
                else:
                    client.read_until(b"\r\n\r\n")
                    client.socket.close()
            if number % 10 == 9:
                server.apache.graceful()

    def settled():
        """After the last connection has gone."""
        machine.wait_for(lambda: len(server.apache.children()) == 1, 20, "old children have ended")
        machine.wait_for(lambda: figures(server)[0]["socket"] <= 6, 20, "connections have ended")
        return figures(server)

    load(10)
    server.apache.graceful()
    load(5)
    files, memory = settled()
    parent = len(process.open_files(server.apache.process.pid)), process.rss(server.apache.process.pid)
    load(25)
    server.apache.graceful()
    load(5)
    more_files, more_memory = settled()
    assert more_files == files
    assert machine.sanitized() or more_memory - memory < 8 << 20  # AddressSanitizer keeps what was freed for a while
    assert len(process.open_files(server.apache.process.pid)) == parent[0]
    assert machine.sanitized() or process.rss(server.apache.process.pid) - parent[1] < 4 << 20
