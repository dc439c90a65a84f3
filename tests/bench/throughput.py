"""How many requests a second a warm pool answers, and what one of them costs."""

import measurements as measure
from bench import CONNECTIONS, WORKERS
from harness import process
from report import Target


def throughput(bench):
    with bench.pools() as (pools, apache):
        for pool in pools:
            measure.warm_up(pool, WORKERS)
        _over_http(bench, pools, apache)
        _on_socket(bench, pools)
        _system_calls(bench, pools)
        bench.configurations(pools, "warm")
        bench.report.configuration("Apache, the same for both", "apache",
                                   (apache.directory / "apache.conf").read_text())


def _over_http(bench, pools, apache):
    servers = [apache.process.pid, *process.descendants(apache.process.pid)]

    def run(pool):
        web, php = measure.CpuMeter(servers), measure.WorkersCpuMeter(pool)
        rate, p99, requests = measure.http_load(f"http://127.0.0.1:{pool.site.port}/hello.php", CONNECTIONS,
                                                bench.options.seconds)
        return rate, p99, web.per_request(requests), php.per_request(requests)

    # The other programs of a shared machine disturb a web server more than they do a worker: more turns.
    turns = 3 * bench.options.rounds
    results = bench.rounds(pools, run, turns)
    columns = {name: [measure.Spread(values) for values in zip(*runs)] for name, runs in results.items()}
    rows = [[name, rate.text(), p99.text(2), web.text(), php.text()]
            for name, (rate, p99, web, php) in columns.items()]
    _compare(bench, "hello world through Apache", {name: column[0] for name, column in columns.items()}, least=1.15)
    ratio = columns["Paddock"][0].median / columns["PHP-FPM"][0].median
    bench.report.section(
        "Hello world through Apache",
        f"Event MPM, mod_proxy_fcgi with SetHandler, {WORKERS} workers, {CONNECTIONS} connections (wrk), "
        f"{turns} runs of {bench.options.seconds} s each.",
        ["", "requests/s", "p99, ms", "Apache's CPU, µs a request", "workers' CPU, µs a request"], rows,
        f"Paddock's throughput is **{ratio:.2f} times** PHP-FPM's.")


def _on_socket(bench, pools):
    results = bench.rounds(pools, lambda pool: measure.socket_load(pool, connections=CONNECTIONS,
                                                                   seconds=bench.options.seconds))
    rates = {name: measure.Spread([run["per_second"] for run in runs]) for name, runs in results.items()}
    late = {name: measure.Spread([run["p99_us"] for run in runs]) for name, runs in results.items()}
    _compare(bench, "hello world on the socket", rates, least=1.3)
    ratio = rates["Paddock"].median / rates["PHP-FPM"].median
    bench.report.section(
        "Hello world straight on the socket",
        f"A connection a request, {CONNECTIONS} at a time (`fcgi-load`), {WORKERS} workers.",
        ["", "requests/s", "p99, µs"], [[name, rates[name].text(), late[name].text()] for name in rates],
        f"Paddock's throughput is **{ratio:.2f} times** PHP-FPM's.")


def _compare(bench, what, rates, least):
    fpm, ours = rates["PHP-FPM"].median, rates["Paddock"].median
    bench.report.row(what, "requests/s", fpm, ours, Target(least=least))
    bench.report.bar(what, fpm, ours)


def _system_calls(bench, pools):
    requests = 500
    with bench.directory() as directory:
        counts = {pool.name: measure.system_calls(pool, requests, directory / f"{pool.name}.strace")
                  for pool in pools}
    names = sorted({name for of in counts.values() for name, count in of.items() if count >= 0.05},
                   key=lambda name: -max(of.get(name, 0) for of in counts.values()))
    rows = [["all", *(f"{sum(of.values()):.1f}" for of in counts.values())]]
    rows += [[f"`{name}`", *(f"{of.get(name, 0):.1f}" for of in counts.values())] for name in names]
    bench.report.section("System calls a request", f"`strace -c` on the workers, {requests} requests one by one on "
                         "the socket.", ["", *counts], rows)
