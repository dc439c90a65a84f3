"""The report: tables of Markdown, for the terminal and for docs/benchmarks.md.

What each part found is kept beside the report, in figures.json, and the report is made of that alone: so a run of one
part replaces that part and leaves the others as they are.
"""

import dataclasses
import datetime
import json
import os
import platform
import re
import subprocess

import plots


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


def figures_of(path):
    """Where a report's figures are."""
    return path.with_suffix("") / "figures.json"


@dataclasses.dataclass(frozen=True)
class Target:
    """What Paddock's figure, or if `relative` its ratio to PHP-FPM's, should be at least or at most."""
    least: float | None = None
    most: float | None = None
    relative: bool = True

    def text(self, unit):
        bounds = [f"{sign} {bound:g}" for sign, bound in (("≥", self.least), ("≤", self.most)) if bound is not None]
        return f"{' and '.join(bounds)} {'×' if self.relative else unit}".strip()

    def met(self, ours, ratio):
        value = ratio if self.relative else ours
        if value is None:
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class Report:
    """Collects sections by parts; each is printed as soon as it is there."""

    def __init__(self, command, order):
        """`order`: the names of all parts, as they follow each other."""
        self._command = command
        self._order = order
        self._parts = {}
        self._part = None

    def begin(self, name):
        """All that is reported from here on is of this part."""
        self._part = self._parts[name] = {"date": str(datetime.date.today()), "machine": machine_line(), "sections": [],
                                          "summary": [], "configurations": [], "bars": [], "curves": []}

    def section(self, title, text, head, rows, after=""):
        part = f"## {title}\n\n{text}\n\n{table(head, rows)}" + (f"\n\n{after}" if after else "")
        print(f"\n{part}", flush=True)
        self._part["sections"].append(part)

    def configuration(self, title, language, text):
        self._part["configurations"].append(f"### {title}\n\n```{language}\n{text.strip()}\n```")

    def row(self, what, unit, fpm, ours, target=None, digits=0):
        """A row of the summary; `fpm` and `ours`: figures, or None where there is nothing to compare with."""
        def shown(value):
            return "–" if value is None else f"{value:,.{digits}f} {unit}".strip()

        # Judged as it is printed, so that no ratio of 1.00 misses 1.0.
        ratio = round(ours / fpm, 2) if fpm and ours is not None else None
        ours = None if ours is None else round(ours, digits)
        self._part["summary"].append([
            what, shown(fpm), shown(ours), "–" if ratio is None else f"{ratio:.2f}",
            target.text(unit) if target else "–",
            "–" if target is None else "yes" if target.met(ours, ratio) else "**no**"])

    def bar(self, what, fpm, ours):
        """Two throughputs of one kind, for the plot of all of them."""
        self._part["bars"].append([what, fpm, ours])

    def curve(self, title, series):
        """`series`: {name: [[x, y], …]}, drawn over a logarithmic x."""
        self._part["curves"].append([title, series])

    def write(self, path):
        """Replaces what this run has measured, and draws the plots anew."""
        figures = figures_of(path)
        figures.parent.mkdir(parents=True, exist_ok=True)
        parts = json.loads(figures.read_text()) if figures.exists() else {}
        parts.update(self._parts)
        parts = {name: parts[name] for name in self._order if name in parts}
        figures.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n")
        path.write_text("\n\n".join([*self._head(parts.values()), *plots.draw(parts.values(), figures.parent),
                                     *(section for part in parts.values() for section in _sections(part)),
                                     "## Configurations",
                                     *(text for part in parts.values() for text in part["configurations"])]) + "\n")

    def _head(self, parts):
        machines = sorted({part["machine"] for part in parts})
        dates = sorted({part["date"] for part in parts})
        rows = [row for part in parts for row in part["summary"]]
        return [
            "# Benchmarks",
            f"Written by `{self._command}` ({' to '.join(dict.fromkeys((dates[0], dates[-1])))}); run it to get "
            "these for your machine. Both sides ran in turns in one run, on the same Apache and the same PHP with "
            "the same ini files. A figure is the median of the runs, with the least and the greatest behind it. "
            "Compare within a run, never with another machine.",
            "Machine: " + "; ".join(machines) + ".",
            "## Summary\n\nMedians of the figures below, of longest waits the greatest. Ratio: Paddock's by "
            "PHP-FPM's; a target with × is one for "
            "the ratio.\n\n" + table(["", "PHP-FPM", "Paddock", "ratio", "target", "met"], rows),
        ]


def _sections(part):
    """Those of a part, with the day it was measured on."""
    first, *others = part["sections"]
    title, _, rest = first.partition("\n\n")
    return [f"{title}\n\n*{part['date']}.* {rest}", *others]
