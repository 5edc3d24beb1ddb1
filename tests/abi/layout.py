"""layout.py: tests/abi/layout.c asserts sizes and offsets of every public struct, and compiles for several ABIs."""

import os
import re
import subprocess

from harness import Skip, case, equal, main
from abi_dump import HEADER, HERE, ROOT, structs

SOURCE = HERE / "layout.c"


@case
def every_struct_and_field_is_asserted():
    said = structs(HEADER.read_text(encoding="utf-8"))
    assert "udpr_addr" in said, "no structs found in the header"
    asserted = re.findall(r"^(?:AT|SIZE|TAIL)\((\w+), (\w+)", SOURCE.read_text(encoding="utf-8"), re.M)
    wanted = [(name, field) for name, fields in said.items() for field in fields]
    equal([], [one for one in wanted if one not in asserted])
    equal([], [(name, fields[-1]) for name, fields in said.items() if asserted.count((name, fields[-1])) < 2])
    sizes = re.findall(r"^SIZE\((\w+),", SOURCE.read_text(encoding="utf-8"), re.M)
    equal(sorted(said), sorted(sizes))


@case
def layout_of_this_machine():
    compile_for()


@case
def layout_of_32_bits_with_8_byte_types_aligned_to_4():
    compile_for("-m32")  # i386


@case
def layout_of_32_bits_with_8_byte_types_aligned_to_8():
    compile_for("-m32", "-malign-double")  # the same struct layout as on 32-bit ARM


@case
def a_moved_field_is_reported():
    """The assertions can fail."""
    text = SOURCE.read_text(encoding="utf-8").replace("AT(udpr_message, tos, ", "AT(udpr_message, tos, 4 + ")
    ended = compiled(text)
    assert "offsetof(udpr_message, tos)" in ended.stderr and ended.returncode, ended.stderr


def compile_for(*options):
    ended = compiled(SOURCE.read_text(encoding="utf-8"), *options)
    if options and re.search("unrecognized|unsupported|not supported", ended.stderr):
        raise Skip(f"the compiler has no {' '.join(options)}")
    equal(("", 0), (ended.stderr, ended.returncode))


def compiled(text, *options):
    """Compiles freestanding, so that no 32-bit headers of the C library are needed."""
    command = [os.environ.get("CC", "cc"), "-std=c11", "-ffreestanding", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    return subprocess.run(
        [*command, *options, f"-I{ROOT}/include", "-x", "c", "-"], input=text, capture_output=True, text=True, check=False
    )


main()
