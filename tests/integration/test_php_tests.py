"""PHP's own tests pass on Paddock's worker wherever they pass on PHP-FPM."""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess

import pytest

from harness import machine
from harness.fpm import fpm
from harness.phpt import Phpt

TREE = machine.REPOSITORY / "build/php-tests/tree"
# At least so many have to pass on PHP-FPM: else it is the runner that is wrong.
LEAST = 900
# Pass on PHP-FPM and not on Paddock, by intention.
DIFFERENT = {}
# What a slow machine makes of them says nothing of a server.
LEFT_OUT = {"ext/standard/tests/general_functions/bug39322.phpt": "may leave its /bin/sleep behind, on PHP-FPM"}

# A process a request: what PHP_ADMIN_VALUE sets stays in PHP-FPM's processes.
POOL = """\
pm.max_requests = 1
request_terminate_timeout = 20
security.limit_extensions =
"""


class Servers:
    def __init__(self, theirs, ours, tenant, tree):
        self.fpm, self.paddock, self.tenant, self.tree = theirs, ours, tenant, tree

    def write(self, path, text):
        path.write_bytes(text.encode("latin-1"))
        os.chown(path, self.tenant.account.pw_uid, self.tenant.account.pw_gid)
        return path

    def compare(self, path):
        """(name, verdict of PHP-FPM, verdict of Paddock), or (name, why it was left out, None)."""
        test = Phpt(path)
        name = str(path.relative_to(self.tree))
        if why := LEFT_OUT.get(name) or test.unfit():
            return name, why, None
        printed = test.run_part(self.fpm, "SKIPIF", self.write)
        if printed.lower().startswith("skip"):
            return name, printed.splitlines()[0], None
        verdicts = []
        for socket in (self.fpm, self.paddock):
            verdicts.append(test.run(socket, self.write))
            test.run_part(self.fpm, "CLEAN", self.write)
        return name, *verdicts


@pytest.fixture
def servers(make_paddock, directory):
    paddock = make_paddock(plan={
        "workers": 2, "ini_from_web": "admin", "deadline": "20s", "htaccess": False,
        "grant": [{"name": "ini-from-web", "reason": "PHP's tests set what they need"}],
        "php_admin_value": {"paddock": {"limit_extensions": ""}}})
    tenant = paddock.add_tenant("alice")
    tree = tenant.docroot / "php"
    shutil.copytree(TREE, tree, ignore=shutil.ignore_patterns("fpm"))  # test_fpm_tests.py has those
    subprocess.run(["chown", "-R", f"{tenant.account.pw_uid}:{tenant.account.pw_gid}", str(tree)], check=True)
    paddock.start()
    directory.chmod(0o755)
    with fpm(directory, tenant.account, children=2, lines=POOL) as socket:
        yield Servers(socket, pathlib.Path(paddock.sockets()["alice"]), tenant, tree)


def test_php_tests(servers):
    paths = sorted(servers.tree.rglob("*.phpt"))
    # Tests of one directory share files: one after the other.
    by_directory = {}
    for path in paths:
        by_directory.setdefault(path.parent, []).append(path)
    results = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for part in pool.map(lambda some: [servers.compare(path) for path in some], by_directory.values()):
            results += part
    left_out = [result for result in results if result[2] is None]
    ran = [result for result in results if result[2] is not None]
    passed = [name for name, theirs, _ in ran if theirs.passed]
    worse = {name: ours.why for name, theirs, ours in ran if theirs.passed and not ours.passed}
    better = [name for name, theirs, ours in ran if ours.passed and not theirs.passed]
    print(f"{len(ran)} ran, {len(left_out)} left out; passed on PHP-FPM: {len(passed)}, on Paddock: "
          f"{sum(ours.passed for _, _, ours in ran)}; only on Paddock: {len(better)}")
    assert len(passed) >= LEAST
    unexpected = {name: why for name, why in worse.items() if name not in DIFFERENT}
    assert not unexpected, "\n".join(f"--- {name}\n{why[:1500]}" for name, why in unexpected.items())
    # The list does not rot.
    assert not set(DIFFERENT) - set(worse)


def test_the_runner_notices(servers):
    """A test that expects what does not come fails, on either server."""
    for section, text, passes in (("EXPECT", "right", True), ("EXPECT", "wrong", False),
                                  ("EXPECTF", "r%st", True), ("EXPECTF", "r%dt", False),
                                  ("EXPECTREGEX", "r[a-z]+t", True), ("EXPECTREGEX", "r", False)):
        path = servers.write(servers.tree / "own.phpt", f"--TEST--\nown\n--FILE--\n<?php echo 'right';\n--{section}--\n{text}\n")
        for socket in (servers.fpm, servers.paddock):
            assert Phpt(path).run(socket, servers.write).passed is passes
    path = servers.write(servers.tree / "own.phpt", "--TEST--\nown\n--INI--\nprecision=3\n--GET--\na=1\n--FILE--\n"
                         "<?php header('X-A: b'); echo ini_get('precision'), $_GET['a'];\n--EXPECTHEADERS--\nX-A: c\n"
                         "--EXPECT--\n31\n")
    for socket in (servers.fpm, servers.paddock):
        verdict = Phpt(path).run(socket, servers.write)
        assert not verdict.passed and "X-A: c" in verdict.why
