"""symbols.py HEADER SHARED STATIC VERSION: the symbols and dynamic section of the two libraries."""

import pathlib
import re
import sys

from harness import case, equal, main, tool

HEADER, SHARED, STATIC, VERSION = sys.argv[1:]
NODE = "UDPR_" + VERSION


def declared():
    text = re.sub(r"/\*.*?\*/|//.*?$", "", pathlib.Path(HEADER).read_text(encoding="utf-8"), flags=re.S | re.M)
    names = set(re.findall(r"\bUDPR_API\b[^;(]*?\b(udpr_\w+)\s*\(", text))
    assert "udpr_version" in names, "no functions found in the header"
    return names


def same(expected, actual):
    equal(([], []), (sorted(expected - actual), sorted(actual - expected)))


@case
def shared_exports_what_the_header_declares():
    symbols = tool("nm", "-D", "--defined-only", "--format=just-symbols", SHARED).split()
    same({f"{name}@@{NODE}" for name in declared()} | {NODE}, set(symbols))


@case
def static_defines_what_the_header_declares():
    symbols = tool("nm", "-g", "--defined-only", "--format=just-symbols", STATIC).split()
    same(declared(), {name for name in symbols if not name.endswith(":")})


@case
def shared_has_its_soname_and_stays_loaded():
    dynamic = tool("readelf", "-dW", SHARED)
    assert f"Library soname: [libudpr.so.{VERSION}]" in dynamic, dynamic
    assert re.search(r"FLAGS_1.*NODELETE", dynamic), dynamic
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic, dynamic


main()
