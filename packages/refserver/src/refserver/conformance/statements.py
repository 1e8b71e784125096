"""The specification's numbered sentences, for those who have only this package.

Rule: `statements.json` is made from docs/protocol.md by `python -m tools`, and
never edited.

Layer: the ground of the kit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

__all__ = ["statements"]


@cache
def statements() -> Mapping[str, str]:
    """Each statement under its number, in the specification's order.

    >>> statements()["EP-2.2-1"]
    'A sender MUST write `version` 1.'
    """
    text = files("refserver.conformance").joinpath("statements.json").read_text(encoding="utf-8")
    return MappingProxyType(json.loads(text))
