"""docs_tests.py: every row of a table of docs with a column "test" names tests, and these exist."""

from harness import case, equal, main
from docs_tables import exists, rows, tests

PAGES = {"misuse.md": 60, "security.md": 20, "errors.md": 7}  # with their minimum numbers of rows


@case
def every_row_has_tests_that_exist():
    missing = []
    for page, minimum in PAGES.items():
        assert len(rows(page)) > minimum, (page, len(rows(page)))
        missing += [(page, row[0]) for row in rows(page) if not tests(row)]
        missing += [(page, *test) for row in rows(page) for test in tests(row) if not exists(*test)]
    equal([], missing)


@case
def a_test_that_does_not_exist_is_found():
    assert exists("c/addr.c", "parse_ipv4") and exists("dependencies.py", "licences_are_among_those_allowed")
    assert not exists("c/addr.c", "parse_ipv") and not exists("c/adr.c", "parse_ipv4")


main()
