"""Twisted's reactor on udpr. Call `install` before the first import of `twisted.internet.reactor`."""

from udpr.twisted.reactor import UdprReactor, install

__all__ = ["UdprReactor", "install"]
