"""Ends a test VM that hangs, and says where: watch.py SHARE, beside the qemu that SHARE/qemu.pid names.

An interpreted guest may stop for good: no message of its kernel, nothing that goes on. It writes SHARE/alive every few
seconds (guest-init); where that ends, what qemu and each of its CPUs were doing goes to SHARE/hung.
"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import sys
import time

# A guest in which hundreds of processes want to run may be late by a minute.
PATIENCE = 240  # seconds
GENERAL_REGISTERS = ("RAX", "RSI", "R8 ", "R12", "RIP", "CR0")
LOOKS = 3  # a second apart: what moves between them is not stuck


class Monitor:
    """qemu's monitor, as its manual has it for people: a prompt, a line, an answer."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self._answer()

    def _answer(self):
        """The lines between the question, which comes back letter by letter, and the next prompt."""
        text = b""
        while not text.endswith(b"(qemu) "):
            piece = self.socket.recv(65536)
            if not piece:
                break
            text += piece
        return text.decode(errors="replace").splitlines()[1:-1]

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\n")
        return self._answer()


def threads(pid):
    """What each of qemu's threads does: name, state, where it waits in the kernel, CPU time in ticks."""
    for thread in sorted(pathlib.Path(f"/proc/{pid}/task").iterdir()):
        fields = (thread / "stat").read_text().rpartition(")")[2].split()
        yield (f"{(thread / 'comm').read_text().strip()}: {fields[0]} {(thread / 'wchan').read_text()} "
               f"user {fields[11]} system {fields[12]}")


def look(share, pid, out):
    print(*threads(pid), sep="\n", file=out)
    # A qemu that does not even answer here is stuck itself, which its threads tell.
    with contextlib.suppress(OSError):
        monitor = Monitor(share / "monitor")
        for cpu in range(2):
            monitor.ask(f"cpu {cpu}")
            registers = [line for line in monitor.ask("info registers") if line.startswith(GENERAL_REGISTERS)]
            top = re.search(r"RSP=([0-9a-f]+)", "\n".join(registers))
            # The stack, for who called; the APIC, for whether its timer goes.
            stack = monitor.ask(f"x /40gx 0x{top[1]}") if top else []
            print(f"CPU {cpu}:", *registers, *stack, *monitor.ask(f"info lapic {cpu}"), sep="\n", file=out)
    out.flush()


def main():
    share = pathlib.Path(sys.argv[1])
    while True:
        time.sleep(5)
        if not share.is_dir():
            return
        with contextlib.suppress(FileNotFoundError):  # it still boots
            silent = time.time() - (share / "alive").stat().st_mtime
            if silent > PATIENCE:
                break
    pid = int((share / "qemu.pid").read_text())
    with open(share / "hung", "w", encoding="utf-8") as out:
        for _ in range(LOOKS):
            look(share, pid, out)
            time.sleep(1)
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
