"""Mutants that are wrong about who is there, under which name, and whether they may.

Rule: the room's own methods are changed, and what validates names and credentials.

Layer: above `replying`.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from eventcodec import (
    Error,
    ErrorCode,
    Joined,
    LeftReason,
    Login,
    Welcome,
    encode,
)

from ..session import names, session
from ..session.context import Proof
from ..session.outbox import Outbox
from ..session.room import LoginRefused, Room
from ..session.session import Session
from ..session.state import State
from .registry import Patch, mutant
from .replying import on_reply


@mutant("joined-not-told", "an arrival is not entered")
def _(patch: Patch) -> None:
    def admit(original: Any, self: Any, *arguments: Any) -> None:
        presence, self.presence = self.presence, False
        original(self, *arguments)
        self.presence = presence

    patch.around(Room, "admit", admit)


def on_leave(patch: Patch, how: Callable[[Any, LeftReason], LeftReason]) -> None:
    patch.around(
        Room,
        "leave",
        lambda original, self, member, reason: original(self, member, how(self, reason)),
    )


@mutant("left-not-told", "a departure is not entered")
def _(patch: Patch) -> None:
    def leave(original: Any, self: Any, member: Any, reason: Any) -> int:
        presence, self.presence = self.presence, False
        original(self, member, reason)
        self.presence = presence
        return 0

    patch.around(Room, "leave", leave)


@mutant("left-twice", "a departure is entered twice")
def _(patch: Patch) -> None:
    def leave(original: Any, self: Any, member: Any, reason: Any) -> int:
        position: int = original(self, member, reason)
        if position and reason is LeftReason.LEFT:
            (frame, _) = self.log.segment(position - 1, position)
            self.log.append(frame[:8] + struct.pack(">Q", position + 1) + frame[16:])
        return position

    patch.around(Room, "leave", leave)


@mutant("logout-told-as-lost", "the Left of a Logout has reason 1")
def _(patch: Patch) -> None:
    on_leave(patch, lambda room, why: LeftReason.LOST if why is LeftReason.LEFT else why)


@mutant("loss-told-as-logout", "the Left of a loss has reason 0")
def _(patch: Patch) -> None:
    on_leave(patch, lambda room, why: LeftReason.LEFT if why is LeftReason.LOST else why)


@mutant("eviction-told-as-lost", "the Left of an eviction has reason 1", needs=("evicts",))
def _(patch: Patch) -> None:
    on_leave(patch, lambda room, why: LeftReason.LOST if why is LeftReason.EVICTED else why)


@mutant("name-kept", "a name is not free again")
def _(patch: Patch) -> None:
    def leave(original: Any, self: Any, member: Any, reason: Any) -> int:
        position: int = original(self, member, reason)
        self.members[names.key_of(member.user)] = replace(member)
        return position

    patch.around(Room, "leave", leave)


@mutant("name-given-twice", "a name in use is granted to another client too, with a small change")
def _(patch: Patch) -> None:
    numbers = count(2)

    def enter(original: Any, self: Any, session: Any, user: str, **named: Any) -> Any:
        try:
            return original(self, session, user, **named)
        except LoginRefused as refused:
            if refused.code is not ErrorCode.USER_TAKEN:
                raise
            return original(self, session, f"{user}{next(numbers)}", **named)

    patch.around(Room, "enter", enter)


@mutant("empty-name-granted", "an empty user gets a name with an invisible character")
def _(patch: Patch) -> None:
    def enter(original: Any, self: Any, session: Any, user: str, **named: Any) -> Any:
        return original(self, session, user or f"\u200bguest{next(numbers)}", **named)

    numbers = count()
    patch.around(Room, "enter", enter)


@mutant("guests-all-alike", "every empty user gets the same name")
def _(patch: Patch) -> None:
    def welcomed(request: Any, event: Any, frame: bytes) -> bytes:
        nameless = isinstance(event, Welcome) and not request.user
        return encode(replace(event, user="guest")) if nameless else frame

    on_reply(patch, welcomed)


@mutant("code-point-forgotten", "U+FFA0 may stand in a name")
def _(patch: Patch) -> None:
    patch.around(names, "error_of", lambda original, name: original(name.replace("\uffa0", "x")))


@mutant("invisible-marks-pass", "a variation selector may stand in a name")
def _(patch: Patch) -> None:
    patch.around(names, "error_of", lambda original, name: original(name.replace("\ufe0f", "x")))


@mutant("names-not-judged", "any name is allowed")
def _(patch: Patch) -> None:
    patch.set(names, "error_of", lambda name: None)


@mutant("only-ascii-names", "only ASCII may stand in a name")
def _(patch: Patch) -> None:
    patch.around(
        names, "error_of", lambda original, name: original(name if name.isascii() else "\0")
    )


@mutant("long-name-cut", "a long name is cut to 100 characters")
def _(patch: Patch) -> None:
    def enter(original: Any, self: Any, session: Any, user: str, **named: Any) -> Any:
        return original(self, session, user[:100], **named)

    patch.around(Room, "enter", enter)


@mutant("tickets-counted", "tickets are counted")
def _(patch: Patch) -> None:
    numbers = count(1)

    def made(original: Any, self: Any, **named: Any) -> None:
        original(self, **(named | {"new_ticket": lambda: next(numbers)}))

    patch.around(Room, "__init__", made)


@mutant("history-for-everybody", "a new member reads the last five entries")
def _(patch: Patch) -> None:
    def enter(original: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        member, cursor = original(self, *arguments, **named)
        return member, max(0, cursor - 5)

    patch.around(Room, "enter", enter)


@mutant("own-joined-carried", "a new member reads its own arrival")
def _(patch: Patch) -> None:
    def join(original: Any, self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self.outbox.cursor -= 1

    patch.around(Session, "join", join)


@mutant("strangers-read", "a client without login reads facts too")
def _(patch: Patch) -> None:
    def from_log(original: Any, self: Any, stop: int | None = None) -> bytes:
        if self.in_log or self.closed:
            return original(self, stop)  # type: ignore[no-any-return]
        cursor = max(self.cursor, self.log.end - 1)
        data, self.cursor = self.log.segment(cursor, None)
        return data  # type: ignore[no-any-return]

    patch.around(Outbox, "read_log", from_log)


@mutant("credential-judged-though-open", "a credential is refused where none is needed")
def _(patch: Patch) -> None:
    def login(original: Any, self: Any, login: Login, now: float) -> None:
        if login.credential:
            self.goodbye(ErrorCode.UNAUTHORIZED)
        else:
            original(self, login, now)

    patch.around(Session, "login", login)


@mutant("refused-login-ends", "a refused Login ends the connection")
def _(patch: Patch) -> None:
    def login(original: Any, self: Any, login: Login, now: float) -> None:
        original(self, login, now)
        if self.member is None and self.state != State.REJECTED:
            self.goodbye(ErrorCode.MALFORMED)

    patch.around(Session, "login", login)


@mutant("refused-login-enters", "a refused Login makes a Joined")
def _(patch: Patch) -> None:
    def enter(original: Any, self: Any, session: Any, user: str, **named: Any) -> Any:
        try:
            return original(self, session, user, **named)
        except LoginRefused:
            self.log.append(encode(Joined(user=user, seq=self.log.end + 1)))
            raise

    patch.around(Room, "enter", enter)


@mutant("unauthorized-at-once", "UNAUTHORIZED is sent without delay", needs=("credentials",))
def _(patch: Patch) -> None:
    patch.set(session, "REJECT_DELAY", 0.0)


@mutant("any-credential-accepted", "a wrong credential is accepted", needs=("credentials",))
def _(patch: Patch) -> None:
    patch.set(Session, "authenticate", lambda self, login: Proof())


@mutant(
    "name-before-credential", "the name is validated before the credential", needs=("credentials",)
)
def _(patch: Patch) -> None:
    def login(original: Any, self: Any, login: Login, now: float) -> None:
        if names.error_of(login.user):
            self.reply(self.answer(login, Error(code=ErrorCode.BAD_USER)))
        else:
            original(self, login, now)

    patch.around(Session, "login", login)


@mutant("refusal-stops-the-world", "a delayed refusal stops the server", needs=("credentials",))
def _(patch: Patch) -> None:
    def login(original: Any, self: Any, login: Login, now: float) -> None:
        original(self, login, now)
        if self.state == State.REJECTED:
            time.sleep(session.REJECT_DELAY)  # what the mutant is about: everybody waits
            self.goodbye(ErrorCode.UNAUTHORIZED)

    patch.around(Session, "login", login)


@mutant(
    "presence-not-hidden",
    "without presence, arrivals and departures are entered anyway",
    needs=("no-presence",),
    presence=False,
)
def _(patch: Patch) -> None:
    def made(original: Any, self: Any, **named: Any) -> None:
        original(self, **(named | {"presence": True}))

    patch.around(Room, "__init__", made)
