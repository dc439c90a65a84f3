"""Other languages: tenants of kind "fastcgi" and "cgi", asked on their sockets and through web servers."""

import json
import os
import re
import shutil
import stat
import subprocess
import time

import pytest

from harness import fastcgi, machine

pytestmark = pytest.mark.sanitizer

PROGRAMS = machine.REPOSITORY / "tests/integration/programs"
MIB = 1 << 20
LARGE = (2 if machine.IN_VM else 16) * MIB


def place_programs(tenant):
    """Into the tenant's site."""
    for source in PROGRAMS.iterdir():
        target = tenant.docroot / source.name
        shutil.copy(source, target)
        os.chown(target, tenant.account.pw_uid, tenant.account.pw_gid)


class Programs:
    """A started Paddock with a tenant "alice" of the kind asked for, and her programs."""

    def __init__(self, paddock):
        self.paddock = paddock
        self.tenant = paddock.tenants["alice"]
        self.directory = self.tenant.docroot
        self.socket = paddock.sockets()["alice"]

    def write(self, name, text, mode=0o755):
        path = self.directory / name
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, self.tenant.account.pw_uid, self.tenant.account.pw_gid)
        return path

    def ask(self, name, query="", seconds=20, **options):
        return fastcgi.fetch(self.socket, self.directory / name, seconds=seconds, query=query, **options)

    def told(self, name, query="", **options):
        answer = self.ask(name, query, **options)
        assert status(answer) == 201, answer
        return json.loads(answer.body)

    def log(self):
        return self.paddock.tenant_log("alice")

    def processes(self, text):
        """Those of the sandbox whose command line holds `text`, but for workers, whose titles name what they serve."""
        found = []
        for pid in self.paddock.in_cgroup("tenants", "alice"):
            try:
                line = open(f"/proc/{pid}/cmdline", "rb").read().decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if text in line and not line.startswith("paddock: "):
                found.append(pid)
        return found


def status(answer):
    head = answer.stdout.partition(b"\r\n\r\n")[0].decode("latin-1")
    assert head, answer
    found = re.search(r"^Status: (\d+)", head, re.MULTILINE | re.IGNORECASE)
    return int(found.group(1)) if found else 200


@pytest.fixture
def programs(make_paddock):
    """programs(kind=…, command=…, plan={…}) → Programs."""
    def start(plan=None, command=None, **options):
        paddock = make_paddock(plan={"workers": 2, **(plan or {})})
        tenant = paddock.add_tenant("alice")
        # Another account's home beside hers.
        paddock.add_tenant("bob")
        place_programs(tenant)
        if command:
            options["command"] = [word.format(site=tenant.docroot, home=tenant.home) for word in command]
        if "listen" in options:
            options["listen"] = options["listen"].format(home=tenant.home)
        tenant.options.update(options)
        paddock.start()
        return Programs(paddock)
    return start


# --- CGI

def test_cgi_script(programs):
    alice = programs(kind="cgi", env={"FROM_THE_PLAN": "yes"})
    found = alice.told("echo.cgi", "a=1&b=2", body=b"the body", method="POST", CONTENT_TYPE="text/plain",
                       HTTP_X_OWN="own", HTTP_PROXY="http://evil/")
    env = found["env"]
    assert found["body"] == "the body"
    assert env["QUERY_STRING"] == "a=1&b=2"
    assert env["REQUEST_METHOD"] == "POST"
    assert env["CONTENT_LENGTH"] == "8"
    assert env["HTTP_X_OWN"] == "own"
    assert env["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert env["FROM_THE_PLAN"] == "yes"
    assert env["HOME"] == str(alice.tenant.home)
    assert "HTTP_PROXY" not in env
    assert not [name for name in env if "PADDOCK" in name or "SAN_OPTIONS" in name]
    assert found["cwd"] == str(alice.directory)
    assert found["argv"] == [str(alice.directory / "echo.cgi")]
    assert found["uid"] == alice.tenant.account.pw_uid
    assert found["homes"] == ["alice"]
    # 3: the directory that lists them.
    assert found["fds"] == [0, 1, 2, 3]
    assert alice.told("echo.cgi")["pid"] != found["pid"]


def test_cgi_path_info(programs):
    alice = programs(kind="cgi")
    env = alice.told("echo.cgi/more/of/it", SCRIPT_NAME="/echo.cgi/more/of/it")["env"]
    assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == ("/echo.cgi", "/more/of/it")
    assert env["SCRIPT_FILENAME"] == str(alice.directory / "echo.cgi")


def test_cgi_answers(programs):
    alice = programs(kind="cgi")
    teapot = alice.ask("echo.cgi", "nph")
    assert (status(teapot), teapot.body) == (418, b"short and stout")
    assert b"Location: http://example.org/" in alice.ask("echo.cgi", "moved").stdout
    for query in ("silent", "nonsense"):
        assert status(alice.ask("echo.cgi", query)) == 500
    assert "the program gave no answer" in alice.log()
    assert "the program's answer has no header" in alice.log()
    assert status(alice.ask("not-there.cgi")) == 404
    alice.write("plain.cgi", "#!/bin/sh\necho", mode=0o644)
    assert status(alice.ask("plain.cgi")) == 403
    alice.write("no-interpreter.cgi", "#!/nowhere/at/all\n")
    assert status(alice.ask("no-interpreter.cgi")) == 500
    assert "No such file or directory" in alice.log()
    assert status(alice.ask("echo.cgi", "complains")) == 201
    machine.wait_for(lambda: "a line for the log" in alice.log(), 5, "what the script says is in the log")


def test_cgi_large_bodies(programs):
    alice = programs(kind="cgi")
    body = os.urandom(LARGE)
    assert alice.ask("echo.cgi", "mirror", body=body, method="POST").body == body


@pytest.mark.parametrize("kind, name", [("cgi", "echo.cgi"), ("fastcgi", "echo.fcgi")])
def test_late_program(programs, kind, name):
    deadline = int(machine.patience(1.5))
    alice = programs(kind=kind, plan={"deadline": f"{deadline}s", "workers": 1})
    begin = time.monotonic()
    assert status(alice.ask(name, "stubborn", seconds=30)) == 504
    assert deadline <= time.monotonic() - begin < deadline + machine.patience(2)
    machine.wait_for(lambda: "the plan's deadline has passed" in alice.log(), 5, "the log says why")
    machine.wait_for(lambda: not alice.processes(name), 5, "the late program is gone, and what it had started")
    alice.told(name)  # by the same worker
    assert "killed" not in alice.log()


@pytest.mark.parametrize("kind, name", [("cgi", "echo.cgi"), ("fastcgi", "echo.fcgi")])
def test_late_program_that_never_pauses(programs, kind, name):
    deadline = int(machine.patience(1.5))
    alice = programs(kind=kind, plan={"deadline": f"{deadline}s", "workers": 1})
    begin = time.monotonic()
    with fastcgi.Connection(alice.socket, 30) as connection:
        connection.send(fastcgi.whole_request(alice.directory / name, query="endless"))
        end = b""
        while piece := connection.socket.recv(1 << 20):
            end = (end + piece)[-16:]
    assert deadline <= time.monotonic() - begin < deadline + machine.patience(2)
    assert end[:2] == bytes((fastcgi.VERSION, fastcgi.END_REQUEST))
    machine.wait_for(lambda: "the plan's deadline has passed" in alice.log(), 5, "the log says why")
    machine.wait_for(lambda: not alice.processes(name), 5, "the late program is gone")
    alice.told(name)  # by the same worker
    assert "killed" not in alice.log()


def test_cgi_without_reader(programs):
    alice = programs(kind="cgi", plan={"workers": 1})
    with fastcgi.Connection(alice.socket) as connection:
        connection.send(fastcgi.whole_request(alice.directory / "echo.cgi", query="endless"))
        connection.socket.recv(65536)
        assert alice.processes("echo.cgi")
    machine.wait_for(lambda: not alice.processes("echo.cgi"), 10, "nobody reads it: it is ended")
    alice.told("echo.cgi")


def test_cgi_leaves_something_in_the_background(programs):
    alice = programs(kind="cgi")
    alice.write("background.cgi", "#!/bin/sh\nsleep 617 >/dev/null 2>&1 </dev/null &\n"
                                  "printf 'Content-Type: text/plain\\r\\n\\r\\ndone'\n")
    assert alice.ask("background.cgi").body == b"done"
    assert alice.processes("sleep")


# --- FastCGI, the script itself

def test_fastcgi_script(programs):
    alice = programs(kind="fastcgi", env={"FROM_THE_PLAN": "yes"}, plan={"workers": 1})
    first = alice.told("echo.fcgi", "a=1", body=b"the body", HTTP_X_OWN="own", HTTP_PROXY="http://evil/")
    assert first["body"] == "the body"
    assert first["params"]["QUERY_STRING"] == "a=1"
    assert first["params"]["HTTP_X_OWN"] == "own"
    assert "HTTP_PROXY" not in first["params"]
    assert first["environ"]["FROM_THE_PLAN"] == "yes"
    assert "QUERY_STRING" not in first["environ"]
    assert first["cwd"] == str(alice.directory)
    assert first["uid"] == alice.tenant.account.pw_uid
    # 0 to 2, its copy of 0, the connection, and the directory that lists them.
    assert len(first["fds"]) == 6
    second = alice.told("echo.fcgi", "complains")
    assert (second["pid"], second["served"]) == (first["pid"], 2)
    machine.wait_for(lambda: "a line for the log" in alice.log(), 5, "what the program says is in the log")
    # Another script has its own program, and leaves this one alone.
    shutil.copy(alice.directory / "echo.fcgi", alice.directory / "other.fcgi")
    assert alice.told("other.fcgi")["pid"] != first["pid"]
    assert alice.told("echo.fcgi")["served"] == 3
    # A script that is changed is started anew.
    alice.write("echo.fcgi", (alice.directory / "echo.fcgi").read_text() + "\n# changed\n")
    third = alice.told("echo.fcgi")
    assert (third["pid"] != first["pid"], third["served"]) == (True, 1)
    assert not list(alice.tenant.home.glob("**/.paddock*"))


def test_fastcgi_scripts_are_few(programs):
    alice = programs(kind="fastcgi", plan={"workers": 1})
    for number in range(6):
        shutil.copy(alice.directory / "echo.fcgi", alice.directory / f"many{number}.fcgi")
        alice.told(f"many{number}.fcgi")
    assert len(alice.processes("many")) == 4


def test_fastcgi_script_dies(programs):
    alice = programs(kind="fastcgi", plan={"workers": 1})
    first = alice.told("echo.fcgi")
    assert status(alice.ask("echo.fcgi", "die")) == 500
    assert alice.told("echo.fcgi")["served"] == 1
    assert "exit status 7" in alice.log()
    # What was said before it died arrives.
    assert b"the first half" in alice.ask("echo.fcgi", "half").body
    # Between two requests nobody notices.
    pid = alice.told("echo.fcgi")["pid"]
    host_pid = alice.processes("echo.fcgi")
    assert len(host_pid) == 1 and pid != first["pid"]
    os.kill(host_pid[0], 9)
    assert alice.told("echo.fcgi")["served"] == 1


def test_fastcgi_script_that_cannot_run(programs):
    alice = programs(kind="fastcgi")
    alice.write("broken.fcgi", "#!/bin/sh\nexit 5\n")
    assert status(alice.ask("broken.fcgi")) == 500
    assert "exit status 5" in alice.log()
    alice.write("plain.fcgi", "#!/bin/sh\n", mode=0o644)
    assert status(alice.ask("plain.fcgi")) == 403
    assert status(alice.ask("not-there.fcgi")) == 404
    alice.told("echo.fcgi")


def test_fastcgi_large_bodies(programs):
    alice = programs(kind="fastcgi")
    body = os.urandom(LARGE)
    assert alice.ask("echo.fcgi", "mirror", body=body, method="POST").body == body


def test_fastcgi_output_is_not_held_back(programs):
    alice = programs(kind="fastcgi")
    with fastcgi.Connection(alice.socket) as connection:
        connection.send(fastcgi.whole_request(alice.directory / "echo.fcgi", query="flushed"))
        assert b"first\n" in connection.socket.recv(65536)
        rest = connection.receive()
    assert rest.content(fastcgi.STDOUT) == b"second\n"


def test_perl(programs):
    alice = programs(kind="fastcgi", plan={"workers": 1})
    pid, count, method, body = alice.ask("count.pl", method="POST", body=b"hello").body.decode().split()
    assert (count, method, body) == ("1", "POST", "hello")
    assert alice.ask("count.pl").body.decode() == f"{pid} 2 GET "
    machine.wait_for(lambda: "perl says 2" in alice.log(), 5, "what Perl says is in the log")


# --- FastCGI, a command

def test_php_cgi_as_command(programs):
    """Another PHP than Paddock's own; it ends after every other request, which nobody notices."""
    alice = programs(kind="fastcgi", command=["/usr/bin/php-cgi8.2", "-d", "memory_limit=33M"],
                     env={"PHP_FCGI_MAX_REQUESTS": "2"}, plan={"workers": 1})
    alice.write("sapi.php", "<?php echo PHP_SAPI, ' ', ini_get('memory_limit'), ' ', getmypid(), ' ', $_POST['a'] ?? '-';")
    pids = set()
    for number in range(7):
        sapi, memory, pid, posted = alice.ask("sapi.php", method="POST", body=b"a=%d" % number,
                                              CONTENT_TYPE="application/x-www-form-urlencoded").body.decode().split()
        assert (sapi, memory, posted) == ("cgi-fcgi", "33M", str(number))
        pids.add(pid)
    assert len(pids) == 4
    assert status(alice.ask("missing.php")) == 404


def test_command_dies_at_once(programs):
    alice = programs(kind="fastcgi", command=["/bin/false"])
    assert status(alice.ask("anything")) == 500
    machine.wait_for(lambda: "the program ends as it starts" in alice.log(), 10, "the log says why")


FPM = """\
[global]
error_log = /dev/stderr
daemonize = no
[www]
listen = {home}/fpm.sock
pm = static
pm.max_children = 2
clear_env = no
"""


def test_php_fpm_as_shared_program(programs):
    alice = programs(kind="fastcgi", command=["/usr/sbin/php-fpm8.2", "-F", "-y", "{home}/fpm.conf"],
                     listen="{home}/fpm.sock")
    # The sandbox starts with the first request: the pool's file is there by then.
    (alice.tenant.home / "fpm.conf").write_text(FPM.format(home=alice.tenant.home))
    alice.write("sapi.php", "<?php echo PHP_SAPI, ' ', posix_getppid();")
    sapi, master = alice.ask("sapi.php", seconds=40).body.decode().split()
    assert sapi == "fpm-fcgi"
    assert alice.ask("sapi.php").body.decode().split()[1] == master
    # One for all workers; it comes back when it ends.
    masters = alice.processes("php-fpm: master")
    assert len(masters) == 1
    os.kill(masters[0], 9)
    machine.wait_for(lambda: alice.processes("php-fpm: master") not in ([], masters), 10, "it is started anew")
    assert alice.ask("sapi.php", seconds=40).body.decode().startswith("fpm-fcgi")


def test_shared_program_that_is_not_there(programs):
    """A start that takes a while is waited for; requests that nobody takes have a clear end."""
    alice = programs(kind="fastcgi", command=["{site}/echo.fcgi", "{home}/echo.sock"], listen="{home}/echo.sock",
                     plan={"deadline": f"{int(machine.patience(8))}s"})
    assert alice.told("echo.fcgi")["served"] == 1
    alice.paddock.cli("stop", "alice")
    alice.write("echo.fcgi", "#!/bin/sh\nexit 6\n")
    (alice.tenant.home / "echo.sock").unlink()
    assert status(alice.ask("echo.fcgi", seconds=40)) == 503
    assert "exit status 6" in alice.log()


# --- Through web servers

HANDLER = """\
  <FilesMatch "\\.cgi$">
    SetHandler "proxy:unix:{socket}|fcgi://{tenant}"
  </FilesMatch>
"""


def test_two_kinds_of_one_user(programs, make_apache):
    """PHP and CGI of one account and home, each a tenant, behind one site."""
    alice = programs(kind="cgi")
    paddock = alice.paddock
    php = paddock.add_tenant("alice-php", account=alice.tenant.account, make=False, home=str(alice.tenant.home))
    assert php.options["home"] == str(alice.tenant.home)
    paddock.write_config()
    paddock.cli("reload")
    apache = make_apache(paddock)
    both = HANDLER.format(socket=alice.socket, tenant="alice") + HANDLER.replace("cgi$", "php$").format(
        socket=paddock.sockets()["alice-php"], tenant="alice-php")
    site = apache.add_site("alice", alice.directory, alice.socket, handler=both)
    apache.stop()
    apache.start()
    answer = site.get("/echo.cgi/info?x=y")
    assert answer.status == 201
    env = answer.json()["env"]
    assert env["QUERY_STRING"] == "x=y"
    assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == ("/echo.cgi", "/info")
    assert env["SCRIPT_FILENAME"] == str(alice.directory / "echo.cgi")
    assert env["PATH_TRANSLATED"] == str(alice.directory / "info")
    assert site.run("return posix_getuid();") == answer.json()["uid"]
    assert site.get("/echo.cgi?moved").status == 302
    assert site.get("/echo.cgi?nph").status == 418
    assert site.post("/echo.cgi?mirror", b"posted").body == b"posted"


def test_printed_lines_of_a_command(programs, make_apache):
    """What `paddock vhost` prints for a program that has every URL."""
    alice = programs(kind="fastcgi", command=["{site}/echo.fcgi"])
    apache = make_apache(alice.paddock)
    lines = alice.paddock.cli("vhost", "alice").stdout
    site = apache.add_site("alice", alice.directory, alice.socket, handler=lines.replace("{", "{{").replace("}", "}}"))
    apache.stop()
    apache.start()
    for path in ("/", "/some/where?x=y", "/echo.cgi"):
        answer = site.get(path)
        assert answer.status == 201, answer
        params = answer.json()["params"]
        assert params["REQUEST_URI"] == path
        assert params["SCRIPT_NAME"] + params.get("PATH_INFO", "") == path.partition("?")[0]
        assert not params["SCRIPT_FILENAME"].startswith("proxy:")


MODULE_HANDLER = """\
  PaddockTenant {tenant}-php
  <FilesMatch "\\.(cgi|fcgi|pl)$">
    PaddockTenant {tenant}
    PaddockExtensions .fcgi
  </FilesMatch>
"""


def test_module(programs, make_apache):
    """mod_paddock: programs by the server's config, and by what an .htaccess knows from mod_fcgid and mod_cgid."""
    alice = programs(kind="fastcgi", plan={"workers": 1})
    paddock = alice.paddock
    paddock.add_tenant("alice-php", account=alice.tenant.account, make=False, home=str(alice.tenant.home))
    paddock.write_config()
    paddock.cli("reload")
    apache = make_apache(paddock, module=True)
    site = apache.add_site("alice", alice.directory, alice.socket, handler=MODULE_HANDLER)
    owner = apache.add_site("alice", alice.directory, alice.socket, handler="  PaddockTenantFrom owner\n")
    apache.stop()
    apache.start()
    answer = site.post("/echo.fcgi?a=b", b"posted")
    assert answer.status == 201
    assert answer.json()["body"] == "posted"
    assert answer.json()["params"]["SCRIPT_FILENAME"] == str(alice.directory / "echo.fcgi")
    assert site.get("/echo.fcgi?die").status == 500
    assert site.run("return posix_getuid();") == answer.json()["uid"]
    # No ending that the server's config names: its source, as before, until the site's own .htaccess says otherwise.
    assert site.get("/count.pl").body.startswith(b"#!/usr/bin/perl")
    alice.write(".htaccess", "AddHandler fcgid-script .pl\n", mode=0o644)
    assert site.get("/count.pl").body.split()[1:] == [b"1", b"GET"]
    # An account may have one tenant for PHP and others for programs: its owner's PHP is the one.
    (alice.directory / ".htaccess").unlink()
    assert owner.run("return PHP_SAPI;") == "fpm-fcgi"
