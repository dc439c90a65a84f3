"""PHP-FPM's own tests (sapi/fpm/tests of php-src): scripts that start a php-fpm, speak FastCGI to it, read its log."""

import functools
import os
import pathlib
import selectors
import shutil
import subprocess
import time

from . import machine, process
from .fpm import PROGRAM
from .network import Side
from .phpt import Phpt, Verdict, text

_HERE = pathlib.Path(__file__).parent
_PHP = ["/usr/bin/php8.2", "-d", "error_reporting=32767", "-d", "log_errors=0"]
# Seconds for a test that has printed what it is not to print; many would wait for what will never come.
_TO_SAY_MORE = 0.3
# The first process of a process namespace: when it is killed, nothing of the test is left, a daemon included.
_FIRST = '"$@"; exit $?'
# Uploads of requests that are killed stay where they were put.
_WITH_INI = """\
#!/usr/bin/python3 -B
import os, sys
os.environ.update(PHPRC="{ini}", PHP_INI_SCAN_DIR="{ini}/conf.d")
os.execv("{program}", ["{program}", "-d", "sys_temp_dir={temporary}", *sys.argv[1:]])
"""


@functools.cache
def _extensions():
    """Of Debian's PHP-FPM: others than those of its php, which runs the tests."""
    return set(subprocess.run([PROGRAM, "-m"], capture_output=True, text=True, check=True).stdout.lower().split())


def make_ini(directory):
    """PHP without a php.ini, as these tests expect it, but with its usual extensions; the directory."""
    directory.mkdir()
    (directory / "php.ini").touch()
    shutil.copytree("/etc/php/8.2/embed/conf.d", directory / "conf.d", symlinks=True)
    return directory


class FpmTests:
    """A copy of the tests, where the script finds a php-fpm, or a stand-in, for all of them.

    They run as `account`, in a network namespace of their own, since all use the same port.
    """

    def __init__(self, directory, account, ini, tree):
        self.directory = directory / "sapi/fpm"  # from where some look for what else is in PHP's source
        self._account = account
        self._ini = ini
        self.tests = self.directory / "tests"
        for part in ("sapi/fpm/tests", "ext/standard/tests/misc"):
            shutil.copytree(tree / part, directory / part)
        for path in (directory, self.tests, *self.tests.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)

    def with_php_fpm(self):
        """PHP-FPM itself, by a script: some tests give it an environment of their own, in an order of their own."""
        program = self.directory / "php-fpm"
        program.write_text(_WITH_INI.format(program=PROGRAM, ini=self._ini, temporary=self.tests))
        program.chmod(0o755)
        return self

    def with_stand_in(self):
        for name in ("php-fpm", "fpm_stand_in.py"):
            shutil.copy(_HERE / name, self.directory / name)
        return self

    def __enter__(self):
        self._network = Side()
        return self

    def __exit__(self, *_):
        self._network.close()

    def write(self, name, content):
        """A test of our own beside them."""
        (self.tests / f"{name}.phpt").write_text(content)

    def run(self, name, seconds=30):
        """The verdict of a test; passed is None where it does not want to run."""
        test = Phpt(self.tests / f"{name}.phpt")
        if why := self._skips(test, seconds):
            return Verdict(None, why)
        verdict = test.judge(self._run_part(test, "FILE", seconds, expected=test.expected("EXPECT")))
        self._run_part(test, "CLEAN", seconds)
        return verdict

    def _skips(self, test, seconds):
        if missing := set(test.sections.get("EXTENSIONS", "").split()) - _extensions():
            return "PHP-FPM has no extension " + " ".join(sorted(missing))
        printed = self._run_part(test, "SKIPIF", seconds)
        return printed if printed.lower().startswith("skip") else ""

    def _run_part(self, test, part, seconds, expected=None):
        """What it prints; not more of it than shows that it is not what is expected."""
        if part not in test.sections:
            return ""
        script = test.path.with_suffix(".php" if part == "FILE" else f".{part.lower()}.php")
        script.write_bytes(test.sections[part].encode("latin-1"))
        os.chown(script, self._account.pw_uid, self._account.pw_gid)  # PHP's getmyuid() is the script's owner
        started = subprocess.Popen(self._command(script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, cwd=self.tests, env=self._environment(),
                                   preexec_fn=process.end_with_parent)
        try:
            return self._read(started, time.monotonic() + machine.patience(seconds), expected)
        finally:
            started.kill()
            started.wait()
            with started.stdout:
                started.stdout.read()  # until the last that had it is gone
            script.unlink()

    def _command(self, script):
        return ["nsenter", f"--net={self._network.path}", "--",
                "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
                "sh", "-c", _FIRST, "sh",
                "setpriv", f"--reuid={self._account.pw_uid}", f"--regid={self._account.pw_gid}", "--clear-groups", "--",
                *_PHP, script]

    def _environment(self):
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(self.tests), "PHPRC": self._ini,
                "PHP_INI_SCAN_DIR": self._ini / "conf.d"}

    def _read(self, started, end, expected):
        output = b""
        with selectors.DefaultSelector() as selector:
            selector.register(started.stdout, selectors.EVENT_READ)
            while selector.select(max(end - time.monotonic(), 0)):
                piece = os.read(started.stdout.fileno(), 1 << 16)
                if not piece:
                    return text(output)
                output += piece
                if expected is not None and not expected.startswith(text(output)):
                    end = min(end, time.monotonic() + _TO_SAY_MORE)
        return text(output) + "\n(stopped)"
