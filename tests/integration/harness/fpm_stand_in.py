"""Stands in for php-fpm, for PHP-FPM's own tests: takes its command line, and has Paddock serve its pools.

It listens where the pools say, as PHP-FPM's master does, and hands the sockets to the test process (fpm_pools.py),
which is root: that relays what comes to tenants of a real Paddock. No request is answered here, and of the master's
messages only those are printed that are true of Paddock as well. Its files are copied to where the tests' account can
read them, so it imports nothing of the harness.
"""

import argparse
import glob
import json
import os
import pathlib
import re
import signal
import socket
import sys
import time

# Where the pools go: a socket beside this file.
POOLS = pathlib.Path(__file__).with_name("pools.sock")
# For the one that takes its place at a reload: what it listens on, as PHP-FPM names it, and the connection to POOLS.
_INHERITED, _CONNECTION = "FPM_SOCKETS", "FPM_POOLS"
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
_LEVELS = ("debug", "notice", "warning", "error", "alert")
_WRONG_USAGE, _WRONG_CONFIG = 64, 78  # FPM_EXIT_USAGE, FPM_EXIT_CONFIG
_LARGEST_ANSWER = 1 << 18


class ConfigError(Exception):
    pass


class Config:
    """What the master itself heeds; `paddock import fpm` reads all of it, for the rest."""

    def __init__(self, path, prefix):
        self.sections = {"global": {}}
        self._prefix = prefix
        self._read(path)

    def _read(self, path):
        section = self.sections["global"]
        for line in pathlib.Path(path).read_text().splitlines():
            if found := re.match(r"\s*\[(.+)\]", line):
                section = self.sections.setdefault(found[1], {})
            elif found := re.match(r"\s*([\w.]+)\s*=\s*(.*?)\s*$", line):
                name, value = found.groups()
                if name != "include":
                    section[name] = value.strip('"')
                    continue
                for file in sorted(glob.glob(value)):
                    self._read(file)

    def __getitem__(self, name):
        return self.sections["global"].get(name)

    @property
    def pools(self):
        return {name: values for name, values in self.sections.items() if name != "global"}

    def file(self, path, pool=None):
        """An absolute path; None where there is none."""
        prefix = self.pools[pool].get("prefix", self._prefix) if pool else self._prefix
        return path and os.path.join(prefix, path)


def _listen(address):
    if address.startswith("/"):
        listener = socket.socket(socket.AF_UNIX)
        pathlib.Path(address).unlink(missing_ok=True)
        listener.bind(address)
        os.chmod(address, 0o660)
    else:
        host, _, port = address.rpartition(":")
        host = host.strip("[]") or "::"
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
    listener.listen(511)
    return listener


class Master:
    def __init__(self, options):
        self._options = options
        self._config = Config(options.config, options.prefix)
        self._log = self._open_log()
        self._pools = self._connection()
        self._inherited = {}
        for entry in filter(None, os.environ.pop(_INHERITED, "").split(",")):
            address, descriptor = entry.split("=")
            self._inherited[address] = int(descriptor)
        self._listeners = {}  # by address

    def _open_log(self):
        path = self._config.file(self._config["error_log"])
        file = open(path, "a", buffering=1) if path else sys.stderr
        return sys.stderr if self._options.force_stderr else file

    def _connection(self):
        if inherited := os.environ.pop(_CONNECTION, None):
            return socket.socket(fileno=int(inherited))
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(str(POOLS))
        return connection

    def say(self, level, message):
        if _LEVELS.index(level) >= _LEVELS.index(self._config["log_level"] or "notice"):
            now = time.strftime("%d-%b-%Y %H:%M:%S")
            print(f"[{now}] {level.upper()}: {message}", file=self._log, flush=True)

    # --- what it is told to do

    def test(self):
        """php-fpm -t."""
        try:
            self._ask("test", self._wanted())
        except ConfigError as error:
            self.say("error", error)
            self.say("error", "FPM initialization failed")
            return _WRONG_CONFIG
        self.say("notice", f"configuration file {self._options.config} test is successful\n")
        return 0

    def run(self):
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._start()
        except (ConfigError, OSError, OverflowError) as error:
            self.say("error", error)
            self.say("error", "FPM initialization failed")
            return _WRONG_CONFIG
        while True:
            number = signal.sigwait(_SIGNALS)
            if number == signal.SIGUSR1:
                self._reopen_log()
            elif number == signal.SIGUSR2:
                self._reload()
            else:
                return self._end(number)

    def _start(self):
        for address, descriptor in self._inherited.items():
            self.say("notice", f'using inherited socket fd={descriptor}, "{address}"')
        files = []
        for pool, values in self._config.pools.items():
            if "user" in values:
                self.say("notice", f"[pool {pool}] 'user' directive is ignored when FPM is not running as root")
            listener = self._listeners[values["listen"]] = self._listener(values["listen"])
            files.append(listener)
            if "access.log" in values:
                files.append(open(self._config.file(values["access.log"], pool), "ab"))
        for descriptor in self._inherited.values():  # of pools that are no more
            os.close(descriptor)
        self._ask("serve", self._wanted(), files)
        if path := self._config.file(self._config["pid"]):
            pathlib.Path(path).write_text(str(os.getpid()))
        self.say("notice", f"fpm is running, pid {os.getpid()}")
        self.say("notice", "ready to handle connections")

    def _listener(self, address):
        if address in self._inherited:
            return socket.socket(fileno=self._inherited.pop(address))
        return _listen(address)

    def _reopen_log(self):
        if self._log is not sys.stderr:
            self._log.close()
            self._log = self._open_log()
        self.say("notice", "error log file re-opened")

    def _reload(self):
        """As PHP-FPM does it: itself anew, with the sockets."""
        self.say("notice", "Reloading in progress ...")
        command = [sys.executable, "-B", *sys.argv]
        self.say("notice", f"reloading: execvp(\"{sys.argv[0]}\", {json.dumps(sys.argv)})")
        for kept in (self._pools, *self._listeners.values()):
            kept.set_inheritable(True)
        entries = [f"{address}={listener.fileno()}" for address, listener in self._listeners.items()]
        os.execve(command[0], command, {**os.environ, _INHERITED: ",".join(entries),
                                        _CONNECTION: str(self._pools.fileno())})

    def _end(self, number):
        self.say("notice", "Finishing ..." if number == signal.SIGQUIT else "Terminating ...")
        self._ask("withdraw")
        for address in self._listeners:
            if address.startswith("/"):
                pathlib.Path(address).unlink(missing_ok=True)
        if path := self._config.file(self._config["pid"]):
            pathlib.Path(path).unlink(missing_ok=True)
        self.say("notice", "exiting, bye-bye!")
        return 0

    # --- the test process

    def _wanted(self):
        return {"config": str(self._options.config),
                "pools": {name: "access.log" in values for name, values in self._config.pools.items()},
                "ini": dict(entry.partition("=")[::2] for entry in self._options.ini)}

    def _ask(self, action, more=None, files=()):
        message = json.dumps({"action": action, **(more or {})}).encode()
        socket.send_fds(self._pools, [message], [file.fileno() for file in files])
        if problem := json.loads(self._pools.recv(_LARGEST_ANSWER))["problem"]:
            raise ConfigError(problem)


def _parse(arguments):
    parser = argparse.ArgumentParser(prog="php-fpm", add_help=False, allow_abbrev=False)
    parser.add_argument("-y", "--fpm-config", dest="config", type=pathlib.Path, required=True)
    parser.add_argument("-p", "--prefix", default="/")
    parser.add_argument("-O", "--force-stderr", action="store_true")
    parser.add_argument("-F", "--nodaemonize", action="store_true")
    parser.add_argument("-t", "--test", action="count", default=0)
    parser.add_argument("-d", "--define", dest="ini", action="append", default=[])
    parser.add_argument("-R", "--allow-to-run-as-root", action="store_true")
    options = parser.parse_args(arguments)
    if not options.nodaemonize and not options.test:
        parser.error("a daemon it does not become")
    return options


def main(arguments):
    try:
        options = _parse(arguments)
    except SystemExit:
        return _WRONG_USAGE
    master = Master(options)
    return master.test() if options.test else master.run()
