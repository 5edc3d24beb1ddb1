"""docs_tests.py: where a table of docs says which tests show a row, each row has some, and they exist."""

from harness import case, equal, main
from tables import exists, rows, tests

PAGES = {"misuse.md": 60, "security.md": 20, "errors.md": 7}  # and how many rows they have at least


@case
def every_row_has_tests_that_exist():
    lost = []
    for page, least in PAGES.items():
        assert len(rows(page)) > least, (page, len(rows(page)))
        lost += [(page, row[0]) for row in rows(page) if not tests(row)]
        lost += [(page, *test) for row in rows(page) for test in tests(row) if not exists(*test)]
    equal([], lost)


@case
def a_test_that_is_not_there_is_missed():
    assert exists("c/addr.c", "parse_ipv4") and exists("dependencies.py", "licences_are_among_those_allowed")
    assert not exists("c/addr.c", "parse_ipv") and not exists("c/adr.c", "parse_ipv4")


main()
