"""Whether anything grows: descriptors, memory, processes, cgroups and mounts, now and later."""

import pathlib

from harness import process

MAY_GROW = 4 << 20  # bytes of resident memory: heaps have fragments


def _of(pid):
    return {"descriptors": len(process.open_files(pid)), "memory": process.rss(pid)}


def figures(**programs):
    """programs: name=pid. What each has, and what the machine has."""
    return {**{name: _of(pid) for name, pid in programs.items()},
            "machine": {"mounts": len(pathlib.Path("/proc/self/mounts").read_text().splitlines())}}


def problems(part, before, after):
    """Prints both, and says what has grown."""
    found = []
    print(f"{'':<12}{'':<13}{'at first':>12}{'at last':>12}")
    for name, kinds in before.items():
        for kind, first in kinds.items():
            last = after[name][kind]
            print(f"{name:<12}{kind:<13}{first:>12,}{last:>12,}", flush=True)
            if last > first + (MAY_GROW if kind == "memory" else 0):
                found.append(f"{part}: {name}'s {kind} grew from {first:,} to {last:,}")
    return found
