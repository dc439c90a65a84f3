"""Clients that do not send their requests, or do not end them: no worker waits for them, the gateway does."""

import contextlib
import hashlib
import os
import pathlib
import random
import socket
import time

import pytest

from harness import fastcgi, machine

WORKERS = 4


@pytest.fixture
def slow(make_paddock):
    """A function that starts alice and bob with a plan of its own, warm."""
    def start(runtime=None, **plan):
        paddock = make_paddock(plan={"workers": WORKERS, "slow_clients": 100, **plan}, runtime=runtime)
        for name in ("alice", "bob"):
            paddock.add_tenant(name)
        paddock.start()
        target = Target(paddock)
        target.hello("alice")
        target.hello("bob")
        # Now all that opens descriptors for good has been started, the zygote too.
        assert not paddock.settle()
        target.hello("alice")
        target.hello("bob")
        return target
    return start


class Target:
    def __init__(self, paddock):
        self.paddock = paddock
        self.paths = paddock.sockets()
        self.path = self.paths["alice"]
        self.docroot = paddock.tenants["alice"].docroot

    def connect(self):
        return fastcgi.Connection(self.path, 30)

    def hello(self, tenant, seconds=10):
        script = self.paddock.tenants[tenant].docroot / "hello.php"
        answer = fastcgi.fetch(self.paths[tenant], script, seconds)
        assert answer.body == b"hello\n"
        return answer

    def run(self, code, **options):
        """The bytes of a request that has run.php execute code."""
        return fastcgi.whole_request(self.docroot / "run.php", code.encode(), method="POST", **options)

    def upload(self, body):
        """The bytes of a request whose answer is the body's digest."""
        script = self.docroot / "digest.php"
        script.write_text("<?php echo md5(file_get_contents('php://input'));")
        return fastcgi.whole_request(script, body, method="POST")

    def refused(self):
        return self.paddock.tenant_status("alice")["refused"]

    def refused_for(self):
        return {entry["reason"]: entry["requests"] for entry in self.paddock.tenant_status("alice")["refused_for"]}


def nothing(_target):
    return b""


def half_a_header(_target):
    return fastcgi.begin()[:5]


def half_the_params(target):
    return fastcgi.whole_request(target.docroot / "hello.php")[:200]


def stalled_upload(target):
    return target.upload(random.randbytes(20_000))[:9_000]


def stalled_long_upload(target):
    return target.upload(random.randbytes(300_000))[:200_000]


def unfinished_stdin(target):
    """Answered, since no body is announced, but the request is never ended."""
    whole = fastcgi.whole_request(target.docroot / "hello.php")
    return whole[:-8]


@pytest.mark.parametrize(["start", "number"], [
    (nothing, 2000), (half_a_header, 50), (half_the_params, 50), (stalled_upload, 50), (stalled_long_upload, 50),
    (unfinished_stdin, 100)])
def test_slow_clients_hold_nobody_up(slow, start, number):
    target = slow()
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(target.connect())
            assert connection.send(start(target))
        if start == half_the_params:
            machine.wait_for(lambda: target.paddock.tenant_status("alice")["slow_clients"] == number, 20,
                             "they are seen")
        begun = time.monotonic()
        for _ in range(20):
            target.hello("alice")
            target.hello("bob")
        # Left to the workers they would take 25 seconds and more of them.
        assert time.monotonic() - begun < machine.patience(10)
    target.hello("alice")
    machine.wait_for(lambda: target.paddock.tenant_status("alice")["slow_clients"] == 0, 20, "they are gone")


def test_what_comes_slowly_is_served(slow):
    target = slow()
    body = random.randbytes(300_000)
    requests = {
        "byte by byte": (target.upload(b"abc"), 1),
        "small pieces": (target.upload(body[:40_000]), 3_000),
        "larger than a message": (target.upload(body), 70_000),
        "all but the end": (target.upload(body), len(target.upload(body)) - 20),
    }
    with contextlib.ExitStack() as stack:
        connections = {name: stack.enter_context(target.connect()) for name in requests}
        sent = dict.fromkeys(requests, 0)
        while any(sent[name] < len(data) for name, (data, _) in requests.items()):
            for name, (data, piece) in requests.items():
                if sent[name] >= len(data):
                    continue
                assert connections[name].send(data[sent[name]:sent[name] + piece])
                sent[name] += piece
            time.sleep(0.025)
        answers = {name: connection.receive().body.decode() for name, connection in connections.items()}
    assert answers == {"byte by byte": hashlib.md5(b"abc").hexdigest(),
                       "small pieces": hashlib.md5(body[:40_000]).hexdigest(),
                       "larger than a message": hashlib.md5(body).hexdigest(),
                       "all but the end": hashlib.md5(body).hexdigest()}


def test_slow_requests_wait_for_busy_workers(slow):
    """They take their places in the queue when they are whole."""
    target = slow()
    data = target.run("return 'late';")
    with contextlib.ExitStack() as stack:
        late = [stack.enter_context(target.connect()) for _ in range(3)]
        for connection in late:
            connection.send(data[:100])
        time.sleep(machine.patience(0.1))
        busy = [stack.enter_context(target.connect()) for _ in range(WORKERS)]
        for connection in busy:
            connection.send(target.run("usleep(700000); return 'busy';"))
        time.sleep(machine.patience(0.2))
        for connection in late:
            connection.send(data[100:])
        assert [b'"busy"' in connection.receive().body for connection in busy] == [True] * WORKERS
        assert [b'"late"' in connection.receive().body for connection in late] == [True] * 3


def test_a_slow_request_outlives_the_sandbox(slow):
    target = slow()
    data = target.run("return 'still here';")
    with target.connect() as connection:
        connection.send(data[:100])
        time.sleep(machine.patience(0.1))
        target.paddock.cli("stop", "alice")
        machine.wait_for(lambda: not target.paddock.sandbox("alice"), 10)
        connection.send(data[100:])
        assert b'"still here"' in connection.receive().body


@pytest.mark.parametrize("told", [True, False])
def test_too_many_slow_clients(slow, told):
    target = slow(slow_clients=3, runtime={"reason_header": told})
    before = target.refused()
    start = fastcgi.whole_request(target.docroot / "run.php", b"x" * 5000, method="POST")[:1000]
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(target.connect()).send(start)
            time.sleep(machine.patience(0.05))
        with target.connect() as connection:
            connection.send(start)
            time.sleep(machine.patience(0.1))
            connection.send(fastcgi.record(fastcgi.STDIN, b""))
            answer = connection.receive()
        assert b"Status: 503" in answer.stdout
        assert (b"X-Paddock-Reason: slow-clients" in answer.stdout) == told and (b"slow-clients" in answer.stdout) == told
        machine.wait_for(lambda: target.refused() == before + 1, 5)


def test_a_request_that_takes_too_long(slow):
    target = slow(receive_time="300ms")
    with target.connect() as connection:
        connection.send(fastcgi.whole_request(target.docroot / "run.php", b"x" * 5000, method="POST")[:300])
        answer = connection.receive()
    assert b"Status: 408" in answer.stdout and b"X-Paddock-Reason: receive-time" in answer.stdout
    with target.connect() as connection:
        assert connection.receive() == fastcgi.Answer()


@pytest.mark.parametrize("slowly", [False, True])
def test_a_body_that_is_too_large(slow, slowly):
    target = slow(body="64KiB")
    body = b"x" * 65_537
    data = target.upload(body)
    with target.connect() as connection:
        connection.send(data[:20 if slowly else 1000])
        time.sleep(machine.patience(0.1 if slowly else 0))
        connection.send(data[20 if slowly else 1000:])
        assert b"Status: 413" in connection.receive().stdout
    machine.wait_for(lambda: target.refused_for() == {"body-size": 1}, 10, "it is counted, whoever refused it")
    with target.connect() as connection:
        connection.send(target.upload(body[1:]))
        assert connection.receive().body.decode() == hashlib.md5(body[1:]).hexdigest()


@pytest.mark.parametrize("slowly", [False, True])
def test_a_header_that_is_too_long(slow, slowly):
    target = slow(header="16KiB")
    script = target.docroot / "hello.php"

    def ask(size):
        data = fastcgi.whole_request(script, HTTP_COOKIE="c" * size)
        with target.connect() as connection:
            connection.send(data[:20 if slowly else 1000])
            time.sleep(machine.patience(0.1 if slowly else 0))
            connection.send(data[20 if slowly else 1000:])
            return connection.receive()

    assert b"Status: 431" in ask(16 << 10).stdout
    machine.wait_for(lambda: target.refused_for() == {"header-size": 1}, 10, "it is counted, whoever refused it")
    assert ask(15 << 10).body == b"hello\n"


def test_reasons_can_be_kept_back(slow):
    """A reload reaches a sandbox that runs already."""
    target = slow(slow_clients=1)
    start = fastcgi.whole_request(target.docroot / "hello.php")[:100]

    def refusal():
        with target.connect() as connection:
            connection.send(start)
            return connection.receive().stdout

    with target.connect() as first:
        first.send(start)
        machine.wait_for(lambda: target.paddock.tenant_status("alice")["slow_clients"] == 1, 10, "the first waits")
        assert b"X-Paddock-Reason: slow-clients" in refusal()
        target.paddock.runtime["reason_header"] = False
        target.paddock.write_config()
        target.paddock.cli("reload")
        kept_back = refusal()
    assert b"Status: 503" in kept_back and b"slow-clients" not in kept_back


def half_taken(connection):
    """Waits until the answer has begun, and takes nothing of it."""
    assert connection.socket.recv(1, socket.MSG_PEEK)


def test_clients_that_do_not_read_hold_nobody_up(slow):
    target = slow()
    size = 900_000
    data = target.run(f"header('X-Large: 1'); echo str_repeat('0123456789', {size // 10});")
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(target.connect()) for _ in range(50)]
        for connection in stalled:
            connection.send(data)
        begun = time.monotonic()
        for _ in range(20):
            target.hello("alice", 30)
            target.hello("bob")
        assert time.monotonic() - begun < machine.patience(10)
        for connection in stalled:
            half_taken(connection)
        machine.wait_for(lambda: target.paddock.tenant_status("alice")["unread"] == 50, 20, "they are seen")
        # Whoever reads on gets everything.
        for connection in stalled[:10]:
            answer = connection.receive()
            assert answer.ended == (0, fastcgi.REQUEST_COMPLETE)
            assert answer.body.startswith(b"0123456789" * (size // 10))
    machine.wait_for(lambda: target.paddock.tenant_status("alice")["unread"] == 0, 20, "they are gone")
    assert target.refused_for() == {}


@pytest.mark.parametrize("pauses", [(0, 0.2), (0.2, 0), (0.2, 0.2)], ids=["at-once", "late", "both-late"])
def test_questions_about_the_server_are_answered_once(slow, pauses):
    """By the worker or, for who took a moment to ask, by the gateway; the request that follows is whole."""
    target = slow()
    question = fastcgi.record(fastcgi.GET_VALUES, fastcgi.pairs({"FCGI_MPXS_CONNS": ""}), request_id=0)
    for _ in range(5):
        with target.connect() as connection:
            time.sleep(pauses[0])
            connection.send(question)
            values = connection.socket.recv(65536)
            assert values[1] == fastcgi.GET_VALUES_RESULT and b"FCGI_MPXS_CONNS0" in values
            time.sleep(pauses[1])
            connection.send(target.run("return 1;"))
            answer = connection.receive()
            assert answer.body == b"1" and answer.ended == (0, fastcgi.REQUEST_COMPLETE)
            assert not answer.content(fastcgi.GET_VALUES_RESULT)


def test_an_answer_that_nobody_takes_is_cut_off(slow):
    target = slow(send_time="500ms")
    with target.connect() as connection:
        connection.send(target.run("echo str_repeat('x', 900000);"))
        half_taken(connection)
        machine.wait_for(lambda: target.refused_for() == {"unread": 1}, 20, "it is cut off and counted")
        answer = connection.receive()
        assert not answer.timed_out and answer.ended is None and len(answer.stdout) < 900_000


def test_an_answer_without_end_costs_no_memory(slow):
    """Clients that stop in the middle of a gigabyte: no more than the plan says is put by for them, then they are cut."""
    target = slow(send_time="2s", unread="8MiB")
    data = target.run("for ($i = 0; $i < 1024; $i++) { echo str_repeat('x', 1 << 20); flush(); }")

    def put_by():
        """The bytes that wait in memory, in the largest of the workers."""
        sizes = [0]
        for pid in target.paddock.workers("alice"):
            for file in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if "paddock-answer" in os.readlink(file):
                        sizes.append(file.stat().st_blocks * 512)
        return max(sizes)

    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(target.connect()) for _ in range(2 * WORKERS)]
        for connection in stalled:
            connection.send(data)
        most = 0

        def all_cut():
            nonlocal most
            most = max(most, put_by())
            return target.refused_for().get("unread") == len(stalled)
        machine.wait_for(all_cut, 60, "all of them are cut off")
        target.hello("alice")
        # A quarter of the plan's, and the piece that had been begun.
        assert 0 < most < (4 << 20)
    # Somebody who takes it gets it all.
    with target.connect() as connection:
        connection.send(target.run("for ($i = 0; $i < 64; $i++) echo str_repeat('x', 1 << 20);"))
        time.sleep(machine.patience(0.3))
        answer = connection.receive()
        assert answer.ended == (0, fastcgi.REQUEST_COMPLETE) and answer.body.startswith(b"x" * (64 << 20))
