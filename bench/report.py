"""Formats metrics as tables, writes docs/performance.md and draws its chart and plots."""

import functools
import html
import pathlib
import statistics
import string

import benchmarks
import plot

HERE = pathlib.Path(__file__).parent
DOCS = HERE.parent / "docs"

COLUMNS = {
    "cpu_ns": "CPU per datagram",
    "sender_cpu_ns": "CPU of the sender",
    "receiver_cpu_ns": "CPU of the receiver",
    "bytes_per_s": "throughput",
    "rate": "datagrams per second",
    "p50_ns": "round trip, median",
    "p99_ns": "round trip, p99",
    "idle_cpu": "CPU without work",
    "query_cpu_ns": "CPU per query",
    "query_rate": "queries per second",
    "insert_ns": "insert",
    "cancel_ns": "cancel",
    "fire_ns": "call",
    "calls_per_s": "calls per second",
    "cpu_rate": "datagrams per CPU second",
    "bytes_per_port": "memory of a port",
    "bytes": "size",
    "instructions": "instructions",
}


class Results:
    """`samples[benchmark][contender]` is a list of the metrics of each round."""

    def __init__(self, samples):
        self.samples = samples

    def values(self, benchmark, contender, metric):
        return [sample[metric] for sample in self.samples[benchmark][contender]]

    def best(self, benchmark, contender, metric):
        choose = max if metric in benchmarks.HIGHER_IS_BETTER else min
        return choose(self.values(benchmark, contender, metric))

    def best_contender(self, benchmark, contenders, metric):
        """Returns the contender with the best value, and that value."""
        choose = max if metric in benchmarks.HIGHER_IS_BETTER else min
        return choose(((name, self.best(benchmark, name, metric)) for name in contenders), key=lambda found: found[1])


# ---- the table of targets ------------------------------------------------------------------------------------


def target_rows(results):
    """Yields a row for each target whose benchmark and contenders were measured."""
    for target in benchmarks.TARGETS:
        samples = results.samples.get(target.benchmark, {})
        if not {target.ours, *target.theirs} <= samples.keys():
            continue
        benchmark = next(benchmark for benchmark in benchmarks.BENCHMARKS if benchmark.name == target.benchmark)
        measured = results.best(target.benchmark, target.ours, target.metric)
        against = ""
        if target.theirs:
            against, theirs = results.best_contender(target.benchmark, target.theirs, target.metric)
            measured, against = measured / theirs, _label(against)
        show = "{:.2f} x".format if target.theirs else functools.partial(_format, target.metric)
        yield benchmark.title, COLUMNS[target.metric], against, *_outcome(target, measured, show)


def _outcome(target, measured, show):
    """Returns the last three cells of a row: the target, what was measured, and whether that is enough."""
    if target.limit is None:
        return "", show(measured), ""
    reached = measured >= target.limit if target.at_least else measured <= target.limit
    bound = "at least " if target.at_least else "at most "
    outcome = "reached" if reached else f"missed by {abs(measured / target.limit - 1):.1%}"
    return bound + show(target.limit), show(measured), outcome


def targets_table(results):
    head = ("benchmark", "metric", "compared with", "target", "measured", "")
    return _markdown(head, _blank_repeats(target_rows(results)))


def _blank_repeats(rows):
    before = None
    for first, *rest in rows:
        yield ["" if first == before else first, *rest]
        before = first


# ---- every metric --------------------------------------------------------------------------------------------


def benchmark_table(results, benchmark):
    head = [benchmark.unit, *(COLUMNS[metric] for metric in benchmark.metrics)]
    rows = []
    for name in results.samples[benchmark.name]:  # results.json of an earlier run may lack a new contender
        rows.append([_label(name), *(_summary(results, benchmark.name, name, metric) for metric in benchmark.metrics)])
    return _markdown(head, rows)


def loss_line(results, benchmark):
    """Returns a line with the share of datagrams that each contender lost, or an empty string if there were none."""
    shares = []
    for name in results.samples[benchmark.name]:
        samples = results.samples[benchmark.name][name]
        lost = sum(sample.get("lost", 0) for sample in samples)
        if lost > 0:
            shares.append(f"{_label(name)}: {lost / sum(sample['sent'] for sample in samples):.2%}")
    return f"Lost by {'; '.join(shares)}\n" if shares else ""


def _summary(results, benchmark, contender, metric):
    """Formats the best value of all rounds, their median, and their spread in percent of the median."""
    values, best = results.values(benchmark, contender, metric), _format(metric, results.best(benchmark, contender, metric))
    if len(values) == 1:
        return best
    median = statistics.median(values)
    spread = (max(values) - min(values)) / median if median else 0
    return f"{best} ({_format(metric, median)}, {spread:.0%})"


def _label(contender):
    return benchmarks.LABELS.get(contender, contender)


def _format(metric, value):
    if metric.endswith("cpu_ns") or metric in ("p50_ns", "p99_ns"):
        return f"{value / 1000:.2f} us"
    if metric == "idle_cpu":
        return f"{value:.0%} of a core"
    if metric.endswith("_ns"):
        return f"{value:.0f} ns"
    if metric == "bytes_per_s":
        return f"{value / 1e6:.0f} MB/s"
    if metric in benchmarks.HIGHER_IS_BETTER:
        return f"{value / 1e6:.2f} M/s" if value >= 1e6 else f"{value / 1e3:.1f} k/s"
    if metric == "bytes":
        return f"{value / 1024:.0f} KiB"
    return f"{value:.0f} B" if metric == "bytes_per_port" else f"{value:.0f}"


def _markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def plain_text(table):
    """Formats a Markdown table for the terminal, with aligned columns and without bars."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "---" not in line]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


# ---- the page and the chart ----------------------------------------------------------------------------------


def write_page(results, machine, rounds, seconds):
    """Writes docs/performance.md, from bench/performance.md.in, and its chart."""
    measured = [benchmark for benchmark in benchmarks.BENCHMARKS if benchmark.name in results.samples]
    details = "\n".join(_section(results, benchmark) for benchmark in measured).rstrip()
    template = string.Template((HERE / "performance.md.in").read_text(encoding="utf-8"))
    page = template.substitute(
        machine=machine,
        rounds=rounds,
        seconds=seconds,
        targets=targets_table(results),
        growth=_growth(results),
        details=details,
    )
    (DOCS / "performance.md").write_text(page, encoding="utf-8")
    (DOCS / "performance.svg").write_text(chart(results), encoding="utf-8")
    write_plots(results)


def write_plots(results):
    for benchmark in _plotted(results):
        lines = {
            COLUMNS[metric]: [
                (benchmarks.size_of(size), results.best(benchmark.name, size, metric))
                for size in results.samples[benchmark.name]
            ]
            for metric in benchmark.metrics
        }
        show = functools.partial(_format, benchmark.metrics[0])
        (DOCS / benchmark.svg).write_text(plot.plot(benchmark.title, benchmark.unit, lines, show), encoding="utf-8")


def _plotted(results):
    return [benchmark for benchmark in benchmarks.BENCHMARKS if benchmark.svg and benchmark.name in results.samples]


GROWTH = """## How cost grows

Datagrams go in turn to each of the ports, or come in turn from each of the addresses: with many of them, no two datagrams of a
turn have the same one, so that none are merged. The delayed calls have random delays. The reactors share one port, and each has
a core, which it shares with a load generator.
"""


def _growth(results):
    """Returns the section with the plots, or an empty string if nothing for them was measured."""
    images = "\n".join(f"![{benchmark.title}]({benchmark.svg})" for benchmark in _plotted(results))
    return f"{GROWTH}\n{images}\n\n" if images else ""


def _section(results, benchmark):
    lost = loss_line(results, benchmark)
    return f"### {benchmark.title}\n\n{benchmark_table(results, benchmark)}\n" + (f"\n{lost}" if lost else "")


CHART_BENCHMARKS = "echo-64", "echo-100", "echo-gso"
CHART_SERVERS = "udpr_plain", "loop_offload_epoll", "loop_mmsg_epoll", "libuv_try", "libuv_queue", "libevent", "asio"
WIDTH, LEFT, ROW, HEAD, GAP = 800, 300, 20, 30, 14


def chart(results):
    """Draws CPU time per echoed datagram as bars, a panel for each of CHART_BENCHMARKS."""
    panel = HEAD + len(CHART_SERVERS) * ROW + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{len(CHART_BENCHMARKS) * panel + GAP}"'
        ' font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#ffffff"/>'
    ]
    for number, benchmark in enumerate(benchmarks.select(CHART_BENCHMARKS)):
        parts += _panel(results, benchmark, GAP + number * panel)
    return "\n".join([*parts, "</svg>\n"])


def _panel(results, benchmark, top):
    values = {name: results.best(benchmark.name, name, "cpu_ns") for name in CHART_SERVERS}
    scale = (WIDTH - LEFT - 90) / max(values.values())
    yield f'<text x="12" y="{top + 16}" font-weight="bold">{benchmark.title}: CPU per datagram</text>'
    for number, (name, value) in enumerate(values.items()):
        y, width = top + HEAD + number * ROW, value * scale
        fill = "#c2410c" if name == "udpr_plain" else "#94a3b8"
        yield f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{html.escape(_label(name))}</text>'
        yield f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{ROW - 5}" fill="{fill}"/>'
        yield f'<text x="{LEFT + width + 6:.1f}" y="{y + 12}">{_format("cpu_ns", value)}</text>'
