"""The same program as twisted_echo.py, on udpr's reactor."""

import udpr.twisted

udpr.twisted.install()

import twisted_echo  # noqa: E402, F401
