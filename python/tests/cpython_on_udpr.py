"""cpython_on_udpr.py: the tests of asyncio that CPython has, with udpr's event loop."""

import sys
import unittest

import unittest_on_udpr  # noqa: F401  makes udpr's loop the default
from test.test_asyncio import test_events

import udpr.asyncio

MODULES = (
    "test_events",
    "test_base_events",
    "test_streams",
    "test_sock_lowlevel",
    "test_server",
    "test_subprocess",
    "test_tasks",
    "test_runners",
)

test_events.EPollEventLoopTests.create_event_loop = lambda _: udpr.asyncio.new_event_loop()
suite = unittest.defaultTestLoader.loadTestsFromNames([f"test.test_asyncio.{name}" for name in MODULES])
result = unittest.TextTestRunner(verbosity=0).run(suite)
sys.exit(not result.wasSuccessful())
