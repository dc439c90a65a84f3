"""The two that are compared, run the same way: one pool for one account, its site behind a Unix socket."""

import os
import pathlib
import shutil
import signal
import subprocess

from harness import fastcgi, machine, process
from harness.paddock import Paddock, make_home

FPM = pathlib.Path("/usr/sbin/php-fpm8.2")
# Both read the ini files of the embed SAPI, so that they run the same PHP.
PHP_INI_DIR = "/etc/php/8.2/embed"
TENANT = "bench"


class PaddockPool:
    name = "Paddock"

    def __init__(self, directory, accounts, workers, idle, plan=None, neighbours=()):
        """`plan`: more of the plan's keys; `neighbours`: names of further tenants of that plan."""
        plan = {"workers": workers, "idle": f"{idle}s" if idle else "0s", "requests_per_worker": 0, **(plan or {})}
        self.paddock = Paddock(directory, accounts, plan=plan, runtime={"php_ini_dir": PHP_INI_DIR})
        self.tenant = self.paddock.add_tenant(TENANT)
        for name in neighbours:
            self.paddock.add_tenant(name)
        self.docroot = self.tenant.docroot
        self.sockets = {}
        self.socket = None

    def start(self):
        self.paddock.start()
        self.sockets = self.paddock.sockets()
        self.socket = self.sockets[TENANT]

    def config(self):
        return self.paddock.config.read_text()

    def parent(self):
        return self.paddock.keeper(TENANT)

    def workers(self):
        return self.paddock.workers(TENANT)

    def processes(self):
        """Those of the pool, which an idle one has none of."""
        return self.paddock.sandbox(TENANT)

    def helpers(self):
        """Processes that may do something for a request beside the workers."""
        return [self.paddock.supervisor.pid, self.paddock.gateway()]

    def docroot_of(self, name):
        return self.paddock.tenants[name].docroot

    def stop(self):
        try:
            if self.paddock.running():
                self.paddock.stop()
        finally:
            self.paddock.destroy()


class FpmPool:
    """PHP-FPM as Debian ships it: a file a pool; `idle`: ondemand pools that end workers after as many seconds."""
    name = "PHP-FPM"

    def __init__(self, directory, accounts, workers, idle, ini=None, neighbours=(), account=None, docroot=None,
                 run=None):
        """`ini`: settings of PHP's; `account` and `docroot`: the site's, where there is one already; `run`: where
        its sockets are, if elsewhere."""
        self.directory = pathlib.Path(directory)
        self.run = pathlib.Path(run or directory)
        self.manager = (f"pm = ondemand\npm.max_children = {workers}\npm.process_idle_timeout = {idle}s\n" if idle else
                        f"pm = static\npm.max_children = {workers}\n")
        self.manager += "".join(f"php_admin_value[{name}] = {value}\n" for name, value in (ini or {}).items())
        self.file = self.directory / "fpm.conf"
        self.log = self.directory / "fpm.log"
        self.pools = self.directory / "pool.d"
        self.pools.mkdir()
        self.file.write_text(f"[global]\nerror_log = {self.log}\ninclude = {self.pools}/*.conf\n")
        self.sockets = {}
        for number, name in enumerate((TENANT, *neighbours), 1):
            user = account or accounts.get(number)
            if docroot is None:
                make_home(self.directory / "homes" / name, user)
                (self.directory / "homes").chmod(0o711)
            self.add_pool(name, user)
        self.docroot = docroot or self.docroot_of(TENANT)
        self.socket = self.sockets[TENANT]
        self.master = None

    def add_pool(self, name, account, more=""):
        """Writes a pool's file; the master reads it when it starts or is reloaded."""
        self.sockets[name] = self.run / f"{name}.sock"
        (self.pools / f"{name}.conf").write_text(
            f"[{name}]\nuser = {account.pw_name}\ngroup = {account.pw_name}\nlisten = {self.sockets[name]}\n"
            f"listen.owner = www-data\nlisten.mode = 0660\nlisten.backlog = 4096\n{self.manager}{more}")

    def docroot_of(self, name):
        return self.directory / "homes" / name / "public_html"

    def launch(self):
        """Starts the master without waiting for it."""
        with open(self.directory / "fpm.out", "wb") as output:
            self.master = subprocess.Popen(
                [FPM, "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", self.file,
                 "-c", f"{PHP_INI_DIR}/php.ini"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PHP_INI_SCAN_DIR": f"{PHP_INI_DIR}/conf.d"})

    def start(self, seconds=20):
        self.launch()
        machine.wait_for(self._answers, seconds, f"PHP-FPM answers ({self.directory}/fpm.out)")

    def _answers(self):
        if self.master.poll() is not None:
            raise RuntimeError(f"PHP-FPM ended:\n{(self.directory / 'fpm.out').read_text(errors='replace')}")
        try:
            return fastcgi.fetch(self.socket, self.docroot / "hello.php").ended is not None
        except OSError:
            return False

    def config(self):
        return self.file.read_text() + (self.pools / f"{TENANT}.conf").read_text()

    def helpers(self):
        """The master is counted with its workers."""
        return []

    def parent(self):
        return self.master.pid

    def workers(self):
        return process.children_of(self.master.pid)

    processes = workers

    def stop(self):
        if self.master is None:
            return
        self.master.send_signal(signal.SIGTERM)
        try:
            self.master.wait(10)
        finally:
            if self.master.returncode is None:
                self.master.kill()
                self.master.wait()


class ServePool:
    """The same worker without a sandbox (paddock-php serve), as the same account."""
    name = "without a sandbox"

    def __init__(self, directory, accounts, workers, on_libphp=False):
        self.directory = pathlib.Path(directory)
        self.account = accounts.get(1)
        make_home(self.directory / "homes" / TENANT, self.account)
        self.docroot = self.directory / "homes" / TENANT / "public_html"
        for path in (self.directory, self.directory / "homes"):
            path.chmod(0o711)
        (self.directory / "run").mkdir()
        os.chown(self.directory / "run", self.account.pw_uid, self.account.pw_gid)
        self.socket = self.directory / "run" / "serve.sock"
        self.workers_max = workers
        # The build may lie where the account cannot search.
        self.program = shutil.copy(machine.BIN / "paddock-php8.2", self.directory / "run")
        if not on_libphp:
            shutil.copy(machine.BIN / "paddock-php8.2.so", self.directory / "run")
        self.keeper = None

    def start(self, seconds=20):
        with open(self.directory / "serve.out", "wb") as output:
            self.keeper = subprocess.Popen(
                [self.program, "serve", "--listen", self.socket, "--workers", str(self.workers_max),
                 "--ini-dir", PHP_INI_DIR], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                user=self.account.pw_uid, group=self.account.pw_gid, extra_groups=[])
        machine.wait_for(self.socket.exists, seconds, f"paddock-php serve listens ({self.directory}/serve.out)")

    def parent(self):
        return self.keeper.pid

    def workers(self):
        return process.children_of(self.keeper.pid)

    def stop(self):
        if self.keeper is None:
            return
        self.keeper.send_signal(signal.SIGTERM)
        try:
            self.keeper.wait(10)
        finally:
            if self.keeper.returncode is None:
                self.keeper.kill()
                self.keeper.wait()
