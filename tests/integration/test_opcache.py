"""The opcode cache is on, a tenant's own, and what one request sets the next does not find."""

import concurrent.futures
import json
import os
import signal
import time

import pytest

from harness import fastcgi, machine

pytestmark = pytest.mark.sanitizer

SCRIPTS = """
    $status = opcache_get_status(true);
    return ['enabled' => $status['opcache_enabled'], 'scripts' => array_keys($status['scripts'] ?? []),
            'hits' => $status['opcache_statistics']['hits'], 'pid' => getmypid(),
            'misses' => $status['opcache_statistics']['misses']];"""


def test_it_is_on_and_hit(host):
    for _ in range(3):
        host.alice.get("/hello.php").ok()
    before = host.alice.run(SCRIPTS)
    assert before["enabled"] is True
    assert str(host.paddock.tenants["alice"].docroot / "hello.php") in before["scripts"]
    for _ in range(10):
        host.alice.get("/hello.php").ok()
    after = host.alice.run(SCRIPTS)
    assert after["hits"] >= before["hits"] + 10
    assert after["misses"] == before["misses"]


def test_it_is_the_tenants_own(host):
    host.alice.get("/hello.php").ok()
    for _ in range(5):
        host.bob.get("/dump.php").ok()
    alice, bob = host.alice.run(SCRIPTS), host.bob.run(SCRIPTS)
    assert not [path for path in alice["scripts"] if "/bob/" in path]
    assert not [path for path in bob["scripts"] if "/alice/" in path]
    before = host.alice.run(SCRIPTS)["hits"]
    for _ in range(20):
        host.bob.get("/hello.php").ok()
    assert host.alice.run(SCRIPTS)["hits"] - before <= 1  # that of the script that asks


def test_workers_of_a_tenant_share_it(own_host):
    host = own_host(plan={"workers": 3})
    host.alice.get("/hello.php").ok()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: host.alice.run("usleep(500000);" + SCRIPTS), range(3)))
    assert len({entry["pid"] for entry in found}) == 3
    for entry in found:
        assert str(host.paddock.tenants["alice"].docroot / "hello.php") in entry["scripts"]


def test_resetting_it_is_a_private_affair(host):
    host.alice.get("/hello.php").ok()
    assert host.bob.run("return opcache_reset();") is True
    host.bob.get("/hello.php").ok()
    assert str(host.paddock.tenants["alice"].docroot / "hello.php") in host.alice.run(SCRIPTS)["scripts"]


def test_a_changed_script_is_noticed(host):
    tenant = host.paddock.tenants["alice"]
    script = tenant.docroot / "changing.php"
    for number in (1, 2):
        script.write_text(f"<?php echo {number};")
        os.chown(script, tenant.account.pw_uid, tenant.account.pw_gid)
        os.utime(script, (time.time() - 1000 * (3 - number),) * 2)
        if number == 2:
            time.sleep(3.2)  # opcache.revalidate_freq, in whole seconds
        assert host.alice.get("/changing.php").ok().text == str(number)
    script.unlink()


def test_the_same_path_in_two_tenants_is_two_scripts(host):
    """Both views have a file of this name; the cache key is the path."""
    for site, word in ((host.alice, "alice"), (host.bob, "bob")):
        site.run(f"""file_put_contents('/tmp/same.php', "<?php return '{word}';"); return 1;""")
    for _ in range(3):
        assert host.alice.run("return include '/tmp/same.php';") == "alice"
        assert host.bob.run("return include '/tmp/same.php';") == "bob"


def ini(host, directives):
    docroot = host.paddock.tenants["alice"].docroot
    (docroot / ".htaccess").write_text(directives)
    try:
        return host.alice.run("return [getmypid(), ini_get('precision'), ini_get('memory_limit')];")
    finally:
        (docroot / ".htaccess").unlink()


def test_php_value_from_the_web_server_holds_for_one_request(host):
    for _ in range(20):  # until all three came to the same worker
        plain, set_, after = ini(host, ""), ini(host, 'SetEnv PHP_VALUE "precision=7"\n'), ini(host, "")
        if plain[0] == set_[0] == after[0]:
            break
    assert set_ == [plain[0], "7", plain[2]]
    assert after == plain


def test_several_php_values(host):
    """A line each; Apache's own directives cannot write the line break, modules can."""
    values = {"PHP_VALUE": "precision=6\nmemory_limit = 99M\n\n; a comment\nbroken\n=x\n"}
    body = b"return [ini_get('precision'), ini_get('memory_limit')];"
    socket, script = host.paddock.sockets()["alice"], host.paddock.tenants["alice"].docroot / "run.php"
    assert json.loads(fastcgi.fetch(socket, script, method="POST", body=body, **values).body) == ["6", "99M"]
    assert json.loads(fastcgi.fetch(socket, script, method="POST", body=body).body) == ["14", "128M"]


def test_php_admin_value_from_a_neighbour_is_not_honoured(host):
    plain = ini(host, "")
    assert ini(host, 'SetEnv PHP_ADMIN_VALUE "memory_limit=1234M"\n')[1:] == plain[1:]


def test_the_plans_admin_value_wins(own_host):
    host = own_host(plan={"php_admin_value": {"memory_limit": "77M"}, "php_value": {"precision": "9"}})
    assert ini(host, "")[1:] == ["9", "77M"]
    assert ini(host, 'SetEnv PHP_VALUE "memory_limit=99M"\n')[2] == "77M"
    assert ini(host, 'SetEnv PHP_VALUE "precision=5"\n')[1] == "5"
    assert host.alice.run("ini_set('memory_limit', '99M'); return ini_get('memory_limit');") == "77M"


def test_ini_from_web_none(own_host):
    host = own_host(plan={"ini_from_web": "none"})
    assert ini(host, 'SetEnv PHP_VALUE "precision=7"\n')[1] == "14"


def test_user_ini(own_host):
    host = own_host()
    file = host.paddock.tenants["alice"].docroot / ".user.ini"
    file.write_text("precision = 8\n")
    assert host.alice.run("return ini_get('precision');") == "8"
    assert host.bob.run("return ini_get('precision');") == "14"


def test_random_numbers_differ_between_sandboxes(own_host):
    """They are cloned from one process: its state of chance must not be cloned with it."""
    host = own_host()
    script = "return [mt_rand(), lcg_value(), bin2hex(random_bytes(8)), uniqid('', true)];"
    seen = []
    for _ in range(3):
        for name, site in (("alice", host.alice), ("bob", host.bob)):
            seen.append(site.run(script))
            host.paddock.cli("stop", name)
    for column in zip(*seen):
        assert len(set(column)) == len(seen)


SIZE = """$memory = opcache_get_status(false)['memory_usage'];
    return ($memory['used_memory'] + $memory['free_memory'] + $memory['wasted_memory']) >> 20;"""


def zygotes(paddock):
    return paddock.zygotes()


def test_its_size_is_the_plans(make_paddock, make_apache):
    paddock = make_paddock(plans={"small": {"opcache": "24M"}, "other": {"opcache": "40M"}, "unused": {"opcache": "50M"}})
    for name, options in (("alice", {}), ("bob", {"plan": "small"}), ("carol", {"plan": "other"})):
        paddock.add_tenant(name, **options)
    apache = make_apache(paddock.start())
    machine.wait_for(lambda: len(zygotes(paddock)) == 3, 20, "a zygote for each size in use")
    assert apache.sites["bob"].run(SIZE) == 24
    assert apache.sites["carol"].run(SIZE) == 40
    assert apache.sites["alice"].run(SIZE) not in (24, 40)
    # A script that does not fit is compiled each time; nobody else's cache minds.
    apache.sites["bob"].run("""
        for ($i = 0; $i < 40; $i++) {
            file_put_contents("/tmp/big$i.php", '<?php return [' . str_repeat("'" . str_repeat((string)$i, 400) . "',", 2500) . '];');
            touch("/tmp/big$i.php", time() - 100);
            include "/tmp/big$i.php";
        }
        return 1;""", seconds=60)
    assert apache.sites["bob"].get("/hello.php").ok()
    # A change reaches the running, and what nobody needs any more ends.
    paddock.config.write_text(paddock.config.read_text().replace("40M", "24M"))
    paddock.cli("reload")
    machine.wait_for(lambda: apache.sites["carol"].run(SIZE, seconds=60) == 24, 20, "the new sandbox serves")
    machine.wait_for(lambda: len(zygotes(paddock)) == 2, 20, "the zygote of 40M has gone")


def test_a_zygote_of_a_size_is_replaced(make_paddock, make_apache):
    paddock = make_paddock(plan={"opcache": "24M", "idle": "0s"})
    paddock.add_tenant("alice")
    apache = make_apache(paddock.start())
    site = apache.sites["alice"]
    assert site.run(SIZE) == 24
    before = zygotes(paddock)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    paddock.cli("kill", "alice")
    assert site.run(SIZE, seconds=60) == 24
    assert not set(zygotes(paddock)) & set(before)
