"""docs_reference.py: the reference that Doxygen generates is complete, and Doxygen reports items without documentation."""

import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import Skip, case, equal, main

ROOT = pathlib.Path(__file__).parents[1]
HEADERS = ROOT / "include/udpr"
HEADER = (HEADERS / "udpr.h").read_text(encoding="utf-8")


def reference(name="udpr.h", text=HEADER):
    """Returns Doxygen's warnings, and the text of all pages that it generated, with another text of one header."""
    if not shutil.which("doxygen"):
        raise Skip("no doxygen")
    with tempfile.TemporaryDirectory() as directory:
        headers = shutil.copytree(HEADERS, pathlib.Path(directory) / "udpr")
        (headers / name).write_text(text, encoding="utf-8")
        command = [ROOT / "scripts/reference", directory, headers]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        equal(bool(ended.stderr), bool(ended.returncode))
        pages = [page.read_text(encoding="utf-8") for page in pathlib.Path(directory).glob("html/*.html")]
    return ended.stderr, "".join(pages)


@case
def everything_is_documented_and_in_the_reference():
    warnings, pages = reference()
    equal("", warnings)
    functions = re.findall(r"^UDPR_API [^;(]*?(\w+)\(", HEADER, re.M)
    assert len(functions) > 90, functions
    names = [*functions, *re.findall(r"^  (UDPR_\w+) = ", HEADER, re.M), *re.findall(r"^} (\w+);", HEADER, re.M)]
    equal([], [name for name in names if name not in pages])
    chapters = re.findall(r"^/\* ---- (.*) ---- \*/$", HEADER, re.M)
    equal([], [chapter for chapter in chapters if chapter not in pages])
    classes = [name for header in HEADERS.glob("**/*.hpp") for name in classes_of(header)]
    assert len(classes) > 30 and "coro::task_group" in classes, classes
    equal([], [name for name in classes if not re.search(rf"udpr::{name}\b", pages)])


def classes_of(header):
    """The classes of the namespaces udpr and udpr::coro."""
    text = re.sub(r"^namespace detail \{.*?^\}  // namespace detail", "", header.read_text(encoding="utf-8"), flags=re.M | re.S)
    scope = "coro::" if "namespace udpr::coro {" in text else ""
    found = re.finditer(r"^(?:template <.*> )?(?:class|struct|enum class) (?:\[\[nodiscard\]\] )?(\w+)(?!:)\b[^;()]*\{$", text, re.M)
    return [scope + match[1] for match in found if "namespace udpr::detail {" not in text]


@case
def every_number_is_documented():
    """Doxygen before 1.9.7 does not check that."""
    lines = HEADER.splitlines()
    numbers = [at for at, line in enumerate(lines) if re.match(r"  UDPR_\w+ = |#define UDPR_VERSION", line)]
    assert len(numbers) > 70, numbers
    equal([], [lines[at] for at in numbers if not lines[at - 1].endswith("*/")])


@case
def an_item_without_documentation_is_reported():
    """A function, a field and a type of C, a function of C++ and a coroutine, each without its comment."""
    for name, (header, line) in {
        "udpr_status_name": ("udpr.h", r"UDPR_API const char \*udpr_status_name\("),
        "segment_size": ("udpr.h", r"  uint32_t segment_size;"),
        "udpr_work_fn": ("udpr.h", r"typedef void \(\*udpr_work_fn\)"),
        "change_watch": ("cpp/reactor_ref.hpp", r"  void change_watch\("),
        "receive_for": ("coro/port.hpp", r"  detail::receiver receive_for\("),
    }.items():
        text, count = re.subn(rf"/\*\*(?:(?!\*/).)*\*/\n(?={line})", "", (HEADERS / header).read_text(encoding="utf-8"), flags=re.S)
        equal(1, count)
        warnings, _ = reference(header, text)
        assert name in warnings, f"{name}: {warnings!r}"


main()
