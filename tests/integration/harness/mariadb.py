"""A MariaDB of a test's own: its own data, no network, a Unix socket in a directory that can be bound."""

import contextlib
import subprocess

from . import daemon, machine

PROGRAM = "/usr/sbin/mariadbd"
INSTALL = "/usr/bin/mariadb-install-db"
# Debian's place for the socket: what PHP's "localhost" means, and what applications find without being told.
USUAL_DIRECTORY = "/run/mysqld"
# What makes it fast and would lose data where the machine loses power.
_CARELESS = ("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--sync-binlog=0",
             "--skip-innodb-doublewrite", "--innodb-buffer-pool-size=48M", "--innodb-log-file-size=16M")


class MariaDB:
    def __init__(self, directory, account, databases):
        """`databases`: name → password; each belongs to a user of its name, who sees no other."""
        self.data = directory / "data"
        self.shown = directory / "mysqld"  # the directory of the socket
        self.socket = self.shown / "mysqld.sock"
        self.account = account
        self.log = directory / "log"
        self._first = directory / "first.sql"
        directory.chmod(0o711)
        for path in (self.data, self.shown, self.log):
            path.mkdir(mode=0o755)
        self._first.write_text("".join(
            f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4;\n"
            f"CREATE USER `{name}`@localhost IDENTIFIED BY '{password}';\n"
            f"GRANT ALL ON `{name}`.* TO `{name}`@localhost;\n" for name, password in databases.items()))
        subprocess.run(["chown", account.pw_name, self.data, self.shown, self.log], check=True)

    @contextlib.contextmanager
    def running(self):
        done = subprocess.run([INSTALL, "--no-defaults", f"--user={self.account.pw_name}", f"--datadir={self.data}",
                               "--skip-test-db", "--auth-root-authentication-method=normal", *_CARELESS],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/",
                              timeout=machine.patience(60))
        assert done.returncode == 0, f"{INSTALL}: {done.stdout}{done.stderr}"
        try:
            # The socket is there before the databases of --init-file are; the log's line comes after both.
            with daemon.running([PROGRAM, "--no-defaults", f"--datadir={self.data}", "--skip-networking",
                                 f"--socket={self.socket}", f"--pid-file={self.data}/pid", "--skip-name-resolve",
                                 f"--init-file={self._first}", f"--log-error={self.log}/error.log", *_CARELESS],
                                lambda: "ready for connections" in self.errors(), "MariaDB is ready", seconds=60,
                                account=self.account):
                yield self
        except BaseException:
            print(self.errors()[-4000:])
            raise

    def errors(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.log / "error.log").read_text(errors="replace")
        return ""
