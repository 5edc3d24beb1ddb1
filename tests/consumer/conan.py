"""conan.py: the package that `conan create` makes from a release tarball without a network, used as in docs/linking.md."""

import os
import re
import shutil

import harness
from harness import Skip, case, equal, main, need
from project import HERE, ROOT, SERIES, VERSION, WORK, links_static, needed
from release import tarball, without_network

harness.TIMEOUT = 900  # a build of the Rust code
CREATE, *USE = re.search(r"```sh\n(conan create .*?)```", (ROOT / "docs/linking.md").read_text(encoding="utf-8"), re.S)[1].splitlines()
PATH = f"{ROOT}/build/python/bin:{os.environ['PATH']}"  # scripts/setup installs conan in the first one
CONAN = WORK / "conan"


def run(command):
    return without_network("sh", "-ec", command + " 2>&1", path=PATH, variables={"CONAN_HOME": str(CONAN)})


def create(*options):
    """Runs `conan create` in Debug. Returns its output."""
    if not shutil.which("conan", path=PATH):
        raise Skip("no conan (scripts/setup all)")
    if not CONAN.exists():
        (WORK / "udpr").symlink_to(tarball()[1])
        run("conan profile detect")
        settings = ("tools.cmake.cmaketoolchain:user_presets=", f"tools.cmake.cmake_layout:test_folder={WORK}/test")
        (CONAN / "global.conf").write_text("\n".join(settings), encoding="utf-8")
        profile = CONAN / "profiles/default"
        profile.write_text(profile.read_text(encoding="utf-8").replace("=Release", "=Debug"), encoding="utf-8")
    return run(" ".join((CREATE.split("#")[0], *options)))


def tested_program():
    return next((WORK / "test").glob("**/app"))


@case
def is_static_by_default():
    said = create()
    assert "Running test()" in said and f"{VERSION} UDPR_OK" in said, said
    links_static(tested_program())


@case
def is_not_built_again_for_the_shared_library():
    said = create("--build=missing", "--options=shared=True")
    assert "Already installed!" in said and f"{VERSION} UDPR_OK" in said, said
    assert f"libudpr.so.{SERIES}" in needed(tested_program()), needed(tested_program())


@case
def links_by_pkg_config():
    need("pkg-config", "pkg-config")
    create("--build=missing")
    (WORK / "app.c").write_bytes((HERE / "app.c").read_bytes())
    run("\n".join(USE))
    links_static(WORK / "app")


@case
def contains_what_an_installation_has():
    create("--build=missing")
    package = next(CONAN.glob("p/b/*/p"))
    for name in ("include/udpr/udpr.h", "lib/libudpr.so", "lib/static/libudpr.a", "share/man/man7/udpr.7", "licenses/LICENSE-MIT"):
        assert (package / name).exists(), sorted(package.rglob("*"))
    equal([], [path.name for path in package.rglob("*.cmake")])


main()
