"""A port for what cannot take a free one by itself, or takes the same one twice.

Rule: the kernel gives it to nobody. A port of its own range would be free only until another test
connects or listens.
"""

from __future__ import annotations

import socket
from random import SystemRandom

__all__ = ["unused_port"]

FIRST, BEHIND = 20_000, 32_768
"""Below the ports that Linux, macOS and Windows give to connections and to those who ask for 0."""


def unused_port() -> int:
    """A port on which nothing listens, by chance."""
    chance = SystemRandom()  # Hypothesis sets the seed of the usual one
    while True:
        port = chance.randrange(FIRST, BEHIND)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
