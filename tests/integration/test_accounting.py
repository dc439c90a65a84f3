"""What is counted is what was used: known loads, on the kernel's own controllers."""

import contextlib
import json
import subprocess
import time

import pytest

from harness import machine, paddock as paddock_, process

pytestmark = pytest.mark.vm_only

# CPU time of its own, in ms, as the kernel tells the process.
BURN = """set_time_limit(0);
    $used = function () { $use = getrusage(); return 1e3 * ($use['ru_utime.tv_sec'] + $use['ru_stime.tv_sec']) +
    1e-3 * ($use['ru_utime.tv_usec'] + $use['ru_stime.tv_usec']); };
    $end = $used() + %d; while ($used() < $end); return 1;"""


def settled_usage(paddock, tenant):
    """What was used up to now: the books are written once a second at most."""
    machine.wait_for(lambda: paddock.tenant_status(tenant)["busy"] == 0, 10, "no request runs")
    time.sleep(1.1)
    return paddock.usage(tenant)


def cpu(usage_):
    return usage_["cpu_user_us"] + usage_["cpu_system_us"]


def group_of(host, tenant):
    return machine.cgroup2_mount() / process.cgroup(host.paddock.keeper(tenant)).lstrip("/")


def keyed(group, name):
    return {key: int(value) for key, value in (line.split() for line in (group / name).read_text().splitlines())}


def test_cpu_time(own_host):
    host = own_host(plan={"workers": 1})
    host.alice.run(BURN % 10)
    before = settled_usage(host.paddock, "alice")
    host.alice.run(BURN % 6000, seconds=60)
    used = cpu(settled_usage(host.paddock, "alice")) - cpu(before)
    print(f"6 s of CPU: counted {used / 1e6:.3f} s")
    assert 0.98 * 6e6 <= used <= 1.02 * 6e6


def test_memory_touched(own_host):
    host = own_host(plan={"workers": 1, "php_admin_value": {"memory_limit": "-1"}})
    host.alice.run("return strlen(str_repeat('x', 1 << 20));")
    before = settled_usage(host.paddock, "alice")
    now = host.paddock.tenant_status("alice")["memory_bytes"]
    assert now <= before["memory_peak_bytes"]
    host.alice.run("return strlen(str_repeat('x', 256 << 20));", seconds=60)
    grown = settled_usage(host.paddock, "alice")["memory_peak_bytes"] - now
    print(f"256 MiB touched: counted {grown / (1 << 20):.1f} MiB")
    assert 0.98 * (256 << 20) <= grown <= 1.02 * (256 << 20)


@contextlib.contextmanager
def disk(path):
    """A filesystem on a disk in memory, so that the io controller has something to count."""
    subprocess.run(["modprobe", "brd", "rd_nr=1", "rd_size=131072"], check=True)
    subprocess.run(["modprobe", "ext4"], check=True)
    # Without a journal: what it writes would count as well.
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=0,nodiscard", "/dev/ram0"], check=True)
    path.mkdir(mode=0o711)
    subprocess.run(["mount", "/dev/ram0", str(path)], check=True)
    path.chmod(0o711)
    try:
        yield "/dev/ram0"
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def on_disk(make_paddock, make_apache):
    """A host whose alice lives on a disk of her own; IO limits of her plan by `limits`."""
    with contextlib.ExitStack() as stack:
        def make(**limits):
            paddock = make_paddock(plan={"workers": 1})
            device = stack.enter_context(disk(paddock.directory / "disk"))
            stack.callback(lambda: paddock.close() if paddock in paddock_.Paddock.live else None)
            tenant = paddock.add_tenant("alice", make=False)
            tenant.home = paddock.directory / "disk/alice"
            paddock_.make_home(tenant.home, tenant.account)
            paddock.write_config()
            if limits:
                lines = [f"device = \"{device}\"", *(f"{key} = {value}" for key, value in limits.items())]
                paddock.config.write_text(paddock.config.read_text() + "\n[[plan.default.io]]\n" + "\n".join(lines) + "\n")
            paddock.start()
            site = make_apache(paddock).sites["alice"]
            site.get("/hello.php").ok()
            assert not paddock.settle()
            site.get("/hello.php").ok()
            return paddock, site
        yield make


WRITE = """$file = fopen(__DIR__ . '/load', 'w'); $block = random_bytes(1 << 16);
    for ($i = 0; $i < %d; $i++) fwrite($file, $block);
    return fsync($file);"""


def test_bytes_written(on_disk):
    paddock, site = on_disk()
    before = settled_usage(paddock, "alice")
    assert site.run(WRITE % (32 << 4), seconds=60) is True
    written = settled_usage(paddock, "alice")["io_written_bytes"] - before["io_written_bytes"]
    print(f"32 MiB written: counted {written / (1 << 20):.2f} MiB")
    assert 0.98 * (32 << 20) <= written <= 1.02 * (32 << 20)


def test_an_io_limit_holds_and_is_told(on_disk):
    paddock, site = on_disk(write_bps='"4M"', write_iops=1000)
    start = time.monotonic()
    assert site.run(WRITE % (56 << 4), seconds=120) is True
    assert time.monotonic() - start > 11, "56 MiB at 4 MiB/s"
    kinds = [json.loads(line)["kind"] for line in paddock.cli("events", "alice", "--json").stdout.splitlines()]
    assert "limit-io" in kinds


def test_a_fifth_of_a_cpu(own_host):
    host = own_host(plan={"workers": 2, "cpu": "20%"})
    host.alice.get("/hello.php", seconds=60).ok()
    group = group_of(host, "alice")
    spinning = [host.alice.connect(seconds=120) for _ in range(2)]
    try:
        for connection in spinning:
            # Without end: what starts the second worker has the same fifth, and may take long.
            connection.request("POST", "/run.php", body=b"set_time_limit(0); while (true);")
        machine.wait_for(lambda: host.paddock.tenant_status("alice")["busy"] == 2, 20, "both spin")
        time.sleep(1)
        start, used = time.monotonic(), keyed(group, "cpu.stat")["usage_usec"]
        time.sleep(10)
        share = (keyed(group, "cpu.stat")["usage_usec"] - used) / 1e6 / (time.monotonic() - start)
    finally:
        host.paddock.cli("kill", "alice")
        for connection in spinning:
            connection.close()
    print(f"cpu = 20%: got {100 * share:.2f} %")
    assert 0.18 <= share <= 0.22
    kinds = [json.loads(line)["kind"] for line in host.paddock.cli("events", "alice", "--json").stdout.splitlines()]
    assert "limit-cpu" in kinds


def test_shared_memory_is_the_systems_and_what_is_touched_the_tenants(own_host):
    """Workers map what the zygote made: its cgroup pays for it, however many tenants share it."""
    host = own_host(plan={"workers": 1, "php_admin_value": {"memory_limit": "-1"}})
    zygote = machine.cgroup2_mount() / host.paddock.cgroup / "zygote"
    alone = int((zygote / "memory.current").read_text())
    host.alice.run("return 1;")
    host.bob.run("return 1;")
    alice = group_of(host, "alice")
    (worker,) = host.paddock.workers("alice")
    with open(f"/proc/{worker}/smaps_rollup") as lines:
        sizes = {line.split()[0]: int(line.split()[1]) << 10 for line in list(lines)[1:]}
    held = int((alice / "memory.current").read_text())
    print(f"worker: resident {sizes['Rss:'] >> 10} KiB, of which shared {(sizes['Shared_Clean:'] + sizes['Shared_Dirty:']) >> 10} KiB; "
          f"alice is charged {held >> 10} KiB, the zygote {alone >> 10} KiB")
    assert sizes["Rss:"] > held, "what is only shared was charged to the tenant"
    assert keyed(zygote, "memory.stat")["anon"] > sizes["Shared_Dirty:"] / 2, "what is shared is charged to the zygote"
    before = int((zygote / "memory.current").read_text())
    bob = int((group_of(host, "bob") / "memory.current").read_text())
    grown = host.alice.run("""$all = str_repeat('x', 128 << 20);
        return (int)array_sum(array_map(fn($line) => str_starts_with($line, 'Rss:') ? (int)explode(':', $line)[1] : 0,
                                        file('/proc/self/smaps_rollup')));""", seconds=60)
    peak = int((alice / "memory.peak").read_text())
    assert grown > 128 << 10
    assert 0.98 * (128 << 20) <= peak - held <= 1.02 * (128 << 20) + (1 << 20)
    assert abs(int((zygote / "memory.current").read_text()) - before) < 2 << 20
    assert abs(int((group_of(host, "bob") / "memory.current").read_text()) - bob) < 2 << 20
