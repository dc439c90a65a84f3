"""php_value in .htaccess: what mod_php makes of it, a sandbox makes of it too, on a real Apache without mod_php."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from harness import fastcgi, machine
from harness.apache import Apache

COMPARE = machine.REPOSITORY / "htaccess/cases/compare_with_mod_php.py"

# mod_php has Apache look into the section; without it, Apache only looks for its end, and stumbles.
APACHES_OWN = ["an <IfModule> that ends with the file"]


def load_table():
    spec = importlib.util.spec_from_file_location("compare_with_mod_php", COMPARE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_mod_phps():
    """The table's expectations are those of the real mod_php, on a private Apache."""
    done = subprocess.run([sys.executable, "-B", COMPARE], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=machine.patience(120))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_the_table_through_apache_and_a_sandbox(make_paddock):
    """Every case of the table, AllowOverride All Nonfatal=Unknown, the document root another one each time."""
    table = load_table()
    # The document root changes behind PHP's back.
    paddock = make_paddock(plan={"workers": 1, "php_admin_value": {"realpath_cache_size": "0", "opcache.enable": False}})
    tenant = paddock.add_tenant("alice")
    paddock.start()
    site = tenant.home / "site"
    table.lay_out(tenant.home / "empty", table.Case("", ""))
    site.symlink_to(tenant.home / "empty")
    apache = Apache(paddock.directory)
    port = apache.add_site("alice", site, paddock.sockets()["alice"])
    apache.start()
    problems, compared = [], 0
    try:
        status, text = table.ask(port.port, table.Case("", ""))
        assert status == 200, text
        baseline = json.loads(text)
        error_log = paddock.directory / "apache-error.log"
        cases = [case for file in sorted(COMPARE.parent.glob("*.cases")) for case in table.read_cases(file)]
        errors = [case.name for case in cases if case.error is not None]
        for number, case in enumerate(cases):
            directory = tenant.home / f"case{number}"
            directory.mkdir()
            table.lay_out(directory, case)
            (tenant.home / "next").symlink_to(directory)
            os.rename(tenant.home / "next", site)
            apache_said, we_said = len(error_log.read_bytes()), len(paddock.tenant_log("alice"))

            def said():
                return (error_log.read_bytes()[apache_said:].decode("latin-1")
                        + paddock.tenant_log("alice")[we_said:])

            status, text = table.ask(port.port, case)
            if case.error is not None:
                # The keeper writes what the worker said, and may be a moment behind the answer.
                with contextlib.suppress(AssertionError):
                    machine.wait_for(lambda: case.error in said() or "core:alert" in said(), 2)
            if case.unlike is not None:
                continue
            # What Apache itself cannot read, it refuses before any worker hears of the request.
            if "core:alert" in said() and status == 500 and case.name in (*APACHES_OWN, *errors):
                continue
            compared += 1
            problems += [f"{case.where}: {case.name}: {problem}"
                         for problem in table.check(case, status, text, said(), baseline)]
    finally:
        apache.stop()
    assert not problems, "\n".join(problems)
    assert compared >= 180


@pytest.fixture
def htaccess(host):
    """htaccess(text) writes alice's .htaccess, in a directory below the document root if one is named."""
    tenant = host.paddock.tenants["alice"]
    written = []

    def write(text, directory=""):
        file = tenant.docroot / directory / ".htaccess"
        file.write_text(text)
        file.chmod(0o644)
        written.append(file)
        return file

    yield write
    for file in written:
        file.unlink(missing_ok=True)


def setting(host, name):
    return host.alice.run(f"return ini_get('{name}');")


def logged(host, text):
    machine.wait_for(lambda: text in host.paddock.tenant_log("alice"), 5, f"the log says {text!r}")


def test_a_change_counts_at_once_and_nothing_stays(host, htaccess):
    before = setting(host, "user_agent")
    for value in ("one", "two", "a; memory_limit=1G", 'say "x"'.replace('"', "'")):
        file = htaccess(f'php_value user_agent "{value}"\n')
        assert setting(host, "user_agent") == value
    file.unlink()
    assert setting(host, "user_agent") == before
    assert setting(host, "memory_limit") == "128M"


def test_in_force_before_the_body_is_read(host, htaccess):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = "a=" + "x" * 5000
    htaccess("php_value post_max_size 1K\n")
    assert host.alice.post("/dump.php", body, headers=form).ok().json()["post"] == []
    htaccess("php_value post_max_size 1M\nphp_flag enable_post_data_reading on\n")
    assert host.alice.post("/dump.php", body, headers=form).ok().json()["post"] == {"a": "x" * 5000}


def test_a_prepended_file_and_mod_phps_conditions(host, htaccess):
    docroot = host.paddock.tenants["alice"].docroot
    prepended = docroot.parent / "before.php"
    prepended.write_text("<?php header('X-Before: yes');")
    prepended.chmod(0o644)
    htaccess(f"<IfModule mod_php.c>\n  php_value auto_prepend_file {prepended}\n</IfModule>\n"
             "<IfModule mod_php5.c>\n  php_flag display_errors on\n</IfModule>\n")
    answer = host.alice.get("/hello.php").ok()
    assert answer.headers["X-Before"] == "yes" and answer.text == "hello\n"
    prepended.unlink()


def test_engine_off_neither_runs_nor_shows_the_script(host, htaccess):
    htaccess("php_flag engine off\n")
    answer = host.alice.get("/hello.php")
    assert answer.status == 403 and "<?php" not in answer.text and "hello" not in answer.text
    logged(host, "engine is switched off")
    htaccess("php_flag engine off\n<Files hello.php>\n  php_flag engine on\n</Files>\n")
    assert host.alice.get("/hello.php").ok().text == "hello\n"
    assert host.alice.get("/dump.php").status == 403
    htaccess("")
    assert host.alice.get("/dump.php").ok()


def test_a_broken_file_is_a_500_with_its_line_in_the_tenants_log(host, htaccess):
    file = htaccess("# one\n\nphp_admin_value memory_limit 1G\n")
    answer = host.alice.get("/hello.php")
    assert answer.status == 500 and "hello" not in answer.text
    logged(host, f"{file}:3: php_admin_value not allowed here")
    assert "php_admin_value not allowed" not in host.paddock.tenant_log("bob")
    file.unlink()
    assert host.alice.get("/hello.php").ok()


def test_a_large_file_is_refused(host, htaccess):
    file = htaccess("php_flag display_errors on\n" + "# filler\n" * (10 << 20 >> 3))
    assert file.stat().st_size > 10 << 20
    assert host.alice.get("/hello.php").status == 403
    logged(host, str(file))


@pytest.mark.parametrize("kind", ["fifo", "loop", "directory", "device"])
def test_what_is_no_file_is_refused_and_never_waited_for(host, htaccess, kind):
    """Straight to the worker: Apache waits for a FIFO's writer itself, and refuses the loop."""
    tenant = host.paddock.tenants["alice"]
    directory = tenant.docroot / "odd"
    directory.mkdir(mode=0o755)
    script = directory / "odd.php"
    script.write_text("<?php echo 'ran';")
    script.chmod(0o644)
    file = directory / ".htaccess"
    {"fifo": lambda: os.mkfifo(file, 0o666), "loop": lambda: file.symlink_to(".htaccess"), "directory": file.mkdir,
     "device": lambda: file.symlink_to("/dev/zero")}[kind]()
    try:
        answer = fastcgi.fetch(host.paddock.sockets()["alice"], script, DOCUMENT_ROOT=str(tenant.docroot))
        assert not answer.timed_out and answer.stdout.startswith(b"Status: 403") and b"ran" not in answer.stdout
        logged(host, str(file))
    finally:
        file.rmdir() if kind == "directory" else file.unlink()
    assert fastcgi.fetch(host.paddock.sockets()["alice"], script, DOCUMENT_ROOT=str(tenant.docroot)).body == b"ran"
    script.unlink()
    directory.rmdir()


def test_where_the_search_begins(host, htaccess):
    """The document root's file counts; where the script is below the context's root only, that one's."""
    tenant = host.paddock.tenants["alice"]
    htaccess("php_value user_agent root\n")
    directory = tenant.docroot / "a" / "b"
    directory.mkdir(parents=True, mode=0o755)
    script = directory / "agent.php"
    script.write_text("<?php echo ini_get('user_agent');")
    script.chmod(0o644)
    (tenant.docroot / "a").chmod(0o755)

    def agent(**params):
        return fastcgi.fetch(host.paddock.sockets()["alice"], script, **params).body

    try:
        assert agent(DOCUMENT_ROOT=str(tenant.docroot)) == b"root"
        assert agent(DOCUMENT_ROOT="/var/www", CONTEXT_DOCUMENT_ROOT=f"{tenant.docroot}/") == b"root"
        assert agent(DOCUMENT_ROOT=f"{tenant.docroot}/a/../") == b"", "not above the script as it is written"
        assert agent(DOCUMENT_ROOT="/var/www") == b""
        (directory / ".htaccess").write_text("php_value user_agent deep\n")
        assert agent() == b"deep"
        assert agent(DOCUMENT_ROOT=str(tenant.docroot)) == b"deep"
    finally:
        (directory / ".htaccess").unlink(missing_ok=True)
        script.unlink()
        directory.rmdir()
        directory.parent.rmdir()


def test_the_plan_has_the_last_word(own_host):
    host = own_host(plan={"php_admin_value": {"memory_limit": "64M"}, "php_value": {"user_agent": "plan"}})
    file = host.paddock.tenants["alice"].docroot / ".htaccess"
    file.write_text("php_value memory_limit 1G\nphp_value user_agent site\nphp_value disable_functions exec\n")
    file.chmod(0o644)
    assert [setting(host, name) for name in ("memory_limit", "user_agent", "disable_functions")] == ["64M", "site", ""]
    file.unlink()
    assert setting(host, "user_agent") == "plan"


def test_a_plan_can_leave_the_files_alone(own_host):
    host = own_host(plan={"htaccess": False})
    file = host.paddock.tenants["alice"].docroot / ".htaccess"
    file.write_text("php_value user_agent site\nphp_flag engine off\n")
    file.chmod(0o644)
    assert setting(host, "user_agent") == ""
