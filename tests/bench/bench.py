"""What the parts of the benchmark share: directories, pools behind an Apache, rounds in turns."""

import contextlib
import resource
import shutil

import contenders
from harness import audit
from harness.apache import Apache

WORKERS = 4
CONNECTIONS = 16
LANGUAGES = {"Paddock": "toml", "PHP-FPM": "ini"}


def allow_descriptors(count):
    """To this process and what it starts, as far as its hard limit goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))


class Bench:
    def __init__(self, options, report, accounts):
        self.options = options
        self.report = report
        self.accounts = accounts

    @contextlib.contextmanager
    def directory(self, place=None):
        path = audit.private_directory(place)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def pool(self, stack, make, *arguments, **options):
        """A started pool in a directory of its own, until `stack` is left."""
        pool = make(stack.enter_context(self.directory()), self.accounts, *arguments, **options)
        stack.callback(pool.stop)
        pool.start()
        return pool

    @contextlib.contextmanager
    def pools(self, idle=0, paddock=None, fpm=None):
        """Both pools, with options of their own, and an Apache in front of them, with a port each."""
        with contextlib.ExitStack() as stack:
            pools = [self.pool(stack, contenders.PaddockPool, WORKERS, idle, **(paddock or {})),
                     self.pool(stack, contenders.FpmPool, WORKERS, idle, **(fpm or {}))]
            apache = Apache(stack.enter_context(self.directory()))
            for pool in pools:
                pool.site = apache.add_site(pool.name.lower(), pool.docroot, pool.socket)
            stack.callback(apache.stop)
            apache.start()
            yield pools, apache

    def rounds(self, pools, run, count=None):
        """run(pool) for each in turns, so that what else the machine does meets both; {pool's name: results}."""
        results = {pool.name: [] for pool in pools}
        for number in range(count or self.options.rounds):
            for pool in pools if number % 2 == 0 else pools[::-1]:
                results[pool.name].append(run(pool))
        return results

    def configurations(self, pools, when):
        for pool in pools:
            self.report.configuration(f"{pool.name}, {when}", LANGUAGES[pool.name], pool.config())
