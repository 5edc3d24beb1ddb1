"""docs_reference.py: the reference that Doxygen generates is complete, and Doxygen reports items without documentation."""

import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import Skip, case, equal, main

ROOT = pathlib.Path(__file__).parents[1]
HEADER = (ROOT / "include/udpr/udpr.h").read_text(encoding="utf-8")


def reference(header):
    """Returns Doxygen's warnings, and the text of all pages that it generated."""
    if not shutil.which("doxygen"):
        raise Skip("no doxygen")
    with tempfile.TemporaryDirectory() as directory:
        headers = pathlib.Path(directory) / "udpr"
        headers.mkdir()
        (headers / "udpr.h").write_text(header, encoding="utf-8")
        command = [ROOT / "scripts/reference", directory, headers]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        equal(bool(ended.stderr), bool(ended.returncode))
        pages = [page.read_text(encoding="utf-8") for page in pathlib.Path(directory).glob("html/*.html")]
    return ended.stderr, "".join(pages)


@case
def everything_is_documented_and_in_the_reference():
    warnings, pages = reference(HEADER)
    equal("", warnings)
    functions = re.findall(r"^UDPR_API [^;(]*?(\w+)\(", HEADER, re.M)
    assert len(functions) > 90, functions
    names = [*functions, *re.findall(r"^  (UDPR_\w+) = ", HEADER, re.M), *re.findall(r"^} (\w+);", HEADER, re.M)]
    equal([], [name for name in names if name not in pages])
    chapters = re.findall(r"^/\* ---- (.*) ---- \*/$", HEADER, re.M)
    equal([], [chapter for chapter in chapters if chapter not in pages])


@case
def every_number_is_documented():
    """Doxygen before 1.9.7 does not check that."""
    lines = HEADER.splitlines()
    numbers = [at for at, line in enumerate(lines) if re.match(r"  UDPR_\w+ = |#define UDPR_VERSION", line)]
    assert len(numbers) > 70, numbers
    equal([], [lines[at] for at in numbers if not lines[at - 1].endswith("*/")])


@case
def an_item_without_documentation_is_reported():
    """A function, a field and a type, each without its comment."""
    for name, line in {
        "udpr_status_name": r"UDPR_API const char \*udpr_status_name\(",
        "segment_size": r"  uint32_t segment_size;",
        "udpr_work_fn": r"typedef void \(\*udpr_work_fn\)",
    }.items():
        text, count = re.subn(rf"/\*\*(?:(?!\*/).)*\*/\n(?={line})", "", HEADER, flags=re.S)
        equal(1, count)
        warnings, _ = reference(text)
        assert name in warnings, f"{name}: {warnings!r}"


main()
