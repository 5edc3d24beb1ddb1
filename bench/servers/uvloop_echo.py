"""The same program as asyncio_echo.py, on uvloop."""

import asyncio_echo
import uvloop

asyncio_echo.serve(uvloop.new_event_loop())
