"""cross.py: udpr and a consumer's project, built for other systems. Programs for i686 also run here. It takes minutes, so
only scripts/test --all runs it.
"""


import harness
from harness import case, equal, main, need, run, tool
from project import HERE, ROOT, WORK, links_shared, links_static

harness.TIMEOUT = 900  # fetching the toolchain, and two builds of the Rust code
COMPILER, I686 = "i686-linux-gnu-gcc", "i686-unknown-linux-gnu"
# Programs for i686 run with the C library of the cross compiler.
C_LIBRARY = "/usr/i686-linux-gnu/lib"
LINK = f"-Wl,--dynamic-linker={C_LIBRARY}/ld-linux.so.2,--disable-new-dtags,-rpath,{C_LIBRARY}"


def cargo():
    """Returns the cargo of the oldest supported Rust, which has the standard library for i686."""
    need(COMPILER, "gcc-i686-linux-gnu")
    return tool(ROOT / "scripts/toolchain", I686).splitlines()[-1] + "/bin/cargo"


def configured(name, *options):
    build = WORK / name
    source = (f"-DUDPR_SOURCE={ROOT}", f"-DCMAKE_EXE_LINKER_FLAGS={LINK}")
    ended = run("cmake", "-S", HERE, "-B", build, *source, *options)
    return build, ended


def builds_for_i686(name, config, *options):
    build, ended = configured(name, f"-DCMAKE_BUILD_TYPE={config}", f"-DUDPR_CARGO={cargo()}", *options)
    equal((0, ""), (ended.returncode, ended.stderr))
    tool("cmake", "--build", build)
    links_shared(build / config / "app-shared")
    links_static(build / config / "app-static")
    for library in ("libudpr.so", "libudpr.a"):
        assert "Intel 80386" in tool("readelf", "-h", build / "udpr" / library)
    assert tool("cmake", "--build", build).count("Building") == 0


@case
def a_toolchain_file_is_enough():
    file = WORK / "i686.cmake"
    lines = ("CMAKE_SYSTEM_NAME Linux", "CMAKE_SYSTEM_PROCESSOR i686", f"CMAKE_C_COMPILER {COMPILER}")
    file.write_text("".join(f"set({line})\n" for line in lines), encoding="utf-8")
    builds_for_i686("toolchain-file", "Debug", f"-DCMAKE_TOOLCHAIN_FILE={file}")


@case
def a_compiler_and_a_rust_target_are_enough():
    builds_for_i686("rust-target", "Release", f"-DCMAKE_C_COMPILER={COMPILER}", f"-DUDPR_RUST_TARGET={I686}")


@case
def a_compiler_for_32_bits_without_a_target_is_one_clear_message():
    need(COMPILER, "gcc-i686-linux-gnu")
    _, ended = configured("32-bits", f"-DCMAKE_C_COMPILER={COMPILER}")
    equal(1, ended.stderr.count("CMake Error"))
    assert "-DUDPR_RUST_TARGET=<triple>" in " ".join(ended.stderr.split()), ended.stderr


def cargo_that_makes_nothing():
    """Returns a script that stores its arguments and succeeds."""
    path = WORK / "cargo"
    lines = f'case $1 in --version) exec cargo "$@" ;; esac\nprintf "%s\\n" "$@" >{WORK}/arguments\n'
    path.write_text(f"#!/bin/sh\n{lines}", encoding="utf-8")
    path.chmod(0o755)
    return path


def rust_target_for(machine):
    """Returns the Rust target that is chosen for such a compiler, and the errors of the build, which makes no library."""
    need("clang", "clang")
    system = ("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY")
    compiler = ("-DCMAKE_C_COMPILER=clang", f"-DCMAKE_C_COMPILER_TARGET={machine}")
    build, ended = configured(machine, *system, *compiler, f"-DUDPR_CARGO={cargo_that_makes_nothing()}")
    equal(0, ended.returncode)
    ended = run("cmake", "--build", build)
    assert ended.returncode, ended.stdout
    arguments = (WORK / "arguments").read_text(encoding="utf-8").splitlines()
    return arguments[arguments.index("--target") + 1], ended.stderr


@case
def the_compilers_target_determines_rusts():
    targets = {
        "aarch64-linux-gnu": "aarch64-unknown-linux-gnu",
        "aarch64-poky-linux": "aarch64-unknown-linux-gnu",
        "arm-linux-gnueabihf": "armv7-unknown-linux-gnueabihf",
        "i586-linux-gnu": "i686-unknown-linux-gnu",
        "riscv64-linux-gnu": "riscv64gc-unknown-linux-gnu",
        "s390x-linux-gnu": "s390x-unknown-linux-gnu",
        "x86_64-pc-linux-musl": "x86_64-unknown-linux-musl",
    }
    equal(targets, {machine: rust_target_for(machine)[0] for machine in targets})


@case
def no_library_from_cargo_is_one_clear_message():
    _, said = rust_target_for("powerpc64le-linux-gnu")
    equal(1, said.count("CMake Error"))
    said = " ".join(said.split())
    for part in ("cargo has not made", "powerpc64le-unknown-linux-gnu/release/libudpr.a", "UDPR_RUST_TARGET"):
        assert part in said, said


main()
