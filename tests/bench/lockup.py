"""What a tenant's visitors meet while another tenant holds more requests, which never end, than Apache has threads."""

import asyncio
import contextlib
import socket
import statistics
import time

import contenders
from bench import LANGUAGES, WORKERS
from harness.apache import Apache
from report import Target

NEIGHBOUR = "neighbour"
ATTACKERS = 200
EVERY, WITHIN = 0.01, 5  # seconds: between requests, and until one counts as not served
SETTLED = 1
QUIET = "quiet"
ATTACKS = {"sleeping": "while (true) sleep(1);", "spinning": "set_time_limit(0); while (true);"}
LATEST = {"sleeping": 1.5, "spinning": 4}  # targets: p99 by that of a quiet server


async def _visit(site):
    """Milliseconds until hello.php's answer is there; None if it is not in time."""
    async def exchange():
        reader, writer = await asyncio.open_connection(site.host, site.port)
        try:
            writer.write(b"GET /hello.php HTTP/1.0\r\nHost: x\r\n\r\n")
            return await reader.read()
        finally:
            writer.close()

    begin = time.perf_counter()
    with contextlib.suppress(TimeoutError, OSError):
        answer = await asyncio.wait_for(exchange(), WITHIN)
        if answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"hello\n"):
            return (time.perf_counter() - begin) * 1000
    return None


async def _visits(site, seconds):
    """Whether or not those before were answered: who waits for an answer asks less of a server that gives none."""
    tasks, begin = [], time.perf_counter()
    while time.perf_counter() - begin < seconds:
        tasks.append(asyncio.create_task(_visit(site)))
        await asyncio.sleep(max(0, begin + len(tasks) * EVERY - time.perf_counter()))
    return await asyncio.gather(*tasks)


@contextlib.contextmanager
def _attack(site, code):
    clients = []
    body = f"{code} return 0;".encode()
    try:
        for _ in range(ATTACKERS):
            client = socket.create_connection((site.host, site.port))
            clients.append(client)
            client.sendall(b"POST /run.php HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                           b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        yield
    finally:
        for client in clients:
            client.close()


class Served:
    """What became of a row of visits."""

    def __init__(self, times):
        times = list(times)
        answered = [value for value in times if value is not None]
        self.count = len(times)
        self.share = 100 * len(answered) / len(times)
        cuts = statistics.quantiles(answered, n=100, method="inclusive") if len(answered) > 1 else None
        self.p50, self.p99 = (cuts[49], cuts[98]) if cuts else (None, None)

    def cells(self):
        return [f"{self.share:.1f} % of {self.count:,}",
                *("–" if value is None else f"{value:.2f}" for value in (self.p50, self.p99))]


def _measure(bench, make, code):
    """The visits on a server of its own, with nobody else and with the attack; and how the pool was configured."""
    seconds = max(bench.options.seconds, 3)
    with contextlib.ExitStack() as stack:
        pool = bench.pool(stack, make, WORKERS, 0, neighbours=[NEIGHBOUR])
        apache = Apache(stack.enter_context(bench.directory()), servers=2, threads=25)
        attacker, visitor = (apache.add_site(name, pool.docroot_of(name), pool.sockets[name])
                             for name in (contenders.TENANT, NEIGHBOUR))
        stack.callback(apache.stop)
        apache.start()
        for site in (attacker, visitor):
            site.get("/hello.php").ok()
        asyncio.run(_visits(visitor, 1))
        quiet = asyncio.run(_visits(visitor, seconds))
        with _attack(attacker, code):
            time.sleep(SETTLED)
            attacked = asyncio.run(_visits(visitor, seconds))
            # Before Apache, whose threads wait for it.
            pool.stop()
        return quiet, attacked, pool.config()


def lockup(bench):
    found = {}
    for when, code in ATTACKS.items():
        for number in range(bench.options.rounds):
            for make in (contenders.PaddockPool, contenders.FpmPool)[::1 if number % 2 == 0 else -1]:
                quiet, attacked, config = _measure(bench, make, code)
                found.setdefault((make.name, QUIET), []).extend(quiet)
                found.setdefault((make.name, when), []).extend(attacked)
                if number == 0 and when == "sleeping":
                    bench.report.configuration(f"{make.name}, with a neighbour", LANGUAGES[make.name], config)
    served = {key: Served(found[key]) for name in LANGUAGES for key in [(name, when) for when in (QUIET, *ATTACKS)]}
    bench.report.section(
        "A neighbour's endless requests",
        f"An Apache of 50 threads, mod_proxy_fcgi. One tenant is sent {ATTACKERS} requests that never end, which "
        f"sleep or which spin on the CPU (no quota of CPU here); from {SETTLED} s later on another tenant's "
        f"hello.php is asked for every {EVERY * 1000:.0f} ms on a connection of its own, for "
        f"{max(bench.options.seconds, 3)} s, {bench.options.rounds} times each. Served: answered within {WITHIN} s. "
        f"PHP-FPM: two static pools of {WORKERS}; Paddock: two tenants of a plan with {WORKERS} workers.",
        ["", "served", "p50, ms", "p99, ms"],
        [[f"{name}, {when}", *of.cells()] for (name, when), of in served.items()])
    _summary(bench, served)


def _summary(bench, served):
    for when in ATTACKS:
        of = {name: served[name, when] for name in LANGUAGES}
        bench.report.row(f"visitors served while a neighbour's {ATTACKERS} requests are {when}", "%",
                         of["PHP-FPM"].share, of["Paddock"].share, Target(least=100, relative=False), digits=1)
        late = {name: of[name].p99 and of[name].p99 / served[name, QUIET].p99 for name in LANGUAGES}
        bench.report.row(f"their p99, by that of a quiet server, {when}", "×", late["PHP-FPM"], late["Paddock"],
                         Target(most=LATEST[when], relative=False), digits=2)
