"""The native module, where it was built and is wanted.

Rule: this is the only module that imports `_speedups`. With EVENTCODEC_PURE=1 in the environment
there is none, and none on a free-threaded Python: it shares nothing between threads, but was never
tested there.

Layer: the ground, beside `errors`.
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
"""What encodes and decodes: "native", the C module, or "pure", Python. Both do the same."""
