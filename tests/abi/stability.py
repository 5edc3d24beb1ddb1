"""stability.py SHARED: the ABI of 0.1 is unchanged except for additions, and additions are recorded.

A change that this test rejects breaks programs: it needs a new minor version, with its own soname and symbol version.
Additions are recorded by scripts/abi, and committed.
"""

import pathlib
import sys
import tempfile

from harness import case, equal, main, tool
from abi_dump import HEADER, RECORD, SYMBOLS, breaks, difference, dump, functions, structs

SHARED = sys.argv[1]
TEXT = HEADER.read_text(encoding="utf-8")


@case
def every_recorded_symbol_is_exported():
    gone = sorted(recorded_symbols() - exported())
    assert not gone, f"programs that use these no longer start: {gone}"


@case
def every_exported_symbol_is_recorded():
    new = sorted(exported() - recorded_symbols())
    assert not new, f"not in {SYMBOLS.name} (scripts/abi records them): {new}"


@case
def types_and_numbers_are_as_recorded():
    with tempfile.TemporaryDirectory() as directory:
        changed = breaks(RECORD, TEXT, pathlib.Path(directory))
    assert not changed, "types or numbers that programs were compiled with have changed:\n" + changed


@case
def types_and_numbers_are_recorded():
    with tempfile.TemporaryDirectory() as directory:
        gone = difference(dump(TEXT, pathlib.Path(directory)), RECORD)
    assert not gone, f"{RECORD.name} is not complete (scripts/abi records the rest):\n{gone}"


def recorded_symbols():
    return set(SYMBOLS.read_text(encoding="utf-8").split())


def exported():
    names = tool("nm", "-D", "--defined-only", "--format=just-symbols", SHARED).split()
    return {name for name in names if not name.startswith("UDPR_")}  # the version's own symbol


# The comparison finds each kind of change: these cases compare the header with a changed copy.


@case
def a_removed_function_is_reported():
    expect_report("udpr_remote_wake", edited(removing="udpr_remote_wake"))


@case
def a_new_parameter_is_reported():
    old = "udpr_remote_wake(struct udpr_remote *remote"
    expect_report("udpr_remote_wake", edited((old, old + ", int32_t how")))


@case
def another_result_is_reported():
    expect_report("udpr_version", edited(("uint32_t udpr_version(void)", "uint64_t udpr_version(void)")))


@case
def another_number_is_reported():
    expect_report("UDPR_E_PANIC", edited(("UDPR_E_PANIC = -36", "UDPR_E_PANIC = -37")))


@case
def a_removed_number_is_reported():
    expect_report("UDPR_E_PANIC", edited(("UDPR_E_PANIC = -36,", "")))


@case
def another_type_of_a_field_is_reported():
    expect_report("ttl", edited(("  int32_t ttl;", "  uint32_t ttl;")))


@case
def another_order_of_fields_is_reported():
    expect_report("ttl", edited(("  int32_t tos;", "  int32_t other;"), ("  int32_t ttl;", "  int32_t tos;"), ("other;", "ttl;")))


@case
def a_field_in_the_middle_is_reported():
    expect_report("between", edited(("uint64_t timers_fired;", "uint64_t between; uint64_t timers_fired;")))


@case
def a_changed_callback_type_is_reported():
    expect_report("udpr_work_fn", edited(("(*udpr_work_fn)(void *user)", "(*udpr_work_fn)(void *user, int32_t more)")))


@case
def growth_of_a_struct_without_size_is_reported():
    expect_report("udpr_addr", edited(("uint32_t reserved;\n} udpr_addr;", "uint32_t reserved; uint64_t more;\n} udpr_addr;")))
    expect_report("udpr_bytes", edited(("size_t len;\n} udpr_bytes;", "size_t len; uint64_t more;\n} udpr_bytes;")))


@case
def additions_break_nothing():
    sized = [name for name, fields in structs(TEXT).items() if fields[0] == "size"]
    equal(10, len(sized))
    grown = [(f"}} {name};", f"  uint64_t later;\n}} {name};") for name in sized]
    number = ("UDPR_E_PANIC = -36,", "UDPR_E_PANIC = -36, UDPR_E_LATER = -37,")
    function = ("UDPR_API uint32_t udpr_version", "UDPR_API void udpr_later(void);\nUDPR_API uint32_t udpr_version")
    enum = ("typedef enum udpr_phase_code", "typedef enum udpr_later_code {\n  UDPR_LATER = 1\n} udpr_later_code;\n\ntypedef enum udpr_phase_code")
    equal("", compared(edited(*grown, number, function, enum)))


@case
def an_addition_that_is_not_recorded_is_reported():
    for name, old in {"udpr_later": "UDPR_API uint32_t udpr_version", "later": "} udpr_message;"}.items():
        new = f"UDPR_API void udpr_later(void);\n{old}" if "API" in old else f"uint64_t later;\n{old}"
        with tempfile.TemporaryDirectory() as directory:
            then = dump(edited((old, new)), pathlib.Path(directory) / "then")
            lacking = difference(then, dump(TEXT, pathlib.Path(directory) / "now"))
        assert name in lacking, lacking


def edited(*replacements, removing=None):
    text = TEXT
    if removing:
        declaration = next(one for one in functions(TEXT) if f" {removing}(" in one)
        replacements = (*replacements, (f"UDPR_API {declaration};", ""))
    for old, new in replacements:
        equal(1, text.count(old))
        text = text.replace(old, new)
    return text


def expect_report(name, text):
    changed = compared(text)
    assert name in changed, f"{name!r} is not in the output of abidiff: {changed!r}"


def compared(text):
    """Compares the present header with a later one."""
    with tempfile.TemporaryDirectory() as directory:
        now = dump(TEXT, pathlib.Path(directory) / "now")
        return breaks(now, text, pathlib.Path(directory) / "then")


main()
