"""`python -P -m refserver.tethered`: the command line on a tether, which is its stdin.

Rule: when stdin ends, the server is stopped, and killed if it does not stop. stdin ends when the
process at its other end closes it or dies.

Layer: above `cli`.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from .cli import main

TIMEOUT = 10.0
"""Seconds to stop in, once the tether is gone."""


def follow(tether: int) -> None:
    """Wait for the end of the tether, and end this process; signals are for the main thread.

    It blocks them when the server has stopped, so that a late one changes no exit code.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while os.read(tether, 1 << 10):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(TIMEOUT)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=follow, args=(0,), daemon=True).start()
    main(prog_name="refserver")
