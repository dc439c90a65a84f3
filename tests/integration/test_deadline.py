"""Late requests: the script is stopped, the web server's thread is free, whatever the tenant's code does."""

import json

import pytest

from harness import machine

DEADLINE = 1.0 * machine.slowness()


@pytest.fixture
def hurried(own_host):
    return own_host(plan={"workers": 2, "deadline": f"{int(DEADLINE * 1000)}ms", "slow_log": f"{int(DEADLINE * 400)}ms"})


def log_has(host, text):
    machine.wait_for(lambda: text in host.paddock.tenant_log("alice"), 5, f"the log says {text!r}")


def test_a_late_script_runs_its_shutdown_functions(hurried):
    marker = hurried.paddock.tenants["alice"].home / "shut"
    for late in ("while (true);", "sleep(600);"):
        answer = hurried.alice.post("/run.php", f"""
            register_shutdown_function(fn() => file_put_contents('{marker}', connection_status()));
            set_time_limit(0); ignore_user_abort(true); {late}""".encode())
        assert answer.status == 500
        assert marker.read_text() == "2"
        marker.unlink()
    log_has(hurried, "the plan's deadline has passed")
    # Whoever is within the deadline is left alone, in the same worker.
    assert hurried.alice.get("/hello.php").ok()
    assert "died" not in hurried.paddock.tenant_log("alice")


def test_a_script_that_does_not_stop_frees_apache_and_is_killed(hurried):
    pid = hurried.alice.run("return getmypid();")
    answers = [hurried.alice.post("/run.php", b"register_shutdown_function(function () { while (true); }); while (true);")
               for _ in range(2)]
    assert all(answer.status in (500, 502, 503) for answer in answers)
    log_has(hurried, "its connection is ended")
    log_has(hurried, "its worker is killed")
    assert hurried.alice.get("/hello.php").ok() and hurried.bob.get("/hello.php").ok()
    machine.wait_for(lambda: hurried.paddock.tenant_status("alice")["busy"] == 0, 10, "every place is free again")
    assert isinstance(pid, int)


def test_late_requests_are_counted(hurried):
    hurried.alice.post("/run.php", b"while (true);")

    def late():
        found = json.loads(hurried.paddock.cli("usage", "alice", "--json").stdout)
        return "\"late\":1" in json.dumps(found, separators=(",", ":"))
    machine.wait_for(late, 20, "`paddock usage` counts one late request")


def test_the_slow_log_has_the_backtrace(hurried):
    hurried.alice.run(f"(function () {{ $end = microtime(true) + {DEADLINE * 0.7}; while (microtime(true) < $end); }})();"
                      " return 1;")
    log_has(hurried, "slow: POST /run.php (")
    log_has(hurried, "slow: #0 {closure}() ")


def test_a_forked_child_does_not_hold_apaches_thread(own_host):
    """Machine code forks; the child keeps the connection, and the worker that had it is killed."""
    host = own_host(plan={"workers": 1, "deadline": f"{int(DEADLINE * 1000)}ms", "php_admin_value": {"ffi.enable": True}})
    fork = """$c = FFI::cdef('int fork(void); int pause(void); int prctl(int, long, long, long, long); int getpid(void);
                              int kill(int, int);');
              if ($c->fork() == 0) { %s while (true) $c->pause(); }
              register_shutdown_function(function () { while (true); }); %s"""
    seconds = DEADLINE + 4 * machine.slowness()
    for child, parent in (("", "while (true);"), ("", "$c->kill($c->getpid(), 9);"),
                          # PR_SET_DUMPABLE 0: the keeper may not look into it.
                          ("$c->prctl(4, 0, 0, 0, 0);", "while (true);")):
        answer = host.alice.post("/run.php", (fork % (child, parent)).encode(), seconds=seconds)
        assert answer.status in (500, 502, 503)
        assert host.alice.get("/hello.php", seconds=seconds).ok()
    log_has(host, "its connection is ended")
    log_has(host, "hides its descriptors")
