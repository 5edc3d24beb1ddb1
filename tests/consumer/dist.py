"""dist.py: the release tarball is complete, and can be built without a network and with only the crates in it."""

import harness
from harness import case, equal, main, tool
from project import ROOT, WORK, compiled, links_shared, links_static
from release import tarball, without_network

harness.TIMEOUT = 900  # an optimised build of the Rust code


@case
def has_all_tracked_files_and_nothing_else():
    made, source = tarball()
    tracked = set(tool("git", "-C", ROOT, "ls-tree", "-r", "--name-only", "HEAD").split("\n")[:-1])
    inside = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    own = {path for path in inside if not path.startswith("vendor/")}
    equal(tracked | {".cargo/config.toml"}, own)
    locked = (source / "Cargo.lock").read_text(encoding="utf-8").count("\nsource = ")
    equal(locked, len(list((source / "vendor").iterdir())))
    tool("sha256sum", "--check", f"{made.name}.sha256", cwd=made.parent)


@case
def is_the_same_when_made_again():
    made, _ = tarball()
    tool(ROOT / "scripts/dist", WORK / "again")
    equal(made.read_bytes(), (WORK / "again" / made.name).read_bytes())


@case
def builds_and_installs_without_a_network():
    _, source = tarball()
    build, prefix = WORK / "offline-build", WORK / "offline"
    options = ("-DCMAKE_BUILD_TYPE=Release", "-DUDPR_OFFLINE=ON", "-DUDPR_BUILD_TESTS=OFF")
    without_network("cmake", "-S", source, "-B", build, *options)
    without_network("cmake", "--build", build)
    tool("cmake", "--install", build, "--prefix", prefix)
    libraries = next(prefix.glob("**/libudpr.so")).parent
    flags = (f"-I{prefix}/include", f"-L{libraries}", f"-Wl,-rpath,{libraries}")
    links_shared(compiled("dist-shared", "app.c", *flags, "-ludpr"))
    system = ("-lutil", "-lrt", "-lpthread", "-lm", "-ldl")
    links_static(compiled("dist-static", "app.c", *flags, "-l:libudpr.a", *system))


@case
def its_rust_tests_can_be_built_without_a_network():
    """The tests need more crates than the library. It is enough that cargo finds all of them."""
    _, source = tarball()
    said = without_network("sh", "-c", f"cd {source} && cargo metadata --format-version=1 --offline --locked")
    assert "/vendor/cbindgen-" in said, said[:1000]


main()
