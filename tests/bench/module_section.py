"""mod_paddock beside mod_proxy_fcgi, and what static files notice of slow PHP."""

import asyncio
import contextlib
import socket

import contenders
import measurements as measure
from bench import CONNECTIONS, WORKERS, allow_descriptors
from harness import machine, process
from harness.apache import HANDLER, MODULE_HANDLER, Apache
from harness.paddock import Paddock
from harness.responder import Responder, socket_path

SLOW = 5000  # requests in flight
SETTINGS = "AsyncRequestWorkerFactor 300\n"


def module(bench):
    _hello_world(bench)
    _static_files(bench)


def _hello_world(bench):
    """Three ways to the same script, behind one Apache."""
    with contextlib.ExitStack() as stack:
        pools = [bench.pool(stack, make, WORKERS, 0) for make in (contenders.PaddockPool, contenders.FpmPool)]
        paddock, fpm = pools
        apache = Apache(stack.enter_context(bench.directory()), paddock=paddock.paddock, main=SETTINGS)
        ways = {"mod_paddock, Paddock": (paddock, MODULE_HANDLER), "mod_proxy_fcgi, Paddock": (paddock, HANDLER),
                "mod_proxy_fcgi, PHP-FPM": (fpm, HANDLER)}
        sites = {name: apache.add_site(contenders.TENANT, pool.docroot, pool.socket, handler=handler)
                 for name, (pool, handler) in ways.items()}
        stack.callback(apache.stop)
        apache.start()
        for pool in pools:
            measure.start_workers(pool, WORKERS)
        servers = [apache.process.pid, *process.descendants(apache.process.pid)]
        results = {name: [] for name in ways}
        for number in range(bench.options.rounds):
            for name in list(ways)[::1 if number % 2 == 0 else -1]:
                web = measure.CpuMeter(servers)  # workers come and go
                rate, p99, requests = measure.http_load(f"http://127.0.0.1:{sites[name].port}/hello.php", CONNECTIONS,
                                                        bench.options.seconds)
                results[name].append((rate, p99, web.per_request(requests)))
        bench.configurations(pools, "with mod_paddock")
    columns = {name: [measure.Spread(values) for values in zip(*runs)] for name, runs in results.items()}
    rows = [[name, rate.text(), p99.text(2), web.text()] for name, (rate, p99, web) in columns.items()]
    rates = [column[0].median for column in columns.values()]
    bench.report.row("hello world through mod_paddock", "requests/s", rates[2], rates[0])
    bench.report.bar("hello world through mod_paddock", rates[2], rates[0])
    bench.report.section(
        "Hello world through mod_paddock",
        f"Event MPM, {WORKERS} workers, {CONNECTIONS} connections (wrk), {bench.options.rounds} runs of "
        f"{bench.options.seconds} s each.",
        ["", "requests/s", "p99, ms", "Apache's CPU, µs a request"], rows,
        f"mod_paddock's throughput is **{rates[0] / rates[2]:.2f} times** that of mod_proxy_fcgi and PHP-FPM.")


def _static_files(bench):
    """A static file, of an Apache that does nothing else and of one beside it that has SLOW requests wait for PHP."""
    allow_descriptors(4 * SLOW)
    with contextlib.ExitStack() as stack:
        paddock = Paddock(stack.enter_context(bench.directory()), bench.accounts)
        tenant = paddock.add_tenant(contenders.TENANT)
        paddock.write_config()
        (tenant.docroot / "static.css").write_text("p { color: black }\n" * 50)
        release = asyncio.Event()

        async def slow(request):
            await release.wait()
            request.answer("late")

        responder = stack.enter_context(Responder(socket_path(paddock, contenders.TENANT), slow))
        sites = {}
        for name in ("nothing else", f"{SLOW:,} slow PHP requests"):
            apache = Apache(stack.enter_context(bench.directory()), paddock=paddock, main=SETTINGS)
            sites[name] = site = apache.add_site(contenders.TENANT, tenant.docroot, "")
            stack.callback(apache.stop)
            apache.start()
        clients = []
        stack.callback(lambda: [client.close() for client in clients])
        for _ in range(SLOW):  # to the last one
            client = socket.create_connection((site.host, site.port))
            client.sendall(b"GET /hello.php HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            clients.append(client)
        machine.wait_for(lambda: responder.open == SLOW, 60, "all slow requests are in flight")

        def load(name, seconds):
            return measure.http_load(f"http://127.0.0.1:{sites[name].port}/static.css", CONNECTIONS, seconds)[:2]

        results = {name: [] for name in sites}
        for name in sites:
            load(name, 1)
        for number in range(bench.options.rounds):
            for name in list(sites)[::1 if number % 2 == 0 else -1]:
                results[name].append(load(name, bench.options.seconds))
        responder.call(release.set)
        answered = sum(client.makefile("rb").read().count(b"late") for client in clients)
    columns = {name: [measure.Spread(values) for values in zip(*runs)] for name, runs in results.items()}
    rows = [[name, rate.text(), p99.text(2)] for name, (rate, p99) in columns.items()]
    rates, late = ([column[of].median for column in columns.values()] for of in (0, 1))
    bench.report.section(
        "A static file while PHP is slow",
        f"mod_paddock, 2 children of 25 threads; {CONNECTIONS} connections (wrk). The slow requests are held by a "
        f"FastCGI application of the bench; afterwards {answered:,} of {SLOW:,} were answered.",
        ["Apache has to do", "requests/s", "p99, ms"], rows,
        f"**{rates[1] / rates[0]:.2f} times** the throughput and **{late[1] / late[0]:.2f} times** the p99 of an idle server.")
