"""Which events a role can send in a state: two tables over the types of events.

Rule: only the tables here decide whether an event is allowed now. Tests walk every cell, and the
documentation is generated from them.

Layer: above `decoder`, below `connection`.
"""

from __future__ import annotations

from enum import Enum

from .errors import ErrorCode, LocalProtocolError
from .events import (
    APPLICATION_TYPES,
    STANDARD_EVENTS,
    Ack,
    Error,
    Joined,
    Left,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    Welcome,
)

__all__ = [
    "APPLICATION",
    "KINDS",
    "REPLIES",
    "RULES",
    "SENDABLE",
    "UNKNOWN",
    "Role",
    "State",
    "kind_of",
    "validate",
]


class Role(Enum):
    """The two ends of a connection."""

    CLIENT = "client"
    SERVER = "server"


class State(Enum):
    """How far a connection is."""

    NEW = "new"
    """Before the login."""
    MEMBER = "member"
    """Logged in; for what a client may send, also while its Login is on its way."""
    LEAVING = "leaving"
    """Client only: a Logout is on its way."""
    ENDED = "ended"
    """No more events in either direction."""


APPLICATION = APPLICATION_TYPES.start
"""Stands for all application events in the tables."""
UNKNOWN = 0x00
"""Stands for all types that version 1 does not know."""

KINDS = (*(event.type for event in STANDARD_EVENTS), APPLICATION, UNKNOWN)


def kind_of(type: int) -> int:
    """The row of the tables that a type belongs to."""
    if type in APPLICATION_TYPES:
        return APPLICATION
    return type if type in KINDS else UNKNOWN


_Row = dict[int, ErrorCode | None]
OK = None
_FROM_CLIENT: _Row = {
    UNKNOWN: ErrorCode.UNKNOWN_TYPE,
    Ping.type: OK,
    Pong.type: OK,
    Ack.type: ErrorCode.UNEXPECTED_EVENT,
    Error.type: ErrorCode.UNEXPECTED_EVENT,
    Welcome.type: ErrorCode.UNEXPECTED_EVENT,
    Joined.type: ErrorCode.UNEXPECTED_EVENT,
    Left.type: ErrorCode.UNEXPECTED_EVENT,
}
_FROM_SERVER: _Row = {
    UNKNOWN: OK,
    Ping.type: OK,
    Pong.type: OK,
    Error.type: OK,
    Login.type: ErrorCode.UNEXPECTED_EVENT,
    Logout.type: ErrorCode.UNEXPECTED_EVENT,
}
_TO_MEMBERS = (Message.type, Joined.type, Left.type, APPLICATION, Ack.type)
_TO_STRANGERS = (Welcome.type,)


def _to_client(expected: tuple[int, ...], unexpected: tuple[int, ...]) -> _Row:
    refused = dict.fromkeys(unexpected, ErrorCode.UNEXPECTED_EVENT)
    return {**_FROM_SERVER, **dict.fromkeys(expected, OK), **refused}


_NOTHING: _Row = dict.fromkeys(KINDS, ErrorCode.UNEXPECTED_EVENT)

RULES: dict[tuple[Role, State], _Row] = {
    (Role.SERVER, State.NEW): {
        **_FROM_CLIENT,
        Login.type: OK,
        Message.type: ErrorCode.LOGIN_REQUIRED,
        Logout.type: ErrorCode.LOGIN_REQUIRED,
        APPLICATION: ErrorCode.LOGIN_REQUIRED,
    },
    (Role.SERVER, State.MEMBER): {
        **_FROM_CLIENT,
        Login.type: ErrorCode.ALREADY_LOGGED_IN,
        Message.type: OK,
        Logout.type: OK,
        APPLICATION: OK,
    },
    (Role.SERVER, State.ENDED): _NOTHING,
    (Role.CLIENT, State.NEW): _to_client(_TO_STRANGERS, _TO_MEMBERS),
    (Role.CLIENT, State.MEMBER): _to_client(_TO_MEMBERS, _TO_STRANGERS),
    (Role.CLIENT, State.LEAVING): _to_client(_TO_MEMBERS, _TO_STRANGERS),
    (Role.CLIENT, State.ENDED): _NOTHING,
}
"""For each role, state and kind of event: None if the event is allowed, else the error code."""

SENDABLE: dict[State, frozenset[int]] = {
    State.NEW: frozenset({Login.type, Ping.type}),
    State.MEMBER: frozenset({Message.type, Logout.type, Ping.type, APPLICATION}),
    State.LEAVING: frozenset(),
    State.ENDED: frozenset(),
}
"""The requests that a client can send in each state. After a Login it need not wait for the
reply."""

REPLIES: dict[int, int] = {
    Login.type: Welcome.type,
    Message.type: Ack.type,
    Logout.type: Ack.type,
    Ping.type: Pong.type,
    APPLICATION: Ack.type,
}
"""The type of the reply to each accepted request. The reply to any other request is an Error."""


def validate(role: Role, state: State, type: int) -> ErrorCode | None:
    """Returns None if an event of this type is allowed now, else the error code.

    Raises LocalProtocolError for a state that the role does not have: LEAVING for a server.

    >>> validate(Role.SERVER, State.NEW, Message.type)
    <ErrorCode.LOGIN_REQUIRED: 10>
    """
    row = RULES.get((role, state))
    if row is None:
        raise LocalProtocolError(f"a {role.value} is never {state.value}", field="state")
    return row[kind_of(type)]
