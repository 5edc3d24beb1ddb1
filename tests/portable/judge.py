"""judge.py [--whole] CARGO_LOG CTEST_XML: the results of scripts/test-portable, compared with the list `excused`.
judge.py --target LIST RESULTS: those of scripts/test-target, compared with LIST and, since other systems have the same backend, `excused`.

A test in the list has to fail with a text that contains the one next to it; every other test has to pass. With --whole, when all
tests were run, each line of the list has to apply to a test.
"""

import fnmatch
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import count_tests  # noqa: E402


class Excuse:
    """A line of the list: the program, a pattern of cases, and what their failure contains."""

    def __init__(self, line):
        name, self.text = (part.strip() for part in line.split("|", 1))
        self.program, self.case = name.split()
        self.used = False

    def is_for(self, program, case):
        return fnmatch.fnmatchcase(program, self.program) and fnmatch.fnmatchcase(case, self.case)


def excuses(path=pathlib.Path(__file__).parent / "excused"):
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    return [Excuse(line) for line in lines if line.strip() and not line.startswith("#")]


def cargo_runs(text):
    """Yields outcome, program, its name in the list, case and output of each of cargo's tests."""
    outputs = dict(re.findall(r"^---- (\S+) stdout ----\n(.*?)(?=^----|^failures:)", text, re.M | re.S))
    for outcome, program, case in count_tests.cargo_runs(text):
        short = re.sub(r"^cargo (?:unittests )?(?:tests/|src/)?", "cargo.", program).removesuffix(".rs")
        yield outcome, program, short, case, outputs.get(case, "")


def c_runs(path):
    """The same for the C tests. The text behind the name of a case says why it has failed."""
    for outcome, program, text in count_tests.ctest_runs(path):
        case, _, why = text.partition(": ") if outcome == "not ok" else (text, "", "")
        yield outcome, program, program.removesuffix(".shared"), case, why


def target_runs(path):
    for outcome, program, text in count_tests.target_runs(pathlib.Path(path).read_text(encoding="utf-8", errors="replace")):
        case, _, why = text.partition(": ") if outcome == "not ok" else (text, "", "")
        yield outcome, program, program.partition(".")[2], case, why


def judge(runs, known):
    """Yields outcome and text of each line to print."""
    for outcome, name, short, case, why in runs:
        fits = [one for one in known if one.is_for(short, case)]
        excuse = next((one for one in fits if one.text in why), None)
        if outcome != "not ok":
            yield outcome, f"{name}: {case}"
        elif excuse:
            excuse.used = True
            yield "ok", f"{name}: {case} ({excuse.text})"
        else:
            yield "not ok", f"{name}: {case}: {'not as excused: ' if fits else ''}{why.strip()}"


def portable_runs(log, results):
    for outcome, program, *rest in [*cargo_runs(pathlib.Path(log).read_text(encoding="utf-8", errors="replace")), *c_runs(results)]:
        yield outcome, f"portable.{program}", *rest


def main(*arguments):
    known = excuses()
    first, second = arguments[-2:]
    if "--target" in arguments:
        lines = list(judge(target_runs(second), [*excuses(first), *known]))
    else:
        lines = list(judge(portable_runs(first, second), known))
    if "--whole" in arguments:
        stale = [one for one in known if not one.used]
        lines += [("not ok", f"tests/portable/excused: no test needs {one.program} {one.case}") for one in stale]
    for outcome, text in lines:
        print(outcome, text)
    passed, failed, skipped = (sum(line[0] == outcome for line in lines) for outcome in ("ok", "not ok", "skip"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main(*sys.argv[1:]))
