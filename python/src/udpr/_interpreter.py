"""udpr works in the main interpreter only: its callbacks, which C knows by address, belong to one interpreter."""

from __future__ import annotations

import importlib


def refuse_subinterpreters() -> None:
    """Raises ImportError in a sub-interpreter."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # CPython 3.13, and the versions before it
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        current, main = interpreters.get_current(), interpreters.get_main()
        # 3.13 returns (id, whence), earlier versions an id.
        if str(current) != str(main):
            raise ImportError("udpr cannot be imported in a sub-interpreter: its callbacks belong to the main interpreter")
        return
