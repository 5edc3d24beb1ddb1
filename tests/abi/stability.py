"""promise.py SHARED: nothing that a release of 0.1 promised is gone or has changed, and additions are written down.

A change that this refuses breaks programs: it needs a new minor version, with a soname and a symbol version of its own.
What is only added is noted by scripts/abi, and committed.
"""

import pathlib
import sys
import tempfile

from harness import case, equal, main
from surface import HEADER, PROMISED, SYMBOLS, breaks, difference, dump, functions, structs, tool

SHARED = sys.argv[1]
TEXT = HEADER.read_text(encoding="utf-8")


@case
def every_promised_symbol_is_exported():
    gone = sorted(promised_symbols() - exported())
    assert not gone, f"programs that use these start no more: {gone}"


@case
def every_exported_symbol_is_promised():
    new = sorted(exported() - promised_symbols())
    assert not new, f"not in {SYMBOLS.name} (scripts/abi notes them): {new}"


@case
def types_and_numbers_are_as_promised():
    with tempfile.TemporaryDirectory() as directory:
        changed = breaks(PROMISED, TEXT, pathlib.Path(directory))
    assert not changed, "what programs were compiled with has changed:\n" + changed


@case
def types_and_numbers_are_written_down():
    with tempfile.TemporaryDirectory() as directory:
        gone = difference(dump(TEXT, pathlib.Path(directory)), PROMISED)
    assert not gone, f"{PROMISED.name} lacks something (scripts/abi notes it):\n{gone}"


def promised_symbols():
    return set(SYMBOLS.read_text(encoding="utf-8").split())


def exported():
    names = tool("nm", "-D", "--defined-only", "--format=just-symbols", SHARED).split()
    return {name for name in names if not name.startswith("UDPR_")}  # the version's own symbol


# That the comparison sees what it is there for: a header is changed, and compared.


@case
def a_removed_function_is_told():
    told("udpr_remote_wake", edited(removing="udpr_remote_wake"))


@case
def a_new_parameter_is_told():
    old = "udpr_remote_wake(struct udpr_remote *remote"
    told("udpr_remote_wake", edited((old, old + ", int32_t how")))


@case
def another_result_is_told():
    told("udpr_version", edited(("uint32_t udpr_version(void)", "uint64_t udpr_version(void)")))


@case
def another_number_is_told():
    told("UDPR_E_PANIC", edited(("UDPR_E_PANIC = -36", "UDPR_E_PANIC = -37")))


@case
def a_removed_number_is_told():
    told("UDPR_E_PANIC", edited(("UDPR_E_PANIC = -36,", "")))


@case
def another_type_of_a_field_is_told():
    told("ttl", edited(("int32_t ttl;", "uint32_t ttl;")))


@case
def another_order_of_fields_is_told():
    told("ttl", edited(("  int32_t tos;", "  int32_t other;"), ("int32_t ttl;", "int32_t tos;"), ("other;", "ttl;")))


@case
def a_field_in_the_middle_is_told():
    told("between", edited(("uint64_t timers_fired;", "uint64_t between; uint64_t timers_fired;")))


@case
def a_callback_of_another_shape_is_told():
    told("udpr_work_fn", edited(("(*udpr_work_fn)(void *user)", "(*udpr_work_fn)(void *user, int32_t more)")))


@case
def growth_of_what_may_not_grow_is_told():
    told("udpr_addr", edited(("uint32_t reserved;\n} udpr_addr;", "uint32_t reserved; uint64_t more;\n} udpr_addr;")))
    told("udpr_bytes", edited(("size_t len;\n} udpr_bytes;", "size_t len; uint64_t more;\n} udpr_bytes;")))


@case
def additions_break_nothing():
    sized = [name for name, fields in structs(TEXT).items() if fields[0] == "size"]
    equal(9, len(sized))
    grown = [(f"}} {name};", f"  uint64_t later;\n}} {name};") for name in sized]
    number = ("UDPR_E_PANIC = -36,", "UDPR_E_PANIC = -36, UDPR_E_LATER = -37,")
    function = ("UDPR_API uint32_t udpr_version", "UDPR_API void udpr_later(void);\nUDPR_API uint32_t udpr_version")
    equal("", compared(edited(*grown, number, function)))


@case
def what_was_added_and_not_noted_is_told():
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


def told(name, text):
    changed = compared(text)
    assert name in changed, f"{name!r} is not in what abidiff says: {changed!r}"


def compared(text):
    """Today's header with a later one."""
    with tempfile.TemporaryDirectory() as directory:
        now = dump(TEXT, pathlib.Path(directory) / "now")
        return breaks(now, text, pathlib.Path(directory) / "then")


main()
