"""A plan's limits hold where the kernel has the controllers, and concern the tenant alone."""

import concurrent.futures
import contextlib
import json
import os
import subprocess

import pytest

from harness import machine, process

pytestmark = [pytest.mark.vm_only, pytest.mark.sanitizer]

PLAN = {"memory_max": "192M", "pids": 20, "cpu": "50%", "cpu_weight": 50, "workers": 2}


@pytest.fixture
def limited(own_host):
    host = own_host(plan=PLAN)
    host.alice.get("/hello.php").ok()
    keeper = host.paddock.keeper("alice")
    host.group = machine.cgroup2_mount() / process.cgroup(keeper).lstrip("/")
    return host


def test_the_kernel_was_told(limited):
    def value(name):
        return (limited.group / name).read_text().strip()

    assert value("memory.max") == str(192 << 20)
    assert value("pids.max") == "20"
    assert value("cpu.max") == "50000 100000"
    assert value("cpu.weight") == "50"


def test_too_much_memory_costs_one_worker(limited):
    """Ordered by events: the killed one's client has its answer while the others' requests still run."""
    docroot = limited.paddock.tenants["alice"].docroot
    wait_for_go = b"while (!file_exists(__DIR__ . '/go')) { clearstatcache(); usleep(20000); } return getmypid();"
    limited.bob.get("/hello.php").ok()
    keepers = [limited.paddock.keeper(name) for name in ("alice", "bob")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        small = pool.submit(limited.alice.post, "/run.php", b"$pid = getmypid(); " + wait_for_go, seconds=120)
        machine.wait_for(lambda: limited.paddock.tenant_status("alice")["busy"] == 1, 20, "one worker is busy")
        (other,) = [entry["pid"] for entry in limited.paddock.tenant_status("alice")["running"]]
        neighbour = pool.submit(limited.bob.post, "/run.php", f"while (!file_exists('{limited.paddock.tenants['bob'].docroot}/go')) "
                                "{ clearstatcache(); usleep(20000); } return 7;".encode(), seconds=120)
        try:
            killed = limited.alice.post("/run.php", b"ini_set('memory_limit', '-1'); return strlen(str_repeat('x', 400 << 20));",
                                        seconds=60)
            assert killed.status >= 500
            assert not small.done() and not neighbour.done(), "the answer came before anything else had to end"
            # The other worker, or the one that has taken the place of the killed one.
            assert limited.alice.get("/hello.php", seconds=60).ok().text == "hello\n"
            assert limited.bob.get("/hello.php", seconds=60).ok()
        finally:
            for name in ("alice", "bob"):
                (limited.paddock.tenants[name].docroot / "go").touch()
        assert json.loads(small.result().text) == other
        assert json.loads(neighbour.result().text) == 7
    assert [limited.paddock.keeper(name) for name in ("alice", "bob")] == keepers
    assert "oom_kill 1" in (limited.group / "memory.events").read_text().splitlines()
    told = machine.wait_for(lambda: [event for event in map(json.loads, limited.paddock.cli(
        "events", "alice", "--json").stdout.splitlines()) if event["kind"] == "oom-kill"], 10, "it is an event")
    assert json.loads(told[0]["snapshot"])["process_count"] >= 2 and told[0]["actor"] == "kernel"


def test_a_limit_that_the_kernel_refuses_changes_nothing(limited):
    """/proc is on no disk: io.max, which is written last, takes no limit for it."""
    config = limited.paddock.config
    good = config.read_text()
    bad = good.replace(f'memory_max = "{PLAN["memory_max"]}"', 'memory_max = "160M"').replace("workers = 2", "workers = 3")
    bad += '\n[[plan.default.io]]\ndevice = "/proc"\nwrite_bps = "1M"\n'
    line = bad[:bad.index("[[plan.default.io]]")].count("\n") + 1

    def unchanged(keeper):
        for name in ("alice", "bob"):
            status = limited.paddock.tenant_status(name)
            assert (status["workers_max"], status["memory_max_bytes"]) == (2, 192 << 20), name
        assert limited.paddock.keeper("alice") == keeper
        assert (limited.group / "memory.max").read_text().strip() == str(192 << 20)
        assert (limited.group / "io.max").read_text() == ""

    keeper = limited.paddock.keeper("alice")
    config.write_text(bad)
    for _ in range(2):  # a second attempt is no other than the first
        told = limited.paddock.cli("reload", "--json", check=False)
        text = told.stdout + told.stderr
        assert told.returncode == 1
        assert f"{config}:{line}:" in text and "plan.default.io" in text, text
        assert "io.max" in text and "wbps=1048576" in text and "No such device" in text, text
        assert "alice" in text and "keeps its old settings" in text, text
        unchanged(keeper)
    assert "plan.default.io" in limited.paddock.cli("doctor", check=False).stdout
    # What was idle starts with the old ones as well.
    assert limited.bob.get("/hello.php").ok()
    bob = machine.cgroup2_mount() / process.cgroup(limited.paddock.keeper("bob")).lstrip("/")
    assert (bob / "memory.max").read_text().strip() == str(192 << 20)
    assert limited.alice.get("/hello.php").ok()
    config.write_text(good.replace(f'memory_max = "{PLAN["memory_max"]}"', 'memory_max = "160M"'))
    limited.paddock.cli("reload")
    assert (limited.group / "memory.max").read_text().strip() == str(160 << 20)
    assert limited.paddock.tenant_status("alice")["memory_max_bytes"] == 160 << 20


def test_a_fork_bomb_stays_small(limited):
    count = limited.alice.run("""
        for ($i = 0; $i < 60; $i++) { $p = @proc_open(['sleep', '100'], [], $pipes); if ($p) $all[] = $p; }
        $running = count(array_filter($all ?? [], fn($p) => proc_get_status($p)['running']));
        foreach ($all ?? [] as $p) proc_terminate($p, 9);
        return $running;""", seconds=60)
    assert 0 < count < 20
    assert limited.alice.get("/hello.php").ok()
    assert limited.bob.get("/hello.php").ok()


def test_status_shows_use_and_limits(limited):
    status = limited.paddock.tenant_status("alice")
    assert status["memory_max_bytes"] == 192 << 20
    assert 0 < status["memory_bytes"] < 192 << 20
    assert status["pids"] == len(limited.paddock.sandbox("alice"))
    assert status["cpu_us"] > 0


@contextlib.contextmanager
def disk_with_weights(path):
    """A disk whose cost model is on: the others take no weight of their own."""
    subprocess.run(["truncate", "-s", "16M", str(path)], check=True)
    subprocess.run(["modprobe", "loop"], check=True)
    device = subprocess.run(["losetup", "--find", "--show", str(path)], check=True, capture_output=True, text=True).stdout.strip()
    number = f"{os.major(os.stat(device).st_rdev)}:{os.minor(os.stat(device).st_rdev)}"
    try:
        (machine.cgroup2_mount() / "io.cost.qos").write_text(f"{number} enable=1")
        yield device, number
        (machine.cgroup2_mount() / "io.cost.qos").write_text(f"{number} enable=0")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def test_a_disk_has_a_weight_of_its_own(limited):
    paddock = limited.paddock
    good = paddock.config.read_text()

    def weights():
        return (limited.group / "io.weight").read_text().splitlines()

    with disk_with_weights(paddock.directory / "disk") as (device, number):
        for lines, wanted in ((f'device = "{device}"\nweight = 300\n', [f"{number} 300"]),
                              (f'device = "{device}"\nwrite_bps = "1M"\n', [])):
            paddock.config.write_text(good + "\n[[plan.default.io]]\n" + lines)
            paddock.cli("reload")
            assert weights()[1:] == wanted
        paddock.config.write_text(good)
        paddock.cli("reload")
        assert (limited.group / "io.max").read_text() == ""


def shmem(group):
    return int(next(line.split()[1] for line in (group / "memory.stat").read_text().splitlines() if line.startswith("shmem ")))


@pytest.fixture
def compiled(own_host):
    """A host whose sandboxes have come and gone: `kept` is what alice's opcache holds, `group` her cgroup."""
    host = own_host(plan={**PLAN, "idle": "2s"})
    for site in (host.alice, host.bob):
        site.get("/hello.php", seconds=60).ok()
    host.group = machine.cgroup2_mount() / host.paddock.cgroup / "tenants/alice"

    def status(name):
        return host.paddock.tenant_status(name)["kept_opcache_bytes"]

    for name in ("alice", "bob"):
        machine.wait_for(lambda name=name: status(name) > 0, 20, f"the opcache of {name} is kept", interval=0.5)
    host.kept = status("alice")
    return host


def test_a_kept_opcache_is_charged_to_its_tenant(compiled):
    assert compiled.group.is_dir() and not compiled.paddock.sandbox("alice")
    assert shmem(compiled.group) >= compiled.kept > 1 << 20
    compiled.alice.get("/hello.php", seconds=60).ok()
    assert shmem(compiled.group) >= compiled.kept
    compiled.paddock.cli("stop", "alice")
    machine.wait_for(lambda: not compiled.group.exists(), 10, "with the last of it her cgroup is gone")


@contextlib.contextmanager
def holding(size, group=None):
    """A process that has written to so many bytes, in a cgroup or where the tests are."""
    code = ("import mmap, sys; sys.stdin.read(1); memory = mmap.mmap(-1, int(sys.argv[1])); piece = b'x' * (1 << 20)\n"
            "for _ in range(len(memory) >> 20): memory.write(piece)\nprint('held', flush=True); sys.stdin.read()")
    hog = subprocess.Popen(["python3", "-c", code, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if group:
            (group / "cgroup.procs").write_text(str(hog.pid))
        hog.stdin.write(b"x")
        hog.stdin.flush()
        yield hog
    finally:
        hog.kill()
        hog.wait()
        hog.stdin.close()
        hog.stdout.close()


def host_memory():
    with open("/proc/meminfo") as file:
        return {name.rstrip(":"): int(size) << 10 for name, size, *_ in map(str.split, file)}


def stalled():
    """Microseconds in which some task of this host has waited for memory."""
    with open("/proc/pressure/memory") as file:
        return int(file.readline().rpartition("=")[2])


@contextlib.contextmanager
def stalling(paddock):
    """A process that waits for memory, at a limit of its own."""
    group = machine.cgroup2_mount() / f"{paddock.cgroup}-stall"
    group.mkdir()
    try:
        (group / "memory.high").write_text("16M")
        (group / "memory.swap.max").write_text("0")
        with holding(64 << 20, group):
            begun = stalled()
            machine.wait_for(lambda: stalled() > begun + 3_000_000, 10, "tasks have waited for memory")
            yield
    finally:
        machine.wait_for(lambda: "populated 0" in (group / "cgroup.events").read_text(), 10, "the hog is gone")
        group.rmdir()


@contextlib.contextmanager
def little_left():
    """A tenth of the host's memory is available, and no more."""
    memory = host_memory()
    with holding(memory["MemAvailable"] - memory["MemTotal"] // 10) as hog:
        assert hog.stdout.readline() == b"held\n"
        yield


def test_a_host_short_of_memory_has_it_back(compiled):
    """Opcaches that nobody uses; not where only somebody's own limit makes tasks wait."""
    with stalling(compiled.paddock):
        assert compiled.paddock.tenant_status("alice")["kept_opcache_bytes"] > 0
        with little_left():
            machine.wait_for(lambda: compiled.paddock.tenant_status("alice")["kept_opcache_bytes"] == 0, 10, "it is dropped")
            machine.wait_for(lambda: "the host is short of memory" in compiled.paddock.log(), 5, "the log says why")
    for site in (compiled.alice, compiled.bob):
        site.get("/hello.php", seconds=60).ok()


def test_a_host_short_of_memory_stops_idle_sandboxes(own_host):
    """The one that was used longest ago first; none that serves a request."""
    host = own_host(plan={**PLAN, "idle": "1h"})
    for site in (host.alice, host.bob):
        site.get("/hello.php", seconds=60).ok()
    keeper = host.paddock.keeper("bob")
    end = host.paddock.tenants["bob"].docroot / "end"
    with concurrent.futures.ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as stack:
        # Until it is told: how long the memory takes to get short, nobody knows.
        stack.callback(end.touch)
        running = pool.submit(host.bob.run, "while (!file_exists(__DIR__ . '/end')) { usleep(100000); clearstatcache(); }"
                              "return 'finished';", seconds=300)
        machine.wait_for(lambda: host.paddock.tenant_status("bob")["busy"] == 1, 10, "bob's request runs")
        with stalling(host.paddock), little_left():
            machine.wait_for(lambda: not host.paddock.sandbox("alice"), 10, "alice's idle sandbox is stopped")
            machine.wait_for(lambda: "idle sandboxes are stopped" in host.paddock.log(), 5, "the log says why")
            assert not running.done()
        end.touch()
        assert running.result() == "finished"
    assert host.paddock.keeper("bob") == keeper
    host.alice.get("/hello.php", seconds=60).ok()
