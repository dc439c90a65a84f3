"""mod_paddock with real sandboxes: php_value and its kin, slow PHP, and neighbours who attack."""

import contextlib
import os
import re
import shutil
import subprocess
import threading

import pytest

from harness import machine, process
from harness.apache import MODULE_HANDLER, Apache

pytestmark = pytest.mark.sanitizer


@pytest.fixture
def host(module_host):
    return module_host


@contextlib.contextmanager
def htaccess(tenant, text, directory=""):
    file = tenant.docroot / directory / ".htaccess"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    try:
        yield
    finally:
        file.unlink()
        if directory:
            shutil.rmtree(file.parent)


def ini(site, *names, code="", **options):
    return site.run(code + "return [" + ", ".join(f"ini_get('{name}')" for name in names) + "];", **options)


def test_php_value_of_htaccess(host):
    alice = host.paddock.tenants["alice"]
    default = ini(host.alice, "precision", "display_errors")
    with htaccess(alice, "php_value precision 7\nphp_flag display_errors On\nphp_value no_such_thing 1\n"
                         "php_value allow_url_fopen 0\nphp_value enable_dl 0\n"):
        assert ini(host.alice, "precision", "display_errors") == ["7", "1"]
        # A script may change it, and PHP_INI_SYSTEM is not a tenant's to set.
        assert ini(host.alice, "precision", code="ini_set('precision', 9);") == ["9"]
        assert ini(host.alice, "allow_url_fopen") == ["1"]
    # The same worker, the next request.
    assert ini(host.alice, "precision", "display_errors") == default
    assert ini(host.bob, "precision", "display_errors") == default


def test_sections_that_only_apache_understands(host):
    alice = host.paddock.tenants["alice"]
    with htaccess(alice, "<If \"%{REQUEST_METHOD} == 'POST' && %{HTTP:X-Wanted} == 'yes'\">\nphp_value precision 6\n</If>\n"
                         "<FilesMatch \"^run\">\nphp_value serialize_precision 5\n</FilesMatch>\n"
                         "<Files other.php>\nphp_value serialize_precision 4\n</Files>\n"):
        assert ini(host.alice, "precision", "serialize_precision", headers={"X-Wanted": "yes"}) == ["6", "5"]
        assert ini(host.alice, "precision", "serialize_precision") == ["14", "5"]


def test_values_hold_before_the_body_is_read(host):
    alice = host.paddock.tenants["alice"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert host.alice.post("/dump.php", "a=" + "x" * 5000, headers=form).ok().json()["post"]
    with htaccess(alice, "php_value post_max_size 1000\n"):
        assert host.alice.post("/dump.php", "a=" + "x" * 5000, headers=form).ok().json()["post"] == []


def test_the_worker_does_not_read_htaccess_itself(host):
    """What Apache decides otherwise than the worker would: here, AllowOverride does not reach below."""
    alice = host.paddock.tenants["alice"]
    with htaccess(alice, "<IfModule mod_php.c>\nphp_value precision 5\n</IfModule>\n"):
        # PaddockModPhpNames is off; without a module the worker takes mod_php as loaded.
        assert ini(host.alice, "precision") == ["14"]


def test_forged_settings(host):
    alice = host.paddock.tenants["alice"]
    with htaccess(alice, "SetEnv PHP_VALUE \"precision=3\"\nSetEnv PHP_ADMIN_VALUE \"precision=3\"\n"
                         "SetEnvIf Request_URI . PHP_VALUE=precision=3\n"
                         "RewriteEngine On\nRewriteRule ^ - [E=PHP_VALUE:precision=3,E=PHP_ADMIN_VALUE:precision=3]\n"):
        assert ini(host.alice, "precision", headers={"PHP_VALUE": "precision=3", "Php-Value": "precision=3"}) == ["14"]


def test_php_admin_value(make_paddock, make_apache):
    paddock = make_paddock()
    paddock.add_tenant("alice")
    paddock.start()
    apache = Apache(paddock.directory, paddock=paddock)
    site = apache.add_site("alice", paddock.tenants["alice"].docroot, "", handler=MODULE_HANDLER + """
        php_admin_value memory_limit 99M
        php_admin_flag allow_url_fopen off
        php_value precision 8
        <Location /run.php>
          php_admin_value upload_max_filesize 3M
        </Location>
    """)
    try:
        apache.start()
        with htaccess(paddock.tenants["alice"], "php_value memory_limit 1G\nphp_value precision 9\n"
                                                "php_value upload_max_filesize 1G\n"):
            (paddock.tenants["alice"].docroot / ".user.ini").write_text("memory_limit = 512M\n")
            assert ini(site, "memory_limit", "allow_url_fopen", "precision", "upload_max_filesize",
                       code="ini_set('memory_limit', '2G'); ini_set('allow_url_fopen', 1);") == ["99M", "0", "9", "3M"]
    finally:
        apache.stop()


# --- slow PHP

def test_slow_php_of_one_tenant_holds_no_thread(make_paddock, make_apache):
    """Fifty threads, hundreds of sleeping scripts: the neighbour and static files are served meanwhile."""
    paddock = make_paddock(plan={"workers": 8, "queue": 400, "queue_time": "60s"})
    for name in ("alice", "bob"):
        paddock.add_tenant(name)
    paddock.start()
    apache = make_apache(paddock, module=True)
    alice, bob = apache.sites["alice"], apache.sites["bob"]
    bob.get("/hello.php").ok()
    (paddock.tenants["bob"].docroot / "static.txt").write_text("static")
    (paddock.tenants["alice"].docroot / "sleep.php").write_text("<?php usleep(100000); echo 'slept';")
    os.chown(paddock.tenants["alice"].docroot / "sleep.php", paddock.tenants["alice"].account.pw_uid, -1)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(alice.get("/sleep.php", seconds=60).text))
               for _ in range(200)]
    for thread in threads:
        thread.start()
    times = []
    while any(thread.is_alive() for thread in threads) and len(times) < 100:
        times.append(max(bob.get("/static.txt").ok().seconds, bob.get("/hello.php").ok().seconds))
    for thread in threads:
        thread.join()
    assert answers == ["slept"] * 200
    assert max(times) < machine.patience(3)


# --- neighbours

# What bob can write into his own .htaccess to have a script of alice's run, or his own as alice, if he knows a socket's
# path. The last three need none.
ATTACKS = {
    "SetHandler": "<Files attack.php>\nSetHandler \"proxy:unix:{socket}|fcgi://alice\"\n</Files>\n",
    "SetHandler-paddock": "<Files attack.php>\nSetHandler paddock-php\n</Files>\nSetEnv SCRIPT_FILENAME {script}\n",
    "RewriteRule-P": "RewriteEngine On\nRewriteRule ^attack.php$ \"unix:{socket}|fcgi://alice{script}\" [P]\n",
    "Action": "Action attack /forward\nAddHandler attack .php\nRewriteEngine On\n"
              "RewriteRule ^forward \"unix:{socket}|fcgi://alice{script}\" [P]\n",
    "AddHandler": "AddHandler \"proxy:unix:{socket}|fcgi://alice\" .php\n",
    "RewriteRule-file": "RewriteEngine On\nRewriteRule ^attack.php$ {script} [L]\n",
    "symlink": "Options +FollowSymLinks\n",
    "SetEnv": "SetEnv PADDOCK_TENANT alice\nSetEnvIf Request_URI . PADDOCK_TENANT=alice SCRIPT_FILENAME={script}\n",
}


WITH_SOCKET = [name for name, text in ATTACKS.items() if "{socket}" in text]


def attack(host, name, script, socket):
    """What bob's site answers then."""
    tenant = host.paddock.tenants["bob"]
    file = tenant.docroot / "attack.php"
    if name == "symlink":
        file.symlink_to(script)
    else:
        file.write_text("<?php echo 'bob as ', posix_geteuid();")
        os.chown(file, tenant.account.pw_uid, -1)
        file.chmod(0o644)
    try:
        with htaccess(tenant, ATTACKS[name].format(script=script, socket=socket)):
            return host.bob.get("/attack.php").text
    finally:
        file.unlink()


def succeeded(host, answer):
    return re.search(rf"(SECRET of|bob as) {host.paddock.tenants['alice'].account.pw_uid}", answer)


@pytest.fixture
def secret(host):
    """A script of alice's that is not on the web."""
    alice = host.paddock.tenants["alice"]
    file = alice.home / "secret.php"
    file.write_text("<?php echo 'SECRET of ', posix_geteuid();")
    os.chown(file, alice.account.pw_uid, -1)
    file.chmod(0o600)
    yield file
    file.unlink()


@pytest.mark.parametrize("name", ATTACKS)
def test_neighbours_run_nothing_of_alices(host, secret, name):
    """The path that bob knows is the best that he can: where the sockets are, and the tenant's name."""
    sockets = host.paddock.directory / "run" / "sockets"
    for guess in (sockets / "alice.sock", sockets / ("alice-" + "0" * 32 + ".sock"), sockets):
        answer = attack(host, name, secret, guess)
        assert not succeeded(host, answer) and "SECRET" not in answer
    # Nothing was broken on the way.
    assert host.alice.get("/hello.php").ok()


def test_bob_cannot_learn_the_path(host):
    """Neither in his sandbox nor by what Apache tells him."""
    sockets = host.paddock.directory / "run" / "sockets"
    assert host.bob.run(f"return [@scandir('{sockets}'), @file_exists('{sockets}')];") == [False, False]
    path = str(host.paddock.sockets()["alice"])
    with htaccess(host.paddock.tenants["bob"], "RewriteEngine On\nRewriteRule ^x$ \"unix:%s/alice.sock|fcgi://a/\" [P]\n" % sockets):
        assert path not in host.bob.get("/x").text
    assert path not in host.apache.error_log()


class Fpm:
    """PHP-FPM as it is usually set up: a socket with a name that everybody can guess, open to Apache."""

    def __init__(self, directory, account):
        self.socket = directory / "alice.sock"
        config = directory / "fpm.conf"
        config.write_text(f"[global]\nerror_log = {directory}/fpm.log\ndaemonize = no\n[alice]\n"
                          f"user = {account.pw_name}\ngroup = {account.pw_gid}\nlisten = {self.socket}\n"
                          f"listen.mode = 0666\npm = static\npm.max_children = 1\n")
        directory.chmod(0o755)
        self.process = subprocess.Popen(["/usr/sbin/php-fpm8.2", "-F", "-y", config], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        preexec_fn=process.end_with_parent)
        machine.wait_for(self.socket.exists, 10, "PHP-FPM listens")

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.mark.parametrize("name", WITH_SOCKET)
def test_control_the_attacks_succeed_with_fpm(host, secret, directory, name):
    """If these did not, the tests above would show nothing."""
    fpm = Fpm(directory, host.paddock.tenants["alice"].account)
    try:
        answer = attack(host, name, secret, fpm.socket)
        assert succeeded(host, answer), answer
    finally:
        fpm.stop()


def figures(host, path):
    """Of the last request for `path`: queue, run, cpu, memory, compiled and total time, as Apache logs them."""
    log = host.paddock.directory / "figures.log"
    lines = machine.wait_for(lambda: re.findall(rf"(?m)^{re.escape(path)} (.*)$", log.read_text()), 10)
    return lines[-1].split()


def test_figures_for_the_access_log(host):
    script = host.paddock.tenants["alice"].docroot / "takes.php"
    script.write_text("<?php $until = hrtime(true) + 60e6; $all = str_repeat('x', 8 << 20);\n"
                      "while (hrtime(true) < $until); usleep(100000); echo 'done';")
    assert host.alice.get("/takes.php").ok()
    queue, run, cpu, memory, compiled, total = map(float, figures(host, "/takes.php"))
    assert compiled == 1 and memory > 8 << 20
    assert run >= 160 and queue + run <= total
    assert 0 < cpu < run
    script.write_text("<?php fastcgi_finish_request(); include 'hello.php';")
    assert host.alice.get("/takes.php/finished").ok()
    assert float(figures(host, "/takes.php/finished")[1]) < run
    script.unlink()


def test_no_figures_where_no_script_ran(host):
    assert host.alice.get("/style.css").status == 404
    assert figures(host, "/style.css") == ["-"] * 6


def test_what_apache_refuses_is_in_the_figures(own_host):
    host = own_host(apache={"module": True, "main": "PaddockTenantLimit 1\n"})
    home = host.paddock.tenants["alice"].home
    script = (f"touch('{home}/come'); while (!file_exists('{home}/go')) {{ usleep(10000); clearstatcache(); }}")
    waiting = threading.Thread(target=host.alice.run, args=(script,))
    waiting.start()
    machine.wait_for((home / "come").exists, 10)
    for _ in range(3):
        assert host.alice.get("/hello.php").headers["X-Paddock-Reason"] == "apache-limit"
    (home / "go").touch()
    waiting.join()

    def refused(tenant):
        return {row["reason"]: row["requests"] for row in host.paddock.tenant_status(tenant)["refused_for"]}

    machine.wait_for(lambda: refused("alice") == {"apache-limit": 3}, 10)
    assert not refused("bob")
