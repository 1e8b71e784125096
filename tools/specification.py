"""Draw the tables of docs/protocol.md from the code.

Rule: what the code knows (numbers, names, layouts, states, limits) is written into
the specification from there. Where a table's last column is the specification's own
word (the meaning of a field, when an error comes), that column is kept as it stands.

Layer: outside the packages, above `eventcodec`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tools.pages import ROOT, Blocks, Row, kept, redrawn, table

from eventcodec import (
    ApplicationEvent,
    Error,
    ErrorCode,
    Event,
    Fact,
    Ping,
    State,
)
from eventcodec.states import APPLICATION, KINDS, REPLIES, UNKNOWN
from eventcodec.tables import LIMITS, RULES, SENDABLE, STANDARD_EVENTS, Role

SPECIFICATION = ROOT / "docs/protocol.md"

# A limit of eventcodec's own is no limit of the protocol.
LIMITS_OF_THE_PACKAGE = {"MAX_FRAME_CEILING", "MAX_UNSENT_PONGS"}

NOTHING = "–"

# ---------------------------------------------------------------- events


def event_of(kind: int) -> type[Event] | None:
    if kind == APPLICATION:
        return ApplicationEvent
    return next((event for event in STANDARD_EVENTS if event.type == kind), None)


def name_of(kind: int) -> str:
    if kind in (APPLICATION, UNKNOWN):
        return "application events" if kind == APPLICATION else "unknown types"
    return f"`{STANDARD_EVENTS[kind - 1].__name__}`"


def is_fact(kind: int) -> bool:
    event = event_of(kind)
    return event is not None and issubclass(event, Fact)


REPLY_KINDS = {*REPLIES.values(), Error.type}
ASKED_BY_CLIENTS = frozenset().union(*SENDABLE.values())
EVENT_KINDS = [kind for kind in KINDS if kind != UNKNOWN]


def from_client(kind: int) -> str:
    if kind in ASKED_BY_CLIENTS:
        return "request"
    return NOTHING if RULES[Role.SERVER, State.MEMBER][kind] else "answer"


def from_server(kind: int) -> str:
    if all(RULES[Role.CLIENT, state][kind] for state in (State.NEW, State.MEMBER)):
        return NOTHING
    if is_fact(kind):
        return "fact"
    if kind == Error.type:
        return "reply, or the last frame"
    return "reply" if kind in REPLY_KINDS else "question"


def types(body: str) -> str:
    def row(kind: int) -> Row:
        event = event_of(kind)
        assert event is not None
        number = f"0x{kind:02X}" + ("–0xFF" if kind == APPLICATION else "")
        fields = ", ".join(part.name for part in event.parts) or NOTHING
        return number, name_of(kind), from_client(kind), from_server(kind), fields

    head = ("type", "event", "from a client", "from a server", "body")
    return table(head, [row(kind) for kind in EVENT_KINDS])


def fields_of(event: type[Event]) -> Callable[[str], str]:
    def fields(body: str) -> str:
        rows = [
            (part.name, re.sub(r"\b(u\d+)\b", r"`\1`", part.layout), kept(body, part.name))
            for part in event.parts
        ]
        return table(("field", "layout", "meaning"), rows)

    return fields


# ---------------------------------------------------------------- states


def answer(state: State, kind: int) -> str:
    refused = RULES[Role.SERVER, state][kind]
    if refused is not None:
        return refused.name
    return name_of(REPLIES[kind]) if kind in REPLIES else "no reply"


def server_states(body: str) -> str:
    states = (State.NEW, State.MEMBER)
    rows = [(name_of(kind), *(answer(state, kind) for state in states)) for kind in KINDS]
    return table(("from the client", *(state.name for state in states)), rows)


def reading(state: State, kind: int) -> str:
    if RULES[Role.CLIENT, state][kind]:
        return "server's fault"
    if kind == UNKNOWN:
        return "handed on"
    if kind == Ping.type:
        return "answered with `Pong`"
    if kind == Error.type:
        return "reply; with seq 0 the end"
    return "fact" if is_fact(kind) else "reply"


def client_states(body: str) -> str:
    states = (State.NEW, State.MEMBER)
    rows = [(name_of(kind), *(reading(state, kind) for state in states)) for kind in KINDS]
    return table(("from the server", *(state.name for state in states)), rows)


def client_sends(body: str) -> str:
    asked = {State.NEW: "nothing yet", State.MEMBER: "Login sent", State.LEAVING: "Logout sent"}
    rows = [
        (name_of(kind), *("yes" if kind in SENDABLE[state] else "no" for state in asked))
        for kind in EVENT_KINDS
        if kind in ASKED_BY_CLIENTS
    ]
    return table(("may be sent", *asked.values()), rows)


# ---------------------------------------------------------------- numbers


def errors(body: str) -> str:
    rows = [
        (str(code.value), code.name, "yes" if code.fatal else "no", code.meaning,
         kept(body, str(code.value)))
        for code in ErrorCode
    ]  # fmt: skip
    return table(("code", "name", "fatal", "meaning", "when"), rows)


def number(value: int) -> str:
    wide = value >= 1 << 32 and value & (value + 1) == 0
    return f"2^{value.bit_length()} − 1" if wide else f"{value:,}"


def limits(body: str) -> str:
    rows = [
        (f"`{limit.name}`", number(limit.value), limit.unit or "a number", limit.reason)
        for limit in LIMITS
        if limit.name not in LIMITS_OF_THE_PACKAGE
    ]
    return table(("limit", "value", "unit", "why"), rows)


EVENTS: tuple[type[Event], ...] = (*STANDARD_EVENTS, ApplicationEvent)
BLOCKS: Blocks = {
    "types": types,
    **{f"fields {event.__name__}": fields_of(event) for event in EVENTS if event.parts},
    "server-states": server_states,
    "client-states": client_states,
    "client-sends": client_sends,
    "limits": limits,
    "errors": errors,
}


def generate(text: str) -> str:
    """The specification with every marked block drawn anew; raises `Missing`, as `redrawn`."""
    return redrawn(text, BLOCKS)


def files() -> dict[Path, str]:
    return {SPECIFICATION: generate(SPECIFICATION.read_text(encoding="utf-8"))}
