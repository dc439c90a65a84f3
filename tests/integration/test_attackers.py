"""The attempts of tests/attackers: each is refused in a sandbox exactly as its table says, and works without one."""

import ctypes
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from harness import machine, process

ATTACKER = machine.BIN.parent / "tests/attacker"
TENANT = {"network": "none", "tmp_size": "8M", "workers": 2}


def outcomes(text):
    rows = [line.split("\t") for line in text.splitlines()]
    return {name: (outcome, expected) for name, outcome, expected in rows}


def wrong(found):
    return {name: f"{outcome}, expected {expected}" for name, (outcome, expected) in found.items()
            if (outcome == expected[4:] if expected.startswith("not ") else outcome not in expected.split(" or "))}


class HostThings:
    """What there is on the host to be found by a tenant who gets out: files, sockets, shared memory."""

    def __init__(self, host):
        paddock = host.paddock
        alice, bob = paddock.tenants["alice"], paddock.tenants["bob"]
        host.bob.get("/hello.php").ok()  # its keeper runs
        self.files = []
        self.open_file = bob.docroot / "world-readable"
        self.secret = "/var/tmp/" + paddock.directory.name + "-secret"
        self.shm_name = "/" + paddock.directory.name
        for path in (self.open_file, self.secret, "/dev/shm" + self.shm_name):
            with open(path, "w") as file:
                file.write("secret")
            os.chmod(path, 0o666)
            self.files.append(path)
        self.abstract = "paddock-it-" + paddock.directory.name
        self.abstract_socket = socket.socket(socket.AF_UNIX)
        self.abstract_socket.bind("\0" + self.abstract)
        self.abstract_socket.listen(8)
        self.port_socket = socket.create_server(("127.0.0.1", 0), backlog=8)
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.shm_key = os.getpid() | 0x50000000
        self.shm = self.libc.shmget(self.shm_key, 4096, 0o1666)  # IPC_CREAT
        assert self.shm >= 0
        state, run = paddock.directory / "state", paddock.directory / "run"
        sockets = paddock.sockets()
        self.facts = {
            "secret": self.secret,
            "neighbour_file": bob.docroot / "hello.php",
            "neighbour_open_file": self.open_file,
            "neighbour_log": next((paddock.directory / "log").rglob("bob.log")),
            "neighbour_uid": bob.account.pw_uid,
            "neighbour_socket": sockets["bob"],
            "own_socket": sockets["alice"],
            "homes": alice.home.parent,
            "home": alice.home,
            "config": paddock.config,
            "key": state / "socket.key",
            "history": state / "history.db",
            "control": run / "control.sock",
            "cgroup": machine.cgroup2_mount() / paddock.cgroup,
            "supervisor": paddock.supervisor.pid,
            "zygote": paddock.zygote(),
            "gateway": paddock.gateway(),
            "neighbour": paddock.keeper("bob"),
            "abstract": self.abstract,
            "port": self.port_socket.getsockname()[1],
            "shm_key": self.shm_key,
            "shm_name": self.shm_name,
        }

    def arguments(self):
        return [f"{name}={value}" for name, value in self.facts.items()]

    def close(self):
        self.abstract_socket.close()
        self.port_socket.close()
        self.libc.shmctl(self.shm, 0, None)  # IPC_RMID
        for path in self.files:
            os.unlink(path)


@pytest.fixture
def things(own_host):
    host = own_host(plan=TENANT)
    found = HostThings(host)
    found.host = host
    # Where both the tenant and root find it, and nobody else needs it.
    found.program = host.paddock.tenants["alice"].home / "attacker"
    shutil.copy(ATTACKER, found.program)
    os.chmod(found.program, 0o755)
    yield found
    found.close()


def test_every_attempt_is_refused(things):
    arguments = json.dumps([str(things.program), "sandbox", *things.arguments()])
    found = things.host.alice.run(f"""
        set_time_limit(0);
        $process = proc_open(json_decode('{arguments}'), [['file', '/dev/null', 'r'], ['pipe', 'w'], ['pipe', 'w']], $pipes);
        $out = stream_get_contents($pipes[1]);
        $errors = stream_get_contents($pipes[2]);
        return [proc_close($process), $out, $errors];""", seconds=120)
    status, text, errors = found
    assert status == 0, errors
    found = outcomes(text)
    table = subprocess.run([ATTACKER, "list"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split("\t")[0] for line in table] == list(found)
    assert len([name for name in found if not name.startswith("call-")]) >= 60
    assert not wrong(found)
    # Who was attacked has noticed nothing.
    assert things.host.bob.get("/hello.php").ok()
    assert process.alive(things.host.paddock.supervisor.pid)


def test_without_a_sandbox_they_work(things):
    """The control run: a refusal that would come without a sandbox as well proves nothing."""
    account = things.host.paddock.tenants["alice"].account
    things.program.parent.chmod(0o711)
    for mode, identity in (("root", {}),
                           ("user", {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []})):
        done = subprocess.run([things.program, mode, *things.arguments()], capture_output=True, text=True,
                              timeout=machine.patience(60), stdin=subprocess.DEVNULL, **identity)
        assert done.returncode == 0, done.stderr
        assert not wrong(outcomes(done.stdout))


# What follows needs machine code in a worker, which the test's root stands for: it uses the sandbox's own descriptors.

def own_descriptors(pid, kind):
    return [fd for fd, link in process.open_files(pid).items() if kind in link]


def taken_from(pid, fd):
    """The descriptor of another process, ours now (pidfd_getfd(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        got = libc.syscall(438, pidfd, int(fd), 0)
        assert got >= 0, os.strerror(ctypes.get_errno())
        return got
    finally:
        os.close(pidfd)


def still_fine(host):
    assert host.bob.get("/hello.php").ok()
    host.paddock.cli("status")
    assert process.alive(host.paddock.supervisor.pid) and process.alive(host.paddock.gateway())


@pytest.mark.any_kernel
def test_a_scoreboard_full_of_lies(own_host):
    host = own_host()
    host.alice.get("/hello.php").ok()
    # The same pages as the sandbox's.
    supervisor = host.paddock.supervisor.pid
    (board,) = own_descriptors(supervisor, "memfd:paddock-board-alice")
    for byte in (b"\xff", b"\x1b", b"\x01", b"\x80"):
        with open(f"/proc/{supervisor}/fd/{board}", "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            file.write(byte * size)
        for command in (("status",), ("status", "alice"), ("status", "--json"), ("usage",)):
            done = host.paddock.cli(*command, check=False)
            assert "\x1b" not in done.stdout + done.stderr
        still_fine(host)
    host.paddock.cli("kill", "alice")
    machine.wait_for(lambda: not host.paddock.sandbox("alice"), 20, "the liar has gone")
    assert host.alice.get("/hello.php").ok()


@pytest.mark.any_kernel
def test_forged_messages_to_supervisor_and_gateway(own_host):
    host = own_host()
    host.alice.get("/hello.php").ok()
    keeper = host.paddock.keeper("alice")
    sent = 0
    # All before the first message: a keeper whose link speaks nonsense is let go.
    for link in [socket.socket(fileno=taken_from(keeper, fd)) for fd in own_descriptors(keeper, "socket:")]:
        with link:
            if link.family != socket.AF_UNIX or link.type & 0xf != socket.SOCK_SEQPACKET:
                continue
            for message in (b"", b"\x44\x50", b"\x44\x50\x01\x63" + bytes(4), b"\x44\x50\x01\x01" + b"\xff" * 60,
                            *(b"\x44\x50\x01" + bytes([kind]) + b"\x04\x00\x00\x00" + b"\xff" * 4 for kind in range(1, 40)),
                            os.urandom(4000)):
                try:
                    # With descriptors that nobody asked for.
                    socket.send_fds(link, [message], [0, 1, 2], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                    sent += 1
                except OSError:
                    pass
    assert sent
    still_fine(host)
    host.paddock.cli("kill", "alice")
    machine.wait_for(lambda: not host.paddock.sandbox("alice"), 20, "the forger has gone")
    assert host.alice.get("/hello.php").ok()


@pytest.mark.any_kernel
def test_forged_by_the_tenants_own_htaccess(own_host):
    host = own_host()
    bob, alice = host.paddock.tenants["bob"], host.paddock.tenants["alice"]
    secret = bob.docroot / "secret.php"
    secret.write_text("<?php echo 'bob-' . 'secret';")
    secret.chmod(0o644)
    guess = str(host.paddock.sockets()["bob"]).rsplit("-", 1)[0] + "-" + "0" * 32 + ".sock"
    for lines in (f'SetHandler "proxy:unix:{guess}|fcgi://bob"',
                  f"SetEnv SCRIPT_FILENAME {secret}\nSetEnv DOCUMENT_ROOT /\nSetEnv FCGI_ROLE AUTHORIZER",
                  f"SetEnv FCGI_ROLE FILTER\nSetEnv PATH_TRANSLATED {secret}",
                  f"RewriteEngine on\nRewriteRule .* fcgi://bob{secret} [P]",
                  "SetEnv PHP_ADMIN_VALUE \"open_basedir=/\nauto_prepend_file=" + str(secret) + "\""):
        (alice.docroot / ".htaccess").write_text(lines + "\n")
        answer = host.alice.get("/hello.php")
        assert "bob-secret" not in answer.text, lines
    (alice.docroot / ".htaccess").unlink()
    assert host.alice.get("/hello.php").ok()


@pytest.mark.vm_only
def test_a_fork_bomb_ends_at_the_plans_limit(own_host):
    host = own_host(plan={"pids": 32, "workers": 2})
    text = host.alice.run("return shell_exec('i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i+1)); done 2>&1; echo over');")
    assert "fork" in text.lower() or "Resource temporarily unavailable" in text
    assert len(host.paddock.sandbox("alice")) <= 32
    assert host.bob.get("/hello.php").ok()
    host.paddock.cli("kill", "alice")
    machine.wait_for(lambda: not host.paddock.sandbox("alice"), 20, "the bomb is defused")
    assert host.alice.get("/hello.php").ok()


@pytest.mark.any_kernel
def test_the_zygote_has_nothing_of_anybodys(own_host):
    """What sandboxes are cloned from: no environment, no file of a tenant's, no descriptor of one."""
    host = own_host()
    host.alice.run("putenv('LEAK=alice'); define('LEAK_ALICE', 1); return 1;")
    zygote = host.paddock.zygote()
    with open(f"/proc/{zygote}/environ", "rb") as file:
        names = {entry.split(b"=")[0].decode() for entry in file.read().split(b"\0") if entry}
    assert names <= {"PATH", "LANG", "LC_ALL", "TZ", "LD_PRELOAD", *(name for name in os.environ if name.endswith("SAN_OPTIONS"))}
    tenants = [str(tenant.home) for tenant in host.paddock.tenants.values()]
    for link in process.open_files(zygote).values():
        assert not any(home in link for home in tenants), link
    with open(f"/proc/{zygote}/maps") as file:
        assert not any(home in file.read() for home in tenants)
    found = host.bob.run("return [getenv('LEAK'), defined('LEAK_ALICE'), array_keys(getenv())];")
    assert found[:2] == [False, False]
    assert not [name for name in found[2] if "PADDOCK" in name or "NOTIFY" in name or "LEAK" in name]
    scripts = host.bob.run("return array_keys(opcache_get_status(true)['scripts'] ?? []);")
    assert not [script for script in scripts if str(host.paddock.tenants["alice"].home) in script]


@pytest.mark.any_kernel
def test_a_start_of_its_own_has_addresses_of_its_own(make_paddock, make_apache):
    paddock = make_paddock(plans={"own": {"own_start": True}})
    for name, options in (("alice", {}), ("bob", {}), ("carol", {"plan": "own"}), ("dora", {"plan": "own"})):
        paddock.add_tenant(name, **options)
    apache = make_apache(paddock.start())

    def php(name):
        assert apache.sites[name].get("/hello.php").ok()
        with open(f"/proc/{paddock.keeper(name)}/maps") as file:
            return next(line.split("-")[0] for line in file if re.search(r"/(libphp8\.2\.so|php8\.2)$", line))

    common = php("alice")
    assert php("bob") == common
    assert len({common, php("carol"), php("dora")}) == 3
    zygote = machine.wait_for(lambda: len(pids := paddock.zygotes()) == 1 and pids[0], 20,
                              "the zygotes of one sandbox have ended")
    assert process.alive(zygote)
    # It is no other sandbox than the others'.
    assert apache.sites["carol"].run("return [posix_getuid(), scandir('/home')];")[0] == (
        paddock.tenants["carol"].account.pw_uid)


@pytest.mark.any_kernel
def test_the_log_cannot_fill_the_disk(make_paddock, make_apache):
    limit = 256 << 10
    paddock = make_paddock(plan={"log_size": "256K", "workers": 2})
    paddock.add_tenant("alice")
    site = make_apache(paddock.start()).sites["alice"]
    log = paddock.directory / "log/tenants/alice.log"
    flood = "$line = str_repeat('x', 4000); for ($i = 0; $i < %d; $i++) error_log($line); return 1;"
    site.run(flood % 1000, seconds=60)
    machine.wait_for(lambda: "it is rotated" in log.read_text(), 10, "the log is full")
    site.run(flood % 1000, seconds=60)
    assert log.stat().st_size <= limit + (20 << 10)
    # As logrotate does it, with copytruncate.
    os.truncate(log, 0)
    site.run("error_log('afterwards'); return 1;")
    machine.wait_for(lambda: "afterwards" in log.read_text(), 10, "it is written again")
    assert log.stat().st_size < limit


def memory_with(pid, needle):
    """Where a process has these bytes, of what it can read itself."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, modes, *_, = line.split()
            if not modes.startswith("r") or "[v" in line:
                continue
            begin, end = (int(part, 16) for part in span.split("-"))
            for at in range(begin, end, 16 << 20):
                try:
                    bytes_ = os.pread(memory.fileno(), min(end - at, 16 << 20), at)
                except OSError:  # a page that the process could not read either
                    continue
                if needle in bytes_:
                    found.append(line.strip())
    return found


@pytest.mark.any_kernel
def test_no_byte_of_one_tenant_is_in_another(own_host):
    """Compiled scripts and their interned strings, variables, environment, request bodies, sessions, shared memory."""
    host = own_host(plan={"workers": 1})
    host.bob.run("return 1;")  # of the same zygote, before and after
    marks = {name: f"MARK-{name}-{host.paddock.directory.name}".encode()
             for name in ("script", "variable", "environment", "body", "session", "memory")}
    text = {name: mark.decode() for name, mark in marks.items()}
    alice = host.paddock.tenants["alice"]
    script = alice.docroot / "marked.php"
    script.write_text(f"<?php const MARKED = '{text['script']}'; function marked_{os.getpid()}() {{ return MARKED; }} echo MARKED;")
    assert host.alice.get("/marked.php").ok().text == text["script"]
    host.alice.run(f"""$GLOBALS['kept'] = '{text['variable']}';
        putenv('MARK={text['environment']}');
        session_start(); $_SESSION['mark'] = '{text['session']}'; session_write_close();
        file_put_contents('/dev/shm/mark', '{text['memory']}');
        return strlen(file_get_contents('/dev/shm/mark'));""")
    assert host.alice.post("/hello.php", marks["body"] * 100).ok()
    (worker,) = host.paddock.workers("alice")
    # The search finds what is there.
    assert memory_with(worker, marks["script"]) and memory_with(worker, marks["body"])
    host.paddock.cli("kill", "bob")
    host.bob.run("return 1;", seconds=60)
    others = [host.paddock.zygote(), host.paddock.keeper("bob"), *host.paddock.workers("bob")]
    for pid in others:
        for name, mark in marks.items():
            assert not memory_with(pid, mark), (process.title(pid), name)
    assert host.bob.run("return [glob('/dev/shm/*'), getenv('MARK'), $GLOBALS['kept'] ?? null];") == [[], False, None]


def swapping(account, pairs):
    """A process of the account that exchanges two names again and again, for at most a minute (renameat2(2))."""
    pid = os.fork()
    if pid:
        return pid
    try:
        process.become(account)
        libc = ctypes.CDLL(None)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for pair in pairs:
                libc.renameat2(-100, os.fsencode(pair[0]), -100, os.fsencode(pair[1]), 2)  # RENAME_EXCHANGE
    finally:
        os._exit(0)


def test_names_that_change_while_the_view_is_built(make_paddock, make_apache):
    """What is bound, and where to, lies in the tenant's hands: a link there moves neither."""
    paddock = make_paddock(plan={"workers": 1, "idle": "0s"})
    secret, shown = paddock.directory / "secret", paddock.directory / "shown"
    for directory in (secret, shown):
        directory.mkdir(mode=0o755)
        (directory / directory.name).write_text(directory.name)
    alice = paddock.add_tenant("alice")
    paddock.add_tenant("bob")
    source, target = alice.home / "source", alice.home / "target"
    pairs = [(source, alice.home / "source-link"), (target, alice.home / "target-link")]
    for (directory, link), aim in zip(pairs, (secret, "/usr/lib")):
        directory.mkdir(mode=0o755)
        link.symlink_to(aim)
        for path in (directory, link):
            os.lchown(path, alice.account.pw_uid, alice.account.pw_gid)
    (source / "mine").write_text("mine")
    paddock.plans["default"]["bind"] = [{"source": str(source), "target": "/opt/source"},
                                        {"source": str(shown), "target": str(target)}]
    paddock.plans["plain"] = {"workers": 1}
    paddock.tenants["bob"].options["plan"] = "plain"
    apache = make_apache(paddock.start())
    look = f"""$mounts = [];
        foreach (file('/proc/self/mountinfo') as $line) $mounts[] = explode(' ', $line)[4];
        return [scandir('/opt/source'), array_values(array_filter($mounts, fn($at) => str_contains($at, 'arget') || str_starts_with($at, '/usr/lib/'))),
                file_exists('/usr/lib/shown'), file_exists('/usr/lib/os-release')];"""
    assert apache.sites["alice"].run(look) == [[".", "..", "mine"], [str(target)], False, True]
    swapper = swapping(alice.account, pairs)
    built = refused = 0
    try:
        for _ in range(60):
            paddock.cli("kill", "alice")
            paddock.cli("start", "alice")
            state = machine.wait_for(lambda: (now := paddock.tenant_status("alice")["state"]) not in ("starting", "stopping") and now,
                                     20, "it has started, or not")
            if state != "running":
                refused += 1
                continue
            built += 1
            files, mounts, moved, whole = apache.sites["alice"].run(look)
            assert files == [".", "..", "mine"]
            assert (moved, whole) == (False, True)
            assert mounts in ([str(target)], [str(target) + "-link"]), mounts  # where the directory is now
    finally:
        os.kill(swapper, 9)
        os.waitpid(swapper, 0)
    print(f"{built} views were built, {refused} refused")
    assert built and refused
    assert apache.sites["bob"].get("/hello.php").ok()
