"""Homes that the host mounts: what it mounts below one later, and homes that an automounter brings."""

import contextlib
import os
import subprocess

import pytest

from harness import machine, paddock as paddock_


@contextlib.contextmanager
def shared_mount(path):
    """A mount point of its own that hands on what is mounted below it, as systemd makes the host's root."""
    subprocess.run(["mount", "--bind", str(path), str(path)], check=True)
    try:
        subprocess.run(["mount", "--make-private", str(path)], check=True)
        subprocess.run(["mount", "--make-shared", str(path)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", str(path)], check=True)


def give_to(account, path):
    os.chown(path, account.pw_uid, account.pw_gid)


def test_what_the_host_mounts_later_is_seen_and_what_it_unmounts_gone(make_paddock, make_apache):
    with contextlib.ExitStack() as stack:
        paddock = make_paddock(plan={"workers": 1, "idle": "0s"})
        stack.callback(lambda: paddock.close() if paddock in paddock_.Paddock.live else None)
        tenant = paddock.add_tenant("alice")
        paddock.write_config()
        late = tenant.home / "late"
        late.mkdir()
        give_to(tenant.account, late)
        stack.enter_context(shared_mount(tenant.home))
        site = make_apache(paddock.start()).sites["alice"]
        look = f"return [file_exists('{late}/here'), @file_put_contents('{late}/written', 'x')];"
        assert site.run(look) == [False, 1]
        keeper = paddock.keeper("alice")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M,mode=755", "late", str(late)], check=True)
        give_to(tenant.account, late)
        (late / "here").touch()
        assert site.run(look) == [True, 1]
        assert (late / "written").exists()
        subprocess.run(["umount", str(late)], check=True)
        assert site.run(look) == [False, 1]
        assert paddock.keeper("alice") == keeper
        # Nothing goes the other way, and a tenant can mount nothing.
        assert site.run(f"exec('mount -t tmpfs x {late} 2>&1', $said, $status); return $status;") != 0
        paddock.cli("stop", "alice")
        machine.wait_for(lambda: not paddock.sandbox("alice"), 20, "the sandbox has ended")


@pytest.mark.vm_only
def test_a_home_of_an_automounter(make_paddock, make_apache):
    """The real automount(8) with a program map: each home is mounted when somebody goes there, and expires."""
    with contextlib.ExitStack() as stack:
        paddock = make_paddock(plan={"workers": 1, "idle": "0s"})
        stack.callback(lambda: paddock.close() if paddock in paddock_.Paddock.live else None)
        real, homes = paddock.directory / "real", paddock.directory / "homes"
        for directory in (real, homes):
            directory.mkdir(mode=0o711)
            directory.chmod(0o711)
        tenant = paddock.add_tenant("alice", make=False)
        tenant.home = real / "alice"
        paddock_.make_home(tenant.home, tenant.account)
        tenant.home = homes / "alice"
        paddock.write_config()
        subprocess.run(["modprobe", "autofs4"], check=True)
        (paddock.directory / "auto.homes").write_text(f"* -fstype=bind :{real}/&\n")
        (paddock.directory / "auto.master").write_text(f"{homes} {paddock.directory}/auto.homes --timeout=2\n")
        daemon = subprocess.Popen(["automount", "--foreground", "--dont-check-daemon", "--pid-file",
                                   paddock.directory / "automount.pid", paddock.directory / "auto.master"],
                                  stdin=subprocess.DEVNULL)
        stack.callback(daemon.wait)
        stack.callback(daemon.terminate)
        machine.wait_for(lambda: f" {homes} autofs " in open("/proc/mounts").read(), 20, "the automounter has begun")
        paddock.start()
        assert paddock.tenant_status("alice")["state"] != "broken"
        site = make_apache(paddock).sites["alice"]
        for _ in range(2):
            assert site.get("/hello.php", seconds=60).ok().text == "hello\n"
            assert site.run("return file_put_contents(getenv('HOME') . '/mine', 'x');") == 1
            paddock.cli("stop", "alice")
            machine.wait_for(lambda: not paddock.sandbox("alice"), 20, "the sandbox has ended")
        assert (real / "alice/mine").read_text() == "x"
        paddock.close()
