"""From figures to the table, the page and the chart."""

import html
import pathlib
import statistics
import string

import works

HERE = pathlib.Path(__file__).parent
DOCS = HERE.parent / "docs"

COLUMNS = {
    "cpu_ns": "CPU per datagram",
    "rate": "datagrams per second",
    "p50_ns": "round trip, median",
    "p99_ns": "round trip, p99",
    "insert_ns": "insert",
    "cancel_ns": "cancel",
    "fire_ns": "call",
    "calls_per_s": "calls per second",
    "bytes_per_port": "memory of a port",
    "bytes": "size",
    "instructions": "instructions",
}


class Results:
    """`samples` are figures by work and contender, one set a round."""

    def __init__(self, samples):
        self.samples = samples

    def values(self, work, contender, figure):
        return [sample[figure] for sample in self.samples[work][contender]]

    def best(self, work, contender, figure):
        choose = max if figure in works.HIGHER_IS_BETTER else min
        return choose(self.values(work, contender, figure))

    def best_of(self, work, contenders, figure):
        """The contender with the best figure, and that."""
        choose = max if figure in works.HIGHER_IS_BETTER else min
        return choose(((name, self.best(work, name, figure)) for name in contenders), key=lambda found: found[1])


# ---- the table of targets ------------------------------------------------------------------------------------


def target_rows(results):
    """A row of the table for each target whose work was measured."""
    for target in works.TARGETS:
        if target.work not in results.samples:
            continue
        work = next(work for work in works.WORKS if work.name == target.work)
        measured = results.best(target.work, target.ours, target.figure)
        if target.theirs:
            against, theirs = results.best_of(target.work, target.theirs, target.figure)
            measured /= theirs
            shown, limit, against = f"{measured:.2f} x", f"{target.limit:.2f} x", _label(against)
        else:
            shown, limit, against = _text(target.figure, measured), _text(target.figure, target.limit), ""
        reached = measured >= target.limit if target.at_least else measured <= target.limit
        bound = "at least " if target.at_least else "at most "
        outcome = "reached" if reached else f"missed by {abs(measured / target.limit - 1):.1%}"
        yield work.title, COLUMNS[target.figure], against, bound + limit, shown, outcome


def targets_table(results):
    head = ("work", "figure", "against", "to reach", "measured", "")
    return _markdown(head, _without_repeats(target_rows(results)))


def _without_repeats(rows):
    before = None
    for first, *rest in rows:
        yield ["" if first == before else first, *rest]
        before = first


# ---- every figure --------------------------------------------------------------------------------------------


def work_table(results, work):
    head = ["", *(COLUMNS[figure] for figure in work.figures)]
    rows = []
    for name in results.samples[work.name]:  # a later contender is not in an earlier run
        rows.append([_label(name), *(_cell(results, work.name, name, figure) for figure in work.figures)])
    return _markdown(head, rows)


def losses(results, work):
    """A line that tells who has lost datagrams, in percent of what was sent to it; empty where nobody has."""
    shares = []
    for name in results.samples[work.name]:
        samples = results.samples[work.name][name]
        lost = sum(sample.get("lost", 0) for sample in samples)
        if lost > 0:
            shares.append(f"{_label(name)}: {lost / sum(sample['sent'] for sample in samples):.2%}")
    return f"Lost by {'; '.join(shares)}\n" if shares else ""


def _cell(results, work, contender, figure):
    """The best of all rounds, then their median, and their spread in percent of it."""
    values, best = results.values(work, contender, figure), _text(figure, results.best(work, contender, figure))
    if len(values) == 1:
        return best
    median = statistics.median(values)
    spread = (max(values) - min(values)) / median if median else 0
    return f"{best} ({_text(figure, median)}, {spread:.0%})"


def _label(contender):
    return works.LABELS.get(contender, contender)


def _text(figure, value):
    if figure in ("cpu_ns", "p50_ns", "p99_ns"):
        return f"{value / 1000:.2f} us"
    if figure.endswith("_ns"):
        return f"{value:.0f} ns"
    if figure in works.HIGHER_IS_BETTER:
        return f"{value / 1e6:.2f} M/s" if value >= 1e6 else f"{value / 1e3:.1f} k/s"
    if figure == "bytes":
        return f"{value / 1024:.0f} KiB"
    return f"{value:.0f} B" if figure == "bytes_per_port" else f"{value:.0f}"


def _markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def plain(table):
    """A Markdown table for the terminal: its columns in line, its bars gone."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "---" not in line]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


# ---- the page and the chart ----------------------------------------------------------------------------------


def write_page(results, machine, rounds, seconds):
    """docs/performance.md, from bench/performance.in.md, and the chart that it shows."""
    measured = [work for work in works.WORKS if work.name in results.samples]
    details = "\n".join(_section(results, work) for work in measured).rstrip()
    template = string.Template((HERE / "performance.in.md").read_text(encoding="utf-8"))
    page = template.substitute(
        machine=machine, rounds=rounds, seconds=seconds, targets=targets_table(results), details=details
    )
    DOCS.mkdir(exist_ok=True)
    (DOCS / "performance.md").write_text(page, encoding="utf-8")
    (DOCS / "performance.svg").write_text(chart(results), encoding="utf-8")


def _section(results, work):
    lost = losses(results, work)
    return f"### {work.title}\n\n{work_table(results, work)}\n" + (f"\n{lost}" if lost else "")


CHART_WORKS = "echo-64", "echo-100", "echo-gso"
CHART_SERVERS = "udpr_plain", "loop_offload", "loop_mmsg", "libuv_try", "libuv_queue", "libevent", "asio"
WIDTH, LEFT, ROW, HEAD, GAP = 800, 260, 20, 30, 14


def chart(results):
    """CPU time per echoed datagram as bars, a panel for each of CHART_WORKS."""
    panel = HEAD + len(CHART_SERVERS) * ROW + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{len(CHART_WORKS) * panel + GAP}"'
        ' font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#ffffff"/>'
    ]
    for number, work in enumerate(works.named(CHART_WORKS)):
        parts += _panel(results, work, GAP + number * panel)
    return "\n".join([*parts, "</svg>\n"])


def _panel(results, work, top):
    values = {name: results.best(work.name, name, "cpu_ns") for name in CHART_SERVERS}
    scale = (WIDTH - LEFT - 90) / max(values.values())
    yield f'<text x="12" y="{top + 16}" font-weight="bold">{work.title}: CPU per datagram</text>'
    for number, (name, value) in enumerate(values.items()):
        y, width = top + HEAD + number * ROW, value * scale
        fill = "#c2410c" if name == "udpr_plain" else "#94a3b8"
        yield f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{html.escape(_label(name))}</text>'
        yield f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{ROW - 5}" fill="{fill}"/>'
        yield f'<text x="{LEFT + width + 6:.1f}" y="{y + 12}">{_text("cpu_ns", value)}</text>'
