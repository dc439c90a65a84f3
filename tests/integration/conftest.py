"""Fixtures, and the rules that hold for every integration test (README.md)."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import threading

import pytest

from harness import accounts as accounts_
from harness import apache as apache_
from harness import audit, machine
from harness import paddock as paddock_
from harness import process, three_ways
from harness.apache import Apache
from harness.paddock import Paddock


# For a test and what it needs, each. In an interpreted VM the longest takes two minutes; what takes this long never ends,
# and would keep all that are behind it from their turn.
LIMIT = 900  # seconds

# The tests that passed, a line each, and those that passed before and are left out: for a run that goes on where one
# that hung had got to.
PASSED = os.environ.get("PADDOCK_PASSED")
PASSED_BEFORE = os.environ.get("PADDOCK_PASSED_BEFORE")


def pytest_configure(config):
    if os.geteuid() != 0:
        raise pytest.UsageError("the integration tests start paddockd and make accounts: run them as root")
    for program in ("paddockd", "paddock-gateway", "paddock-php8.2", "paddock-dashboard", "paddock"):
        if not os.access(machine.BIN / program, os.X_OK):
            raise pytest.UsageError(f"{machine.BIN / program} is missing: ./dev build makes it, "
                                    "PADDOCK_BIN names another directory")
    process.adopt_orphans()
    paddock_.remove_stale()
    accounts_.remove_stale()


def pytest_collection_modifyitems(config, items):
    if PASSED_BEFORE:
        done = set(pathlib.Path(PASSED_BEFORE).read_text(encoding="utf-8").splitlines())
        items[:] = [item for item in items if item.nodeid not in done]
    if machine.IN_VM:
        kept = [item for item in items
                if not item.get_closest_marker("no_vm")
                and (machine.VM_ALL or not (item.path.stem in machine.KERNEL_INDEPENDENT
                                            or item.get_closest_marker("any_kernel")))]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
        return
    missing = {"cpu", "memory", "pids"} - set(machine.controllers())
    for item in items:
        if item.get_closest_marker("own_kernel"):
            item.add_marker(pytest.mark.skip(reason="it would change this machine's kernel: ./dev vm runs it"))
        elif missing and item.get_closest_marker("vm_only"):
            item.add_marker(pytest.mark.skip(reason=f"no cgroup v2 controllers {sorted(missing)} here: "
                                                    "./dev vm runs it"))


@contextlib.contextmanager
def _limited():
    # A lane whose first message comes before its main thread waits for one runs in another thread (execnet), where no
    # signal can be asked for: without a limit of its own, the stage has one.
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(*_):
        raise TimeoutError(f"not done after {LIMIT} s")
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup():
    with _limited():
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call():
    with _limited():
        yield


_passing = set()  # and not yet torn down


def pytest_runtest_logreport(report):
    # The run's own process hears of all tests, each of its workers of its own.
    if not PASSED or "PYTEST_XDIST_WORKER" in os.environ or not report.passed:
        return
    if report.when == "call":
        _passing.add(report.nodeid)
    elif report.when == "teardown" and report.nodeid in _passing:
        with open(PASSED, "a", encoding="utf-8") as out:
            print(report.nodeid, file=out)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    # The VM has everything, so that a skip there means a test that never runs anywhere.
    if machine.IN_VM and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in the VM, where nothing may be: {report.longrepr}"
    if report.failed:
        for instance in Paddock.live:
            report.sections.append((f"log of {instance.directory.name}", instance.log()[-8000:]))


def _started():
    """The processes that a Popen of ours waits for."""
    return [instance.supervisor.pid for instance in Paddock.live if instance.supervisor is not None]


@pytest.fixture(scope="session")
def accounts(nothing_left_by_the_run):  # which looks once they are removed, whatever the last test needs
    """Login accounts for tenants; the first is the gateway's."""
    made = accounts_.Accounts()
    yield made
    made.remove()


@pytest.fixture(scope="session", autouse=True)
def nothing_left_by_the_run():
    before = audit.Snapshot()
    yield
    assert not audit.leftovers(before)


@pytest.fixture(scope="module", autouse=True)
def nothing_left_by_the_module(nothing_left_by_the_run):
    # Accounts serve the whole run, so that only the run's end can tell whether one was left.
    before = audit.Snapshot(accounts=False)
    yield
    assert not audit.leftovers(before, accounts=False)


@pytest.fixture(autouse=True)
def nothing_left_by_the_test(nothing_left_by_the_module):
    before = audit.Snapshot(_started(), accounts=False)
    yield
    problems = []
    for instance in Paddock.live:
        if instance.running():
            problems += instance.settle()
    problems += audit.leftovers(before, _started(), accounts=False)
    assert not problems, "\n".join(problems)


@contextlib.contextmanager
def _locked(path, how):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


@pytest.fixture(autouse=True)
def company(request):
    """Nothing runs beside a test that is marked `alone`, in this process or the others of the run."""
    tests = machine.REPOSITORY / "tests/integration"
    alone = request.node.get_closest_marker("alone")
    with contextlib.ExitStack() as stack:
        # Whoever waits to be alone holds the door meanwhile.
        with _locked(tests / "harness", fcntl.LOCK_EX):
            stack.enter_context(_locked(tests, fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        yield


@contextlib.contextmanager
def _directory():
    path = audit.private_directory()
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def directory():
    """A private directory below /tmp."""
    with _directory() as path:
        yield path


@contextlib.contextmanager
def _instances(accounts):
    """A function that makes instances of Paddock, each closed and audited at the end, the last one first."""
    made = []
    with contextlib.ExitStack() as stack:
        def make(**options):
            instance = Paddock(stack.enter_context(_directory()), accounts, **options)
            stack.callback(instance.close)
            made.append(instance)
            return instance
        try:
            yield make
        except BaseException:  # a fixture that fails: the report comes when the instance is gone
            for instance in made:
                print(instance.log()[-8000:])
            raise


@contextlib.contextmanager
def _apaches():
    with contextlib.ExitStack() as stack:
        def make(paddock, module=False, **options):
            """An Apache that serves every tenant of `paddock`, started; tenants' names are attributes of `sites`.

            `module`: through mod_paddock; otherwise through mod_proxy_fcgi.
            """
            apache = Apache(paddock.directory, paddock=paddock if module else None, **options)
            sockets = paddock.sockets()
            apache.sites = {name: apache.add_site(name, tenant.docroot, sockets[name])
                            for name, tenant in paddock.tenants.items() if name in sockets}
            stack.callback(apache.stop)
            return apache.start()
        yield make


@pytest.fixture
def make_paddock(accounts):
    """make_paddock(plan=…, runtime=…) → Paddock, not started and without tenants."""
    with _instances(accounts) as make:
        yield make


@pytest.fixture(scope="module")
def make_module_paddock(accounts, nothing_left_by_the_module):
    """The same for a whole module."""
    with _instances(accounts) as make:
        yield make


@pytest.fixture
def make_apache(make_paddock):
    """make_apache(paddock) → Apache, started, with `sites` by tenant."""
    with _apaches() as make:
        yield make


class Host:
    """A shared host as the tests see it: Paddock, Apache, and the sites of alice and bob."""

    def __init__(self, paddock, apache):
        self.paddock = paddock
        self.apache = apache
        self.alice = apache.sites["alice"]
        self.bob = apache.sites["bob"]


def _host(make_paddock, make_apache, apache=None, dashboard=False, **options):
    paddock = make_paddock(**options)
    if dashboard:
        paddock.with_dashboard()
    for name in ("alice", "bob"):
        paddock.add_tenant(name)
    paddock.start()
    # Descriptors that a tenant's first start opens for good (its log) are no leak: settle once with all started.
    for name in paddock.tenants:
        paddock.cli("start", name)
        machine.wait_for(lambda name=name: paddock.keeper(name), 20, f"a sandbox of {name}")
    assert not paddock.settle()
    return Host(paddock, make_apache(paddock, **(apache or {})))


@pytest.fixture(scope="module")
def host(accounts, nothing_left_by_the_module):
    """Two tenants, alice and bob, for a whole module; no test may leave the instance other than it found it."""
    with _instances(accounts) as paddocks, _apaches() as apaches:
        yield _host(paddocks, apaches)


_MODULE_MAIN = f"LoadModule actions_module {apache_.MODULES}/mod_actions.so\n" + (
    'LogFormat "%U %{PADDOCK_QUEUE_MS}n %{PADDOCK_RUN_MS}n %{PADDOCK_CPU_MS}n %{PADDOCK_PEAK_MEMORY}n '
    '%{PADDOCK_COMPILED}n %{PADDOCK_TOTAL_MS}n" figures\nCustomLog figures.log figures\n')


@pytest.fixture(scope="module")
def module_host(accounts, nothing_left_by_the_module):
    """The same with mod_paddock in Apache."""
    with _instances(accounts) as paddocks, _apaches() as apaches:
        yield _host(paddocks, apaches, apache={"module": True, "main": _MODULE_MAIN})


@pytest.fixture(scope="module")
def dashboard_host(accounts, nothing_left_by_the_module):
    """As `host`, with a dashboard."""
    with _instances(accounts) as paddocks, _apaches() as apaches:
        yield _host(paddocks, apaches, dashboard=True)


@pytest.fixture
def own_host(make_paddock, make_apache):
    """own_host(plan=…) → Host: an instance for one test, which may do to it what it likes."""
    return lambda **options: _host(make_paddock, make_apache, **options)


@pytest.fixture(scope="module")
def application(accounts, nothing_left_by_the_module):
    """`with application(place, …) as compare`: a Comparison of what place(docroot) makes on mod_php, PHP-FPM, Paddock."""
    @contextlib.contextmanager
    def make(place, **options):
        with _instances(accounts) as paddocks, _directory() as directory, \
                three_ways.compared(paddocks, accounts, directory, place, **options) as compare:
            yield compare
    return make
