"""Whatever bytes come to a tenant's socket: the connection ends, no worker is lost, the next request is served."""

import os
import random
import socket
import struct
import time

import pytest

from harness import fastcgi, machine, process

pytestmark = pytest.mark.sanitizer


@pytest.fixture
def target(host):
    """alice's socket, warm; afterwards the same sandbox with the same worker must still serve."""
    class Target:
        path = host.paddock.sockets()["alice"]
        docroot = host.paddock.tenants["alice"].docroot
        hello = docroot / "hello.php"
        paddock = host.paddock

        @staticmethod
        def log():
            return host.paddock.tenant_log("alice")

    assert fastcgi.fetch(Target.path, Target.hello).body == b"hello\n"
    keeper, workers = host.paddock.keeper("alice"), set(host.paddock.workers("alice"))
    yield Target
    assert fastcgi.fetch(Target.path, Target.hello).body == b"hello\n"
    assert host.paddock.keeper("alice") == keeper, "the sandbox was replaced"
    assert workers <= set(host.paddock.workers("alice")), "a worker was lost"


def closed(answer):
    assert not answer.timed_out, "the connection stayed open"


def test_a_whole_request(target):
    answer = fastcgi.fetch(target.path, target.hello)
    assert answer.ended == (0, fastcgi.REQUEST_COMPLETE)
    assert answer.rest == b""
    assert {identifier for _, identifier, _ in answer.records} == {1}
    assert b"Content-type: text/html" in answer.stdout


@pytest.mark.parametrize("identifier", [1, 2, 255, 256, 65535])
def test_request_ids(target, identifier):
    data = (fastcgi.begin(request_id=identifier)
            + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(fastcgi.parameters(target.hello)), identifier)
            + fastcgi.stream(fastcgi.STDIN, b"", identifier))
    answer = fastcgi.exchange(target.path, data)
    assert {found for _, found, _ in answer.records} == {identifier}
    assert answer.body == b"hello\n"


@pytest.mark.parametrize("role", [fastcgi.AUTHORIZER, fastcgi.FILTER, 0, 77])
def test_other_roles(target, role):
    answer = fastcgi.exchange(target.path, fastcgi.begin(role=role) + fastcgi.stream(fastcgi.PARAMS, b"")
                              + fastcgi.stream(fastcgi.STDIN, b""))
    assert answer.ended == (0, fastcgi.UNKNOWN_ROLE)


@pytest.mark.parametrize("kind", [0, 12, 42, 255])
def test_unknown_management_records(target, kind):
    with fastcgi.Connection(target.path) as connection:
        connection.send(fastcgi.record(kind, b"whatever", request_id=0) + fastcgi.whole_request(target.hello))
        answer = connection.receive()
    assert (fastcgi.UNKNOWN_TYPE, 0, bytes([kind]) + bytes(7)) in answer.records
    # Whether it serves what follows on the same connection is its choice; that it says so is not.


def test_get_values(target):
    query = fastcgi.pairs({"FCGI_MAX_CONNS": "", "FCGI_MPXS_CONNS": "", "FCGI_MAX_REQS": "", "FCGI_UNHEARD_OF": ""})
    answer = fastcgi.exchange(target.path, fastcgi.record(fastcgi.GET_VALUES, query, request_id=0)
                              + fastcgi.whole_request(target.hello))
    result = answer.content(fastcgi.GET_VALUES_RESULT)
    assert b"FCGI_MPXS_CONNS0" in result and b"UNHEARD" not in result


def test_get_values_with_lying_lengths(target):
    for content in (b"\x0e\xff", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x7f", b"\x80", os.urandom(500)):
        with fastcgi.Connection(target.path, 3) as connection:
            connection.send(fastcgi.record(fastcgi.GET_VALUES, content, request_id=0))
            connection.shut()
            closed(connection.receive())


@pytest.mark.parametrize("version", [0, 2, 255])
def test_wrong_version(target, version):
    data = fastcgi.header(fastcgi.BEGIN_REQUEST, 8, version=version) + struct.pack("!HB5x", 1, 0)
    answer = fastcgi.exchange(target.path, data + bytes(100))
    closed(answer)
    assert answer.stdout == b""


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", bytes(8), bytes(5000),
    b"\xff" * 5000], ids=["http", "tls", "zeros", "many zeros", "ones"])
def test_another_protocol(target, data):
    with fastcgi.Connection(target.path) as connection:
        connection.send(data)
        connection.shut()
        closed(connection.receive())


def test_nothing_at_all(target):
    for _ in range(20):
        with fastcgi.Connection(target.path):
            pass
    with fastcgi.Connection(target.path) as connection:
        connection.shut()
        closed(connection.receive())


def test_gone_at_every_byte(target):
    """The client vanishes after each prefix of a request with a body."""
    data = fastcgi.whole_request(target.docroot / "dump.php", method="POST", body=b"some body", CONTENT_TYPE="text/plain")
    step = 1 if not machine.IN_VM else 13
    for cut in range(0, len(data), step):
        with fastcgi.Connection(target.path) as connection:
            connection.send(data[:cut])


def test_half_closed_at_every_byte(target):
    """As above, but the client still listens: it must see the connection end, not wait for ever."""
    data = fastcgi.whole_request(target.hello, method="POST", body=b"some body")
    for cut in range(0, len(data), 11 if not machine.IN_VM else 97):
        with fastcgi.Connection(target.path) as connection:
            connection.send(data[:cut])
            connection.shut()
            answer = connection.receive()
            closed(answer)


def test_reset_while_it_answers(target):
    script = target.docroot / "run.php"
    for _ in range(10):
        with fastcgi.Connection(target.path) as connection:
            connection.send(fastcgi.whole_request(
                script, method="POST", body=b"for ($i = 0; $i < 200; $i++) { echo str_repeat('x', 100000); flush(); }"))
            connection.socket.recv(1000)


def test_byte_by_byte(target):
    data = fastcgi.whole_request(target.hello)
    with fastcgi.Connection(target.path) as connection:
        for byte in data:
            connection.send(bytes([byte]))
        assert connection.receive().body == b"hello\n"


def test_records_of_one_byte(target):
    body = b"0123456789" * 20
    parameters = fastcgi.pairs(fastcgi.parameters(target.docroot / "dump.php", method="POST", body=body))
    data = fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, parameters, chunk=1) + fastcgi.stream(
        fastcgi.STDIN, body, chunk=1)
    assert body in fastcgi.exchange(target.path, data).body


def test_padding(target):
    content = fastcgi.pairs(fastcgi.parameters(target.hello))
    data = (fastcgi.record(fastcgi.BEGIN_REQUEST, struct.pack("!HB5x", 1, 0), padding=255)
            + fastcgi.record(fastcgi.PARAMS, content, padding=200) + fastcgi.record(fastcgi.PARAMS, b"", padding=7)
            + fastcgi.record(fastcgi.STDIN, b"", padding=1))
    assert fastcgi.exchange(target.path, data).body == b"hello\n"


@pytest.mark.parametrize("kind", [fastcgi.PARAMS, fastcgi.STDIN, fastcgi.ABORT_REQUEST, fastcgi.DATA])
def test_a_record_before_any_request(target, kind):
    with fastcgi.Connection(target.path) as connection:
        connection.send(fastcgi.record(kind, b"x" * 100))
        connection.shut()
        closed(connection.receive())


@pytest.mark.parametrize("length", [0, 1, 7, 9, 65535])
def test_begin_request_of_a_wrong_length(target, length):
    with fastcgi.Connection(target.path) as connection:
        connection.send(fastcgi.record(fastcgi.BEGIN_REQUEST, b"\0\1" + bytes(max(0, length - 2)) if length > 1
                                       else bytes(length)))
        connection.shut()
        closed(connection.receive())


def test_the_response_types_from_a_client(target):
    for kind in (fastcgi.END_REQUEST, fastcgi.STDOUT, fastcgi.STDERR, fastcgi.GET_VALUES_RESULT, fastcgi.UNKNOWN_TYPE):
        with fastcgi.Connection(target.path) as connection:
            connection.send(fastcgi.begin() + fastcgi.record(kind, b"x" * 8))
            connection.shut()
            closed(connection.receive())


def test_a_second_begin_on_the_same_connection(target):
    """Multiplexing is refused as the specification says: FCGI_CANT_MPX_CONN for the second request."""
    with fastcgi.Connection(target.path) as connection:
        connection.send(fastcgi.begin() + fastcgi.begin(request_id=2)
                        + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(fastcgi.parameters(target.hello)))
                        + fastcgi.stream(fastcgi.STDIN, b""))
        connection.shut()
        answer = connection.receive()
        closed(answer)
        ends = [(identifier, content[4]) for kind, identifier, content in answer.records
                if kind == fastcgi.END_REQUEST]
        assert (2, fastcgi.CANT_MPX_CONN) in ends or not ends


@pytest.mark.parametrize("content", [
    b"\x0f", b"\xff\xff\xff\xff\x01A", b"\x01\xff\xff\xff\xffAB", b"\x80\x00\x00\x01\x80\x00\x00\x01A",
    b"\x7f\x7fshort", b"\xff\xff\xff\xff\xff\xff\xff\xff", bytes(3)], ids=range(7))
def test_parameters_with_lengths_that_lie(target, content):
    answer = fastcgi.exchange(target.path, fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, content)
                              + fastcgi.stream(fastcgi.STDIN, b""))
    closed(answer)
    assert b"hello" not in answer.stdout


def test_parameters_over_the_limit(target):
    values = fastcgi.parameters(target.hello, **{f"HTTP_X_{number}": "y" * 60000 for number in range(400)})
    with fastcgi.Connection(target.path, 20) as connection:
        connection.send(fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(values)))
        answer = connection.receive()
        closed(answer)
        assert b"hello" not in answer.stdout


def test_endless_parameters(target):
    """Parameters that never end are cut off, not collected."""
    piece = fastcgi.record(fastcgi.PARAMS, fastcgi.pairs({f"HTTP_{number}": "x" * 6000 for number in range(10)}))
    with fastcgi.Connection(target.path, 20) as connection:
        connection.send(fastcgi.begin())
        sent = 0
        while connection.send(piece):
            sent += len(piece)
            assert sent < 256 << 20, "256 MiB of parameters were taken"
    assert sum(process.rss(pid) for pid in target.paddock.sandbox("alice")) < 400 << 20


def test_many_small_parameters(target):
    values = fastcgi.parameters(target.hello, **{f"V{number}": "" for number in range(20000)})
    answer = fastcgi.exchange(target.path, fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(values))
                              + fastcgi.stream(fastcgi.STDIN, b""))
    closed(answer)


def test_parameters_that_contradict(target):
    """The same name twice, an empty name, a NUL inside: served or refused, but over."""
    once = fastcgi.pairs(fastcgi.parameters(target.hello))
    for extra in (fastcgi.pairs({"SCRIPT_FILENAME": "/etc/passwd"}), fastcgi.pairs({"": "x"}),
                  fastcgi.pairs({"A\0B": "c\0d"}), fastcgi.pairs({"SCRIPT_FILENAME": f"{target.hello}\0.txt"})):
        answer = fastcgi.exchange(target.path, fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, once + extra)
                                  + fastcgi.stream(fastcgi.STDIN, b""))
        closed(answer)
        assert b"root:" not in answer.stdout


@pytest.mark.parametrize("missing", ["SCRIPT_FILENAME", "REQUEST_METHOD", "QUERY_STRING", "REQUEST_URI", "SCRIPT_NAME"])
def test_a_parameter_is_missing(target, missing):
    values = fastcgi.parameters(target.hello)
    del values[missing]
    answer = fastcgi.exchange(target.path, fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(values))
                              + fastcgi.stream(fastcgi.STDIN, b""))
    closed(answer)
    assert answer.ended is not None


def test_no_parameters(target):
    answer = fastcgi.exchange(target.path, fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, b"")
                              + fastcgi.stream(fastcgi.STDIN, b""))
    closed(answer)
    assert answer.ended is not None


@pytest.mark.parametrize("length", ["-1", "99999999999999999999", "abc", "1e3", " 5", "0x10", "5 5", ""])
def test_content_length_that_lies(target, length):
    values = fastcgi.parameters(target.docroot / "dump.php", method="POST", CONTENT_LENGTH=length, CONTENT_TYPE="text/x")
    answer = fastcgi.exchange(target.path, fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(values))
                              + fastcgi.stream(fastcgi.STDIN, b"hello"))
    closed(answer)


@pytest.mark.parametrize(("announced", "sent"), [(10, 5), (5, 10), (0, 10), (1 << 30, 5)])
def test_body_and_content_length_differ(target, announced, sent):
    values = fastcgi.parameters(target.docroot / "dump.php", method="POST", CONTENT_LENGTH=str(announced),
                                CONTENT_TYPE="text/x")
    answer = fastcgi.exchange(target.path, fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(values))
                              + fastcgi.stream(fastcgi.STDIN, b"y" * sent))
    closed(answer)


def test_abort(target):
    script = target.docroot / "run.php"
    # Without an output buffer of PHP's own, which flush() does not empty: nothing would be written, and so nothing noticed.
    body = b"while (ob_get_level() > 0) ob_end_flush(); ignore_user_abort(false); for ($i = 0; $i < 3000; $i++) { usleep(10000); echo 'x'; flush(); } return 1;"
    with fastcgi.Connection(target.path, 20) as connection:
        connection.send(fastcgi.whole_request(script, method="POST", body=body))
        time.sleep(0.3)
        connection.send(fastcgi.record(fastcgi.ABORT_REQUEST))
        start = time.monotonic()
        connection.receive()
        assert time.monotonic() - start < machine.patience(10)


def test_abort_before_the_request_is_whole(target):
    answer = fastcgi.exchange(target.path, fastcgi.begin()
                              + fastcgi.record(fastcgi.PARAMS, fastcgi.pairs({"A": "b"}))
                              + fastcgi.record(fastcgi.ABORT_REQUEST))
    closed(answer)


def test_random_records(target):
    chance = random.Random(20220731)
    for _ in range(60 if machine.IN_VM else 300):
        data = b"".join(fastcgi.record(chance.choice([1, 2, 3, 4, 5, 6, 8, 9, 11, 99]),
                                       chance.randbytes(chance.choice([0, 1, 8, 300])),
                                       request_id=chance.choice([0, 1, 1, 1, 2]), padding=chance.choice([0, 0, 7]))
                        for _ in range(chance.randrange(1, 8)))
        if chance.random() < 0.5:
            data = fastcgi.begin() + data
        with fastcgi.Connection(target.path, 5) as connection:
            connection.send(data)
            connection.shut()
            closed(connection.receive())


def test_random_damage_to_a_good_request(target):
    chance = random.Random(3)
    good = fastcgi.whole_request(target.docroot / "dump.php", method="POST", body=b"a=1&b=2",
                                 CONTENT_TYPE="application/x-www-form-urlencoded")
    for _ in range(60 if machine.IN_VM else 400):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with fastcgi.Connection(target.path, 5) as connection:
            connection.send(bytes(data))
            connection.shut()
            closed(connection.receive())


# --- scripts that may not be run

@pytest.mark.parametrize("script", [
    "/nowhere/at/all.php", "{home}/public_html/missing.php", "/etc/shadow", "/dev/zero", "/dev/null", "/proc/self/fd/0",
    "/proc/self/environ/x.php", "relative.php", "../../etc/passwd", "{home}/fifo", "/run", "", "/", "//", ".",
    "php://input", "data:text/plain,<?php echo 1;", "http://127.0.0.1/x.php",
    "{neighbour}/public_html/hello.php", "{host}/paddock.toml"])
def test_scripts_outside_the_view_or_not_files(target, script):
    home = target.docroot.parent
    fifo = home / "fifo"
    os.mkfifo(fifo)
    try:
        answer = fastcgi.fetch(target.path, script.format(home=home, neighbour=home.parent / "bob",
                                                          host=target.paddock.directory), method="POST", body=b"<?php echo 1;")
    finally:
        fifo.unlink()
    closed(answer)
    assert answer.ended is not None
    assert answer.stdout.startswith((b"Status: 404", b"Status: 403", b"Status: 400")), answer.stdout[:200]
    assert b"hello" not in answer.body


def test_file_not_found_as_fpm_says_it(target):
    answer = fastcgi.fetch(target.path, target.docroot / "missing.php")
    assert answer.stdout.startswith(b"Status: 404 Not Found\r\n")
    assert answer.body == b"File not found.\n"
    machine.wait_for(lambda: "Primary script unknown" in target.log(), 5)


def test_a_file_that_the_tenant_may_not_read(target):
    secret = target.docroot / "roots.php"
    secret.write_text("<?php echo 'secret';")
    secret.chmod(0o600)  # root's
    answer = fastcgi.fetch(target.path, secret)
    secret.unlink()
    assert answer.stdout.startswith((b"Status: 403", b"Status: 404"))
    assert b"secret" not in answer.stdout


def test_the_log_says_what_was_wrong(target):
    before = len(target.log())
    with fastcgi.Connection(target.path) as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        connection.shut()
        connection.receive()
    machine.wait_for(lambda: len(target.log()) > before, 5, "a log line")
    line = target.log()[before:].strip().splitlines()[-1]
    assert "FastCGI" in line or "version" in line or "record" in line, line


def test_a_hostile_uri_cannot_forge_a_log_line(target):
    values = fastcgi.parameters(target.docroot / "missing.php", REQUEST_URI="/\n[forged] line\x1b[2J",
                                SCRIPT_FILENAME=f"{target.docroot}/\n[forged] line.php")
    fastcgi.exchange(target.path, fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(values))
                     + fastcgi.stream(fastcgi.STDIN, b""))
    time.sleep(0.2)
    assert not [line for line in target.log().splitlines() if line.startswith("[forged]")]
    assert "\x1b" not in target.log()


# --- clients that hold on

def test_silent_clients_do_not_hold_every_worker_for_ever(own_host):
    """Connections that never say anything: a bounded wait, then the site serves again."""
    host = own_host(plan={"workers": 2})
    host.alice.get("/hello.php").ok()
    path = host.paddock.sockets()["alice"]
    silent = [fastcgi.Connection(path) for _ in range(6)]
    try:
        start = time.monotonic()
        assert host.alice.get("/hello.php", seconds=60).ok()
        assert time.monotonic() - start < machine.patience(45)
    finally:
        for connection in silent:
            connection.socket.close()


def test_a_cold_socket_takes_bad_input_too(own_host):
    """What wakes a sandbox is not read by the gateway: garbage starts it, and the next request is served."""
    host = own_host()
    path = host.paddock.sockets()["alice"]
    with fastcgi.Connection(path) as connection:
        connection.send(b"garbage that is no record at all")
        connection.shut()
        closed(connection.receive())
    assert host.alice.get("/hello.php").ok()


def test_kept_connections(target):
    """FCGI_KEEP_CONN: either it closes, or it serves the next request on the same connection."""
    with fastcgi.Connection(target.path, 3) as connection:
        connection.send(fastcgi.whole_request(target.hello, flags=fastcgi.KEEP_CONN))
        answer = connection.receive()
        assert answer.body == b"hello\n"
        if answer.timed_out and connection.send(fastcgi.whole_request(target.hello)):
            assert connection.receive().body == b"hello\n"


def test_many_connections_at_once(own_host):
    host = own_host()
    host.alice.get("/hello.php").ok()
    path, hello = host.paddock.sockets()["alice"], host.paddock.tenants["alice"].docroot / "hello.php"
    request = fastcgi.whole_request(hello)
    open_ = []
    for _ in range(200):
        connection = fastcgi.Connection(path, 30)
        connection.send(request)
        open_.append(connection)
    for connection in open_:
        with connection:
            assert connection.receive().body == b"hello\n"


def test_datagrams_and_descriptors_are_ignored(target):
    """A client may pass descriptors over the socket: they must not pile up in the worker."""
    with socket.socket(socket.AF_UNIX) as connection, open("/dev/null", "rb") as null:
        connection.connect(str(target.path))
        data = fastcgi.whole_request(target.hello)
        socket.send_fds(connection, [data], [null.fileno()] * 10)
        received = b""
        connection.settimeout(machine.patience(5))
        while piece := connection.recv(65536):
            received += piece
    assert fastcgi.parse(received).body == b"hello\n"
    for pid in target.paddock.sandbox("alice"):
        assert len(process.open_files(pid)) < 40
