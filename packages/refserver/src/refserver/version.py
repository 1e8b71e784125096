"""The version of refserver; its only source.

Rule: a constant, which survives copying: a zipapp or a frozen program has no metadata.

Layer: the bottom layer of refserver.
"""

from __future__ import annotations

__all__ = ["VERSION"]

VERSION = "0.2.0"
