"""count_tests.py NAME STATUS RESULTS OUTCOMES: counts the test runs of one suite, for scripts/test.
count_tests.py OUTCOMES: counts the tests of all suites.

NAME is the suite's name and STATUS its exit code. RESULTS is the output of cargo test (the suite "cargo"), the output of a
program, or a JUnit file of ctest (.xml) whose tests are programs. A program prints `ok NAME`, `not ok NAME: why`,
`skip NAME # why` and `N passed, N failed, N skipped`. If the suite is one of SCRIPTS, RESULTS is the output of
scripts/test-target, scripts/test-portable or scripts/test-python, which prints the program before the name of each case:
`ok i686.c.addr: parse_ipv4`. The first form prints in one line how many runs passed, failed and were skipped, then a line for each run that failed or was skipped, and
appends a line for each run to the file OUTCOMES.

A test can run several times: with each library, with a sanitizer, under valgrind, without a feature of the kernel, for
another target. The second form prints how many tests passed, failed and were skipped, and how many runs there were, and in
a second line how many variants of a few kinds passed. A test has failed if one of its runs has failed, and has passed if
no run failed and at least one passed.
"""

import re
import sys
import xml.etree.ElementTree as xml

# The names of scripts/test-target for its targets.
TARGETS = ("i686", "aarch64", "armv7", "s390x", "musl", "windows")
# Suites whose results are the output of a script that prints the program before the name of each case.
SCRIPTS = (*TARGETS, "portable", "python")

# The part of a program's name that describes how it was run.
VARIANT = re.compile(rf"^(?:asan|tsan|portable|{'|'.join(TARGETS)})\.|(?<=^cpp)\d\d|\.(?:shared|static|without_\w+|valgrind)$")

# Names of tests whose first group is counted, each value once.
COUNTED_KINDS = {
    "ways to link": r"(?:consumer|consumer\.(?:builds|conan|cross|meson|plugins|static)): (\w+)",
    "compilers and language standards": r"header: ((?:gcc|g\+\+|clang|clang\+\+)_\S+)",
    "programs in other languages": r"(ffi\.\S+): ",
}


def cargo_runs(text):
    program = ""
    for found in re.finditer(r"^ +(?:Running|Doc-tests) (\S+ ?\S*)|^test (.+) \.\.\. (ok|FAILED|ignored)(.*)$", text, re.M):
        if found[1]:
            program = found[1].split(" (")[0]
        else:
            yield {"ok": "ok", "FAILED": "not ok", "ignored": "skip"}[found[3]], "cargo " + program, found[2] + found[4]


def ctest_runs(path):
    for test in xml.parse(path).iter("testcase"):
        failure = test.find("failure")
        why = None if failure is None else failure.get("message") or test.get("status")
        yield from program_runs(test.get("name"), why, test.findtext("system-out") or "")


def program_runs(program, why, output):
    """A program that fails without naming a case, or whose last line does not count its cases, counts as one failure."""
    runs = [(found[1], program, found[2]) for found in re.finditer(r"^(ok|not ok|skip) (.*)$", output, re.M)]
    yield from runs
    outcomes = [run[0] for run in runs]
    counts = tuple(str(outcomes.count(outcome)) for outcome in ("ok", "not ok", "skip"))
    if why and "not ok" not in outcomes:
        yield "not ok", program, f"{why}, see its output"
    elif re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", output, re.M)[-1:] != [counts]:
        yield "not ok", program, "its last line does not count the cases above"


def target_runs(text):
    for found in re.finditer(r"^(ok|not ok|skip) ([^:\n]+): (.*)$", text, re.M):
        yield found[1], found[2], found[3]


def suite_runs(name, status, results):
    if results.endswith(".xml"):
        yield from ctest_runs(results)
        return
    with open(results, encoding="utf-8", errors="replace") as file:
        text = file.read()
    if name == "cargo":
        yield from cargo_runs(text)
    elif name in SCRIPTS:
        yield from target_runs(text)
    else:
        yield from program_runs("", None if status == "0" else f"exit code {status}", text)


def count_suite(name, status, results, outcomes):
    try:
        runs = list(suite_runs(name, status, results))
    except (OSError, xml.ParseError) as error:
        runs = [("not ok", "", str(error))]
    if status != "0" and not any(run[0] == "not ok" for run in runs):
        runs.append(("not ok", "", f"exit code {status}"))
    print(*(sum(run[0] == outcome for run in runs) for outcome in ("ok", "not ok", "skip")))
    for outcome, program, text in runs:
        if outcome != "ok":
            print(f"{'failed' if outcome == 'not ok' else 'skipped'}: {name}: {program + ': ' if program else ''}{text}")
    with open(outcomes, "a", encoding="utf-8") as file:
        for outcome, program, text in runs:
            print(outcome, test_name(outcome, program, text), sep="\t", file=file)


def test_name(outcome, program, text):
    """Returns a name that is the same for all runs of a test. scripts/sanitize reports whole programs, not cases."""
    case = text.split(" # " if outcome == "skip" else ": ")[0]
    name = f"{VARIANT.sub('', program)}: {case}" if program else case
    return re.sub(r"^(?:asan|tsan)\.(?!found)", "c.", name)


def count_all(outcomes):
    outcomes_by_name, total = {}, 0
    with open(outcomes, encoding="utf-8") as file:
        for line in file:
            outcome, name = line.rstrip("\n").split("\t", 1)
            outcomes_by_name.setdefault(name, set()).add(outcome)
            total += 1
    programs = {name.split(": ")[0] for name in outcomes_by_name if ": " in name}
    # The run of a whole program whose cases are counted is not a test of its own unless it failed.
    tests = [seen for name, seen in outcomes_by_name.items() if name not in programs or "not ok" in seen]
    failed = sum("not ok" in seen for seen in tests)
    skipped = sum(seen == {"skip"} for seen in tests)
    print(len(tests) - failed - skipped, failed, skipped, total)
    print(kinds_line(name for name, seen in outcomes_by_name.items() if "ok" in seen))


def kinds_line(passed):
    passed = list(passed)
    counts = []
    for kind, pattern in COUNTED_KINDS.items():
        matches = (re.match(pattern, name) for name in passed)
        counts.append(f"{len({match[1] for match in matches if match})} {kind}")
    return ", ".join(counts)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        count_all(sys.argv[1])
    else:
        count_suite(*sys.argv[1:])
