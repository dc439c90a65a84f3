"""What a tenant has compiled outlives its idle sandbox, and nothing else does."""

import os
import shutil
import signal
import time

import pytest

from harness import machine, process

pytestmark = pytest.mark.sanitizer

CACHED = "return array_map('basename', array_keys(opcache_get_status(true)['scripts'] ?? []));"


def cached(site):
    return site.run(CACHED)


def is_gone(paddock, tenant="alice"):
    machine.wait_for(lambda: not paddock.sandbox(tenant), 20, "the idle sandbox is gone", interval=0.2)


def kept(paddock, tenant="alice"):
    return paddock.tenant_status(tenant)["kept_opcache_bytes"]


@pytest.fixture
def idle(own_host):
    """A host whose sandboxes of alice and bob have come and gone; alice's had compiled hello.php."""
    def make(runtime=None, **plan):
        host = own_host(plan={"idle": "1s", **plan}, runtime=runtime)
        host.alice.get("/hello.php").ok()
        host.bob.get("/dump.php").ok()
        for name in ("alice", "bob"):
            is_gone(host.paddock, name)
        machine.wait_for(lambda: host.paddock.tenant_status("bob")["state"] == "stopped", 5, "bob has stopped")
        machine.wait_for(lambda: host.paddock.tenant_status("alice")["state"] == "stopped", 5, "alice has stopped")
        return host
    return make


def test_the_next_sandbox_compiles_nothing(idle):
    host = idle()
    before = kept(host.paddock)
    assert 1 << 20 < before < 64 << 20
    found = cached(host.alice)
    assert "hello.php" in found and "dump.php" not in found
    assert kept(host.paddock) == 0, "it is in use"
    assert "dump.php" in cached(host.bob) and "hello.php" not in cached(host.bob)
    # And again, with more in it.
    host.alice.get("/dump.php").ok()
    is_gone(host.paddock)
    machine.wait_for(lambda: kept(host.paddock) >= before, 5, "it is kept")
    assert {"hello.php", "dump.php"} <= set(cached(host.alice))


def test_a_script_that_was_changed_meanwhile(idle):
    host = idle()
    tenant = host.paddock.tenants["alice"]
    script = tenant.docroot / "hello.php"
    script.write_text("<?php echo 'changed';")
    os.utime(script, (time.time() - 100,) * 2)
    time.sleep(3.2)  # opcache.revalidate_freq, in whole seconds
    assert host.alice.get("/hello.php").ok().text == "changed"


def test_files_outlive_what_memory_does_not(make_paddock, make_apache):
    """PHP takes a file for current by its time of change: a changed text with the old time shows who read what."""
    paddock = make_paddock(plan={"idle": "0s"}, plans={"files": {"opcache_files": True}})
    paddock.add_tenant("alice", plan="files")
    paddock.add_tenant("bob")
    apache = make_apache(paddock.start())
    written = time.time()
    for name, answer in (("alice", "first"), ("bob", "again")):
        site, tenant = apache.sites[name], paddock.tenants[name]
        script = tenant.docroot / "hello.php"

        def write(text, age):
            script.write_text(f"<?php echo '{text}';")
            os.utime(script, (written - age,) * 2)
        write("first", 100)
        assert site.get("/hello.php").ok().text == "first"
        assert (tenant.home / ".cache").exists() == (answer == "first")
        write("again", 100)
        os.kill(paddock.zygote(), signal.SIGKILL)
        paddock.cli("kill", name)
        assert site.get("/hello.php", seconds=60).ok().text == answer
        write("third", 50)
        paddock.cli("kill", name)
        assert site.get("/hello.php", seconds=60).ok().text == "third", "a file that is not current is no answer"
        assert "refuses" not in paddock.log()
    alice = paddock.tenants["alice"]
    found = list((alice.home / ".cache" / "paddock" / "opcache").rglob("hello.php.bin"))
    assert len(found) == 1 and found[0].stat().st_uid == alice.account.pw_uid


def test_files_where_something_is_in_the_way(own_host):
    host = own_host(plan={"opcache_files": True})
    cache = host.paddock.tenants["alice"].home / ".cache"
    shutil.rmtree(cache)
    cache.symlink_to("/etc")
    assert host.alice.get("/hello.php").ok()
    machine.wait_for(lambda: "PHP refuses the plan's ini entry opcache.file_cache" in host.paddock.tenant_log("alice"), 5,
                     "the tenant's log says so")


def test_it_is_the_admins_to_drop(idle):
    host = idle()
    for command in (("stop", "alice"), ("restart", "alice"), ("kill", "alice"), ("block", "alice", "--reason", "test")):
        assert kept(host.paddock) > 0
        host.paddock.cli(*command)
        assert kept(host.paddock) == 0, command
        if command[0] == "block":
            host.paddock.cli("unblock", "alice")
        assert "hello.php" not in cached(host.alice), command
        host.alice.get("/hello.php").ok()
        is_gone(host.paddock)
        machine.wait_for(lambda: kept(host.paddock) > 0, 5, "it is kept")


def test_other_settings_and_another_zygote(idle):
    host = idle()
    host.paddock.tenants["alice"].options["php_value"] = {"precision": "9"}
    host.paddock.write_config()
    host.paddock.cli("reload")
    assert kept(host.paddock) == 0 and kept(host.paddock, "bob") > 0
    zygote = host.paddock.zygote()
    os.kill(zygote, signal.SIGKILL)
    machine.wait_for(lambda: host.paddock.zygote() not in (None, zygote), 20, "another zygote")
    machine.wait_for(lambda: kept(host.paddock, "bob") == 0, 5, "nothing can use it any more")
    assert "dump.php" not in cached(host.bob)
    assert "hello.php" not in cached(host.alice)


def test_after_a_crash_it_is_not_kept(idle):
    host = idle()
    assert host.alice.post("/run.php", b"posix_kill(getmypid(), SIGSEGV); sleep(60);").status >= 500
    host.alice.get("/hello.php").ok()
    is_gone(host.paddock)
    machine.wait_for(lambda: host.paddock.tenant_status("alice")["state"] == "stopped", 5, "alice has stopped")
    assert kept(host.paddock) == 0
    assert "hello.php" not in cached(host.alice)


def cgroups(paddock):
    directory = machine.cgroup2_mount() / paddock.cgroup / "tenants"
    return sorted(entry.name for entry in directory.iterdir() if entry.is_dir())


@pytest.mark.parametrize("plan, runtime", [({"opcache_keep": "0s"}, {}), ({"opcache_keep": "3s"}, {}), ({}, {"opcache_kept": "1M"})],
                         ids=["not-at-all", "for-a-while", "not-so-much"])
def test_nothing_is_left(idle, plan, runtime):
    host = idle(runtime=runtime, **plan)
    if plan.get("opcache_keep") == "3s":
        assert cgroups(host.paddock) == ["alice", "bob"]
    machine.wait_for(lambda: not cgroups(host.paddock), 10, "their cgroups are gone")
    assert kept(host.paddock) == kept(host.paddock, "bob") == 0
    held = [path for path in process.open_files(host.paddock.supervisor.pid).values() if "paddock-opcache" in path]
    assert not held


def test_the_books_go_on_in_the_same_cgroup(idle):
    """Figures of the kernel count on, those of the new scoreboard begin anew: neither twice."""
    host = idle()
    before = host.paddock.usage("alice")
    for _ in range(3):
        for _ in range(5):
            host.alice.get("/hello.php").ok()
        is_gone(host.paddock)
    machine.wait_for(lambda: host.paddock.usage("alice")["requests"] >= before["requests"] + 15, 10, "they are counted")
    after = host.paddock.usage("alice")
    assert after["requests"] == before["requests"] + 15
    assert after["starts"] == before["starts"] + 3
    cpu = [usage["cpu_user_us"] + usage["cpu_system_us"] for usage in (before, after)]
    assert 0 < cpu[1] - cpu[0] < machine.patience(2) * 1_000_000
