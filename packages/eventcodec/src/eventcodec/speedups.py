"""The native module, if it was built and is not turned off.

Rule: this is the only module that imports `_speedups`. EVENTCODEC_PURE=1 in the environment turns
it off. It is also off on a free-threaded Python: it shares nothing between threads, but it is not
tested there.

Layer: the bottom layer, beside `errors`.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType

__all__ = ["IMPLEMENTATION", "native"]


def _load() -> ModuleType | None:
    if os.environ.get("EVENTCODEC_PURE") == "1" or "free-threading" in sys.version:
        return None
    try:
        return import_module("eventcodec._speedups")
    except ImportError:  # there was no compiler, or it is the pure wheel
        return None


native = _load()
IMPLEMENTATION = "pure" if native is None else "native"
"""The implementation in use: "native" (C) or "pure" (Python). Both have the same results."""
