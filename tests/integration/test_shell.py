"""`paddock shell`: the tenant's sandbox, as the tenant's PHP has it."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest

from harness import machine, process

NAMESPACES = "for n in user mnt pid ipc uts cgroup net; do readlink /proc/self/ns/$n; done"


def test_it_is_the_sandbox_that_php_runs_in(host):
    done = host.paddock.cli("shell", "alice", "--", "/bin/sh", "-c", NAMESPACES)
    php = host.alice.run(f"return shell_exec('{NAMESPACES}');")
    assert done.stdout == php
    tenant = host.paddock.tenants["alice"]
    done = host.paddock.cli("shell", "alice", "--", "sh", "-c",
                            "id -u; pwd; grep -E '^(Seccomp|NoNewPrivs|CapEff|CapBnd):' /proc/self/status; ls /proc/1/fd || true")
    lines = done.stdout.split()
    assert lines[:2] == [str(tenant.account.pw_uid), str(tenant.home)]
    assert lines[2:10] == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]


@pytest.mark.any_kernel
def test_its_status_is_the_commands(host):
    assert host.paddock.cli("shell", "alice", "--", "sh", "-c", "exit 7", check=False).returncode == 7
    assert host.paddock.cli("shell", "alice", "--", "sh", "-c", "kill -9 $$", check=False).returncode == 137
    assert host.paddock.cli("shell", "nobody-here", check=False).returncode == 5


@pytest.mark.any_kernel
def test_it_is_for_root_alone(host):
    account = host.paddock.tenants["alice"].account
    program = shutil.copy(machine.BIN / "paddock", host.paddock.tenants["alice"].home)  # where the tenant can run it
    done = subprocess.run([program, "--config", host.paddock.config, "shell", "alice"],
                          capture_output=True, user=account.pw_uid, group=account.pw_gid, extra_groups=[])
    os.unlink(program)
    assert done.returncode == 4


def test_a_terminal_of_its_own_and_no_idleness(make_paddock):
    paddock = make_paddock(plan={"idle": "200ms"})
    paddock.add_tenant("alice")
    paddock.start()
    outer, inner = pty.openpty()
    name = os.ttyname(inner)
    shell = subprocess.Popen([machine.BIN / "paddock", "--config", paddock.config, "shell", "alice"], stdin=inner,
                             stdout=inner, stderr=inner, preexec_fn=process.end_with_parent)
    os.close(inner)
    try:
        os.write(outer, b"echo begin-$((40 + 2)); test -t 0 && echo is-tty-$((1 + 1)); ls -l /proc/self/fd/0\n")
        text = b""

        def seen(what):
            nonlocal text
            while select.select([outer], [], [], 0)[0]:
                text += os.read(outer, 65536)
            return what in text

        machine.wait_for(lambda: seen(b"begin-42"), 20)
        machine.wait_for(lambda: seen(b"is-tty-2"), 20)
        assert name.encode() not in text
        keeper = paddock.keeper("alice")
        time.sleep(1)  # five times the idle time
        assert paddock.keeper("alice") == keeper
        os.write(outer, b"exit 3\n")
        assert shell.wait(machine.patience(20)) == 3
        machine.wait_for(lambda: paddock.keeper("alice") is None, 20, "it is idle now")
    finally:
        shell.kill()
        shell.wait()
        os.close(outer)
