"""The report's plots: SVG by gnuplot, made of the report's figures alone, the same text for the same figures.

Their background is transparent and their colours are of middle brightness, so that they are read on light and on dark.
"""

import subprocess

COLOURS = {"PHP-FPM": "#d97706", "Paddock": "#3b82f6"}
GREY = "#808080"
_BEGINNING = f"""\
set terminal svg size {{width}},{{height}} font "sans-serif,12" name "{{name}}"
set border 3 linecolor rgb "{GREY}"
set tics nomirror scale 0.5 textcolor rgb "{GREY}"
set title textcolor rgb "{GREY}"
set key top left textcolor rgb "{GREY}"
"""
_PANELS = """\
set multiplot layout {lines},{columns}
set logscale x
set format x '%.0f'
set yrange [0:*]
set offsets 0, 0, graph 0.25, 0
set mxtics 1
"""
_LINE = "with linespoints pointtype 7 pointsize 0.5 linewidth 2 linecolor rgb"
_COLUMNS = 2


def _quoted(text):
    """As gnuplot reads it between single quotes, enhanced text switched off."""
    return "'" + text.replace("'", "''") + "'"


def _block(name, rows):
    return f"${name} << EOD\n" + "".join(" ".join(map(str, row)) + "\n" for row in rows) + "EOD\n"


def bars(rows):
    """Throughputs of many kinds have no common unit but PHP-FPM's: each is drawn as a multiple of that."""
    labels = ", ".join(f"{_quoted(what)} {number}" for number, (what, _, _) in enumerate(rows))
    ratios = [(number, round(ours / fpm, 3)) for number, (_, fpm, ours) in enumerate(rows)]
    return (_BEGINNING.format(width=760, height=80 + 30 * len(rows), name="throughput")
            + _block("ratios", ratios)
            + "set title \"Paddock's throughput, as a multiple of PHP-FPM's\" noenhanced\nunset key\n"
            + f"set lmargin 42\nset yrange [{len(rows) - 0.4}:-0.6]\nset xrange [0:*]\nset offsets 0, 0.2, 0, 0\n"
            + f"set ytics noenhanced ({labels})\n"
            + f'set arrow from 1, graph 0 to 1, graph 1 nohead linecolor rgb "{COLOURS["PHP-FPM"]}" linewidth 2 front\n'
            + f'plot $ratios using (0):1:(0):2:($1 - 0.3):($1 + 0.3) with boxxyerror fillstyle solid '
            f'linecolor rgb "{COLOURS["Paddock"]}", '
            + f'$ratios using 2:1:(sprintf(" %.2f", $2)) with labels left offset 0.5, 0 textcolor rgb "{GREY}"\n')


def curves(panels):
    """One panel for each figure, over the number of tenants."""
    lines = -(-len(panels) // _COLUMNS)
    script = _BEGINNING.format(width=760, height=260 * lines, name="scale")
    script += _PANELS.format(lines=lines, columns=_COLUMNS)
    for number, (title, series) in enumerate(panels):
        drawn = [(name, f"of{number}_{place}", series[name]) for place, name in enumerate(COLOURS)]
        script += "".join(_block(block, points) for _, block, points in drawn)
        script += f"set title {_quoted(title)} noenhanced\nplot " + ", ".join(
            f'${block} {_LINE} "{COLOURS[name]}" title "{name}"' for name, block, _ in drawn) + "\n"
    return script


def _svg(script):
    done = subprocess.run(["gnuplot"], input=script, check=True, capture_output=True, text=True, timeout=60)
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines() if line.strip())


def draw(parts, directory):
    """Writes what can be drawn of the report's parts to `directory`; the paragraphs that show it."""
    shown = []
    for name, script, rows, alternative in (
            ("throughput", bars, [row for part in parts for row in part["bars"]],
             "Bars: Paddock's throughput as a multiple of PHP-FPM's"),
            ("scale", curves, [row for part in parts for row in part["curves"]],
             "Curves: what 10 to 10,000 configured tenants cost")):
        if rows:
            (directory / f"{name}.svg").write_text(_svg(script(rows)))
            shown.append(f"![{alternative}]({directory.name}/{name}.svg)")
    return shown
