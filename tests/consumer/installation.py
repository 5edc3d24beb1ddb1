"""The installation of a build directory, for the tests that link with it. Arguments of the script: BUILD_DIR CONFIG."""

import re
import sys

from harness import need, tool
from project import ROOT, WORK

BUILD_DIR, CONFIG = sys.argv[1:]


def install():
    """Installs udpr and moves the tree to another place. Returns it and its library directory."""
    prefix = WORK / "moved"
    if not prefix.exists():
        tool("cmake", "--install", BUILD_DIR, "--config", CONFIG, "--prefix", WORK / "prefix")
        (WORK / "prefix").rename(prefix)
    return prefix, next(prefix.glob("**/libudpr.so")).parent


def pkg_config(*arguments):
    need("pkg-config", "pkg-config")
    _, libraries = install()
    environment = {"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(libraries / "pkgconfig")}
    return tool("pkg-config", *arguments, "udpr", env=environment).split()


def system_libraries():
    """Returns the linker flags of the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(r"libudpr\.a ((?:-l\w+ )+)-o app", readme).group(1).split()


def static_flags():
    """Returns the compiler flags that link a program with the static library."""
    prefix, libraries = install()
    return [f"-I{prefix}/include", libraries / "libudpr.a", *system_libraries()]
