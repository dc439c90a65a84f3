"""FastCGI 1.0 by hand, so that a test can also send what no web server would."""

import dataclasses
import socket
import struct

from . import machine

VERSION = 1
(BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES, GET_VALUES_RESULT,
 UNKNOWN_TYPE) = range(1, 12)
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
REQUEST_COMPLETE, CANT_MPX_CONN, OVERLOADED, UNKNOWN_ROLE = range(4)
KEEP_CONN = 1


def header(kind, length, request_id=1, padding=0, version=VERSION):
    return struct.pack("!BBHHBx", version, kind, request_id, length, padding)


def record(kind, content=b"", request_id=1, padding=0):
    return header(kind, len(content), request_id, padding) + content + bytes(padding)


def begin(role=RESPONDER, flags=0, request_id=1):
    return record(BEGIN_REQUEST, struct.pack("!HB5x", role, flags), request_id)


def length(value):
    return bytes([value]) if value < 128 else struct.pack("!I", value | 0x80000000)


def pairs(values):
    parts = []
    for name, value in values.items():
        name, value = name.encode(), value.encode()
        parts += (length(len(name)), length(len(value)), name, value)
    return b"".join(parts)


def stream(kind, content, request_id=1, chunk=65535):
    """The records of a whole stream, the empty one that ends it included."""
    cut = [content[start:start + chunk] for start in range(0, len(content), chunk)]
    return b"".join(record(kind, part, request_id) for part in cut) + record(kind, b"", request_id)


def parameters(script, method="GET", query="", body=b"", **more):
    values = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "raw",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "REQUEST_METHOD": method,
        "SCRIPT_FILENAME": str(script),
        "SCRIPT_NAME": "/" + str(script).rsplit("/", 1)[-1],
        "REQUEST_URI": "/" + str(script).rsplit("/", 1)[-1],
        "QUERY_STRING": query,
    }
    if body:
        values["CONTENT_LENGTH"] = str(len(body))
        values["CONTENT_TYPE"] = "application/octet-stream"
    values.update(more)
    return values


def whole_request(script, body=b"", flags=0, **options):
    return begin(flags=flags) + stream(PARAMS, pairs(parameters(script, body=body, **options))) + stream(STDIN, body)


@dataclasses.dataclass
class Answer:
    """All that came back until the other side closed."""
    records: list = dataclasses.field(default_factory=list)  # (type, request id, content)
    rest: bytes = b""      # the start of a record that was cut off
    timed_out: bool = False

    def content(self, kind):
        return b"".join(content for type_, _, content in self.records if type_ == kind)

    @property
    def stdout(self):
        return self.content(STDOUT)

    @property
    def body(self):
        return self.stdout.partition(b"\r\n\r\n")[2]

    @property
    def ended(self):
        """(application status, protocol status) of END_REQUEST, or None."""
        content = self.content(END_REQUEST)
        return struct.unpack("!IB3x", content) if content else None


def parse(data):
    answer, at = Answer(), 0
    while len(data) >= at + 8:
        _, kind, request_id, size, padding = struct.unpack_from("!BBHHBx", data, at)
        if len(data) < at + 8 + size + padding:
            break
        answer.records.append((kind, request_id, data[at + 8:at + 8 + size]))
        at += 8 + size + padding
    answer.rest = data[at:]
    return answer


class Connection:
    """A connection to a tenant's socket."""

    def __init__(self, path, seconds=10):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(machine.patience(seconds))
        self.socket.connect(str(path))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends as much as the other side takes; False when it has closed meanwhile."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def shut(self):
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self):
        """Everything until the other side closes or the time is over."""
        data, timed_out = bytearray(), False
        try:
            while chunk := self.socket.recv(1 << 20):
                data += chunk
        except ConnectionResetError:
            pass
        except TimeoutError:
            timed_out = True
        answer = parse(bytes(data))
        answer.timed_out = timed_out
        return answer


def exchange(path, data, seconds=10):
    with Connection(path, seconds) as connection:
        connection.send(data)
        return connection.receive()


def fetch(path, script, seconds=10, **options):
    """One well-formed request; its answer."""
    return exchange(path, whole_request(script, **options), seconds)
