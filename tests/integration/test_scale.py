"""A thousand tenants of whom nobody comes cost next to nothing."""

import pathlib
import tempfile
import time

import pytest

from harness import fastcgi, machine, process

COUNT = 1000


@pytest.fixture
def in_memory():
    """A directory as /run is one: a thousand sockets on a disk say how slow that is."""
    with tempfile.TemporaryDirectory(prefix=machine.PREFIX, dir="/dev/shm") as directory:
        pathlib.Path(directory).chmod(0o755)
        yield directory


@pytest.fixture
def thousand(in_memory, make_paddock):
    paddock = make_paddock(runtime={"run_dir": f"{in_memory}/run"})
    first = paddock.add_tenant("t0000")
    for number in range(1, COUNT):
        tenant = paddock.add_tenant(f"t{number:04}", account=first.account, make=False)
        tenant.home = first.home
    paddock.write_config()
    start = time.monotonic()
    paddock.start(60)
    paddock.started_in = time.monotonic() - start
    paddock.tenants = {name: paddock.tenants[name] for name in ("t0000", "t0500", "t0999")}
    return paddock


def test_memory(thousand):
    if machine.sanitized():
        pytest.skip("AddressSanitizer's shadow memory is not what is to be measured")
    used = process.rss(thousand.supervisor.pid) + process.rss(thousand.gateway())
    print(f"{COUNT} tenants: supervisor {process.rss(thousand.supervisor.pid) >> 10} KiB, "
          f"gateway {process.rss(thousand.gateway()) >> 10} KiB")
    assert used < 64 << 20
    assert thousand.sandbox() == []


def test_start(thousand):
    print(f"{COUNT} tenants: answers after {thousand.started_in:.2f} s")
    assert thousand.started_in < machine.patience(2)


def test_each_answers(thousand):
    sockets = thousand.sockets()
    assert len(sockets) == COUNT and len(set(sockets.values())) == COUNT
    script = thousand.tenants["t0000"].docroot / "hello.php"
    for name in thousand.tenants:
        assert fastcgi.fetch(sockets[name], script, 20).body == b"hello\n"
    assert {name for name in thousand.tenants if thousand.sandbox(name)} == set(thousand.tenants)


def test_nobody_is_awake(thousand):
    pids = (thousand.supervisor.pid, thousand.gateway(), thousand.zygote())
    time.sleep(machine.patience(0.5))
    before = [process.switches(pid) for pid in pids]
    time.sleep(2)
    after = [process.switches(pid) for pid in pids]
    assert sum(after) - sum(before) <= 10, "somebody polls"
