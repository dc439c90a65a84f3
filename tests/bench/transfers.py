"""Large answers and large request bodies, through Apache: how fast, and for how much CPU."""

import os
import socket
import subprocess
import time

import measurements as measure
from bench import WORKERS
from harness import process
from report import Target

MIB, GIB = 1 << 20, 1 << 30
DOWN, UP = GIB, 256 * MIB
BLOCK = MIB
INI = {"post_max_size": "512M"}
# PHP puts the body by in a file: in memory on both sides, as a sandbox's /tmp is.
PADDOCK = {"plan": {"tmp_size": "512M", "php_admin_value": INI}}
FPM = {"ini": INI | {"sys_temp_dir": "/dev/shm"}}
FILE = "large.bin"
SCRIPTS = {
    "echo.php": f'<?php header("Content-Length: {DOWN}"); $block = str_repeat("x", 65536);\n'
                f"for ($sent = 0; $sent < {DOWN}; $sent += 65536) echo $block;\n",
    "readfile.php": f'<?php header("Content-Length: {DOWN}"); readfile("{FILE}");\n',
    "upload.php": '<?php $length = 0; $body = fopen("php://input", "r");\n'
                  "while (($block = fread($body, 65536)) != '') $length += strlen($block);\necho $length;\n",
}


def _download(site, script):
    with socket.create_connection((site.host, site.port), timeout=120) as client:
        client.sendall(f"GET /{script} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        block, received = bytearray(BLOCK), 0
        while count := client.recv_into(block):
            received += count
    if received < DOWN:
        raise RuntimeError(f"{script}: {received} bytes of {DOWN} came")


def _upload(site, script):
    with socket.create_connection((site.host, site.port), timeout=120) as client:
        client.sendall(f"POST /{script} HTTP/1.0\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
                       f"Content-Length: {UP}\r\n\r\n".encode())
        block = bytes(BLOCK)
        for _ in range(UP // BLOCK):
            client.sendall(block)
        answer = client.makefile("rb").read()
    if not answer.endswith(f"\r\n\r\n{UP}".encode()):
        raise RuntimeError(f"{script}: {answer[-200:]!r}")


# What is done, by which script, how, and how much that is.
TRANSFERS = {
    "1 GiB, echo of 64 KiB at a time": ("echo.php", _download, DOWN),
    "1 GiB, readfile()": ("readfile.php", _download, DOWN),
    "256 MiB upload, read from php://input": ("upload.php", _upload, UP),
}


def _place(pool):
    """The scripts, and a file without blocks on the disk, which is read from memory after the first time."""
    for name, text in SCRIPTS.items():
        (pool.docroot / name).write_text(text)
    with open(pool.docroot / FILE, "wb") as file:
        file.truncate(DOWN)
    for name in (*SCRIPTS, FILE):
        (pool.docroot / name).chmod(0o600)
        os.chown(pool.docroot / name, *_owner(pool.docroot))


def _owner(path):
    found = path.stat()
    return found.st_uid, found.st_gid


def _filesystem(path):
    done = subprocess.run(["stat", "--file-system", "--format=%T", path], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def transfers(bench):
    with bench.pools(paddock=PADDOCK, fpm=FPM) as (pools, apache):
        servers = [apache.process.pid, *process.descendants(apache.process.pid)]
        for pool in pools:
            _place(pool)
        found = {what: _measure(bench, pools, servers, *how) for what, how in TRANSFERS.items()}
        bench.report.section(
            "Large transfers",
            f"Through Apache and mod_proxy_fcgi, {WORKERS} workers, one transfer at a time, {bench.options.rounds} "
            "times each in turns; MB are 10⁶ bytes. CPU is Apache's, and PHP's: the workers', and on Paddock's side "
            "the supervisor's and the gateway's. The file of readfile() has no blocks and lies on "
            f"{_filesystem(pools[0].docroot)}, so that it is read from memory. The body of the upload is put by by "
            "PHP, as it does unless `enable_post_data_reading` is off, in a tmpfs on both sides, and then read by "
            "the script.",
            ["", "MB/s", "Apache's CPU, s a GiB", "PHP's CPU, s a GiB"],
            [[f"{what}: {name}", rate.text(), web.text(2), php.text(2)] for what, columns in found.items()
             for name, (rate, web, php, _) in columns.items()])
        for what, columns in found.items():
            _summary(bench, what, columns["PHP-FPM"], columns["Paddock"])
        bench.configurations(pools, "transfers")


def _measure(bench, pools, servers, script, transfer, size):
    def run(pool):
        web, php, helpers = (measure.CpuMeter(servers), measure.WorkersCpuMeter(pool), measure.CpuMeter(pool.helpers()))
        begin = time.perf_counter()
        transfer(pool.site, script)
        rate = size / 1e6 / (time.perf_counter() - begin)
        of_web, of_php, of_helpers = (meter.per_request(size / GIB) / 1e6 for meter in (web, php, helpers))
        return rate, of_web, of_php + of_helpers, of_web + of_php + of_helpers

    for pool in pools:
        transfer(pool.site, script)
    return {name: [measure.Spread(values) for values in zip(*runs)]
            for name, runs in bench.rounds(pools, run).items()}


def _summary(bench, what, fpm, ours):
    bench.report.row(what, "MB/s", fpm[0].median, ours[0].median, Target(least=1.0))
    bench.report.row(f"{what}: CPU", "s a GiB", fpm[-1].median, ours[-1].median, Target(most=1.0), digits=2)
    bench.report.bar(what, fpm[0].median, ours[0].median)
