"""unittest_on_udpr.py ARGUMENT...: python -m unittest, with udpr's event loop wherever asyncio makes one."""

import asyncio
import unittest
import warnings

import udpr.asyncio


class Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = udpr.asyncio.EventLoop


warnings.simplefilter("ignore")
asyncio.set_event_loop_policy(Policy())
if __name__ == "__main__":
    unittest.main(module=None)
