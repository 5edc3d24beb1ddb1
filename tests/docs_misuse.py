"""docs_misuse.py: the statuses in docs/misuse.md exist, and the tests of misuse leave out no function, callback, enum or
struct of the header.
"""

import pathlib
import re

from harness import case, equal, main
from docs_tables import rows

ROOT = pathlib.Path(__file__).parents[1]
TESTS = ROOT / "tests"
HEADER = (ROOT / "include/udpr/udpr.h").read_text(encoding="utf-8")
# Enums that are never passed to the library, so no wrong value can be passed.
NEVER_PASSED = {"udpr_status_code", "udpr_origin_code", "udpr_datagram_flag", "udpr_interface_flag", "udpr_limit"}
HANDED_OUT = {"udpr_datagram", "udpr_error_report", "udpr_log_record"}


def text(name):
    """Returns the source of a test without comments and string literals."""
    source = (TESTS / name).read_text(encoding="utf-8")
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', " ", source, flags=re.S)


def functions():
    """Returns the name, documentation and parameters of every function of the header."""
    found = re.findall(r"/\*\*((?:(?!\*/).)*)\*/\s*UDPR_API ([^;]*?)(udpr_\w+)\(([^;]*)\);", HEADER, re.S)
    assert len(found) == HEADER.count("\nUDPR_API "), len(found)
    return [(name, doc, [one.strip() for one in arguments.split(",")]) for doc, _, name, arguments in found]


def calls(source, name):
    """Yields the arguments of every call of a function in a test."""
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
def every_status_in_the_tables_exists():
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
    """Functions for the reactor's thread are called on a wrong thread, those for any thread on another thread."""
    for name, doc, _ in functions():
        places = ["c/misuse_threads.c"] if "[any thread" in doc else ["c/every_call.h", "c/reactor_threads.c", "c/fork_in_callback.c"]
        assert calling(name, *places), f"{name} is called in none of {places}"


@case
def every_callback_has_misuse_in_it():
    """c/every_callback.h names a callback by its field in udpr_protocol or by its type; work has tests of its own."""
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
def every_enum_is_passed_with_an_unknown_number():
    enums = set(re.findall(r"typedef enum (udpr_\w+) \{", HEADER)) - NEVER_PASSED
    source = (TESTS / "c/misuse_values.c").read_text(encoding="utf-8")
    members = {enum: re.findall(r"(UDPR_\w+) =", body) for enum, body in re.findall(r"typedef enum (udpr_\w+) \{(.*?)\} \1;", HEADER, re.S)}
    equal([], sorted(enum for enum in enums if not any(member in source for member in members[enum])))


@case
def every_sized_struct_is_passed_smaller_and_larger():
    structs = re.findall(r"typedef struct (udpr_\w+) \{\s*/\*\* The size of this struct in bytes. \*/", HEADER)
    assert len(structs) >= 10, structs
    source = (TESTS / "c/struct_sizes.c").read_text(encoding="utf-8")
    equal([], sorted(name for name in structs if name not in HANDED_OUT and name not in source))


main()
