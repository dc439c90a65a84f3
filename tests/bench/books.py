"""What keeping and showing the figures of 1,000 tenants costs."""

import subprocess

import measurements as measure


def accounting(bench):
    """This machine's cgroups may lack controllers, and the VM is slow: what both can do says by how much."""
    here = measure.accounting_cost(["--without-controllers"])
    few, all_ = (measure.accounting_cost(arguments, vm=True) for arguments in (["--without-controllers"], []))
    scale = few["in all"] / here["in all"]
    bench.report.section(
        "Accounting of 1,000 active tenants",
        "Percent of one core, for a sample of each a second, ten rules, and history.db, by `accounting_bench`: on this "
        "machine without the controllers' files, and in the VM, whose CPU is emulated, without and with them.",
        ["", "here, without controllers", "VM, without", "VM, with all"],
        [[name, *(f"{costs[name]:.2f}" for costs in (here, few, all_))] for name in here],
        f"The VM takes {scale:.1f} times as long for the same work; with all controllers, accounting costs "
        f"**{all_['in all'] / scale:.2f} %** of a core here.")


def dashboard(bench):
    """What the dashboard draws of 1,000 running tenants."""
    done = subprocess.run([measure.METRICS], check=True, capture_output=True, text=True, timeout=120)
    rows = []
    for line in done.stdout.splitlines():
        what, median, least, greatest, size = line.split("\t")
        rows.append([what, f"{float(median):.1f} ({float(least):.1f} to {float(greatest):.1f})",
                     f"{int(size) / 1024:,.0f}"])
    bench.report.section(
        "The dashboard with 1,000 running tenants",
        "Milliseconds of its one thread to make what is sent, 50 times each. The supervisor is asked for none of them: "
        "it sends its figures every few seconds, however many look on.",
        ["", "time, ms", "size, KiB"], rows)
