"""What paddockd makes of its config: mistakes are named, a broken tenant stays alone, a reload takes effect."""

import concurrent.futures
import json
import signal
import socket
import subprocess

import pytest

from harness import fastcgi, machine, process

pytestmark = pytest.mark.sanitizer


def refused(paddock):
    """Starts paddockd, expects it to end, and returns what it said."""
    paddock.launch()
    assert paddock.supervisor.wait(machine.patience(15)) != 0
    return paddock.log()


def test_check_is_content(make_paddock):
    paddock = make_paddock()
    paddock.add_tenant("alice")
    paddock.write_config()
    assert paddock.cli("check").returncode == 0


@pytest.mark.parametrize(("text", "line", "words"), [
    ("[runtime]\nrun_dri = '/x'\n", 2, ["run_dri", "run_dir"]),
    ("[tenant.alice]\nuser = 5\n", 2, ["user", "string"]),
    ("[tenant.alice]\nuser = 'root'\n", None, ["root"]),
    ("[plan.default]\nworkers = 'many'\n", 2, ["workers"]),
    ("[tenant.alice]\nuser = 'www-data'\nplan = 'gold'\n", 3, ["gold"]),
    ("no toml at all", 1, []),
])
def test_mistakes_are_named_with_their_line(make_paddock, text, line, words):
    paddock = make_paddock()
    paddock.config.write_text(text)
    done = paddock.cli("check", check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert (f"{paddock.config}:{line}" if line else str(paddock.config)) in said
    assert all(word in said for word in words), said
    log = refused(paddock)
    assert all(word in log for word in words), log


def test_a_missing_config(make_paddock):
    paddock = make_paddock()
    assert str(paddock.config) in refused(paddock)


def test_a_tenant_without_user_or_home_stays_alone(make_paddock, make_apache):
    paddock = make_paddock()
    paddock.add_tenant("alice")
    nobody = paddock.add_tenant("nobody-such", account=paddock.tenants["alice"].account)
    nobody.options = {"user": "paddock-no-such-user"}
    homeless = paddock.add_tenant("homeless", make=False)
    paddock.start()
    site = make_apache(paddock).sites["alice"]
    assert site.get("/hello.php").ok()
    for said in (paddock.cli("check", check=False), paddock.cli("status", check=False)):
        assert "nobody-such" in said.stdout + said.stderr
        assert "homeless" in said.stdout + said.stderr
    log = paddock.log()
    assert "paddock-no-such-user" in log and str(homeless.home) in log
    path = paddock.sockets().get("homeless")
    if path:
        answer = fastcgi.fetch(path, homeless.docroot / "hello.php")
        assert b"Status: 503" in answer.stdout
    assert "paddockd" not in [process.title(pid) for pid in paddock.sandbox("homeless")]
    del paddock.tenants["nobody-such"], paddock.tenants["homeless"]


def reload(paddock):
    paddock.write_config()
    paddock.supervisor.send_signal(signal.SIGHUP)


def test_reload_adds_and_removes_tenants(own_host, accounts):
    host = own_host()
    host.alice.get("/hello.php").ok()
    keeper = host.paddock.keeper("alice")
    sockets = host.paddock.sockets()
    bob = host.paddock.tenants.pop("bob")
    host.bob.get("/hello.php").ok()
    carol = host.paddock.add_tenant("carol", account=accounts.get(3))
    reload(host.paddock)
    machine.wait_for(lambda: set(host.paddock.sockets()) == {"alice", "carol"}, 10, "the tenants of the new config")
    machine.wait_for(lambda: not host.paddock.sandbox("bob"), 15, "bob's sandbox is gone")
    assert not sockets["bob"].exists()
    assert fastcgi.fetch(host.paddock.sockets()["carol"], carol.docroot / "hello.php").body == b"hello\n"
    assert host.paddock.sockets()["alice"] == sockets["alice"]
    assert host.paddock.keeper("alice") == keeper, "a tenant that did not change was restarted"
    assert host.alice.get("/hello.php").ok()
    host.paddock._settled_files.clear()
    assert bob.home.exists()


def test_one_tenant_is_reloaded(make_paddock, accounts):
    """Of a host with a file for each: that one changes, comes or goes, and nothing else is looked at."""
    paddock = make_paddock(plan={"workers": 1})
    tenants = {name: paddock.add_tenant(name) for name in ("alice", "bob")}
    files = paddock.directory / "tenants.d"
    files.mkdir()

    def declare(name, account, home, more=""):
        (files / f"{name}.toml").write_text(f'[tenant.{name}]\nuser = "{account.pw_name}"\nhome = "{home}"\n{more}')

    def fetch(tenant, code):
        socket = paddock.sockets()[tenant.name]
        answer = fastcgi.fetch(socket, tenant.docroot / "run.php", seconds=30, method="POST", body=code)
        return json.loads(answer.body)

    for tenant in tenants.values():
        declare(tenant.name, tenant.account, tenant.home)
    alice, bob = tenants.values()
    paddock.tenants.clear()
    paddock.write_config()
    main = 'include = ["tenants.d/*.toml"]\n' + paddock.config.read_text()
    paddock.config.write_text(main)
    paddock.start()
    ask_alice, ask_bob = (lambda: fetch(alice, b"return ini_get('user_agent');")), (lambda: fetch(bob, b"return 1;"))
    assert ask_alice() == "" and ask_bob() == 1
    gateway, keeper = paddock.gateway(), paddock.keeper("bob")

    # One that has changed; what else has is not looked at.
    declare("alice", alice.account, alice.home, 'php_value.user_agent = "new"\n')
    (files / "bob.toml").write_text("no toml at all")
    assert "workers = 1" in main
    paddock.config.write_text(main.replace("workers = 1", "workers = 7"))
    assert paddock.cli("reload", "alice").stdout.split() == ["changed:", "alice"]
    assert ask_alice() == "new" and ask_bob() == 1
    assert paddock.cli("reload", "alice").stdout == ""
    assert paddock.tenant_status("alice")["workers_max"] == 1

    # One that is new.
    unknown = paddock.cli("reload", "carol", check=False)
    assert unknown.returncode == 5 and "carol" in unknown.stderr
    carol = paddock.add_tenant("carol", account=accounts.get(3))
    declare("carol", carol.account, carol.home)
    assert paddock.cli("reload", "carol").stdout.split() == ["added:", "carol"]
    assert fetch(carol, b"return 3;") == 3

    # One with a mistake keeps what it has.
    bad = paddock.cli("reload", "bob", check=False)
    assert bad.returncode != 0 and "bob.toml:1" in bad.stderr, bad
    declare("carol", carol.account, carol.home, 'plan = "gold"\n')
    bad = paddock.cli("reload", "carol", check=False)
    assert bad.returncode != 0 and "carol.toml:4" in bad.stderr and "gold" in bad.stderr, bad
    assert fetch(carol, b"return 4;") == 4

    # One that is gone.
    (files / "carol.toml").unlink()
    assert paddock.cli("reload", "carol").stdout.split() == ["removed:", "carol"]
    machine.wait_for(lambda: not paddock.sandbox("carol"), 15, "carol's sandbox is gone")
    assert set(paddock.sockets()) == {"alice", "bob"}

    # Of everything, nothing but what was said by mistake is left to do.
    declare("bob", bob.account, bob.home)
    paddock.config.write_text(main)
    assert paddock.cli("reload").stdout == ""
    assert ask_alice() == "new" and ask_bob() == 1
    assert paddock.gateway() == gateway and paddock.keeper("bob") == keeper
    paddock.tenants = tenants  # whose sandboxes the audit stops


def test_a_running_tenant_is_removed(make_paddock):
    """What runs is finished, what waits is refused, and nobody else notices."""
    paddock = make_paddock(plan={"workers": 1})
    alice, bob = paddock.add_tenant("alice"), paddock.add_tenant("bob")
    paddock.start()
    sockets, gateway = paddock.sockets(), paddock.gateway()

    def run(tenant, code):
        return fastcgi.fetch(sockets[tenant.name], tenant.docroot / "run.php", seconds=30, method="POST", body=code)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = pool.submit(run, bob, b"sleep(3); return 'finished';")
        machine.wait_for(lambda: paddock.tenant_status("bob")["busy"] == 1, 20, "bob's only worker is busy")
        waiting = pool.submit(run, bob, b"return 'never';")
        machine.wait_for(lambda: paddock.tenant_status("bob")["queue"] == 1, 5, "another request waits")
        del paddock.tenants["bob"]
        reload(paddock)
        refused = waiting.result()
        assert b"Status: 503" in refused.stdout and b"X-Paddock-Reason: removed" in refused.stdout
        assert json.loads(running.result().body) == "finished"
    assert json.loads(run(alice, b"return 1;").body) == 1
    machine.wait_for(lambda: not paddock.sandbox("bob"), 15, "bob's sandbox is gone")
    assert paddock.gateway() == gateway
    assert paddock.log().count("started paddock-gateway") == 1
    # And back, under the same name.
    paddock.tenants["bob"] = bob
    reload(paddock)
    machine.wait_for(lambda: "bob" in paddock.sockets(), 10, "bob is back")
    sockets = paddock.sockets()
    assert json.loads(run(bob, b"return 2;").body) == 2
    assert paddock.gateway() == gateway


def test_a_reload_of_a_broken_config_changes_nothing(own_host):
    host = own_host()
    host.alice.get("/hello.php").ok()
    good = host.paddock.config.read_text()
    host.paddock.config.write_text("[runtime]\nnonsense = 1\n")
    host.paddock.supervisor.send_signal(signal.SIGHUP)
    machine.wait_for(lambda: "nonsense" in host.paddock.log(), 10)
    host.paddock.config.write_text(good)
    assert host.alice.get("/hello.php").ok() and host.bob.get("/hello.php").ok()


def test_missing_controllers_are_refused_unless_allowed(make_paddock):
    missing = {"cpu", "memory", "pids"} - set(machine.controllers())
    paddock = make_paddock(runtime={"allow_missing_controllers": False})
    paddock.add_tenant("alice")
    paddock.write_config()
    if missing:
        log = refused(paddock)
        assert all(name in log for name in missing) and "allow_missing_controllers" in log
    else:
        paddock.start()


def test_doctor(host):
    done = host.paddock.cli("doctor", check=False)
    assert done.returncode in (0, 1)
    for name in {"cpu", "memory", "pids"} - set(machine.controllers()):
        assert name in done.stdout


def test_control_socket_is_not_for_everybody(host):
    """A tenant's processes on the host (cron, SSH) may ask, at most, about the tenant itself."""
    path = host.paddock.directory / "run/control.sock"
    assert path.is_socket()

    def ask(command, tenant):
        def attempt():
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(machine.patience(10))
                try:
                    connection.connect(str(path))
                except PermissionError:
                    return '{"ok": false}'
                connection.sendall(json.dumps({"v": 1, "command": command, "tenant": tenant}).encode() + b"\n")
                return connection.makefile().readline()
        return json.loads(process.as_user(host.paddock.tenants["alice"].account, attempt))

    host.bob.get("/hello.php").ok()
    for command in ("stop", "kill", "restart", "freeze", "block", "status"):
        assert ask(command, "bob")["ok"] is False, command
    assert ask("stop", "alice")["ok"] is False
    assert ask("sockets", "")["ok"] is False
    assert host.paddock.keeper("bob") is not None


@pytest.mark.parametrize("program", ["paddockd", "paddock", "paddock-gateway", "paddock-mail", "paddock-php8.2"])
def test_help_and_version(program):
    for option in ("--help", "--version"):
        done = subprocess.run([machine.BIN / program, option], capture_output=True, text=True, timeout=machine.patience(20))
        assert done.returncode == 0 and done.stdout.strip(), done
    assert subprocess.run([machine.BIN / program, "--no-such-option"], capture_output=True, text=True,
                          timeout=machine.patience(20)).returncode != 0


def test_removed_tenants_leave_nothing_open(make_paddock):
    """Control panels remove one tenant after the other, and nobody reloads for the sake of the last."""
    paddock = make_paddock(plan={"idle": "1s"})
    alice = paddock.add_tenant("alice")
    for number in range(5):
        paddock.add_tenant(f"gone-{number}", account=alice.account, make=False).home = alice.home
    paddock.start()
    fastcgi.fetch(paddock.sockets()["gone-0"], alice.docroot / "hello.php", 20)

    def sockets():
        return sum(path.startswith("socket:") for path in process.open_files(paddock.supervisor.pid).values())

    before = sockets()
    for name in [name for name in paddock.tenants if name != "alice"]:
        del paddock.tenants[name]
    paddock.write_config()
    paddock.cli("reload")
    machine.wait_for(lambda: sockets() <= before - 5, 15, "their sockets are closed, of the one that ran as well")
    assert fastcgi.fetch(paddock.sockets()["alice"], alice.docroot / "hello.php", 20).body == b"hello\n"
