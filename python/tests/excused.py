"""Tests of others that may fail on udpr, or are skipped, by the last part of their names, and why."""

MAY_FAIL = {
    "test_changeUID": "the child needs a Python that another user can start; it fails on Twisted's own reactor, too",
}

SKIPPED = {
    "test_lostFileDescriptor": "epoll forgets a descriptor that is closed; Twisted skips the test for its own epoll reactor",
}
"""Tests that would run into their time limit."""
