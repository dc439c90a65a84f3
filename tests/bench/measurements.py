"""What is measured, one function a row of the report. Each takes pools that run and returns plain numbers."""

import json
import os
import re
import resource
import signal
import statistics
import subprocess
import threading
import time

from harness import bomb, fastcgi, machine, process

LOAD = machine.BIN.parent / "tests" / "fcgi-load"
METRICS = machine.BIN.parent / "tests" / "metrics_bench"
ACCOUNTING = machine.BIN.parent / "tests" / "accounting_bench"
TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


class Spread:
    """The median of some runs, and the least and the greatest."""

    def __init__(self, values):
        self.values = sorted(values)
        self.median = statistics.median(self.values)

    def text(self, digits=0):
        low, middle, high = (f"{value:,.{digits}f}" for value in (self.values[0], self.median, self.values[-1]))
        return f"{middle} ({low} to {high})"


def _run(*arguments, seconds):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def http_load(url, connections, seconds):
    """wrk(1) with one thread: requests a second, and the 99th percentile in milliseconds."""
    text = _run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url, seconds=seconds + 30)
    if re.search(r"Non-2xx|Socket errors", text):
        raise RuntimeError(f"wrk met errors:\n{text}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    requests = int(re.search(r"(\d+) requests in", text)[1])
    return rate, float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit], requests


def socket_load(pool, **options):
    arguments = [f"--{name}={value}" for name, value in options.items()]
    result = json.loads(_run(LOAD, f"--socket={pool.socket}", f"--script={pool.docroot}/hello.php", "--expect=hello",
                             *arguments, seconds=60))
    if result["errors"]:
        raise RuntimeError(f"{pool.name}: {result['errors']} of {result['requests']} requests failed")
    return result


def medians(program, count):
    """What one of our benchmark programs prints of `count` repetitions: {what: microseconds, wall}."""
    found = re.findall(r"^(.+?) +median +(\d+) ", _run(machine.BIN / program, str(count), seconds=120), re.MULTILINE)
    return {what: int(value) for what, value in found}


def cpu_each(program, count):
    """CPU of one repetition and of all processes that it started and that have ended, microseconds."""
    def cpu(repetitions):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _run(machine.BIN / program, str(repetitions), seconds=120)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (cpu(count + 1) - cpu(1)) / count * 1e6


def accounting_cost(arguments, vm=False):
    """{what: percent of one core}"""
    inside = [machine.REPOSITORY / "vagrant/vm/run", "--timeout", "280", "--"] if vm else []
    told = _run(*inside, ACCOUNTING, *arguments, seconds=300)
    return {what: float(value) for what, value in re.findall(r"^  (\w.*?)  +(\d+\.\d+)", told, re.MULTILINE)}


def kill_of_tenant(paddock, tenant, count):
    """Seconds until `paddock kill` has left nothing of a sandbox with so many processes."""
    script = tenant.docroot / "bomb.php"
    script.write_text("<?php $null = ['file', '/dev/null', 'r+']; $pipes = [];"
                      f"proc_open(['perl', '-e', '{bomb.of(count)}'], [$null, $null, $null], $pipes); exit(0);")
    answer = fastcgi.fetch(paddock.sockets()[tenant.name], script, seconds=60)
    assert answer.ended == (0, 0), answer
    bomb.wait_until_gone_off(machine.cgroup2_mount() / paddock.cgroup / "tenants" / tenant.name, count)
    paddock.cli("kill", tenant.name, seconds=120)
    return int(re.findall(r"nothing is left after (\d+) ms", paddock.log())[-1]) / 1000


class CpuMeter:
    """CPU that some processes use between two moments, in microseconds a request. They must live through it."""

    def __init__(self, pids):
        self.pids = list(pids)
        self.before = self._ticks()

    def _ticks(self):
        return sum(process.cpu_ticks(pid) for pid in self.pids)

    def per_request(self, requests):
        return (self._ticks() - self.before) * TICK_US / requests


class WorkersCpuMeter(CpuMeter):
    """That of a pool's workers, which come and go: of those that live, and of those that their parent has reaped."""

    def __init__(self, pool):
        self.parent = pool.parent()
        super().__init__(())

    def _ticks(self):
        fields = process.stat_fields(self.parent)
        living = [process.stat_fields(pid) for pid in process.children_of(self.parent)]
        return int(fields[13]) + int(fields[14]) + sum(int(of[11]) + int(of[12]) for of in living if of)


def start_workers(pool, number):
    """As many requests at once as there may be workers, each of which takes a while."""
    def busy():
        fastcgi.fetch(pool.socket, pool.docroot / "run.php", method="POST", body=b"usleep(200000); return 1;")

    def all_run():
        threads = [threading.Thread(target=busy) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(pool.workers()) >= number

    machine.wait_for(all_run, 20, f"{pool.name} runs {number} workers")


def warm_up(pool, workers):
    """Until every worker has started, as they do when they are needed, and has served."""
    start_workers(pool, workers)
    socket_load(pool, connections=4 * workers, seconds=0.5)


def first_byte_on_socket(pool):
    """Milliseconds from connect(2) to the first byte of the answer."""
    request = fastcgi.whole_request(pool.docroot / "hello.php")
    start = time.perf_counter()
    with fastcgi.Connection(pool.socket) as connection:
        connection.send(request)
        first = connection.socket.recv(1)
        elapsed = time.perf_counter() - start
        rest = connection.receive()
    if not first or rest.timed_out:
        raise RuntimeError(f"{pool.name} did not answer its first request")
    return elapsed * 1000


def first_byte_over_http(site):
    start = time.perf_counter()
    connection = site.connect()
    try:
        connection.request("GET", "/hello.php", headers={"Connection": "close"})
        answer = connection.getresponse()
        elapsed = time.perf_counter() - start
        if answer.status != 200 or answer.read() != b"hello\n":
            raise RuntimeError(f"the first request got status {answer.status}")
    finally:
        connection.close()
    return elapsed * 1000


def wait_until_gone(pool, seconds):
    machine.wait_for(lambda: not pool.processes(), seconds, f"{pool.name} has no process left")


_STRACE_LINE = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$")


def system_calls(pool, requests, output):
    """System calls of the workers a request, by name (strace -c), one request at a time."""
    pids = pool.workers()
    with open(output.with_suffix(".err"), "wb") as errors:
        tracer = subprocess.Popen(["strace", "-c", "-f", "-o", str(output),
                                   *(argument for pid in pids for argument in ("-p", str(pid)))],
                                  stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    try:
        machine.wait_for(lambda: all(process.status(pid).get("TracerPid", "0") != "0" for pid in pids), 10,
                         f"strace is attached ({output.with_suffix('.err')})")
        socket_load(pool, connections=1, requests=requests)
    finally:
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(10)
        finally:
            if tracer.returncode is None:
                tracer.kill()
                tracer.wait()
    counts = {match[2]: int(match[1]) / requests
              for match in map(_STRACE_LINE.match, output.read_text().splitlines()) if match and match[2] != "total"}
    if not counts:
        raise RuntimeError(f"strace counted nothing: {output.with_suffix('.err').read_text()}")
    return counts
