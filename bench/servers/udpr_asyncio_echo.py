"""The same program as asyncio_echo.py, on udpr's event loop."""

import asyncio_echo
import udpr.asyncio

asyncio_echo.serve(udpr.asyncio.new_event_loop())
