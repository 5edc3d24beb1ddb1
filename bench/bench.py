"""bench.py BUILD [--quick] [NAME...]: measures udpr and its peers; scripts/bench calls it.

BUILD is where the programs were built. A NAME is one of works.py; without one all are measured, and docs/performance.md
and its chart are written. --quick is one short round, to see that everything works: its figures mean nothing.
`report` as NAME writes the page anew from the figures of the last whole run.
"""

import contextlib
import json
import pathlib
import signal
import sys
import time

import machine
import measure
import report
import works

ROUNDS, SECONDS = 5, 1.0
QUICK_ROUNDS, QUICK_SECONDS = 1, 0.1
LIMIT = 25 * 60  # seconds, for all of it


class Progress:
    """One line that changes, where somebody watches; otherwise one line a work."""

    def __init__(self):
        self.start = time.monotonic()

    def show(self, text, last=False):
        elapsed = int(time.monotonic() - self.start)
        line = f"{elapsed // 60:3}:{elapsed % 60:02}  {text}"
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K" + line + ("\n" if last else ""))
        elif last:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()


def measure_work(programs, work, network, rounds, progress):
    """Rounds of all contenders, which take turns at being first."""
    samples = {contender: [] for contender in work.contenders}
    for number in range(1 if work.exact else rounds):
        first = number % len(work.contenders)
        for contender in work.contenders[first:] + work.contenders[:first]:
            progress.show(f"{work.name}: round {number + 1}, {contender}")
            samples[contender].append(work.run(programs, contender, network))
    progress.show(work.name, last=True)
    return samples


def measure_all(programs, chosen, rounds):
    samples, progress = {}, Progress()
    with contextlib.ExitStack() as stack:
        ethernet = None
        if any(work.on_ethernet for work in chosen):
            ethernet = stack.enter_context(machine.ethernet())
        for work in chosen:
            if work.on_ethernet and ethernet is None:
                progress.show(f"{work.name}: skipped, it needs root, ip and ethtool", last=True)
                continue
            network = ethernet if work.on_ethernet else machine.LOOPBACK
            samples[work.name] = measure_work(programs, work, network, rounds, progress)
    return samples


def show(results, chosen):
    for work in chosen:
        if work.name in results.samples:
            print(f"\n{work.title}\n{report.plain(report.work_table(results, work))}")
            print(report.losses(results, work), end="")
    print(f"\nWhat was to be reached\n{report.plain(report.targets_table(results))}")


def _too_late(*_):
    raise TimeoutError(f"not done after {LIMIT} s")


def main(build, *arguments):
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(LIMIT)
    names = [argument for argument in arguments if argument != "--quick"]
    quick = "--quick" in arguments
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    kept = pathlib.Path(build) / "results.json"
    if names == ["report"]:
        report.write_page(report.Results(json.loads(kept.read_text())), machine.description(), rounds, seconds)
        return
    chosen = works.named(names)
    results = report.Results(measure_all(measure.Programs(build, seconds), chosen, rounds))
    show(results, chosen)
    if not names and not quick:
        kept.write_text(json.dumps(results.samples))
        report.write_page(results, machine.description(), rounds, seconds)


main(*sys.argv[1:])
