"""Several PHPs side by side: each tenant's is the one that the config names for it."""

import os
import pathlib
import shutil
import signal

import pytest

from harness import machine

pytestmark = pytest.mark.sanitizer

# What only the ini files of that PHP say, and what serves: the zygote's program has no name in the sandbox.
WHICH = "return ini_get('user_agent');"


def ini_of(paddock, name):
    """The tests' own ini files, and a setting by which to know them."""
    directory = paddock.directory / f"php-{name}"
    shutil.copytree("/etc/php/8.2/embed", directory)
    with open(directory / "php.ini", "a") as ini:
        ini.write(f"\nuser_agent = {name}\n")
    return str(directory)


@pytest.fixture
def phps(make_paddock, make_apache):
    """alice has the default PHP, bob that of his plan, carol one of her own."""
    paddock = make_paddock(plans={"new": {"php": "9.8"}})
    program = str(paddock.directory / "paddock-php-of-the-admin")
    shutil.copy(machine.BIN / "paddock-php8.2", program)
    os.chmod(program, 0o755)
    paddock.phps = {"9.8": {"program": program, "ini_dir": ini_of(paddock, "9.8")},
                    "shop": {"program": program, "ini_dir": ini_of(paddock, "shop")}}
    for name, options in (("alice", {}), ("bob", {"plan": "new"}), ("carol", {"plan": "new", "php": "shop"})):
        paddock.add_tenant(name, **options)
    return paddock, make_apache(paddock.start())


def zygotes(paddock):
    return {zygote["php"]: zygote for zygote in paddock.host_status()["zygotes"]}


def test_each_tenant_has_its_own(phps):
    paddock, apache = phps
    machine.wait_for(lambda: all(zygote["version"].startswith("8.2") for zygote in zygotes(paddock).values()), 20,
                     "all are ready")
    assert set(zygotes(paddock)) == {"8.2", "9.8", "shop"}
    assert [apache.sites[name].run(WHICH) for name in ("alice", "bob", "carol")] == ["", "9.8", "shop"]
    assert [paddock.tenant_status(name)["php"] for name in ("alice", "bob", "carol")] == ["8.2", "9.8", "shop"]
    assert "php:" in paddock.cli("status", "carol").stdout


def test_debians_own_program_runs_where_it_can(phps):
    """With ours preloaded; else, or where it does not take that, ours on libphp."""
    paddock, apache = phps

    def executable(name):
        pid = machine.wait_for(lambda: zygotes(paddock)[name]["version"] and zygotes(paddock)[name]["pid"], 20, "it is ready")
        return os.readlink(f"/proc/{pid}/exe")

    command, program = "/usr/bin/php8.2", paddock.phps["9.8"]["program"]
    assert executable("8.2") == (str(machine.BIN / "paddock-php8.2") if machine.sanitized() else command)
    assert executable("9.8") == program
    # Nobody's scripts can tell.
    what = "return implode(' ', [PHP_SAPI, PHP_VERSION, getenv('LD_PRELOAD') ?: '-', ...get_loaded_extensions()]);"
    seen = [apache.sites[name].run(what) for name in ("alice", "bob")]
    assert seen[0] == seen[1] and " - " in seen[0], seen
    before = zygotes(paddock)["9.8"]["pid"]
    pathlib.Path(program + ".so").write_text("not an object")
    os.kill(before, signal.SIGKILL)
    machine.wait_for(lambda: zygotes(paddock)["9.8"]["pid"] not in (0, before), 20, "it is started again")
    assert executable("9.8") == program


def test_a_tenant_moves_to_another(phps):
    paddock, apache = phps
    apache.sites["alice"].run(WHICH)
    alice = paddock.keeper("alice")
    assert apache.sites["carol"].run(WHICH) == "shop"
    del paddock.tenants["carol"].options["php"]
    paddock.write_config()
    paddock.cli("reload")
    machine.wait_for(lambda: apache.sites["carol"].run(WHICH, seconds=60) == "9.8", 20, "the new sandbox serves")
    assert paddock.keeper("alice") == alice, "nobody else is touched"
    machine.wait_for(lambda: set(zygotes(paddock)) == {"8.2", "9.8"}, 20, "what nobody needs has gone")


def test_one_that_dies_is_started_again_and_the_others_go_on(phps):
    paddock, apache = phps
    for name in ("alice", "bob"):
        apache.sites[name].run(WHICH)
    before = zygotes(paddock)
    os.kill(before["9.8"]["pid"], signal.SIGKILL)
    assert apache.sites["alice"].run(WHICH) == ""
    paddock.cli("kill", "bob")
    assert apache.sites["bob"].run(WHICH, seconds=60) == "9.8"
    after = zygotes(paddock)
    assert after["9.8"]["pid"] not in (0, before["9.8"]["pid"]) and after["8.2"]["pid"] == before["8.2"]["pid"]


def test_one_that_is_not_installed_is_told_and_costs_its_tenants_only(make_paddock, make_apache):
    paddock = make_paddock(plan={"queue_time": "1s"})
    paddock.add_tenant("alice")
    paddock.add_tenant("bob", php="7.4")
    apache = make_apache(paddock.start())
    assert apache.sites["alice"].run("return 1;") == 1
    answer = apache.sites["bob"].get("/hello.php", seconds=30)
    assert answer.status == 503
    assert "PHP 7.4 is not there" in paddock.tenant_status("bob")["problem"]
    doctor = paddock.cli("doctor", check=False).stdout
    assert "PHP 7.4: its zygote is not ready" in doctor and "paddock-php7.4" in doctor
    assert paddock.keeper("bob") is None
