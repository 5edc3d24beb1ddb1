"""cross.py: udpr and a consumer's project, built for other systems. Programs for i686 also run here. It takes minutes, so
only scripts/test --all runs it.
"""

import os
import re

import harness
from harness import case, equal, main, need, run, tool
from project import HERE, ROOT, WORK, links_shared, links_static, needed

harness.TIMEOUT = 900  # fetching the toolchain, and two builds of the Rust code
COMPILER, I686 = "i686-linux-gnu-gcc", "i686-unknown-linux-gnu"
AARCH64, MUSL = "aarch64-unknown-linux-gnu", "x86_64-unknown-linux-musl"
# Programs for i686 run with the C library of the cross compiler.
C_LIBRARY = "/usr/i686-linux-gnu/lib"
LINK = f"-Wl,--dynamic-linker={C_LIBRARY}/ld-linux.so.2,--disable-new-dtags,-rpath,{C_LIBRARY}"
LINKING = (ROOT / "docs/linking.md").read_text(encoding="utf-8")
NAMES = ("libudpr.so", "libudpr.a")


def rust(target):
    """Returns the directory of the programs of the oldest supported Rust, which has the standard library for the target."""
    return tool(ROOT / "scripts/toolchain", target).splitlines()[-1] + "/bin"


def cargo():
    need(COMPILER, "gcc-i686-linux-gnu")
    return f"{rust(I686)}/cargo"


def machine(library):
    return re.search(r"Machine: +(.*)", tool("readelf", "-h", library))[1]


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
    equal({"Intel 80386"}, {machine(build / "udpr" / name) for name in NAMES})
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


def documented(chapter, language):
    """Returns the examples of docs/linking.md that are in this chapter and language."""
    text = LINKING.split(f"### {chapter}\n")[1].split("\n## ")[0].split("\n### ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def run_documented(command, target, **replaced):
    """Runs an example as a user would who has that Rust in PATH, but writes into the directory of the test."""
    for name, path in replaced.items():
        command = re.sub(rf"(?<![\w.]){re.escape(name.replace('_', '/'))}\b", str(path), command)
    path = f"{rust(target)}:{os.environ['PATH']}"
    tool("sh", "-ec", command, cwd=ROOT, env={**os.environ, "PATH": path, "CARGO_TARGET_DIR": str(WORK / "target")})


def builds_for_aarch64(example, name):
    build = WORK / name
    (WORK / "arm64.cmake").write_text(documented("Cross builds", "cmake")[0], encoding="utf-8")
    need("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    command = documented("Cross builds", "sh")[example].replace("$PWD/arm64.cmake", f"{WORK}/arm64.cmake")
    run_documented(command, AARCH64, build_arm64=build)
    equal({"AArch64"}, {machine(build / name) for name in NAMES})
    program = WORK / "app-aarch64"
    tool("aarch64-linux-gnu-gcc", HERE / "app.c", f"-I{ROOT}/include", f"-L{build}", "-ludpr", "-o", program)
    equal("AArch64", machine(program))


@case
def the_documented_toolchain_file_builds_for_aarch64():
    builds_for_aarch64(0, "arm64-file")


@case
def the_documented_rust_target_builds_for_aarch64():
    builds_for_aarch64(1, "arm64-target")


@case
def cargo_alone_builds_for_aarch64():
    need("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    run_documented(documented("Cross builds", "sh")[2], AARCH64)
    equal("AArch64", machine(WORK / "target" / AARCH64 / "release/libudpr.so"))


@case
def musl_gcc_makes_a_static_program():
    need("musl-gcc", "musl-tools")
    (WORK / "app.c").write_bytes((HERE / "app.c").read_bytes())
    run_documented(documented("musl", "sh")[0].replace("app.c", f"{HERE}/app.c").replace("-o app", f"-o {WORK}/app-musl"), MUSL,
                   build_musl=WORK / "musl")
    links_static(WORK / "app-musl")
    equal([], needed(WORK / "app-musl"))


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
