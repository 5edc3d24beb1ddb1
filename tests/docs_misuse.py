"""misuse.py: what docs/misuse.md names is there, and no function, callback, enum or struct of the header is left out."""

import pathlib
import re

from harness import case, equal, main
from tables import rows

ROOT = pathlib.Path(__file__).parents[1]
TESTS = ROOT / "tests"
HEADER = (ROOT / "include/udpr/udpr.h").read_text(encoding="utf-8")
# What the library fills in, and a size: nobody can pass a wrong one.
NEVER_PASSED = {"udpr_status_code", "udpr_origin_code", "udpr_datagram_flag", "udpr_limit"}
HANDED_OUT = {"udpr_datagram", "udpr_error_report", "udpr_log_record"}


def text(name):
    """A test without its comments and its texts."""
    source = (TESTS / name).read_text(encoding="utf-8")
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', " ", source, flags=re.S)


def functions():
    """Name, documentation and parameters of every function of the header."""
    found = re.findall(r"/\*\*((?:(?!\*/).)*)\*/\s*UDPR_API ([^;]*?)(udpr_\w+)\(([^;]*)\);", HEADER, re.S)
    assert len(found) == HEADER.count("\nUDPR_API "), len(found)
    return [(name, doc, [one.strip() for one in arguments.split(",")]) for doc, _, name, arguments in found]


def calls(source, name):
    """The arguments of every call of a function in a test."""
    for match in re.finditer(rf"\b{name}\(", source):
        depth, start, arguments = 1, match.end(), []
        for at in range(match.end(), len(source)):
            depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(source[at], 0)
            if depth == 0 or (depth == 1 and source[at] == ","):
                arguments.append(source[start:at].strip())
                start = at + 1
            if depth == 0:
                break
        yield arguments


def calling(name, *tests):
    return any(re.search(rf"\b{name}\(", text(test)) for test in tests)


@case
def every_status_of_the_table_is_one():
    named = {f"UDPR_E_{name}" for row in rows("misuse.md") for name in re.findall(r"`([A-Z_]+)`", row[1])}
    assert len(named) > 10, named
    equal(set(), named - set(re.findall(r"(UDPR_E_\w+) =", HEADER)))


# ---- "every" -------------------------------------------------------------------------------------------------


@case
def every_function_has_each_pointer_null():
    tests = [text(f"c/{path.name}") for path in sorted((TESTS / "c").glob("*.c"))]
    missing = []
    for name, _, parameters in functions():
        made = [arguments for test in tests for arguments in calls(test, name)]
        for at, parameter in enumerate(parameters):
            is_pointer = "*" in parameter or re.match(r"udpr_\w+_fn ", parameter)
            if is_pointer and not any(len(one) == len(parameters) and one[at] == "NULL" for one in made):
                missing.append(f"{name}: {parameter}")
    equal([], missing)


@case
def every_function_is_called_from_a_wrong_thread():
    """Those of the reactor's thread where they are wrong, those for any thread where they are right."""
    for name, doc, _ in functions():
        places = ["c/misuse_threads.c"] if "[any thread" in doc else ["c/every_call.h", "c/reactor_threads.c", "c/fork_in_callback.c"]
        assert calling(name, *places), f"{name} is called in none of {places}"


@case
def every_callback_has_misuse_in_it():
    """c/every_callback.h names a place by the field of udpr_protocol or by the callback's type; work has tests of its own."""
    places = re.findall(r'\] = "(\w+)(?: of (\w+))?', (TESTS / "c/every_callback.h").read_text(encoding="utf-8"))
    protocol = re.search(r"typedef struct udpr_protocol \{(.*?)\} udpr_protocol;", HEADER, re.S)[1]
    fields = {field: kind for kind, field in re.findall(r"(udpr_\w+_fn) (\w+);", protocol) if field != "free_user"}
    named = {name for name, _ in places}
    equal(set(), set(fields) - named)
    types = set(re.findall(r"typedef \w+ \(\*(udpr_\w+_fn)\)", HEADER))
    equal({"udpr_work_fn"}, types - named - set(fields.values()))
    assert calling("udpr_reactor_call_in_thread", "c/misuse_threads.c", "c/misuse_exception.c")
    freed = {of for name, of in places if name == "udpr_free_fn"}
    with_user = {name for name, _, parameters in functions() if any("udpr_free_fn" in one for one in parameters)}
    equal(set(), {name for name in with_user if not name.endswith(tuple(freed))})


@case
def every_enum_has_numbers_that_there_are_not():
    enums = set(re.findall(r"typedef enum (udpr_\w+) \{", HEADER)) - NEVER_PASSED
    source = (TESTS / "c/misuse_values.c").read_text(encoding="utf-8")
    members = {enum: re.findall(r"(UDPR_\w+) =", body) for enum, body in re.findall(r"typedef enum (udpr_\w+) \{(.*?)\} \1;", HEADER, re.S)}
    equal([], sorted(enum for enum in enums if not any(member in source for member in members[enum])))


@case
def every_sized_struct_is_passed_smaller_and_larger():
    structs = re.findall(r"typedef struct (udpr_\w+) \{\s*/\*\* Of this struct, in bytes. \*/", HEADER)
    source = (TESTS / "c/struct_sizes.c").read_text(encoding="utf-8")
    equal([], sorted(name for name in structs if name not in HANDED_OUT and name not in source))


main()
