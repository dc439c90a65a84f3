"""What tenants cost whom nobody visits, how fast one of them starts, and what a change of one does to others."""

import dataclasses
import multiprocessing
import re
import signal
import time

import contenders
import measurements as measure
from bench import LANGUAGES, allow_descriptors
from harness import fastcgi, machine, process
from harness.paddock import Paddock, make_home
from report import Target

COUNTS = (10, 100, 1000, 10000)
STARTS = 8  # of as many tenants; the smallest crowd has 10
IDLE = "3600s"
LOOK = 0.02  # seconds from one look for a socket to the next


@dataclasses.dataclass
class Figures:
    """What is measured of one crowd."""
    start: float = 0  # seconds
    memory: float = 0  # MiB
    parts: str = ""
    colds: list = dataclasses.field(default_factory=list)  # ms
    dirty: list = dataclasses.field(default_factory=list)  # KiB
    reloads: list = dataclasses.field(default_factory=list)  # ms, of one tenant, where that can be asked for
    whole: list = dataclasses.field(default_factory=list)  # ms, of everything
    pauses: list = dataclasses.field(default_factory=list)  # ms, with a reload
    quiet: list = dataclasses.field(default_factory=list)  # ms, without
    failures: int = 0
    visits: int = 0


def name_of(number):
    return f"t{number:05}"


class PaddockCrowd:
    """Tenants of one account and one home, a file each, as a control panel writes them."""
    name = "Paddock"

    def __init__(self, directory, run, accounts, count):
        self.count = count
        self._sockets = {}
        self._run = run
        self.account = accounts.get(1)
        self.home = directory / "homes" / "all"
        make_home(self.home, self.account)
        self.home.parent.chmod(0o711)
        self.script = self.home / "public_html" / "hello.php"
        plan = {"workers": 4, "idle": IDLE}
        self.paddock = Paddock(directory, accounts, plan=plan, plans={"other": plan},
                               runtime={"php_ini_dir": contenders.PHP_INI_DIR, "run_dir": str(run)})
        self.files = directory / "tenants.d"
        self.files.mkdir()
        for number in range(count):
            self._write(number, "default")
        self.paddock.write_config()
        self.paddock.config.write_text('include = ["tenants.d/*.toml"]\n' + self.paddock.config.read_text())

    def _write(self, number, plan):
        (self.files / f"{name_of(number)}.toml").write_text(
            f'[tenant.{name_of(number)}]\nuser = "{self.account.pw_name}"\nhome = "{self.home}"\nplan = "{plan}"\n')

    def launch(self):
        self.paddock.launch()

    def socket(self, number):
        """Found by its name, so that nobody has to be asked before they answer; once, and with pauses, since the
        directory is large: who reads it holds up those who make something in it."""
        if number not in self._sockets:
            found = list((self._run / "sockets").glob(f"{name_of(number)}-*.sock"))
            if not found:
                time.sleep(LOOK)
                return None
            self._sockets[number] = found[0]
        return self._sockets[number]

    def settle(self):
        machine.wait_for(self.paddock.answers, 60, "`paddock status` answers")

    def memory(self):
        pids = {"supervisor": self.paddock.supervisor.pid, "gateway": self.paddock.gateway(), "guardian": self.paddock.guardian(),
                "zygote": self.paddock.zygote()}
        return {name: process.rss(pid) for name, pid in pids.items()}

    def worker(self, number):
        return self.paddock.workers(name_of(number))[0]

    def change(self, number, round_):
        self._write(number, ("other", "default")[round_ % 2])

    def reload(self, number):
        self.paddock.cli("reload", name_of(number))

    def reload_all(self):
        self.paddock.cli("reload", seconds=120)

    def config(self):
        return (self.paddock.config.read_text() + f"\n# {self.files.name}/{name_of(0)}.toml, one of {self.count:,}\n"
                + (self.files / f"{name_of(0)}.toml").read_text())

    def stop(self):
        try:
            if self.paddock.running():
                self.paddock.stop(60)
        finally:
            self.paddock.destroy()


class FpmCrowd:
    """The same of ondemand pools."""
    name = "PHP-FPM"

    def __init__(self, directory, run, accounts, count):
        self.count = count
        self.account = accounts.get(1)
        self.pool = contenders.FpmPool(directory, accounts, 4, int(IDLE.rstrip("s")), run=run)
        self.script = self.pool.docroot / "hello.php"
        (self.pool.pools / f"{contenders.TENANT}.conf").unlink()
        for number in range(count):
            self.pool.add_pool(name_of(number), self.account)

    def launch(self):
        self.pool.launch()

    def socket(self, number):
        return self.pool.sockets[name_of(number)]

    def settle(self):
        machine.wait_for(lambda: self._ready() > 0, 60, "PHP-FPM is ready")

    def memory(self):
        return {"master": process.rss(self.pool.master.pid)}

    def worker(self, number):
        pattern = f"pool {name_of(number)}$"
        return next(pid for pid in self.pool.workers() if re.search(pattern, process.title(pid)))

    def change(self, number, round_):
        self.pool.add_pool(name_of(number), self.account, f"pm.max_requests = {1000 + round_}\n")

    def _ready(self):
        return self.pool.log.read_text(errors="replace").count("ready to handle connections")

    def reload(self, number):
        """Of all pools, since PHP-FPM knows no other.

        Returns when the new master says that it is ready; SIGUSR2 itself returns at once.
        """
        before = self._ready()
        self.pool.master.send_signal(signal.SIGUSR2)
        machine.wait_for(lambda: self.pool.master.poll() is not None or self._ready() > before, 120,
                         "PHP-FPM is ready again", interval=0.002)
        if self.pool.master.poll() is not None:
            raise RuntimeError(f"PHP-FPM ended when it was reloaded:\n{self.pool.log.read_text()[-2000:]}")

    def config(self):
        return (self.pool.file.read_text() + f"; {self.pool.pools.name}/{name_of(0)}.conf, one of {self.count:,}\n"
                + (self.pool.pools / f"{name_of(0)}.conf").read_text())

    def stop(self):
        self.pool.stop()


def _until_answered(crowd, number, seconds=120):
    """A visitor who comes again until they have their answer: seconds, and how often they came for nothing."""
    start, failures = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        try:
            socket = crowd.socket(number)
            if socket and fastcgi.fetch(socket, crowd.script, seconds).body == b"hello\n":
                return time.perf_counter() - start, failures
        except OSError:
            pass
        failures += 1
        time.sleep(0.001)
    raise RuntimeError(f"{crowd.name} with {crowd.count} tenants did not answer")


class Visitor:
    """Asks the first tenant's site, one request after another, in a process of its own that nothing here delays."""

    def __init__(self, crowd):
        context = multiprocessing.get_context("fork")
        self._over = context.Event()
        self._results, results = context.Pipe(duplex=False)
        self._process = context.Process(target=self._ask, args=(crowd, results), daemon=True)
        self._process.start()
        self._results.recv()

    def _ask(self, crowd, results):
        longest = failures = visits = 0
        results.send(None)
        while not self._over.is_set():
            seconds, failed = _until_answered(crowd, 0)
            longest, failures, visits = max(longest, seconds), failures + failed, visits + 1
            time.sleep(0.001)
        results.send((longest * 1000, failures, visits))

    def end(self):
        """The longest wait in ms, requests that failed, requests that were answered."""
        self._over.set()
        result = self._results.recv()
        self._process.join()
        return result


def _private_dirty(pid):
    """KiB"""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return int(re.search(r"^Private_Dirty:\s+(\d+) kB", lines.read(), re.MULTILINE)[1])


def _cold_starts(crowd, figures):
    """Of one tenant after another, none of whom has been visited before."""
    for number in range(1, STARTS + 1):
        request, socket = fastcgi.whole_request(crowd.script), crowd.socket(number)
        start = time.perf_counter()
        with fastcgi.Connection(socket, 60) as connection:
            connection.send(request)
            if not connection.socket.recv(1):
                raise RuntimeError(f"{crowd.name} did not answer its first request")
            figures.colds.append((time.perf_counter() - start) * 1000)
            connection.receive()
        figures.dirty.append(_private_dirty(crowd.worker(number)))


def _longest_wait(crowd, meanwhile):
    """What a visitor meets who comes from half a second before meanwhile() until half a second after it."""
    visitor = Visitor(crowd)
    try:
        time.sleep(0.5)
        meanwhile()
        time.sleep(0.5)
    finally:
        result = visitor.end()
    return result


def _reloads(crowd, figures, rounds):
    changed = crowd.count - 1

    def reload():
        start = time.perf_counter()
        crowd.reload(changed)
        figures.reloads.append((time.perf_counter() - start) * 1000)
        if hasattr(crowd, "reload_all"):
            start = time.perf_counter()
            crowd.reload_all()
            figures.whole.append((time.perf_counter() - start) * 1000)
        else:
            figures.whole.append(figures.reloads[-1])

    for round_ in range(rounds):
        _until_answered(crowd, 0)
        figures.quiet.append(_longest_wait(crowd, lambda: time.sleep(0.1))[0])
        crowd.change(changed, round_)
        longest, failures, visits = _longest_wait(crowd, reload)
        figures.pauses.append(longest)
        figures.failures += failures
        figures.visits += visits


def _measure(bench, make, count):
    figures = Figures()
    # Sockets in memory, as /run is.
    with bench.directory() as directory, bench.directory("/dev/shm") as run:
        crowd = make(directory, run, bench.accounts, count)
        try:
            start = time.perf_counter()
            crowd.launch()
            _until_answered(crowd, count - 1)
            figures.start = time.perf_counter() - start
            crowd.settle()
            memory = {name: size / (1 << 20) for name, size in crowd.memory().items()}
            figures.memory = sum(size for name, size in memory.items() if name != "zygote")
            figures.parts = ", ".join(f"{name} {size:.1f}" for name, size in memory.items())
            _until_answered(crowd, 0)
            _cold_starts(crowd, figures)
            _reloads(crowd, figures, bench.options.rounds)
            if count == COUNTS[-1]:
                bench.report.configuration(f"{crowd.name}, {count:,} tenants", LANGUAGES[crowd.name], crowd.config())
        finally:
            crowd.stop()
    return figures


# Of each curve and row of the summary: what, its unit, how it is taken from Figures, digits.
CURVES = [
    ("start until the first answer", "s", lambda of: of.start, 2, Target(most=2, relative=False)),
    ("resident memory", "MiB", lambda of: of.memory, 1, Target(most=128, relative=False)),
    ("first answer of a cold tenant", "ms", lambda of: measure.Spread(of.colds).median, 1, None),
    ("private dirty memory of a worker", "KiB", lambda of: measure.Spread(of.dirty).median, 0, None),
    ("reload of one tenant that has changed", "ms", lambda of: measure.Spread(of.reloads).median, 1,
     Target(most=10, relative=False)),
    ("reload of everything", "ms", lambda of: measure.Spread(of.whole).median, 0, None),
    ("longest wait of a warm tenant's visitor meanwhile", "ms", lambda of: max(of.pauses), 1, None),
]


def scale(bench):
    found = {}
    allow_descriptors(2 * COUNTS[-1])
    for count in COUNTS:
        for make in (PaddockCrowd, FpmCrowd):
            found[make.name, count] = _measure(bench, make, count)
    rows = [[f"{name}, {count:,}", f"{of.start:.2f}", f"{of.memory:.1f}", of.parts, measure.Spread(of.colds).text(1),
             measure.Spread(of.dirty).text()] for (name, count), of in found.items()]
    bench.report.section(
        "Configured tenants, whom nobody visits",
        "Seconds from the start of the program until a visitor of the last tenant has their answer; resident memory "
        "in MiB after that, of Paddock without the zygote, which is one initialised PHP however many tenants there "
        f"are. Then {STARTS} tenants are visited for the first time, one after another: milliseconds from connect(2) "
        "to the first byte, on the socket, and what `smaps_rollup` calls Private_Dirty of the worker after that one "
        "request. All share an account and a home, each has a file of its own. PHP-FPM: ondemand pools.",
        ["", "start, s", "memory, MiB", "of which", "cold start, ms", "a worker's private dirty memory, KiB"], rows)
    rows = [[f"{name}, {count:,}", measure.Spread(of.reloads).text(1), measure.Spread(of.whole).text(1),
             measure.Spread(of.pauses).text(1),
             measure.Spread(of.quiet).text(1), f"{of.failures:,} of {of.failures + of.visits:,}"]
            for (name, count), of in found.items()]
    bench.report.section(
        "A change of one tenant among many",
        f"{bench.options.rounds} times: one tenant's file is changed, then `paddock reload TENANT` and, for everything, "
        "`paddock reload`, each until it returns, or "
        "SIGUSR2 to PHP-FPM's master, until its log says that it is ready again. Meanwhile, from half a second "
        "before to half a second after, a visitor asks another tenant, who is warm, again and again on the socket: "
        "their longest wait, until they have their answer, as long without a change, and how many requests failed.",
        ["", "reload of that one, ms", "of everything, ms", "longest wait, ms", "without a reload, ms",
         "requests that failed"], rows)
    _summary(bench, found)


def _summary(bench, found):
    for what, unit, taken, digits, target in CURVES:
        bench.report.curve(f"{what}, {unit}", {name: [[count, taken(found[name, count])] for count in COUNTS]
                                               for name in LANGUAGES})
        for count in COUNTS:
            fpm, ours = (taken(found[name, count]) for name in ("PHP-FPM", "Paddock"))
            bench.report.row(f"{what}, {count:,} tenants", unit, fpm, ours, target, digits=digits)
