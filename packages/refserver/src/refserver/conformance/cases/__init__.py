"""The catalogue of cases for servers, section by section.

Rule: a case reads like the statement that it proves, and sends as little as it can.

Layer: above `catalogue`; below the commands.
"""

from __future__ import annotations

from ..catalogue import enter, in_order
from ..model import Case
from . import (
    application,
    clocks,
    closing,
    concurrency,
    errors,
    fragmentation,
    framing,
    header,
    identity,
    keepalive,
    leaving,
    limits,
    login,
    message,
    numbers,
    order,
    paging,
    refusals,
    replies,
    resume,
    robustness,
    shutdown,
    slow,
    takeover,
    text,
    tickets,
    version,
    websocket,
    writing,
)

__all__ = ["SERVER_CASES"]

SECTIONS = (
    framing,
    header,
    version,
    login,
    message,
    replies,
    order,
    errors,
    limits,
    fragmentation,
    closing,
    slow,
    keepalive,
    application,
    text,
    resume,
    identity,
    tickets,
    takeover,
    leaving,
    concurrency,
    paging,
    numbers,
    clocks,
    websocket,
    writing,
    robustness,
    shutdown,
)

enter(refusals.REFUSALS, *(module.section for module in SECTIONS))

SERVER_CASES: tuple[Case, ...] = tuple(
    in_order(case for module in SECTIONS for case in module.section.in_order())
)
