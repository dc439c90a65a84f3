"""`paddock top` on a terminal of 80 by 24, and without one."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import threading
import time

import pytest

from harness import machine, process

COLUMNS, LINES = 80, 24


class Screen:
    """What a terminal shows, of the few sequences that `paddock top` uses; any other is an error."""

    def __init__(self, columns, lines):
        self.columns, self.lines = columns, lines
        self.rows = [[" "] * columns for _ in range(lines)]
        self.row = self.column = 0
        self.left = False  # the alternate screen

    def feed(self, text):
        """Returns what is half a sequence yet."""
        while text:
            if text[0] == "\x1b":
                match = re.match(r"\x1b\[(\??[0-9;]*)([A-Za-z])", text)
                if not match:
                    assert len(text) < 16, repr(text)
                    return text
                self._sequence(match[1], match[2])
                text = text[match.end():]
                continue
            if text[0] == "\r":
                self.column = 0
            elif text[0] == "\n":
                self.row += 1
                assert self.row < self.lines, "it scrolled"
            else:
                assert self.column < self.columns, f"line {self.row} is too long"
                self.rows[self.row][self.column] = text[0]
                self.column += 1
            text = text[1:]
        return ""

    def _sequence(self, parameters, final):
        if final == "H":
            self.row = self.column = 0
        elif final == "K":
            self.rows[self.row][self.column:] = [" "] * (self.columns - self.column)
        elif final == "J":
            for row in self.rows[self.row + 1:]:
                row[:] = [" "] * self.columns
        elif final == "l" and parameters == "?1049":
            self.left = True
        else:
            assert final in "mhl", (parameters, final)

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.rows)


class Top:
    """`paddock top` on a pseudo-terminal."""

    def __init__(self, paddock, *arguments):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [machine.BIN / "paddock", "--config", paddock.config, "top", "--interval", "0.5", *arguments],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=self._own_terminal)
        self.slave = slave
        self.screen = Screen(COLUMNS, LINES)
        self.rest = ""

    @staticmethod
    def _own_terminal():
        """So that Ctrl-C there is a signal."""
        process.end_with_parent()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def read(self, seconds=0.1):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            self.rest = self.screen.feed(self.rest + os.read(self.master, 65536).decode())

    def until(self, pattern, seconds=15):
        """The screen, once it shows the pattern."""
        end = time.monotonic() + machine.patience(seconds)
        while not re.search(pattern, self.screen.text(), re.MULTILINE):
            assert time.monotonic() < end, f"{pattern!r} is not shown:\n{self.screen.text()}"
            self.read()
        return self.screen.text()

    def press(self, keys):
        os.write(self.master, keys.encode())

    def end(self, keys="q"):
        self.press(keys)
        end = time.monotonic() + machine.patience(15)
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end:\n{self.screen.text()}"
            self.read()
        while select.select([self.master], [], [], 0)[0]:
            self.read()
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def top(host):
    with contextlib.ExitStack() as stack:
        def start(*arguments):
            made = Top(host.paddock, *arguments)
            stack.callback(made.close)
            return made
        yield start


@contextlib.contextmanager
def load(site, query="return 1;", count=1):
    """Requests without a pause, for as long as it is open."""
    done = threading.Event()

    def run():
        while not done.is_set():
            with contextlib.suppress(OSError):
                site.run(query)
    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_it_shows_live_figures_and_leaves_the_terminal_as_it_was(host, top):
    view = top()
    text = view.until(r"^TENANT\s+STATE\s+CPU%v\s+MEM\s+REQ/S\s+REF/S\s+IO/S\s+BUSY\s+PIDS$")
    assert re.search(r"^alice ", text, re.MULTILINE) and re.search(r"^bob ", text, re.MULTILINE)
    assert "q quit" in text.splitlines()[-1]
    with load(host.alice):
        view.until(r"^alice\s+running\s+\d[\d.]*\s+\S+\s+[1-9]")
        view.press("R")
        assert view.until(r"REQ/Sv").splitlines()[4].startswith("alice")
        view.press("r")
        view.until(r"REQ/S\^")
    assert view.end() == 0
    assert view.screen.left
    assert termios.tcgetattr(view.slave) == view.before


def test_sorting_filtering_and_help(top):
    view = top()
    view.press("N")
    view.until(r"^TENANTv")
    view.press("/bo")
    view.until(r"^filter: bo")
    view.press("\r")
    view.until(r"(?s)\A(?!.*^alice ).*^bob ")  # what is read may be half of a picture
    view.press("\x1b")
    view.until(r"^alice ")
    view.press("?")
    view.until(r"^Keys")
    view.press("x")
    view.until(r"^TENANT")
    assert view.end("\x03") == 0  # Ctrl-C is no crash
    assert view.screen.left


def test_a_tenants_requests_are_shown_with_hostile_text_escaped(host, top):
    with load(host.alice, "usleep(1500000); return 1;"):
        view = top("--filter", "alice")
        view.until(r"^alice\s+running")
        view.press("\r")
        view.until(r"^\s+\d+\s+\S+\s+[\d.]+M (GET|POST)\s")
        view.press("\x1b")
        view.until(r"^TENANT")
        assert view.end() == 0


def test_actions_ask_first(host, top):
    host.paddock.cli("start", "alice")
    machine.wait_for(lambda: host.paddock.keeper("alice"), 20, "a sandbox of alice")
    view = top("--filter", "alice")
    view.until(r"^alice\s+running")
    view.press("k")
    view.until(r"^Kill alice\? y/n")
    view.press("n")
    view.until(r"^nothing was done")
    assert host.paddock.keeper("alice")
    view.press("k")
    view.until(r"^Kill alice\? y/n")
    view.press("y")
    view.until(r"^kill alice: done")
    assert not host.paddock.sandbox("alice")
    view.press("b")
    view.until(r"^Block alice, because:")
    view.press("too much\r")
    view.until(r"^Block alice\? y/n")
    view.press("y")
    view.until(r"^block alice: done")
    view.until(r"^alice\s+blocked")
    assert host.paddock.tenant_status("alice")["block_reason"] == "too much"
    view.press("u")
    view.until(r"^Unblock alice\? y/n")
    view.press("y")
    view.until(r"^unblock alice: done")
    view.press("t")
    view.until(r"^Thaw alice\? y/n")
    view.press("y")
    view.until(r"^thaw alice: alice is not frozen")
    assert view.end() == 0


def test_batch_and_json(host):
    done = host.paddock.cli("top", "--batch", "--count", "2", "--interval", "0.2")
    tables = done.stdout.split("\n\n")
    assert len(tables) == 2
    for table in tables:
        lines = table.strip().splitlines()
        assert lines[0].split() == ["TENANT", "STATE", "CPU%", "MEM", "REQ/S", "REF/S", "IO/S", "BUSY", "PIDS"]
        assert all(len(line.split()) == 9 for line in lines[1:])
    with load(host.bob):
        done = host.paddock.cli("top", "--json", "--count", "2", "--interval", "1", "--sort", "requests")
    (first, last) = map(json.loads, done.stdout.splitlines())
    assert last["time_ms"] > first["time_ms"]
    assert last["tenants"][0]["tenant"] == "bob" and last["tenants"][0]["requests_per_s"] > 0


def test_bad_usage_is_said(host):
    for arguments, status in ((["--sort", "beauty"], 2), (["--interval", "0"], 2), ([], 2)):
        done = host.paddock.cli("top", *arguments, check=False)
        assert done.returncode == status, arguments
        assert done.stderr
    done = subprocess.run([machine.BIN / "paddock", "--socket", "/nonexistent/socket", "top", "--batch"],
                          capture_output=True, text=True, timeout=machine.patience(20))
    assert done.returncode == 3


def test_a_tenant_sees_its_own_line_only(host):
    account = host.paddock.tenants["alice"].account
    program = host.paddock.directory / "paddock"  # the build's directory may be closed to others
    shutil.copy(machine.BIN / "paddock", program)
    try:
        done = subprocess.run([program, "--socket", host.paddock.directory / "run/control.sock", "top", "--json",
                               "--count", "1", "--interval", "0.2"], capture_output=True, text=True, cwd="/",
                              timeout=machine.patience(20), user=account.pw_uid, group=account.pw_gid, extra_groups=[])
    finally:
        program.unlink()
    assert done.returncode == 0, done.stderr
    assert [row["tenant"] for row in json.loads(done.stdout)["tenants"]] == ["alice"]
