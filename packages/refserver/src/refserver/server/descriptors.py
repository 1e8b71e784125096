"""How many connections the file descriptors of this process suffice for.

Rule: some descriptors are always left for other things than connections with a place.

Layer: above `config`, below `server`.
"""

from __future__ import annotations

import resource
import sys

from .config import Config

__all__ = ["RESERVED", "descriptors", "most_connections", "most_lingering"]

RESERVED = 64
"""File descriptors that are kept free for connections that are closing, and for other files."""
OTHERS = 16
"""Those of them for the loop, the listeners and files."""


def descriptors() -> int:
    """The number of file descriptors that this process can open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def most_connections(config: Config) -> int:
    """The most connections with a place: the setting, or what the descriptors suffice for."""
    return max(1, min(config.connections, descriptors() - RESERVED))


def most_lingering(config: Config) -> int:
    """The most connections that wait for the client's end: the setting, or the descriptors that are
    left."""
    return min(config.closing, descriptors() - most_connections(config) - OTHERS)
