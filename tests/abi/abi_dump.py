"""The ABI in the header, as libabigail describes it.

The dump is of a stub library that is compiled from the header alone, as C programs are. Rust's debug information names no
constants and changes with the compiler. Other tests check that the header and the library agree.
"""

import os
import pathlib
import re
import subprocess
import xml.etree.ElementTree as xml

from harness import need, tool

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
HEADER = ROOT / "include/udpr/udpr.h"
RECORD = HERE / "udpr_0.1.abi"
SYMBOLS = HERE / "udpr_0.1.symbols"


def code(text):
    """Returns the header without its comments."""
    return re.sub(r"/\*.*?\*/|//.*?$", "", text, flags=re.S | re.M)


def functions(text):
    return re.findall(r"^UDPR_API ([^;]*);", code(text), re.M)


def enums(text):
    return re.findall(r"^typedef enum (\w+)", code(text), re.M)


def structs(text):
    """Returns the fields of each struct in their order, by the name of the struct."""
    found = re.findall(r"^typedef struct (\w+) \{\n(.*?)^\} \1;", code(text), re.M | re.S)
    return {name: re.findall(r"(\w+)(?:\[\d+\])?;", fields) for name, fields in found}


def stub(text):
    """Returns the source of a library with every function of the header, and one for each enum that uses it."""
    bodies = [f"{function} {{ for (;;) {{}} }}" for function in functions(text)]
    numbers = [f"void udpr_numbers_of_{name}({name} number) {{ (void)number; }}" for name in enums(text)]
    return "\n".join(["#include <udpr/udpr.h>", *bodies, *numbers])


def dump(text, directory):
    """Writes a dump of the header `text`, and returns its path."""
    need("abidw", "abigail-tools")
    include = directory / "udpr"
    include.mkdir(parents=True, exist_ok=True)
    (include / "udpr.h").write_text(text, encoding="utf-8")
    library, result = directory / "libudpr.so.0.1", directory / "udpr.abi"
    flags = ["-g", "-O0", "-fPIC", "-shared", f"-I{directory}", f"-Wl,--version-script={ROOT}/cmake/udpr.map"]
    tool(os.environ.get("CC", "cc"), *flags, "-x", "c", "-", "-o", library, input=stub(text))
    options = ["--no-architecture", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-elf-needed"]
    tool("abidw", *options, "--out-file", result, library)
    return result


def without_growth(text, record):
    """Returns the header without the fields that structs with a size have gained at their end since the dump `record`."""
    for name, fields in structs(text).items():
        kept = len(fields_in(record).get(name, fields))
        if fields[0] == "size" and len(fields) > kept:
            text = re.sub(rf"(typedef struct {name} \{{\n.*?\b{fields[kept - 1]}(?:\[\d+\])?;).*?(\n\}} {name};)", r"\1\2", text, flags=re.S)
    return text


def fields_in(dumped):
    found = xml.parse(dumped).iter("class-decl")
    return {one.get("name"): [field.get("name") for field in one.iter("var-decl")] for one in found}


def breaks(before, text, directory):
    """Returns libabigail's description of what was removed or changed in the header `text` since the dump `before`, or ""."""
    return difference(before, dump(without_growth(text, before), directory))


def difference(before, after):
    need("abidiff", "abigail-tools")
    ended = subprocess.run(
        ["abidiff", "--no-architecture", "--no-added-syms", before, after], capture_output=True, text=True, check=False
    )
    if ended.returncode & 3:
        raise AssertionError(f"abidiff: {ended.stdout}{ended.stderr}")
    return ended.stdout if ended.returncode else ""
