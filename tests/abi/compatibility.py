"""compatibility.py SHARED: programs and libraries of different versions work together.

A later version is made from this one: in a copy of the source, every struct with a size gets one more field at its end.
tests/abi/compatibility.c is compiled with the present header and with the later one, and runs with both libraries.
"""

import atexit
import pathlib
import re
import shutil
import sys
import tempfile

import harness
from harness import case, equal, main, tool
from abi_dump import HEADER, HERE, ROOT, structs

harness.TIMEOUT = 600  # a build of the Rust code
TODAY = pathlib.Path(sys.argv[1]).parent
WORK = pathlib.Path(tempfile.mkdtemp(prefix="udpr-compatibility-"))
atexit.register(shutil.rmtree, WORK)
SIZED = [name for name, fields in structs(HEADER.read_text(encoding="utf-8")).items() if fields[0] == "size"]
RAN_OUTPUT = "transports {} datagrams_in 3 kept 0\nreceived 3 reported 1 logged 1 later {}\n"
REJECTED = "asked: UDPR_E_VERSION UDPR_E_VERSION UDPR_E_VERSION\n"
ACCEPTED = "asked: UDPR_OK UDPR_OK UDPR_OK\n"


@case
def todays_program_with_todays_library():
    equal(RAN_OUTPUT.format(1, 0), output(ROOT / "include", TODAY))


@case
def todays_program_with_a_later_library():
    equal(RAN_OUTPUT.format(1, 0), output(ROOT / "include", later_library()))


@case
def a_later_program_with_todays_library():
    """The program has to check size before it reads a field. Its requests for unknown fields are rejected."""
    equal(REJECTED + "stats later 0 0\n" + RAN_OUTPUT.format(1, 0), output(later_header(), TODAY, "-DLATER"))


@case
def a_later_program_with_a_later_library():
    equal(ACCEPTED + "stats later 7 7\n" + RAN_OUTPUT.format(3, 3), output(later_header(), later_library(), "-DLATER"))


def output(include, library, *flags):
    program = WORK / "program"
    link = (f"-L{library}", "-ludpr", f"-Wl,-rpath,{library}", "-o", program)
    tool("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", *flags, f"-I{include}", HERE / "compatibility.c", *link)
    return tool(program)


def later_header():
    text = HEADER.read_text(encoding="utf-8")
    for name in SIZED:
        text = replaced(text, rf"^\}} {name};", rf"  uint64_t later;\n\g<0>")
    return written(WORK / "include/udpr/udpr.h", text).parents[1]


def later_library():
    source, build = WORK / "source", WORK / "build"
    if not build.exists():
        for name in ("src", "include", "cmake", "docs"):
            shutil.copytree(ROOT / name, source / name)
        for name in ("Cargo.toml", "Cargo.lock", "CMakeLists.txt", "LICENSE-MIT", "LICENSE-APACHE"):
            shutil.copy(ROOT / name, source)
        add_fields(source / "src")
        options = ("-DCMAKE_BUILD_TYPE=Debug", "-DUDPR_BUILD_TESTS=OFF", "-DUDPR_BUILD_EXAMPLES=OFF", "-DUDPR_INSTALL=OFF")
        tool("cmake", "-S", source, "-B", build, *options)
        tool("cmake", "--build", build)
    return build


def add_fields(src):
    """Appends a field, as a later version may: the size of the first version stays 8 bytes smaller, and the library sets the
    field to 7 in the structs that it fills."""
    for path in sorted((src / "abi").glob("*.rs")):
        text = path.read_text(encoding="utf-8")
        for name in SIZED:
            text = re.sub(rf"(pub struct {name} \{{\n.*?)^\}}", r"\1    /// Later.\n    pub later: u64,\n}", text, count=1, flags=re.M | re.S)
        written(path, text)
    changes = {
        "capi/ptr/versioned.rs": [(r"Versioned for \$name \{\}", "Versioned for $name { const FIRST: usize = size_of::<Self>() - 8; }")],
        "capi/callback.rs": [(r"= udpr_error_report \{", r"\g<0> later: 7,"), (r"= udpr_log_record \{", r"\g<0> later: 7,")],
        "capi/observe.rs": [
            (r'out\.fill\("out", &reactor\.get_stats\(\)\)', 'out.fill("out", &udpr_reactor_stats { later: 7, ..reactor.get_stats() })'),
            (r'out\.fill\("out", &port\.get_stats\(\)\?\)', 'out.fill("out", &udpr_transport_stats { later: 7, ..port.get_stats()? })'),
        ],
        "reactor/stats.rs": [(r"        Stats \{", r"\g<0> later: 0,")],
        "sys/linux/interfaces.rs": [(r"Some\(udpr_interface \{", r"\g<0> later: 7,")],
        "sys/datagrams.rs": [(r"Datagram\(udpr_datagram \{", r"\g<0> later: 7,")],
    }
    for name, replacements in changes.items():
        text = (src / name).read_text(encoding="utf-8")
        for pattern, replacement in replacements:
            text = replaced(text, pattern, replacement)
        written(src / name, text)


def replaced(text, pattern, replacement):
    result, count = re.subn(pattern, replacement, text, count=1, flags=re.M | re.S)
    equal(1, count)
    return result


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


main()
