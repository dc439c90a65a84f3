"""An instance of Paddock with directories, a config and a cgroup of its own."""

import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from . import machine, process

DASHBOARD_ACCOUNT = 8  # beyond those of tenants
MAIL_ACCOUNT = 9
SITE = pathlib.Path(__file__).resolve().parents[1] / "site"
# What a program under sanitizers reports, and what no test provokes on purpose.
# What differs from one descriptor to the next of a kind: inode numbers, mkstemp(3)'s six characters, other numbers.
_KIND = re.compile(r"(?<=\.)\w{6}(?= \(deleted\))|\d+")
_ALARMS = re.compile(r"ERROR: (?:Address|Leak|Thread)Sanitizer|runtime error:|terminate called|Assertion .* failed")


@dataclasses.dataclass
class Tenant:
    name: str
    account: object  # pwd.struct_passwd
    home: pathlib.Path
    options: dict

    @property
    def docroot(self):
        return self.home / "public_html"


def make_home(path, account, site=SITE):
    """A home as hosts have them: 0701, so that Apache can pass through and nobody can list it."""
    path.mkdir(parents=True)
    shutil.copytree(site, path / "public_html")
    for entry in (path, *path.rglob("*")):
        os.chown(entry, account.pw_uid, account.pw_gid)
        entry.chmod(0o711 if entry.is_dir() else 0o600 if entry.suffix == ".php" else 0o644)
    path.chmod(0o701)


def _toml(table, path=()):
    lines, tables = [], []
    for key, value in table.items():
        key = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)
        name = ".".join((*path, key))
        if isinstance(value, dict):
            tables.append((f"[{name}]", (*path, key), value))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables += [(f"[[{name}]]", (*path, key), entry) for entry in value]
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    text = "\n".join(lines) + "\n" if lines else ""
    for head, inner_path, inner in tables:
        text += f"\n{head}\n" + _toml(inner, inner_path)
    return text


def _tree(base):
    return [base, *(path for path in base.rglob("*") if path.is_dir())] if base.exists() else []


def remove_cgroup(base):
    """Kills what is in a cgroup and below, and removes it as far as that goes."""
    with contextlib.suppress(OSError):
        (base / "cgroup.kill").write_text("1")
    for group in sorted(_tree(base), key=lambda path: -len(path.parts)):
        with contextlib.suppress(OSError, AssertionError):
            machine.wait_for(lambda group=group: "populated 0" in (group / "cgroup.events").read_text(), 5)
            group.rmdir()


def remove_stale():
    """Instances of runs that were killed: their cgroups with all that is in them, and their directories."""
    name = re.compile(re.escape(machine.PREFIX) + r"(\d+)-\w+")
    cgroups = machine.cgroup2_mount()
    for place in (cgroups, pathlib.Path("/tmp"), pathlib.Path("/dev/shm")):
        for path in place.glob(machine.PREFIX + "*"):
            match = name.fullmatch(path.name)
            if not match or os.path.exists(f"/proc/{match[1]}"):
                continue
            remove_cgroup(path) if place == cgroups else shutil.rmtree(path, ignore_errors=True)


class Paddock:
    live = []  # those that run now: the audit settles them, a failed test shows their logs

    def __init__(self, directory, accounts, plan=None, runtime=None, plans=None):
        self.directory = pathlib.Path(directory)
        self.accounts = accounts
        self.config = self.directory / "paddock.toml"
        self.cgroup = self.directory.name
        self.plans = {"default": dict(plan or {}), **(plans or {})}
        self.runtime = {
            "run_dir": str(self.directory / "run"),
            "state_dir": str(self.directory / "state"),
            "log_dir": str(self.directory / "log"),
            "gateway_user": accounts.get(0).pw_name,
            "cgroup": self.cgroup,
            "allow_missing_controllers": True,
            "stop_patience": "5s",
            **(runtime or {}),
        }
        self.phps = {}  # [php.NAME], by name
        self.network = {}  # [network]
        self.apache_section = {}  # [apache], beside the user
        self.namespace = None  # the file of the network namespace that it runs in; None: this one
        self.dashboard = {}  # [dashboard]; with_dashboard() fills it
        self.mail = {}  # [mail]; with_mail() fills it
        self.environment = {}  # of paddockd, beside PATH
        self.tenants = {}
        self.supervisor = None  # subprocess.Popen
        self.manager = None  # a ServiceManager that starts it, and holds its sockets over restarts
        self._settled_files = {}

    # --- the config

    def add_tenant(self, name, account=None, make=True, **options):
        """A tenant with an account of its own (or the one given) and, if `make`, a home with the tests' site."""
        account = account or self.accounts.get(1 + len(self.tenants))
        home = self.directory / "homes" / name
        if make:
            make_home(home, account)
            home.parent.chmod(0o711)
        tenant = Tenant(name, account, home, options)
        self.tenants[name] = tenant
        return tenant

    def write_config(self):
        tenants = {tenant.name: {"user": tenant.account.pw_name, "home": str(tenant.home), **tenant.options}
                   for tenant in self.tenants.values()}
        self.config.write_text(_toml({"runtime": self.runtime, "apache": {"user": "www-data", **self.apache_section},
                                      "dashboard": self.dashboard, "mail": self.mail, "network": self.network,
                                      "php": self.phps, "plan": self.plans, "tenant": tenants}))

    def with_dashboard(self, **options):
        """Before start(): a dashboard at self.dashboard["listen"], by an account of its own."""
        self.dashboard = {"listen": f"127.0.0.1:{machine.free_port()}",
                          "user": self.accounts.get(DASHBOARD_ACCOUNT).pw_name, **options}
        return self

    def with_mail(self, command):
        """Before start(): a mail broker, by an account of its own, that hands messages to `command`."""
        self.mail = {"command": [str(word) for word in command], "user": self.accounts.get(MAIL_ACCOUNT).pw_name}
        return self

    # --- its life

    def launch(self):
        """Starts paddockd without waiting for it."""
        with open(self.directory / "paddockd.err", "ab") as errors:
            command = [*self._elsewhere(), machine.BIN / "paddockd", "--config", self.config]
            environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self.environment,
                           **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}}
            options = {"stdin": subprocess.DEVNULL, "stdout": errors, "stderr": errors, "cwd": "/",
                       "preexec_fn": process.end_with_parent}
            if self.manager:
                self.supervisor = self.manager.launch([*command, "--hand-over"], environment, **options)
            else:
                self.supervisor = subprocess.Popen(command, env=environment, **options)
        if self not in Paddock.live:
            Paddock.live.append(self)

    def start(self, seconds=20):
        if not self.config.exists():
            self.write_config()
        self.launch()
        machine.wait_for(self.answers, seconds, "`paddock status` answers")
        return self

    def answers(self):
        if self.supervisor.poll() is not None:
            raise AssertionError(f"paddockd ended with {self.supervisor.returncode}:\n{self.log()[-4000:]}")
        return self.cli("status", check=False).returncode == 0

    def stop(self, seconds=20):
        """SIGTERM, and the exit status."""
        self.supervisor.send_signal(signal.SIGTERM)
        try:
            return self.supervisor.wait(machine.patience(seconds))
        finally:
            if self.supervisor.returncode is None:
                self.supervisor.kill()
                self.supervisor.wait()

    def kill(self):
        """SIGKILL to the supervisor alone."""
        self.supervisor.kill()
        self.supervisor.wait()

    def running(self):
        return self.supervisor is not None and self.supervisor.poll() is None

    def close(self):
        """Ends the instance and fails if it leaves anything, leaks descriptors or has reported an alarm."""
        problems = []
        try:
            if self.running():
                problems += self.settle()
                status = self.stop()
                if status != 0:
                    problems.append(f"paddockd ended with status {status} after SIGTERM")
            problems += self.remains()
            alarm = _ALARMS.search(self.log())
            if alarm:
                problems.append(f"the log reports: {self.log()[alarm.start():alarm.start() + 3000]}")
        finally:
            self.destroy()
        assert not problems, "\n".join([*problems, "--- log:", self.log()[-4000:]])

    def destroy(self):
        """Ends whatever is still there, so that one failed test does not fail the others."""
        Paddock.live = [instance for instance in Paddock.live if instance is not self]
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.supervisor.kill()
            self.supervisor.wait()
        remove_cgroup(machine.cgroup2_mount() / self.cgroup)

    # --- what it consists of

    def _cgroups(self):
        return _tree(machine.cgroup2_mount() / self.cgroup)

    def in_cgroup(self, *below):
        path = "/" + "/".join((self.cgroup, *below))
        found = []
        for pid in process.everyone():
            group = process.cgroup(pid)
            if group is not None and (group == path or group.startswith(path + "/")) and process.alive(pid):
                found.append(pid)
        return sorted(found)

    def gateway(self):
        return self._only("gateway", lambda pid: not process.is_guardian(pid))

    def guardian(self):
        """Passes on what the gateway held."""
        return self._only("gateway", process.is_guardian)

    def opener(self):
        """Forks those that open homes."""
        (pid,) = filter(process.is_opener, process.children_of(self.supervisor.pid))
        return pid

    def zygote(self):
        """That of the default PHP and php.ini's opcache; others say in their titles what they are of."""
        return self._only("zygote", lambda pid: "," not in process.title(pid))

    def zygotes(self):
        found = self.in_cgroup("zygote")
        time.sleep(0.02)  # one that was forked just now has not its title yet
        return [pid for pid in found if process.alive(pid) and not process.is_spare_zygote(pid)]

    def spare_zygotes(self):
        """Each zygote's, which becomes the next sandbox; made a moment after the one before has gone."""
        return list(filter(process.is_spare_zygote, self.in_cgroup("zygote")))

    def spare_zygote(self):
        return self._only("zygote", process.is_spare_zygote)

    def _only(self, part, wanted=lambda pid: True):
        def only():
            pids = list(filter(wanted, self.in_cgroup(part)))
            return pids[0] if len(pids) == 1 else None
        # One that ended is started again after a moment.
        return machine.wait_for(only, 10, f"one process is the {part}")

    def sandbox(self, tenant=None):
        """Every process of a tenant's sandbox, or of all sandboxes."""
        return self.in_cgroup("tenants", *([tenant] if tenant else []))

    def keeper(self, tenant):
        """Process 1 of the sandbox, by its number on the host; None when the tenant has no sandbox."""
        for pid in self.sandbox(tenant):
            if process.status(pid).get("NSpid", "").split()[-1:] == ["1"]:
                return pid
        return None

    def workers(self, tenant):
        keeper = self.keeper(tenant)
        return [pid for pid in self.sandbox(tenant) if pid != keeper]

    def host_pid(self, tenant, inner):
        """The host's number of a process that knows itself as `inner`."""
        for pid in self.sandbox(tenant):
            if process.status(pid).get("NSpid", "").split()[-1:] == [str(inner)]:
                return pid
        return None

    # --- speaking to it

    def _elsewhere(self):
        return ["nsenter", f"--net={self.namespace}", "--"] if self.namespace else []

    def cli(self, *arguments, check=True, seconds=30):
        done = subprocess.run([*self._elsewhere(), machine.BIN / "paddock", "--config", self.config, *arguments], capture_output=True,
                              text=True, timeout=machine.patience(seconds), stdin=subprocess.DEVNULL)
        if check:
            assert done.returncode == 0, f"paddock {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def host_status(self):
        """`paddock status` of the host (control::HostStatus)."""
        return json.loads(self.cli("status", "--json").stdout)["host"]

    def tenant_status(self, tenant):
        """`paddock status` of one tenant (control::TenantStatus)."""
        (found,) = json.loads(self.cli("status", tenant, "--json").stdout)["tenants"]
        return found

    def usage(self, tenant):
        """`paddock usage` of one tenant (control::Usage)."""
        (found,) = json.loads(self.cli("usage", tenant, "--json").stdout)["tenants"]
        return found["usage"]

    def sockets(self):
        lines = self.cli("sockets").stdout.splitlines()
        return {name: pathlib.Path(path) for name, path in (line.split("\t") for line in lines)}

    def log(self):
        """What paddockd and its programs wrote, to standard error and to files of their own."""
        files = [self.directory / "paddockd.err", *sorted((self.directory / "log").rglob("*"))]
        return "".join(f"== {file.name}\n{file.read_text(errors='replace')}" for file in files if file.is_file())

    def tenant_log(self, tenant):
        """The tenant's own log: its PHP's errors, and what the worker says about its requests."""
        return "".join(file.read_text(errors="replace")
                       for file in sorted((self.directory / "log").rglob(f"{tenant}*")) if file.is_file())

    # --- the audit

    def settle(self, seconds=20):
        """Stops every sandbox; reports processes that stay and descriptors that were not there the last time."""
        for name in self.tenants:
            self.cli("stop", name, check=False)
        problems = []
        try:
            machine.wait_for(lambda: not self.sandbox(), seconds, "every sandbox has ended")
        except AssertionError:
            problems.append(f"still in the tenants' cgroups: {[(p, process.title(p)) for p in self.sandbox()]}")
        # Until PHP stands, the zygote has not all its descriptors yet: nothing to compare later ones with.
        machine.wait_for(lambda: self.host_status()["php_version"], seconds,
                         "the zygote is ready")
        # Both hold a descriptor of it.
        machine.wait_for(lambda: len(self.spare_zygotes()) == len(self.zygotes()), seconds, "each zygote has its spare")
        for name, pid in (("paddockd", self.supervisor.pid), ("gateway", self.gateway()), ("zygote", self.zygote())):
            problems += self._leaked_files(name, pid)
        try:
            machine.wait_for(lambda: not self._zombies(), 3, "paddockd has reaped its children")
        except AssertionError:
            problems.append(f"paddockd has not reaped {self._zombies()}")
        return problems

    def _zombies(self):
        return [pid for pid in process.children_of(self.supervisor.pid) if process.state(pid) == "Z"]

    def _control_connections(self):
        """Paddockd's ends of what is connected to its control socket: a dashboard's come and go as it pleases."""
        path = str(self.directory / "run/control.sock")
        with open("/proc/net/unix") as lines:
            return {f"socket:[{fields[6]}]" for fields in map(str.split, lines) if fields[7:] == [path]
                    and fields[5] == "03"} if self.dashboard else set()

    def _leaked_files(self, name, pid):
        """Compares counts of what descriptors are, since inode numbers differ from one time to the next."""
        def kinds():
            visits = self._control_connections()
            return collections.Counter(_KIND.sub("#", link) for link in process.open_files(pid).values()
                                       if link not in visits)

        known = self._settled_files.setdefault(name, kinds())
        try:
            machine.wait_for(lambda: not kinds() - known, 3, "no new descriptors")
        except AssertionError:
            return [f"{name} ({pid}) has descriptors that it had not before: {dict(kinds() - known)}"]
        return []

    def remains(self):
        """What is left of an instance that has ended."""
        problems = []
        try:
            machine.wait_for(lambda: not self.in_cgroup(), 5, "no process is left")
        except AssertionError:
            problems.append(f"processes: {[(pid, process.title(pid)) for pid in self.in_cgroup()]}")
        if self._cgroups():
            problems.append(f"cgroups: {[str(path) for path in self._cgroups()]}")
        sockets = [str(path) for path in pathlib.Path(self.runtime["run_dir"]).rglob("*") if path.is_socket()]
        if sockets:
            problems.append(f"socket files: {sockets}")
        return problems
