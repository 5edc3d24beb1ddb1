"""docs_systems.py: the table of docs/systems.md has each function of the header and each feature of udpr_has_feature."""

import fnmatch
import pathlib
import re

from harness import case, equal, main

ROOT = pathlib.Path(__file__).parents[1]
HEADER = (ROOT / "include/udpr/udpr.h").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/systems.md").read_text(encoding="utf-8")
SYSTEMS = ["Linux", "Windows", "macOS", "FreeBSD"]
STATES = ["run", "library", "no"]


def rows():
    """Returns the rows of the table as dicts."""
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", PAGE, re.M)]
    return [dict(zip(head, line, strict=True)) for line in lines]


def column(title):
    return [row[title] for row in rows()]


def functions():
    return set(re.findall(r"^UDPR_API .*?\b(udpr_\w+)\(", HEADER, re.M))


def features():
    """The names in the comment of udpr_has_feature, and those that each backend knows."""
    comment = re.search(r"/\*\*((?:(?!\*/).)*)\*/\s*UDPR_API udpr_bool udpr_has_feature", HEADER, re.S)
    sources = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "src/sys").glob("*/feature.rs"))]
    assert len(sources) > 1
    known = {name for source in sources for name in re.findall(r'^\s*"(\w+)" =>', source, re.M)}
    equal(known, set(re.findall(r'"(\w+)"', comment[1])))
    return known


@case
def every_function_is_in_one_row():
    cells = [re.findall(r"`(udpr_[\w*]+)`", cell) for cell in column("functions, flags, fields")]
    assert len(functions()) > 100
    for name in functions():
        exact = [cell for cell in cells if name in cell]
        found = exact or [cell for cell in cells if any(fnmatch.fnmatchcase(name, one) for one in cell)]
        assert len(found) == 1, (name, found)
    stale = [one for cell in cells for one in cell if not fnmatch.filter(functions(), one)]
    equal([], stale)


@case
def every_constant_is_in_the_header():
    constants = re.findall(r"`(UDPR_\w+)`", PAGE)
    equal([], [name for name in constants if not re.search(rf"\b{name}\b", HEADER)])


@case
def every_feature_is_in_one_row():
    equal(sorted(features()), sorted(name.strip('"') for name in column("`udpr_has_feature`") if name))


@case
def every_system_has_a_known_state():
    for row in rows():
        for system in SYSTEMS:
            state = re.split(r"[ ;:]", row[system])[0]
            assert state in STATES, (row["what"], system, row[system])
            assert state != "no" or ":" in row[system], ("what is returned instead?", row["what"], system)


@case
def only_systems_that_run_the_tests_have_run():
    equal([], [row["what"] for row in rows() for system in ("macOS", "FreeBSD") if row[system].startswith("run")])


main()
