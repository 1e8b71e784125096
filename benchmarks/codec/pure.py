"""eventcodec a second time, without its native module, in the same process.

Rule: the copy is complete and shares nothing: its classes are not those of `import eventcodec`.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

__all__ = ["pure"]


def _import() -> ModuleType:
    mine = [name for name in sys.modules if name.partition(".")[0] == "eventcodec"]
    native = {name: sys.modules.pop(name) for name in mine}
    before = os.environ.get("EVENTCODEC_PURE")
    os.environ["EVENTCODEC_PURE"] = "1"
    try:
        return importlib.import_module("eventcodec")
    finally:
        if before is None:
            del os.environ["EVENTCODEC_PURE"]
        for name in [name for name in sys.modules if name.partition(".")[0] == "eventcodec"]:
            del sys.modules[name]
        sys.modules.update(native)


pure = _import()
"""The copy. It imports nothing of its own later: all of its modules are loaded with it."""
