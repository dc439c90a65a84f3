"""A plan's limits hold where the kernel has the controllers, and concern the tenant alone."""

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


def test_too_much_memory_is_the_tenants_own_trouble(limited):
    limited.bob.get("/hello.php").ok()
    bob = limited.paddock.keeper("bob")
    answer = limited.alice.post("/run.php", b"ini_set('memory_limit', '-1'); return strlen(str_repeat('x', 400 << 20));")
    assert answer.status >= 500
    assert limited.alice.get("/hello.php").ok().text == "hello\n"
    assert limited.bob.get("/hello.php").ok() and limited.paddock.keeper("bob") == bob
    assert "oom_kill 0" not in (limited.group / "memory.events").read_text().splitlines()


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
