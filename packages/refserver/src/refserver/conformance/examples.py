"""What each case sends, for those who ask without running it.

Rule: `examples.json` is recorded by `python -m tools record examples`, and never edited.

Layer: above `model`.
"""

from __future__ import annotations

import json
from functools import cache
from pkgutil import get_data
from typing import Any

from .model import Direction, Step
from .wire import HALF_CLOSED, RESET

__all__ = ["example", "is_noted"]


def is_noted(note: str) -> bool:
    """Whether a note says what the kit did on a connection beside sending frames.

    >>> is_noted("WebSocket: a Close with code 1000"), is_noted("the end of the stream")
    (True, False)
    """
    return note in (HALF_CLOSED, RESET) or note.startswith("WebSocket: ")


def example(id: str) -> tuple[Step, ...]:
    """What the kit sent when this case was run, in order; empty where that was not recorded.

    Of many bytes the first only; `size` says how many there were.
    """
    return tuple(map(_step, _examples().get(id, ())))


@cache
def _examples() -> dict[str, list[dict[str, Any]]]:
    data = get_data(__name__, "examples.json")
    assert data is not None, "the file is installed beside this one"
    found: dict[str, list[dict[str, Any]]] = json.loads(data)
    return found


def _step(said: dict[str, Any]) -> Step:
    direction = Direction.NOTE if "note" in said else Direction.SENT
    unsaid = {"at": 0.0, "direction": direction, "data": "", "size": 0, "note": ""}
    return Step.from_json(unsaid | said)
