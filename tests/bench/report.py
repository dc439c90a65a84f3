"""The report: tables of Markdown, for the terminal and for docs/benchmarks.md."""

import datetime
import os
import platform
import re
import subprocess


def table(head, rows):
    widths = [max(len(str(row[column])) for row in (head, *rows)) for column in range(len(head))]
    def line(cells):
        return "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)) + " |"
    return "\n".join([line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def _packaged(name):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True)
    return done.stdout.strip() or "?"


def machine_line():
    with open("/proc/cpuinfo") as cpus:
        model = re.search(r"^model name\s*:\s*(.*)$", cpus.read(), re.MULTILINE)
    return (f"{len(os.sched_getaffinity(0))} CPUs ({model[1] if model else platform.machine()}), "
            f"Linux {platform.release()}, Apache {_packaged('apache2-bin')}, PHP {_packaged('php8.2-common')}")


class Report:
    """Collects sections; each is printed as soon as it is there."""

    def __init__(self, command):
        self.configurations = []
        self.parts = [
            "# Benchmarks",
            f"Written by `{command}` on {datetime.date.today()}; run it to get these for your machine. Both sides ran in"
            " turns in one run, on the same Apache and the same PHP with the same ini files. A figure is the median of"
            " the runs, with the least and the greatest behind it. Compare within a run, never with another machine.",
            f"Machine: {machine_line()}.",
        ]

    def section(self, title, text, head, rows, after=""):
        part = f"## {title}\n\n{text}\n\n{table(head, rows)}" + (f"\n\n{after}" if after else "")
        print(f"\n{part}", flush=True)
        self.parts.append(part)

    def configuration(self, title, language, text):
        self.configurations.append(f"### {title}\n\n```{language}\n{text.strip()}\n```")

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = [*self.parts, "## Configurations", *self.configurations]
        path.write_text("\n\n".join(parts) + "\n")
