"""docs_man.py: the man pages that docs/reference/man.py makes of the header are complete and well formed."""

import pathlib
import re
import sys
import tempfile

from harness import case, equal, main, need, run, tool

ROOT = pathlib.Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"
HEADER = (ROOT / "include/udpr/udpr.h").read_text(encoding="utf-8")


def pages(text=HEADER):
    """Returns the text of each page of section 3 by name, and that of udpr.7."""
    with tempfile.TemporaryDirectory() as directory:
        header = pathlib.Path(directory, "udpr.h")
        header.write_text(text, encoding="utf-8")
        tool(sys.executable, REFERENCE / "man.py", header, "0.1.0", ROOT / "docs/udpr.7.in", directory)
        made = {page.stem: page.read_text(encoding="utf-8") for page in pathlib.Path(directory, "man3").iterdir()}
        return made, pathlib.Path(directory, "man7/udpr.7").read_text(encoding="utf-8")


@case
def everything_has_a_page_and_is_in_the_index():
    made, overview = pages()
    functions = re.findall(r"^UDPR_API [^;(]*?(\w+)\(", HEADER, re.M)
    types = re.findall(r"^} (\w+);|^typedef [^{;\n]*\(\*(\w+)\)", HEADER, re.M)
    names = {*functions, *(name or callback for name, callback in types)}
    assert len(functions) > 100 and len(names) > 140, (len(functions), len(names))
    equal(names, set(made))
    equal(names, set(re.findall(r"^\.It Xr (\w+) 3$", overview, re.M)))
    equal([], [chapter for chapter in re.findall(r"^/\* ---- (.*) ---- \*/$", HEADER, re.M) if f".Ss {chapter.capitalize()}\n" not in overview])
    assert "@" not in overview, overview


@case
def references_have_targets():
    made, overview = pages()
    names = {name for page in made.values() for name in re.findall(r"\\fB(udpr_\w+)\\fP\(3\)", page)}
    names |= set(re.findall(r"\bXr (udpr_\w+) 3", overview))
    equal(set(), names - set(made))


@case
def a_page_has_every_status_of_its_function():
    made, _ = pages()
    for comment, name in re.findall(r"/\*\*((?:(?!\*/).)*)\*/\s*UDPR_API [^;(]*?(\w+)\(", HEADER, re.S):
        assert "\n * Returns: " in comment or f"void {name}(" in HEADER or "_version" in name, f"{name} does not say what it returns"
        results = made[name].partition(".SH RETURN VALUE")[2].partition(".SH")[0]
        statuses = set(re.findall(r"UDPR_E_\w+", comment.partition("Returns:")[2]))
        equal((name, set()), (name, statuses - set(re.findall(r"UDPR_E_\w+", results))))


@case
def the_pages_are_well_formed():
    need("mandoc", "mandoc")
    made, overview = pages()
    with tempfile.TemporaryDirectory() as directory:
        for name, text in {**{f"{name}.3": page for name, page in made.items()}, "udpr.7": overview}.items():
            pathlib.Path(directory, name).write_text(text, encoding="utf-8")
        equal("", tool("mandoc", "-T", "lint", "-W", "warning", *sorted(pathlib.Path(directory).iterdir())))
        broken = pathlib.Path(directory, "udpr.7")
        broken.write_text(overview.replace(".El\n", "", 1), encoding="utf-8")
        assert run("mandoc", "-T", "lint", "-W", "warning", broken).returncode


@case
def the_page_of_a_function_says_what_its_comment_says():
    comment = '''/**
 * Does `what` it does; see udpr_version. Once. [any thread]
 *
 * .It is -- odd.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED; UDPR_E_NO_MEMORY if `what` is large (a; b). If it fails, nothing was done.
 */
UDPR_API udpr_status udpr_odd(struct udpr_addr *what, udpr_free_fn free_user);

'''
    at = HEADER.rindex("/* ---- ")
    made, _ = pages(HEADER[:at] + comment + HEADER[at:])
    page = made["udpr_odd"]
    for part in (
        r"udpr_odd \- does what it does" + "\n",
        r"udpr_status \fBudpr_odd\fP(udpr_addr *what, udpr_free_fn free_user);" + "\n",
        r"typedef void (*\fBudpr_free_fn\fP)(void *user);" + "\n",
        ".SH DESCRIPTION\n" + r"Does \fIwhat\fP it does; see \fBudpr_version\fP(3). Once." + "\n.PP\n" + r"\&.It is \-\- odd." + "\n",
        r"\fBUDPR_E_CLOSED\fP" + "\nThe transport has stopped",
        r"\fBUDPR_E_NO_MEMORY\fP" + "\n" + r"If \fIwhat\fP is large (a; b)." + "\n.PP\nIf it fails, nothing was done.\n",
        ".SH THREADS\nAny thread may call it at any time.\n",
        "\\fBudpr_addr\\fP(3),\n\\fBudpr_free_fn\\fP(3),\n\\fBudpr_version\\fP(3),\n\\fBudpr\\fP(7)\n",
    ):
        assert part in page, f"{part!r} is not in {page}"


main()
