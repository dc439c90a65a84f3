"""WordPress: its front page on warm pools, and the first page after the last visitor has long gone."""

import contextlib
import time

import contenders
import measurements as measure
from bench import WORKERS
from harness import fastcgi, machine, three_ways
from harness import wordpress as blog
from harness.apache import Apache
from harness.paddock import Paddock
from report import Target

PACKAGES = blog.PACKAGES
LOADS = (1, 8)  # connections
FEWEST_STARTS = 9
PADDOCK_ACCOUNT, FPM_ACCOUNT = 1, 2
KEPT, DROPPED = "Paddock", 'Paddock, opcache_keep = "0s"'
FILES = DROPPED + ", opcache_files = true"
ONDEMAND, OWN = "PHP-FPM, ondemand", "PHP-FPM, a master of its own"


class PaddockBlog:
    """A tenant of an instance that has several for one home, each with a plan of its own."""

    def __init__(self, name, paddock, tenant):
        self.name = name
        self.paddock = paddock
        self.tenant = tenant

    @property
    def socket(self):
        return self.paddock.sockets()[self.tenant]

    def parent(self):
        return self.paddock.keeper(self.tenant)

    def prepare(self):
        machine.wait_for(lambda: self.paddock.tenant_status(self.tenant)["state"] == "stopped", 30,
                         f"{self.name} has stopped", interval=0.1)

    def start(self):
        """The visitor starts it."""

    def finish(self):
        """It ends by itself."""


class FpmBlog:
    """Pools whose workers end when they are idle, and whose master stays."""

    def __init__(self, name, pool):
        self.name = name
        self.pool = pool
        self.socket = pool.socket

    def parent(self):
        return self.pool.parent()

    def prepare(self):
        measure.wait_until_gone(self.pool, 30)

    def start(self):
        """The visitor starts it."""

    def finish(self):
        """It ends by itself."""


class OwnMaster(FpmBlog):
    """A master that is started for the visitor, as where each user has one for the sake of their own opcode cache."""

    def prepare(self):
        """Nobody runs."""

    def start(self):
        self.pool.launch()
        machine.wait_for(self._listens, 20, f"{self.name} listens", interval=0.001)

    def _listens(self):
        try:
            fastcgi.Connection(self.socket).socket.close()
        except OSError:
            return False
        return True

    def finish(self):
        self.pool.stop()


def _paddock(bench, stack, directory, databases):
    """An instance with four tenants of one home, and the database's socket."""
    paddock = Paddock(directory, bench.accounts, runtime={"php_ini_dir": contenders.PHP_INI_DIR})
    socket = stack.enter_context(three_ways.bound_database(paddock, bench.accounts, directory / "mariadb", databases))
    plan = paddock.plans["default"] | {"workers": WORKERS, "idle": "0s", "requests_per_worker": 0}
    paddock.plans = {"default": plan, "kept": plan | {"idle": "1s"},
                     "dropped": plan | {"idle": "1s", "opcache_keep": "0s"},
                     "files": plan | {"idle": "1s", "opcache_keep": "0s", "opcache_files": True}}
    first = paddock.add_tenant(contenders.TENANT, account=bench.accounts.get(PADDOCK_ACCOUNT))
    for name in ("kept", "dropped", "files"):
        paddock.add_tenant(name, account=first.account, make=False, plan=name).home = first.home
    return paddock, first, socket


@contextlib.contextmanager
def _blogs(bench):
    """Two blogs with a database each: what serves them warm, and what serves them from no process."""
    databases = ("of_paddock", "of_fpm")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(bench.directory())
        paddock, tenant, socket = _paddock(bench, stack, directory, databases)
        account, docroots = bench.accounts.get(FPM_ACCOUNT), (tenant.docroot, directory / "fpm" / "public_html")
        three_ways.install(blog.place, dict(zip(databases, docroots)), dict(zip(databases, (tenant.account, account))))
        stack.callback(paddock.destroy)
        paddock.start()
        stack.callback(paddock.stop)

        ini = {"mysqli.default_socket": socket, "sendmail_path": "/bin/true"}
        pools = [contenders.FpmPool(stack.enter_context(bench.directory()), bench.accounts, WORKERS, idle, ini=ini,
                                    account=account, docroot=docroots[1]) for idle in (0, 1, 1)]
        for pool in pools:
            stack.callback(pool.stop)
        for pool in pools[:2]:
            pool.start()
        warm = [PaddockBlog("Paddock", paddock, contenders.TENANT), FpmBlog("PHP-FPM", pools[0])]
        cold = [PaddockBlog(KEPT, paddock, "kept"), PaddockBlog(DROPPED, paddock, "dropped"),
                PaddockBlog(FILES, paddock, "files"),
                FpmBlog(ONDEMAND, pools[1]), OwnMaster(OWN, pools[2])]
        apache = Apache(stack.enter_context(bench.directory()))
        for of in (*warm, *cold):
            docroot = docroots[0] if isinstance(of, PaddockBlog) else docroots[1]
            of.site = apache.add_site(contenders.TENANT, docroot, of.socket)
            of.site.docroot = docroot
        stack.callback(apache.stop)
        apache.start()
        for of, database in zip(warm, databases):
            of.site.database = database
            _install(of.site)
        yield warm, cold, pools


def _install(site):
    blog.configure(site).ok()
    assert "WordPress has been installed" in blog.install(site).ok().text
    # Its address is that of whoever serves it.
    blog.define(site, WP_HOME="'http://' . $_SERVER['HTTP_HOST']", WP_SITEURL="'http://' . $_SERVER['HTTP_HOST']")


def _front_page(site):
    """Milliseconds until the whole page is there."""
    answer = site.get("/").ok()
    assert answer.body.rstrip().endswith(b"</html>")
    return answer.seconds * 1000


def wordpress(bench):
    with _blogs(bench) as (warm, cold, pools):
        _throughput(bench, warm)
        _starts(bench, cold)
        bench.report.configuration("Paddock, WordPress", "toml", warm[0].paddock.config.read_text())
        for name, pool in zip(("static", "ondemand, and a master of its own"), pools):
            bench.report.configuration(f"PHP-FPM, WordPress, {name}", "ini", pool.config())


def _throughput(bench, warm):
    rows = []
    for connections in LOADS:
        def run(of, connections=connections):
            php = measure.WorkersCpuMeter(of)
            rate, p99, requests = measure.http_load(f"http://127.0.0.1:{of.site.port}/", connections,
                                                    bench.options.seconds)
            return rate, p99, php.per_request(requests) / 1000

        for of in warm:
            _front_page(of.site)
            run(of)
        results = bench.rounds(warm, run)
        columns = {name: [measure.Spread(values) for values in zip(*runs)] for name, runs in results.items()}
        rows += [[f"{name}, {connections} at a time", rate.text(1), p99.text(1), php.text(1)]
                 for name, (rate, p99, php) in columns.items()]
        fpm, ours = (columns[name][0].median for name in ("PHP-FPM", "Paddock"))
        what = f"WordPress' front page, {connections} at a time"
        bench.report.row(what, "requests/s", fpm, ours, Target(least=1.0), digits=1)
        bench.report.bar(what, fpm, ours)
    bench.report.section(
        "WordPress' front page",
        f"Debian's WordPress with Twenty Twenty-One and a MariaDB on this machine, through Apache and mod_proxy_fcgi, "
        f"{WORKERS} workers (PHP-FPM: static), wrk; {bench.options.rounds} runs of {bench.options.seconds} s each.",
        ["", "requests/s", "p99, ms", "workers' CPU, ms a request"], rows)


def _starts(bench, cold):
    count = max(bench.options.colds, FEWEST_STARTS)
    for of in cold:
        of.start()
        for _ in range(2):
            _front_page(of.site)
        of.finish()

    def run(of):
        of.prepare()
        begin = time.perf_counter()
        of.start()
        _front_page(of.site)
        milliseconds = (time.perf_counter() - begin) * 1000
        of.finish()
        return milliseconds

    spreads = {name: measure.Spread(times) for name, times in bench.rounds(cold, run, count).items()}
    bench.report.section(
        "WordPress' first page after an idle stop",
        f"Milliseconds until the whole front page is there when no process of the pool is, {count} times each in "
        "turns: Paddock's sandbox ended after 1 s without a request, with the default `opcache_keep`, by which the "
        "tenant's compiled scripts outlive it, without, and without but with what it compiled in files of its own, as "
        "after a restart of Paddock; PHP-FPM's ondemand worker ended after 1 s too, while "
        "its master and the opcode cache that all its pools share remain; and a master of the user's own, ended "
        "with all that it had compiled and started anew.",
        ["", "first page, ms"], [[name, spread.text(1)] for name, spread in spreads.items()])
    medians = {name: spread.median for name, spread in spreads.items()}
    goal = Target(most=70, relative=False)
    for other, ours, target in ((ONDEMAND, KEPT, goal), (OWN, KEPT, goal), (OWN, DROPPED, None),
                                (OWN, FILES, None)):
        bench.report.row(f"WordPress' first page after an idle stop; {ours} beside {other}", "ms", medians[other],
                         medians[ours], target, digits=1)
