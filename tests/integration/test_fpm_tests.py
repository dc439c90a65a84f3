"""PHP-FPM's own tests pass on Paddock wherever they pass on PHP-FPM, but for those listed here with the reason."""

import concurrent.futures

import pytest

from harness import machine
from harness.fpm_pools import Pools
from harness.fpm_tests import FpmTests, make_ini

TREE = machine.REPOSITORY / "build/php-tests/tree"
NAMES = sorted(path.stem for path in TREE.glob("sapi/fpm/tests/*.phpt"))

MASTER = "what PHP-FPM's master prints, checks or creates; `paddock import fpm` and paddockd have words of their own"
LOG = "what scripts write to standard error is in the tenant's log, with time and worker, never in the master's"
STDERR = "PHP's messages are in the tenant's log, not in FastCGI's error stream"
NO_TCP = "listen.allowed_clients protects TCP ports, which Paddock does not have; %R is what the web server says"
STATUS = "processes come with demand, whatever pm is, and the page says so; it is HTML 5 where PHP-FPM's is XHTML"
STATUS_LISTEN = "the status page is at the tenant's socket only"
PATHINFO = "PATH_INFO is what follows the script's name, whether or not the web server set it"
ENVIRONMENT = "${NAME} in the configuration and clear_env=no mean the environment of PHP-FPM's master"
DIFFERENCES = {
    **dict.fromkeys((
        "bug68591-conf-test-group", "bug68591-conf-test-listen-group", "bug68591-conf-test-listen-owner",
        "bug68591-conf-test-user", "bug78323", "config-array", "config-array-validation-php-value-key",
        "config-array-validation-suppress-path-key", "config-array-validation-suppress-path-key-2",
        "config-array-validation-suppress-path-starts-slash", "gh8885-stderr-fd-reload-usr1",
        "gh9754-daemonized-stderr-close", "log-bwd-limit-64-too-low-error", "log-invalid-port", "main-global-prefix",
        "main-version", "pm-max-spawn-rate-config", "pool-apparmor-basic", "pool-prefix", "proc-no-start-server",
        "socket-ipv4-fallback"), MASTER),
    **dict.fromkeys((
        "log-bm-in-shutdown-fn", "log-bm-limit-1024-msg-80", "log-bm-limit-2048-msg-4000",
        "log-bwd-limit-1050-msg-2048", "log-bwd-limit-1050-msg-2900", "log-bwd-limit-8000-msg-4096",
        "log-bwd-msg-with-nl", "log-bwd-multiple-msgs",
        "log-bwd-multiple-msgs-stdout-stderr", "log-bwp-limit-1024-msg-120", "log-bwp-limit-1500-msg-3300",
        "log-bwp-msg-flush-split-fallback", "log-bwp-msg-flush-split-real", "log-bwp-msg-flush-split-sep-pos-end",
        "log-bwp-msg-flush-split-sep-pos-start", "log-bwp-realloc-buffer", "log-dwd-limit-1050-msg-2048",
        "log-dwd-limit-1050-msg-2900", "log-dwd-limit-8000-msg-4096", "log-dwp-limit-1000-msg-2000"), LOG),
    **dict.fromkeys(("bug69625-no-script-filename", "bug72185-fcgi-empty-frame", "bug77106-fcgi-missing-nl"), STDERR),
    **dict.fromkeys(("bug68421-ipv6-access-log", "bug68428-ipv6-allowed-clients", "socket-invalid-allowed-clients",
                     "socket-ipv4-allowed-clients"), NO_TCP),
    **dict.fromkeys(("fpm_get_status_basic", "status-basic"), STATUS),
    **dict.fromkeys(("status-listen", "status-ping"), STATUS_LISTEN),
    "bug78599-path-info-underflow": PATHINFO,
    "getallheaders": "in the order in which they were sent; PHP-FPM has them the other way round",
    "gh13563-conf-bool-env": ENVIRONMENT,
    "log-suppress-output": "the access log has the status that was sent, not one that was set too late",
}
# Passes on Paddock now and then.
UNSTEADY = {
    "bug76922-fcgi-get-value-conn": "one worker does not wait for what else comes on a kept connection",
}

# A test of our own: {script}, what it is asked to answer, and what the test is to print.
OWN = """\
--FILE--
<?php
require_once "tester.inc";
$cfg = <<<EOT
[global]
error_log = {{{{FILE:LOG}}}}
[unconfined]
listen = {{{{ADDR}}}}
pm = static
pm.max_children = 1
EOT;
$tester = new FPM\\Tester($cfg, '{script}');
$tester->start();
$tester->expectLogStartNotices();
$tester->request()->expectBody("{body}");
$tester->terminate();
$tester->expectLogTerminatingNotices();
$tester->close();
?>
Done
--EXPECT--
{printed}
--CLEAN--
<?php
require_once "tester.inc";
FPM\\Tester::clean();
"""


class Servers:
    """The tests with PHP-FPM, the tests with Paddock."""

    def __init__(self, theirs, ours, pools, threads):
        self.theirs, self.ours = theirs, ours
        self._pools, self._threads = pools, threads

    def run(self, name, **options):
        """The verdict of each, at the same time: the tests sleep more than they do anything."""
        verdicts = list(self._threads.map(lambda place: place.run(name, **options), (self.theirs, self.ours)))
        self._pools.wait()
        return verdicts


@pytest.fixture(scope="module")
def servers(accounts, make_module_paddock):
    paddock = make_module_paddock()
    ini = make_ini(paddock.directory / "ini")
    paddock.runtime["php_ini_dir"] = str(ini)
    account = accounts.get(1)
    home = paddock.directory / "home"
    theirs = FpmTests(paddock.directory / "elsewhere", account, ini, TREE)
    ours = FpmTests(home, account, ini, TREE)
    paddock.start()
    with theirs.with_php_fpm(), ours.with_stand_in(), \
            Pools(paddock, account, home, ours.directory / "pools.sock") as pools, \
            concurrent.futures.ThreadPoolExecutor(2) as threads:
        yield Servers(theirs, ours, pools, threads)


@pytest.mark.parametrize("name", NAMES)
def test_php_fpms_own(servers, name):
    theirs, ours = servers.run(name)
    if theirs.passed is None:
        assert name not in DIFFERENCES and name not in UNSTEADY, theirs.why
        pytest.skip(theirs.why)
    assert theirs.passed, f"on PHP-FPM itself:\n{theirs.why}"
    if name in DIFFERENCES:
        assert not ours.passed, "passes on Paddock as well: take it off the list"
    elif name not in UNSTEADY:
        assert ours.passed, ours.why


def test_the_list_is_of_tests():
    assert len(NAMES) > 100
    assert not (set(DIFFERENCES) | set(UNSTEADY)) - set(NAMES)


@pytest.mark.parametrize("body, printed, passes", [("said", "Done", True), ("not said", "Done", False),
                                                   ("said", "Not done", False)])
def test_the_runner_notices(servers, body, printed, passes):
    for place in (servers.theirs, servers.ours):
        place.write("own", OWN.format(script='<?php echo "said";', body=body, printed=printed))
    assert [verdict.passed for verdict in servers.run("own")] == [passes, passes]


def test_the_runner_notices_what_does_not_end(servers):
    for place in (servers.theirs, servers.ours):
        place.write("own", "--FILE--\n<?php echo 'Done'; sleep(600);\n--EXPECT--\nDone\n")
    assert [verdict.passed for verdict in servers.run("own", seconds=1)] == [False, False]


def test_it_is_paddock_that_answers(servers):
    for place in (servers.theirs, servers.ours):
        place.write("own", OWN.format(script='<?php echo ini_get("paddock.limit_extensions");', body=".php .phar",
                                      printed="Done"))
    assert [verdict.passed for verdict in servers.run("own")] == [False, True]
