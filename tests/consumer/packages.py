"""packages.py BUILD_DIR: the Debian packages, installed by dpkg into a separate root, and programs that are linked with them."""

import gzip
import os
import pathlib
import re
import sys

import harness
from harness import case, equal, main, need, run, tool
from project import ROOT, SERIES, VERSION, WORK, build_and_run, compiled, configure, links_shared

harness.TIMEOUT = 900  # an optimised build of the Rust code
RUNTIME, DEV = f"libudpr{SERIES}", "libudpr-dev"
PACKAGED = f"{VERSION}-1"


def packages():
    """Builds the two packages. Returns their paths by name."""
    need("dpkg-shlibdeps", "dpkg-dev")
    build = WORK / "build"
    if not build.exists():
        options = ("-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_INSTALL_PREFIX=/usr", "-DUDPR_BUILD_TESTS=OFF", "-DUDPR_BUILD_EXAMPLES=OFF")
        tool("cmake", "-S", ROOT, "-B", build, *options, f"-DUDPR_CARGO_TARGET_DIR={sys.argv[1]}")
        tool("cmake", "--build", build)
        tool("cpack", "-G", "DEB", "-B", WORK / "packages", cwd=build)
    return {field(path, "Package"): path for path in (WORK / "packages").glob("*.deb")}


def field(path, name):
    return tool("dpkg-deb", "--field", path, name).strip()


def root():
    """Installs both packages into a separate root, without their dependencies. Returns it and its library directory."""
    at = WORK / "root"
    if not at.exists():
        both = packages()
        (at / "var/lib/dpkg/info").mkdir(parents=True)
        (at / "var/lib/dpkg/updates").mkdir()
        (at / "var/lib/dpkg/status").touch()
        dpkg(at, "--install", "--force-depends", both[RUNTIME], both[DEV])
    return at, next(at.glob("usr/lib/**/libudpr.so")).parent


def dpkg(at, *arguments):
    """Runs dpkg for that root. The packages' scripts run outside of it, since it has no programs."""
    options = ["--force-not-root", "--force-script-chrootless", "--force-bad-path", f"--root={at}"]
    ended = run("dpkg", *options, *arguments)
    if ended.returncode:
        raise AssertionError(ended.stdout + ended.stderr)


@case
def there_are_two_with_the_right_dependencies():
    both = packages()
    equal({RUNTIME, DEV}, set(both))
    equal([PACKAGED, PACKAGED], [field(path, "Version") for path in both.values()])
    assert f"{RUNTIME} (= {PACKAGED})" in field(both[DEV], "Depends")
    assert "libc6 (>=" in field(both[RUNTIME], "Depends")
    shlibs = tool("dpkg-deb", "--info", both[RUNTIME], "shlibs")
    equal(f"libudpr {SERIES} {RUNTIME} (>= {PACKAGED})", shlibs.strip())
    equal("activate-noawait ldconfig", tool("dpkg-deb", "--info", both[RUNTIME], "triggers").strip())


@case
def have_the_right_files():
    listed = {name: contents(path) for name, path in packages().items()}
    about = ["changelog.Debian.gz", "changelog.gz", "copyright"]
    equal([*about, f"libudpr.so.{SERIES}", f"libudpr.so.{VERSION}"], sorted(listed[RUNTIME]))
    for name in ("udpr.h", "udpr.ffi.h", "libudpr.a", "libudpr.so", "udpr.pc", "udprConfig.cmake", "udpr.7.gz", "udpr_transport_write.3.gz", *about):
        assert name in listed[DEV], listed[DEV]


@case
def have_copyright_changelog_and_documents():
    at, _ = root()
    for name, path in packages().items():
        about = at / "usr/share/doc" / name
        equal((ROOT / "cmake/debian/copyright").read_bytes(), (about / "copyright").read_bytes())
        equal(name == DEV, (about / "c_examples/basic_example.c").exists() and (about / "docs/howto.md").exists())
        equal((ROOT / "CHANGELOG.md").read_bytes(), gzip.decompress((about / "changelog.gz").read_bytes()))
        entry = gzip.decompress((about / "changelog.Debian.gz").read_bytes()).decode()
        day = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000"  # Debian Policy 4.4
        form = rf"udpr \({PACKAGED}\) unstable; urgency=medium\n\n  \* .+\n\n -- (.+)  {day}\n"
        equal(field(path, "Maintainer"), re.fullmatch(form, entry)[1])


def contents(path):
    lines = tool("dpkg-deb", "--contents", path).splitlines()
    names = [line.split(" -> ")[0].split()[-1] for line in lines]
    assert all(name.startswith("./usr/") for name in names), names
    return [pathlib.PurePath(name).name for name in names if not name.endswith("/")]


@case
def install_and_link_by_pkg_config():
    need("pkg-config", "pkg-config")
    _, libraries = root()
    environment = {"PATH": "/usr/bin:/bin", "PKG_CONFIG_LIBDIR": str(libraries / "pkgconfig")}
    flags = tool("pkg-config", "--cflags", "--libs", "udpr", env=environment).split()
    program = compiled("app", "app.c", *flags)
    links_shared(program, env={**os.environ, "LD_LIBRARY_PATH": str(libraries)})


@case
def install_and_link_by_cmake():
    at, _ = root()
    build, _ = configure("cmake", "Unix Makefiles", "Release", f"-DCMAKE_PREFIX_PATH={at}/usr")
    build_and_run(build, "Release")


@case
def are_removed_completely():
    at, _ = root()
    dpkg(at, "--purge", DEV, RUNTIME)
    equal([], [str(path) for path in (at / "usr").rglob("*")] if (at / "usr").exists() else [])


main()
