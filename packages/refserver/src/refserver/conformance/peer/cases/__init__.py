"""The catalogue of cases for clients, section by section.

Rule: a case reads like the statement that it proves, and looks at nothing else. `t` is
the scripted server; what it awaits comes from the client's connection or its stdout.

Layer: above `peer`; below `run`.
"""

from __future__ import annotations

from ...catalogue import enter, in_order
from ...model import Case
from . import (
    again,
    application,
    closing,
    endings,
    errors,
    facts,
    flow,
    framing,
    header,
    keepalive,
    last,
    layout,
    limits,
    login,
    once,
    order,
    refusals,
    replays,
    replies,
    requests,
    resume,
    strict,
    text,
    unknown,
    websocket,
    wide,
)

__all__ = ["CLIENT_CASES"]

SECTIONS = (
    login,
    keepalive,
    framing,
    header,
    layout,
    text,
    facts,
    requests,
    replies,
    errors,
    limits,
    unknown,
    application,
    closing,
    resume,
    order,
    strict,
    wide,
    flow,
    last,
    once,
    again,
    websocket,
)

enter(
    (*refusals.REFUSALS, *endings.ENDINGS, *replays.REPLAYS),
    *(module.section for module in SECTIONS),
)

CLIENT_CASES: tuple[Case, ...] = tuple(
    in_order(case for module in SECTIONS for case in module.section.in_order())
)
