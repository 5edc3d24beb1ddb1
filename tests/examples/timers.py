"""timers.py PROGRAM: a periodic call, and a watchdog that ends the program when it stops."""

import subprocess
import sys
import time

from harness import case, equal, main

PROGRAM = sys.argv[1]


@case
def beats_and_ends_when_no_beat_comes():
    begin = time.monotonic()
    out = subprocess.run([PROGRAM], capture_output=True, text=True, check=True).stdout
    elapsed = time.monotonic() - begin
    equal([f"beat {i}" for i in range(1, 6)] + ["no beat for 250 ms"], out.splitlines())
    assert elapsed >= 4 * 0.1 + 0.25, elapsed


main()
