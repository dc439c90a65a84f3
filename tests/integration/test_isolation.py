"""Each tenant's PHP runs as its own user, in namespaces of its own, and reaches nothing of its neighbour's."""

import os
import pathlib
import pwd
import re
import socket

import pytest

from harness import machine, process

pytestmark = pytest.mark.sanitizer

NAMESPACES = """
    $found = [];
    foreach (['user', 'mnt', 'pid', 'ipc', 'uts', 'cgroup'] as $kind) $found[$kind] = readlink("/proc/self/ns/$kind");
    return $found;"""


def test_php_runs_as_the_tenants_user(host):
    for name, site in (("alice", host.alice), ("bob", host.bob)):
        account = host.paddock.tenants[name].account
        assert site.run("return [posix_getuid(), posix_geteuid(), posix_getgid(), posix_getegid()];") == [
            account.pw_uid, account.pw_uid, account.pw_gid, account.pw_gid]
        assert set(site.run("return posix_getgroups();")) <= {account.pw_gid}


def test_the_host_sees_the_same_uid(host):
    inner = host.alice.run("return getmypid();")
    pid = host.paddock.host_pid("alice", inner)
    account = host.paddock.tenants["alice"].account
    assert process.status(pid)["Uid"].split() == [str(account.pw_uid)] * 4
    assert process.status(pid)["Gid"].split() == [str(account.pw_gid)] * 4


def test_a_file_that_php_makes_belongs_to_the_tenant(host):
    for name, site in (("alice", host.alice), ("bob", host.bob)):
        tenant = host.paddock.tenants[name]
        target = tenant.home / "made-by-php"
        assert site.run(f"return file_put_contents('{target}', 'mine');") == 4
        status = target.stat()
        assert (status.st_uid, status.st_gid) == (tenant.account.pw_uid, tenant.account.pw_gid)
        assert site.run(f"return [fileowner('{target}'), posix_getpwuid(fileowner('{target}'))['name']];") == [
            tenant.account.pw_uid, tenant.account.pw_name]
        target.unlink()


def test_namespaces_are_its_own(host):
    alice, bob, here = host.alice.run(NAMESPACES), host.bob.run(NAMESPACES), process.namespaces()
    assert set(alice) == set(process.NAMESPACES)
    for kind in process.NAMESPACES:
        assert len({alice[kind], bob[kind], here[kind]}) == 3, kind


def test_the_workers_of_a_tenant_share_their_namespaces(host):
    assert host.alice.run(NAMESPACES) == host.alice.run(NAMESPACES)


def test_own_0600_file_under_a_0701_home(host):
    tenant = host.paddock.tenants["alice"]
    secret = tenant.home / "db-password"
    secret.write_text("geheim")
    os.chown(secret, tenant.account.pw_uid, tenant.account.pw_gid)
    secret.chmod(0o600)
    assert tenant.home.stat().st_mode & 0o777 == 0o701
    assert host.alice.run(f"return file_get_contents('{secret}');") == "geheim"
    secret.unlink()


def test_another_home_does_not_exist(host):
    other = host.paddock.tenants["bob"]
    readable = other.docroot / "world-readable"
    readable.write_text("even this")
    readable.chmod(0o666)
    script = f"""
        error_reporting(0);
        return [
            'exists' => file_exists('{other.home}'), 'list' => scandir('{other.home}'),
            'parent' => scandir('{other.home.parent}'), 'read' => file_get_contents('{readable}'),
            'write' => file_put_contents('{readable}', 'x'), 'stat' => stat('{readable}'),
            'include' => (include '{other.docroot}/hello.php'), 'link' => symlink('{other.home}', '/tmp/l'),
            'through link' => scandir('/tmp/l')];"""
    found = host.alice.run(script)
    own = host.paddock.tenants["alice"].home
    assert found.pop("parent") in (False, [".", "..", own.name])
    assert found.pop("link") is True
    assert set(found.values()) == {False}, found
    assert readable.read_text() == "even this"
    readable.unlink()


def test_it_sees_only_its_own_processes(host):
    host.bob.get("/hello.php").ok()
    host.alice.get("/hello.php").ok()
    keeper = host.paddock.keeper("alice")
    machine.wait_for(lambda: all(process.state(pid) != "Z" for pid in process.children_of(keeper)), 10,
                     "who has built its view is reaped")
    seen = host.alice.run("""
        $found = [];
        foreach (scandir('/proc') as $entry) {
            if (ctype_digit($entry)) $found[$entry] = file_get_contents("/proc/$entry/cmdline");
        }
        return $found;""")
    assert len(seen) == len(host.paddock.sandbox("alice"))
    assert "1" in seen
    for title in seen.values():
        assert "alice" in title and "bob" not in title


@pytest.mark.parametrize("target", ["supervisor", "neighbour"])
def test_it_cannot_signal_others(host, target):
    host.bob.get("/hello.php").ok()
    pid = host.paddock.supervisor.pid if target == "supervisor" else host.paddock.keeper("bob")
    assert host.alice.run(f"return [posix_kill({pid}, 0), posix_get_last_error()];") == [False, 3]  # ESRCH
    assert process.alive(pid)


def test_no_capabilities_and_no_new_privileges(host):
    status = host.alice.run("""
        preg_match_all('/^(Cap\\w+|NoNewPrivs):\\s*(\\S+)/m', file_get_contents('/proc/self/status'), $m);
        return array_combine($m[1], $m[2]);""")
    assert status.pop("NoNewPrivs") == "1"
    assert set(status) == {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    assert {int(value, 16) for value in status.values()} == {0}


def test_a_setuid_program_gains_nothing(host):
    assert os.stat("/usr/bin/passwd").st_mode & 0o4000
    uid = host.paddock.tenants["alice"].account.pw_uid
    # /usr is nosuid or no_new_privs holds: either way the program runs as the caller, which su(1) then says.
    assert host.alice.run("return trim(shell_exec('su root -c id 2>&1; id -u'));").splitlines()[-1] == str(uid)


@pytest.mark.parametrize("command", [
    "mount -t tmpfs none /tmp", "umount /proc", "mount -o remount,rw /", "hostname other", "chroot / true",
    "nsenter -t 1 -m true"])
def test_it_cannot_change_its_sandbox(host, command):
    assert host.alice.run(f"exec('{command} 2>&1', $out, $status); return $status;") != 0


@pytest.mark.parametrize("place", ["/", "/usr", "/usr/bin", "/etc", "/home", "/run", "/dev"])
def test_the_system_is_read_only(host, place):
    assert host.alice.run(f"error_reporting(0); return file_put_contents('{place}/made', 'x');") is False


@pytest.mark.parametrize("secret", [
    "/etc/shadow", "/etc/gshadow", "/root", "/etc/ssl/private", "/var/log", "/boot", "/sys/fs/cgroup",
    "/etc/ssh", "/var/lib/dpkg"])
def test_secrets_of_the_host_do_not_show(host, secret):
    assert host.alice.run(f"error_reporting(0); return [scandir('{secret}'), file_get_contents('{secret}')];") in (
        [False, False], [[".", ".."], False], [[".", ".."], ""])


def test_paddocks_own_files_do_not_show(host):
    for place in (host.paddock.config, *(host.paddock.directory / part for part in ("run", "state", "log"))):
        assert place.exists()
        assert host.alice.run(f"clearstatcache(); return file_exists('{place}');") is False, place


def test_passwd_names_the_tenant_only(host):
    users = host.alice.run("return array_map(fn($l) => strtok($l, ':'), file('/etc/passwd'));")
    assert host.paddock.tenants["alice"].account.pw_name in users
    assert host.paddock.tenants["bob"].account.pw_name not in users
    assert "root" in users


def test_tmp_is_its_own(host):
    host.alice.run("return file_put_contents('/tmp/alice-was-here', 'x');")
    assert host.alice.run("return file_exists('/tmp/alice-was-here');") is True
    assert host.bob.run("return file_exists('/tmp/alice-was-here');") is False
    assert not pathlib.Path("/tmp/alice-was-here").exists()
    # The way to a home that lies below /tmp is there, as for any home, and nothing else.
    assert set(host.bob.run("return scandir('/tmp');")) == {".", "..", host.paddock.directory.name}


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "/var/tmp"])
def test_scratch_places_are_writable(host, place):
    assert host.alice.run(f"return file_put_contents('{place}/made', 'x');") == 1


def test_tmp_is_bounded(make_paddock, make_apache):
    paddock = make_paddock(plan={"tmp_size": "8M"})
    paddock.add_tenant("alice")
    site = make_apache(paddock.start()).sites["alice"]
    written = site.run("error_reporting(0); return file_put_contents('/tmp/big', str_repeat('x', 16 << 20));")
    assert written is False or written < 9 << 20


def test_devices(host):
    devices = set(host.alice.run("return scandir('/dev');")) - {".", ".."}
    assert devices <= {"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "shm",
                       "pts", "ptmx"}
    assert host.alice.run("return strlen(random_bytes(8)) + strlen(file_get_contents('/dev/urandom', false, null, 0, 8));"
                          ) == 16


def test_only_expected_descriptors(host):
    """A worker holds its listening socket, its connection and what its sandbox needs, and nothing of the host's."""
    links = host.alice.run("""
        $found = [];
        foreach (scandir('/proc/self/fd') as $fd) if (ctype_digit($fd)) $found[$fd] = @readlink("/proc/self/fd/$fd");
        return array_filter($found);""")
    for link in links.values():
        assert re.match(r"socket:|pipe:|anon_inode:|/memfd:|/dev/null|/dev/urandom|/proc/\d+/fd|/$|"
                        + re.escape(str(host.paddock.tenants["alice"].home)), link), links
    pid = host.paddock.host_pid("alice", host.alice.run("return getmypid();"))
    host_links = process.open_files(pid).values()
    assert not [link for link in host_links if str(host.paddock.directory / "log") in link], host_links


def test_hostname_is_not_the_hosts(host):
    alice, bob = (site.run("return php_uname('n');") for site in (host.alice, host.bob))
    assert alice != socket.gethostname() and alice != bob


def test_titles_name_the_tenant(host):
    host.alice.get("/hello.php").ok()
    assert "alice" in process.title(host.paddock.keeper("alice"))
    for pid in host.paddock.workers("alice"):
        assert process.title(pid).startswith("paddock: ") and "alice" in process.title(pid)


def test_the_title_shows_the_request(host):
    inner = host.alice.run("return getmypid();")
    title = host.alice.run("return file_get_contents('/proc/self/cmdline');", query="?page=%1b[31m")
    assert inner and "POST" in title and "/run.php" in title
    assert "\x1b" not in title


def test_neighbours_do_not_reach_the_socket(host):
    path = host.paddock.sockets()["alice"]
    assert re.search(r"alice-[0-9a-f]{32}\.sock$", str(path))
    other = host.paddock.tenants["bob"].account

    def attempt():
        try:
            os.listdir(path.parent)
            return "the directory can be listed"
        except PermissionError:
            pass
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(path))
            except PermissionError:
                return "refused"
        return "connected"

    assert process.as_user(other, attempt) == "refused"
    assert process.as_user(pwd.getpwnam("www-data"), attempt) == "connected"
    # That connection has woken the sandbox; a stop that overtook its start would leave it in the backlog, to wake another.
    host.alice.get("/hello.php").ok()


def test_cgroup_is_its_own(host):
    assert host.alice.run("return file_get_contents('/proc/self/cgroup');").splitlines()[-1].startswith("0::/")
    pid = host.paddock.keeper("alice")
    assert process.cgroup(pid).startswith(f"/{host.paddock.cgroup}/tenants/alice")
    inner = host.alice.run("preg_match('/^0::(.*)$/m', file_get_contents('/proc/self/cgroup'), $m); return $m[1];")
    assert host.paddock.cgroup not in inner


@pytest.mark.parametrize("which", ["gateway", "guardian"])
def test_the_gateway_has_no_rights(host, which):
    pid = getattr(host.paddock, which)()
    status = process.status(pid)
    account = host.paddock.accounts.get(0)
    assert status["Uid"].split() == [str(account.pw_uid)] * 4
    assert {int(status[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} <= {0, int(status["CapBnd"], 16)}
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Groups"] == ""


@pytest.mark.vm_only
def test_controllers_are_enabled_for_a_tenant(host):
    host.alice.get("/hello.php").ok()
    group = machine.cgroup2_mount() / process.cgroup(host.paddock.keeper("alice")).lstrip("/")
    assert {"cpu", "memory", "pids"} <= set((group / "cgroup.controllers").read_text().split())
    assert int((group / "memory.current").read_text()) > 0
