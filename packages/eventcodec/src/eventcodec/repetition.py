"""Bound what a declaration may repeat.

Rule: a frame is worth a number of elements that grows with its size. A count in a frame can be
any number, and an element can have no byte: without this bound a few bytes cost hours.

Layer: above nothing, below `reference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import construct

__all__ = ["Budget", "bounded"]

ELEMENTS = 65_536
"""Elements of any frame, and"""
ELEMENTS_PER_BYTE = 8
"""so many for each byte of its body: one for each bit."""

_REPEATING = (construct.Array, construct.LazyArray, construct.GreedyRange, construct.RepeatUntil)


class Budget:
    """How many elements a body of `size` bytes may still have."""

    def __init__(self, size: int) -> None:
        self._left = ELEMENTS + ELEMENTS_PER_BYTE * size

    def charge(self, path: str) -> None:
        """Count one element. Raises ExplicitError, which no subcon takes for an end."""
        self._left -= 1
        if self._left < 0:
            raise construct.ExplicitError("more elements than its bytes can have", path=path)


class _Element(construct.Subconstruct):  # type: ignore[type-arg]
    """An element of a repetition, counted when it is read.

    The budget is what the context's `_params` have as `_budget`. construct hands these down.
    """

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        self._charge(context, path)
        return self.subcon._parsereport(stream, context, path)

    def _actualsize(self, stream: Any, context: Any, path: str) -> Any:
        self._charge(context, path)
        return self.subcon._actualsize(stream, context, path)  # type: ignore[attr-defined]

    def _charge(self, context: Any, path: str) -> None:
        budget = context._params.get("_budget")
        if budget is not None:
            budget.charge(path)


def bounded(subcon: Any) -> Any:
    """The same subcon with each repetition in it bounded. The subcon itself does not change."""
    return _bounded(subcon, {})


def _bounded(value: Any, done: dict[int, Any]) -> Any:
    if isinstance(value, construct.Construct):
        return done[id(value)] if id(value) in done else _bounded_subcon(value, done)
    if isinstance(value, Mapping):
        if not any(isinstance(each, construct.Construct) for each in value.values()):
            return value
        return type(value)({name: _bounded(each, done) for name, each in value.items()})  # type: ignore[call-arg]
    if type(value) in (list, tuple):
        return type(value)(_bounded(each, done) for each in value)
    return value


def _bounded_subcon(subcon: Any, done: dict[int, Any]) -> Any:
    made = done[id(subcon)] = copy(subcon)
    for name, value in vars(subcon).items():
        setattr(made, name, _bounded(value, done))
    if isinstance(subcon, _REPEATING):
        made.subcon = _Element(made.subcon)
    elif isinstance(subcon, construct.LazyBound):
        made.subconfunc = lambda: bounded(subcon.subconfunc())
    return made
