"""What a sandbox costs: to start, while it serves, to end."""

import contextlib
import statistics

import contenders
import measurements as measure
from harness import bomb, fastcgi
from harness.paddock import Paddock
from report import Target

IDLE_SECONDS = 1


def cold(bench):
    with bench.pools(idle=IDLE_SECONDS) as (pools, _):
        direct = {pool.name: [] for pool in pools}
        web = {pool.name: [] for pool in pools}
        for number in range(bench.options.colds):
            for pool in pools:
                measure.wait_until_gone(pool, 30)
            for pool in pools if number % 2 == 0 else pools[::-1]:
                direct[pool.name].append(measure.first_byte_on_socket(pool))
            for pool in pools:
                measure.wait_until_gone(pool, 30)
            for pool in pools if number % 2 == 0 else pools[::-1]:
                web[pool.name].append(measure.first_byte_over_http(pool.site))
        spreads = {name: (measure.Spread(direct[name]), measure.Spread(web[name])) for name in direct}
        rows = [[name, of[0].text(1), of[1].text(1)] for name, of in spreads.items()]
        fpm, ours = (spreads[name][0].median for name in ("PHP-FPM", "Paddock"))
        bench.report.row("hello world from no process, on the socket", "ms", fpm, ours, Target(most=1.25), digits=1)
        bench.report.section(
            "From no process to the first byte",
            f"Both end their processes after {IDLE_SECONDS} s without a request. PHP-FPM's ondemand pool forks a "
            "worker that shares memory, opcode cache and view with every other pool; Paddock makes a sandbox: "
            f"namespaces, mounts, keeper, worker. {bench.options.colds} starts each, in milliseconds.",
            ["", "on the socket", "through Apache"], rows,
            f"Paddock takes **{ours / fpm:.2f} times** as long as ondemand, on the socket.")
        bench.configurations(pools, "cold")


def sandbox(bench):
    """What namespaces, view, cgroup and system call filter cost a warm request."""
    with contextlib.ExitStack() as stack:
        pools = [bench.pool(stack, contenders.PaddockPool, 1, 0), bench.pool(stack, contenders.ServePool, 1)]
        pools[0].name = "in a sandbox"

        def run(pool):
            measure.warm_up(pool, 1)
            meter = measure.WorkersCpuMeter(pool)
            result = measure.socket_load(pool, connections=4, seconds=bench.options.seconds)
            return meter.per_request(result["requests"]), result["per_second"]

        results = {name: [measure.Spread(values) for values in zip(*runs)]
                   for name, runs in bench.rounds(pools, run).items()}
    inside, outside = (results[pool.name][0].median for pool in pools)
    bench.report.section(
        "What the sandbox costs",
        f"Hello world straight on the socket, one worker, four connections, once in a "
        f"sandbox with the default seccomp profile, once as `paddock-php serve`; {bench.options.rounds} runs each, in "
        "turns.",
        ["", "workers' CPU, µs a request", "requests/s"],
        [[name, cpu.text(1), rate.text()] for name, (cpu, rate) in results.items()],
        f"A sandbox costs **{(inside / outside - 1) * 100:.1f} %** of a request's CPU.")


# Calls, arrays and strings, as of a plugin's hooks; prints the milliseconds of CPU that it took.
HOOKS = """<?php
class Hook {
    private $callbacks = [];
    function add($callback, $priority) {
        $this->callbacks[$priority][spl_object_id($callback)] = ['function' => $callback, 'accepted' => 1];
        ksort($this->callbacks);
    }
    function apply($value, $arguments) {
        foreach (array_keys($this->callbacks) as $priority)
            foreach ($this->callbacks[$priority] as $callback) {
                $arguments[0] = $value;
                $value = call_user_func_array($callback['function'], array_slice($arguments, 0, $callback['accepted']));
            }
        return $value;
    }
}
function apply($hook, $value, ...$arguments) {
    global $hooks;
    if (!isset($hooks[$hook])) return $value;
    array_unshift($arguments, $value);
    return $hooks[$hook]->apply($value, $arguments);
}
for ($i = 0; $i < 300; $i++) {
    $hooks["hook_$i"] = new Hook;
    $hooks["hook_$i"]->add(fn($value) => is_string($value) ? trim($value) : $value, $i % 7);
}
$before = getrusage();
for ($round = 0; $round < 200; $round++)
    for ($i = 0; $i < 400; $i++) {
        $value = apply("hook_$i", " value $i ");
        $entry = ['id' => $i, 'name' => $value, 'lower' => strtolower($value)] + ['more' => 1];
        if (isset($entry['id'])) $value .= str_replace(['a', 'b'], ['c', 'd'], $entry['name']);
    }
$after = getrusage();
echo ($after['ru_utime.tv_sec'] - $before['ru_utime.tv_sec']) * 1e3
    + ($after['ru_utime.tv_usec'] - $before['ru_utime.tv_usec']) / 1e3;
"""


def library(bench):
    """What PHP alone takes, from Debian's libphp and from Debian's programs that have it built in."""
    with contextlib.ExitStack() as stack:
        pools = [bench.pool(stack, contenders.PaddockPool, 1, 0),
                 bench.pool(stack, contenders.ServePool, 1, on_libphp=True),
                 bench.pool(stack, contenders.FpmPool, 1, 0)]
        pools[1].name = "Paddock's worker on libphp, without a sandbox"
        for pool in pools:
            (pool.docroot / "hooks.php").write_text(HOOKS)

        def run(pool):
            return float(fastcgi.fetch(pool.socket, pool.docroot / "hooks.php", seconds=60).body)

        for pool in pools:
            run(pool)
        results = bench.rounds(pools, run, bench.options.rounds * 8)
    against = {name: statistics.median(ours / fpm for ours, fpm in zip(values, results["PHP-FPM"]))
               for name, values in results.items()}
    bench.report.section(
        "What PHP's code takes from a library",
        f"Milliseconds of user CPU that one script takes, by its own getrusage(), {bench.options.rounds * 8} times in turns: "
        "no system calls, no network, nothing of Paddock's or PHP-FPM's. The code of Debian's `libphp8.2.so` is "
        "position-independent and calls its own functions through a table that others could change; in `php-fpm8.2`, and in "
        "`php8.2`, in which Paddock runs, the same PHP is built in.",
        ["", "ms", "of PHP-FPM's, median of the pairs"],
        [[name, measure.Spread(values).text(1), f"{against[name]:.3f}"] for name, values in results.items()])


def start(bench):
    """Namespaces, view and network of a sandbox, without PHP, which the bench of cold starts has."""
    count = bench.options.colds * 10
    rows = [[f"{name}: {what}", f"{value:,}"]
            for name, program in (("sandbox", "start_benchmark"), ("network of its own", "network_benchmark"))
            for what, value in measure.medians(program, count).items()]
    # It starts and ends one with the host's network and one with none each time.
    cpu = measure.Spread([measure.cpu_each("start_benchmark", count) / 2 for _ in range(bench.options.rounds)])
    bench.report.section(
        "What the start of a sandbox costs",
        f"Medians of {count}, by `start_benchmark` and `network_benchmark`.", ["", "µs"], rows,
        f"A sandbox takes **{cpu.median / 1000:.2f} ms** of CPU ({cpu.text()} µs) to start and to end.")


def kill(bench):
    """`paddock kill` of a fork bomb, and as many processes killed by a write to cgroup.kill with no sandbox around."""
    rows = []
    with bench.directory() as directory:
        paddock = Paddock(directory, bench.accounts, plan={"workers": 1, "idle": "0s"})
        tenant = paddock.add_tenant("alice")
        paddock.write_config()
        try:
            paddock.start()
            for count in (100, 1000, 5000):  # 10,000 are more than machines in containers allow at all times
                times = [(measure.kill_of_tenant(paddock, tenant, count), bomb.killed_by_the_kernel(paddock, count))
                         for _ in range(bench.options.rounds)]
                rows.append([f"{count:,}", *(measure.Spread([1000 * value for value in values]).text()
                                             for values in zip(*times))])
        finally:
            paddock.destroy()
    bench.report.section(
        "What a kill takes",
        f"Milliseconds until nothing is left, {bench.options.rounds} times in turns: `paddock kill`, from the order to "
        "the tenant's removed cgroup, and a bare write to `cgroup.kill`, until the cgroup is empty.",
        ["processes", "paddock kill", "cgroup.kill alone"], rows)
