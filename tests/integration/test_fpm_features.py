"""What PHP-FPM gives scripts and administrators beside running PHP: access log, status, emergency restart, environment."""

import concurrent.futures
import json
import re

import pytest

from harness import fastcgi, machine

pytestmark = pytest.mark.sanitizer

CRASH = b"posix_kill(getmypid(), SIGSEGV); sleep(60);"


def access_log(paddock, tenant="alice"):
    path = paddock.directory / "log/access" / f"{tenant}.log"
    return path.read_text().splitlines() if path.exists() else []


def logged(paddock, count):
    machine.wait_for(lambda: len(access_log(paddock)) >= count, 5, f"{count} lines in the access log")
    lines = access_log(paddock)
    assert len(lines) == count, lines
    return lines


def test_access_log_as_it_comes(own_host):
    host = own_host(plan={"access_log": True})
    host.alice.get("/hello.php?a=b").ok()
    assert host.alice.get("/missing.php").status == 404
    first, second = logged(host.paddock, 2)
    assert re.fullmatch(r'127\.0\.0\.1 - - \d\d/\w+/\d{4}:\d\d:\d\d:\d\d [+-]\d{4} "GET /hello\.php\?a=b" 200', first), first
    assert second.endswith('"GET /missing.php" 404')
    assert not access_log(host.paddock, "bob")


def test_access_log_format(own_host):
    form = "%n|%p|%P|%s|%m|%r|%Q|%q|%l|%u|%f|%{X-Own}o|%{HTTP_X_ASKED}e|%d|%{milliseconds}d|%{microseconds}d|%C|%M|" \
           "%{kilobytes}M|%{megabytes}M|%{%Y}t|%{%Y}T|%%|end"
    host = own_host(plan={"access_log": True, "access_format": form, "access_suppress": ["/hello.php"]})
    docroot = host.paddock.tenants["alice"].docroot
    (docroot / "own.php").write_text("<?php header('X-Own: one'); header('x-own: two'); http_response_code(202);"
                                     "$a = str_repeat('x', 9 << 20); $end = microtime(true) + 0.2;"
                                     "while (microtime(true) < $end); echo getmypid(), ' ', posix_getppid();")
    answer = fastcgi.fetch(host.paddock.sockets()["alice"], docroot / "own.php", query="q=1", method="POST", body=b"12345",
                           HTTP_AUTHORIZATION="Basic dXNlcjpwYXNz", HTTP_X_ASKED="a\tb|c")
    for path in ("/hello.php", "/hello.php?x"):
        host.alice.get(path).ok()
    host.alice.post("/hello.php", b"x").ok()
    line, query, posted = logged(host.paddock, 3)  # without the one that is suppressed
    assert "|200|GET|/hello.php|?|x|" in query
    assert "|200|POST|/hello.php|" in posted
    (pool, pid, parent, status, method, uri, mark, asked, length, user, script, own, header, *rest) = line.split("|")
    assert [pid, parent] == answer.body.decode().split()
    assert (pool, status, method, uri, mark, asked, length) == ("alice", "202", "POST", "/own.php", "?", "q=1", "5")
    assert (user, script, own) == ("user", str(docroot / "own.php"), "two")
    assert (header, rest.pop(0)) == ("a\tb", "c")
    seconds, milli, micro, cpu, memory, kilo, mega, year, written, percent, end = rest
    assert 0.2 <= float(seconds) < machine.patience(20)
    assert float(milli) == pytest.approx(float(seconds) * 1000, abs=1)
    assert float(micro) == pytest.approx(float(milli) * 1000, abs=1000)
    assert 10 < float(cpu) <= 110
    assert 9 << 20 < int(memory) < 64 << 20
    assert (int(kilo), int(mega)) == (int(memory) >> 10, int(memory) >> 20)
    assert year == written and re.fullmatch(r"\d{4}", year)
    assert (percent, end) == ("%", "end")


def test_a_visitor_cannot_write_lines(own_host):
    host = own_host(plan={"access_log": True, "access_format": "%{HTTP_X_ASKED}e %q"})
    socket = host.paddock.sockets()["alice"]
    script = host.paddock.tenants["alice"].docroot / "hello.php"
    fastcgi.fetch(socket, script, query="a\nforged", HTTP_X_ASKED="b\r\n\x1b[2J" + "x" * 20_000)
    (line,) = logged(host.paddock, 1)
    assert line.startswith("b  \\x1b[2Jxxx")
    assert len(line) < 5_000


def test_status_has_cpu_and_memory(own_host):
    host = own_host(plan={"status_path": "/status", "workers": 1})
    host.alice.run("$a = str_repeat('x', 9 << 20); $end = microtime(true) + 0.2; while (microtime(true) < $end); return 1;")
    socket = host.paddock.sockets()["alice"]
    page = fastcgi.fetch(socket, "/status", query="full").body.decode()
    assert float(re.search(r"last request cpu: +([\d.]+)", page).group(1)) > 10
    assert int(re.search(r"last request memory: +(\d+)", page).group(1)) > 9 << 20
    host.alice.run("$a = str_repeat('x', 19 << 20); return 1;")
    (process,) = host.alice.run("return fpm_get_status()['procs'];")
    assert process["last-request-memory"] > 19 << 20
    assert process["last-request-cpu"] >= 0


def test_emergency_restart(own_host):
    host = own_host(plan={"emergency_restart": 3, "emergency_restart_interval": "1h"})
    host.alice.get("/hello.php").ok()
    keeper = host.paddock.keeper("alice")
    for _ in range(2):
        assert host.alice.post("/run.php", CRASH).status == 503
        assert host.alice.run("return 1;") == 1
    assert host.paddock.keeper("alice") == keeper
    # A worker that is killed has not crashed.
    assert host.alice.post("/run.php", b"posix_kill(getmypid(), SIGKILL); sleep(60);").status == 503
    assert host.alice.run("return 1;") == 1
    assert host.paddock.keeper("alice") == keeper
    assert host.alice.post("/run.php", CRASH).status == 503
    machine.wait_for(lambda: host.paddock.keeper("alice") != keeper, 10, "another sandbox, or none")
    assert host.alice.run("return 1;", seconds=60) == 1
    assert "3 workers have crashed in a short time: the sandbox is replaced" in host.paddock.tenant_log("alice")


def test_status_counts_what_waits_and_the_most_there_was(own_host):
    host = own_host(plan={"status_path": "/status", "workers": 2, "queue": 7})
    socket = host.paddock.sockets()["alice"]

    def status():
        return json.loads(fastcgi.fetch(socket, "/status", query="json").body)

    first = status()
    assert (first["listen queue len"], first["max active processes"], first["max children reached"]) == (7, 1, 0)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        running = [pool.submit(host.alice.post, "/run.php", b"usleep(1500000); return 1;", seconds=60) for _ in range(5)]
        machine.wait_for(lambda: host.paddock.tenant_status("alice")["queue"] >= 2, 10, "some wait in the gateway")
        assert all(future.result().ok() for future in running)
    last = status()
    assert last["listen queue"] == 0 and 2 <= last["max listen queue"] <= 7
    assert last["max active processes"] == 2 and last["active processes"] == 1
    assert last["max children reached"] >= 1
    assert last["accepted conn"] == first["accepted conn"] + 6
    seen = host.alice.run("return fpm_get_status();", query="?a=b")
    (own,) = [process for process in seen["procs"] if process["state"] == "Running"]
    assert (own["request-uri"], own["query-string"], own["request-length"]) == ("/run.php", "a=b", 24)
    assert seen["max-active-processes"] == 2 and seen["max-children-reached"] == last["max children reached"]


def test_pages_name_php_as_answers_do(own_host):
    host = own_host(plan={"status_path": "/status", "ping_path": "/ping", "php_admin_value": {"expose_php": "on"}})
    expected = host.alice.get("/hello.php").ok().headers["X-Powered-By"]
    assert expected.startswith("PHP/")
    socket = host.paddock.sockets()["alice"]
    for page in ("/status", "/ping"):
        assert f"X-Powered-By: {expected}\r\n".encode() in fastcgi.fetch(socket, page).stdout
    host.paddock.plans["default"] |= {"php_admin_value": {"expose_php": "off"}}
    host.paddock.write_config()
    host.paddock.cli("reload")
    machine.wait_for(lambda: b"X-Powered-By" not in fastcgi.fetch(socket, "/ping").stdout, 20, "expose_php is off")


def test_functions_and_classes_are_disabled(own_host):
    host = own_host(plan={"php_admin_value": {"disable_functions": "exec, passthru", "disable_classes": "ArrayObject,SplHeap"}})
    told = host.alice.run("return [function_exists('exec'), function_exists('passthru'), function_exists('shell_exec'),"
                          "@method_exists(new ArrayObject, 'count'), method_exists(new ArrayIterator, 'count'),"
                          "ini_get('disable_functions'), ini_get('disable_classes')];")
    assert told == [False, False, True, False, True, "exec, passthru", "ArrayObject,SplHeap"]


def test_what_cannot_hold_for_one_request_is_refused(own_host):
    host = own_host(plan={"ini_from_web": "admin", "workers": 1,
                          "grant": [{"name": "ini-from-web", "reason": "what this test is about"}]})
    socket, script = host.paddock.sockets()["alice"], host.paddock.tenants["alice"].docroot / "run.php"
    for name, value in (("disable_functions", "exec"), ("disable_classes", "ArrayObject"), ("opcache.protect_memory", "1")):
        code = f"return [ini_get('{name}'), ini_get('precision')];".encode()
        answer = fastcgi.fetch(socket, script, method="POST", body=code, PHP_ADMIN_VALUE=f"{name}={value}\nprecision=5\n")
        assert json.loads(answer.body) == ["0" if "." in name else "", "5"]
        machine.wait_for(lambda: f"the web server may not set this ini entry: {name}" in host.paddock.tenant_log("alice"), 5,
                         "the log says so")
    for _ in range(3):
        assert host.alice.run("return 1;") == 1


def test_a_fork_in_a_script_is_not_a_second_worker(own_host):
    """The child ends with its script; the answer, and the place among the workers, are the parent's."""
    host = own_host(plan={"workers": 1})
    code = ("echo 'before '; $child = pcntl_fork(); if ($child === 0) { echo 'of the child'; header('X-Child: 1');"
            "fastcgi_finish_request(); exit(7); } pcntl_waitpid($child, $how); echo 'after';"
            "return [pcntl_wifexited($how), pcntl_wexitstatus($how)];")
    answer = host.alice.post("/run.php", code.encode()).ok()
    assert answer.text == "before after[true,7]" and "X-Child" not in answer.headers
    # One that outlives its parent's request.
    answer = host.alice.post("/run.php", b"if (pcntl_fork() === 0) { usleep(300000); echo 'x'; } return 1;").ok()
    assert answer.text == "1"
    for number in range(20):
        assert host.alice.run(f"return {number};") == number
    machine.wait_for(lambda: len(host.paddock.workers("alice")) == 1, 5, "one worker, as before")


def test_environment_of_the_supervisor(make_paddock, make_apache):
    paddock = make_paddock(plan={"env": {"NAMED": "$PADDOCK_TEST_DATABASE", "NOTHING": "$PADDOCK_TEST_NOTHING"}},
                           plans={"open": {"clear_env": False}})
    paddock.environment = {"PADDOCK_TEST_DATABASE": "db.example.org", "INVOCATION_ID": "of the service"}
    paddock.add_tenant("alice")
    paddock.add_tenant("bob", plan="open")
    paddock.start()
    sites = make_apache(paddock).sites
    alice, bob = (sites[name].run("return getenv();") for name in ("alice", "bob"))
    assert (alice["NAMED"], alice["NOTHING"]) == ("db.example.org", "")
    assert "PADDOCK_TEST_DATABASE" not in alice
    assert bob["PADDOCK_TEST_DATABASE"] == "db.example.org"
    assert "INVOCATION_ID" not in bob
    assert bob["HOME"] == str(paddock.tenants["bob"].home)


def test_abort(own_host):
    """FCGI_ABORT_REQUEST is what connection_aborted() tells of; ignore_user_abort goes on, without it PHP ends."""
    host = own_host()
    tenant = host.paddock.tenants["alice"]
    socket = host.paddock.sockets()["alice"]
    script = tenant.docroot / "abort.php"
    script.write_text("""<?php
        ignore_user_abort($_GET['ignore'] === '1');
        register_shutdown_function(function () {
            file_put_contents(__DIR__ . '/said', $_GET['ignore'] . connection_aborted() . connection_status());
        });
        while (ob_get_level() > 0) ob_end_flush();
        echo 'begin'; flush();
        for ($i = 0; $i < 3000 && !connection_aborted(); $i++) { usleep(10000); echo 'x'; flush(); }
        file_put_contents(__DIR__ . '/went-on', 'yes');
        """)
    for ignore in "10":
        for name in ("said", "went-on"):
            (tenant.docroot / name).unlink(missing_ok=True)
        with fastcgi.Connection(socket, seconds=40) as connection:
            connection.send(fastcgi.whole_request(script, query=f"ignore={ignore}"))
            connection.socket.recv(1000)
            connection.send(fastcgi.record(fastcgi.ABORT_REQUEST))
            assert connection.receive().ended
        machine.wait_for((tenant.docroot / "said").exists, 10, "the shutdown function has run")
        assert (tenant.docroot / "said").read_text() == f"{ignore}11"
        assert (tenant.docroot / "went-on").exists() == (ignore == "1")


def test_limit_extensions(make_paddock):
    paddock = make_paddock(plan={"php_admin_value": {"paddock": {"limit_extensions": ".php .inc"}}})
    tenant = paddock.add_tenant("alice")
    for name in ("a.inc", "a.txt", "a"):
        (tenant.docroot / name).write_text("<?php echo 'ran';")
    paddock.start()
    socket = paddock.sockets()["alice"]
    assert fastcgi.fetch(socket, tenant.docroot / "a.inc").body == b"ran"
    for name in ("a.txt", "a"):
        answer = fastcgi.fetch(socket, tenant.docroot / name)
        assert b"Status: 403" in answer.stdout and b"ran" not in answer.body
