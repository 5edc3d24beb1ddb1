"""kinds.py DIRECTORY: how many ways to link, compilers and languages passed, by the JUnit files of ctest there."""

import pathlib
import re
import sys
import xml.etree.ElementTree as xml

KINDS = {
    "ways to link": r"(?:consumer|consumer\.(?:builds|static|plugins|cross)) (\w+)",
    "compilers and editions": r"header ((?:gcc|g\+\+|clang|clang\+\+)_\S+)",
    "programs in other languages": r"(ffi\.\S+) ",
}


def passed(paths):
    for path in paths:
        for test in xml.parse(path).iter("testcase"):
            for name in re.findall(r"^ok (\S+)", test.findtext("system-out") or "", re.M):
                yield f"{test.get('name')} {name}"


def main(paths):
    names, kinds = set(passed(paths)), []
    for kind, pattern in KINDS.items():
        kinds.append(f"{len({found[1] for found in map(re.compile(pattern).match, names) if found})} {kind}")
    print(", ".join(kinds))


main(pathlib.Path(sys.argv[1]).glob("ctest-*.xml"))
