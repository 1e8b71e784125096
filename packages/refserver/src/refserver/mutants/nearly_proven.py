"""Mutants that let in who proves something else, and that change names on the way.

Rule: each is one careless comparison.

Layer: above `points`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from eventcodec import ErrorCode, InvalidRequest, LeftReason, Login

from ..characters import has_invisible
from ..session import names
from ..session.context import Proof
from . import points
from .registry import Patch, mutant

GUARDED = ("credentials",)
Ask = Callable[[str, bytes], Any]


def lets_in(name: str, wrong: str, also: Callable[[Ask, Login], Proof | None]) -> None:
    """A mutant that accepts what is right, and what `also` accepts."""

    def authenticate(ask: Ask, login: Login) -> Proof | None:
        return ask(login.user, login.credential) or also(ask, login)

    mutant(name, wrong, needs=GUARDED)(lambda patch: points.on_authenticate(patch, authenticate))


def first(found: Any) -> Proof | None:
    return next((proof for proof in found if proof), None)


lets_in(
    "empty-credential-proves",
    "an empty credential proves any name",
    lambda ask, login: None if login.credential else Proof(login.user),
)
lets_in(
    "anybodys-credential-proves",
    "any user's credential proves any name",
    lambda ask, login: ask("", login.credential) and Proof(login.user),
)
lets_in(
    "longer-credential-proves",
    "what comes after a credential is not compared",
    lambda ask, login: first(
        ask(login.user, login.credential[:n]) for n in range(1, min(64, len(login.credential)))
    ),
)
lets_in(
    "shorter-credential-proves",
    "a credential without its last byte is accepted",
    lambda ask, login: first(ask(login.user, login.credential + bytes([n])) for n in range(256)),
)
lets_in(
    "credential-of-any-case",
    "credentials are compared without case",
    lambda ask, login: ask(login.user, login.credential.swapcase()),
)
lets_in(
    "credential-of-seven-bits",
    "the last bit of a credential is not compared",
    lambda ask, login: (
        ask(login.user, login.credential[:-1] + bytes([login.credential[-1] ^ 1]))
        if login.credential
        else None
    ),
)
lets_in(
    "credential-searched-for",
    "the credential is accepted if the received bytes contain it",
    lambda ask, login: first(
        ask(login.user, login.credential[n:]) for n in range(1, min(64, len(login.credential)))
    ),
)
lets_in(
    "ticket-proves",
    "a ticket is treated as a proof, whatever the credential",
    lambda ask, login: (
        Proof(login.user) if login.ticket and not ask("", login.credential) else None
    ),
)
lets_in(
    "anybody-resumes",
    "at a resume any user's credential will do",
    lambda ask, login: Proof(login.user) if login.ticket and ask("", login.credential) else None,
)
lets_in(
    "credential-cut-at-255",
    "only the first 255 bytes of a credential are checked, without zeros at their end",
    lambda ask, login: (
        ask(login.user, login.credential[:255].rstrip(b"\0"))
        if len(login.credential) > 255
        else None
    ),
)


@mutant("proven-name-not-given", "an empty user gets a new name, whatever it proves", needs=GUARDED)
def _(patch: Patch) -> None:
    def authenticate(ask: Ask, login: Login) -> Proof | None:
        proof: Proof | None = ask(login.user, login.credential)
        return Proof() if proof and not login.user and not login.ticket else proof

    points.on_authenticate(patch, authenticate)


@mutant(
    "empty-user-resumes-anybody",
    "an empty user resumes any session, whatever name it proves",
    needs=GUARDED,
)
def _(patch: Patch) -> None:
    def authenticate(ask: Ask, login: Login) -> Proof | None:
        proof: Proof | None = ask(login.user, login.credential)
        return Proof() if proof and not login.user and login.ticket else proof

    points.on_authenticate(patch, authenticate)


@mutant("empty-user-resumes-nothing", "a resume has to name its user", needs=GUARDED)
def _(patch: Patch) -> None:
    def authenticate(ask: Ask, login: Login) -> Proof | None:
        proof: Proof | None = ask(login.user, login.credential)
        return None if not login.user and login.ticket else proof

    points.on_authenticate(patch, authenticate)


@mutant(
    "taken-before-credential",
    "a name in use is reported before the credential is checked",
    needs=GUARDED,
)
def _(patch: Patch) -> None:
    def login(original: Any, self: Any, login: Login, now: float) -> None:
        if not login.ticket and names.key_of(login.user) in self.room.members:
            points.answer_refused(self, login, ErrorCode.USER_TAKEN)
        else:
            original(self, login, now)

    points.on_login(patch, login)


@mutant("taken-before-allowed", "invisible marks in a name are ignored before it is validated")
def _(patch: Patch) -> None:
    def login(original: Any, self: Any, login: Login, now: float) -> None:
        seen = "".join(each for each in login.user if not has_invisible(each))
        if seen != login.user and names.key_of(seen) in self.room.members:
            points.answer_refused(self, login, ErrorCode.USER_TAKEN)
        else:
            original(self, login, now)

    points.on_login(patch, login)


@mutant("unknown-user-at-once", "a name that is too long is UNAUTHORIZED at once", needs=GUARDED)
def _(patch: Patch) -> None:
    def login(original: Any, self: Any, login: Login, now: float) -> None:
        original(self, login, now)
        if points.is_rejected(self) and len(login.user) > 8:
            self.goodbye(ErrorCode.UNAUTHORIZED)

    points.on_login(patch, login)


@mutant("unauthorized-says-why", "UNAUTHORIZED reveals whether the user is a member", needs=GUARDED)
def _(patch: Patch) -> None:
    def login(original: Any, self: Any, login: Login, now: float) -> None:
        self.is_there = names.key_of(login.user) in self.room.members
        original(self, login, now)

    def goodbye(original: Any, self: Any, code: ErrorCode, text: str | None) -> None:
        told = code is ErrorCode.UNAUTHORIZED and getattr(self, "is_there", False)
        original(self, code, "not your name" if told else text)

    points.on_login(patch, login)
    points.on_goodbye(patch, goodbye)


@mutant("second-login-judged", "a member's Login is validated before its state", needs=GUARDED)
def _(patch: Patch) -> None:
    def seen(self: Any, frame: bytes) -> None:
        if frame[5] == 0x01 and frame.endswith(b"not the credential" + bytes(16)):
            self.guessed = True

    def instead(self: Any, request: Any) -> bool:
        again = isinstance(request, InvalidRequest) and (
            request.error.code == ErrorCode.ALREADY_LOGGED_IN
        )
        if again and getattr(self, "guessed", False):
            self.goodbye(ErrorCode.UNAUTHORIZED)
            return True
        return False

    points.on_frames(patch, seen)
    points.on_request(patch, instead)


def changes_name(name: str, wrong: str, change: Callable[[str], str]) -> None:
    """A mutant that enters a member under a name that is a little changed."""

    def apply(patch: Patch) -> None:
        allowed = names.error_of
        patch.set(names, "error_of", lambda name: allowed(change(name)))
        points.on_enter(
            patch,
            lambda original, self, session, user, **named: original(
                self, session, change(user), **named
            ),
        )

    mutant(name, wrong)(apply)


changes_name("name-trimmed", "spaces around a name are taken off", str.strip)
changes_name(
    "name-composed",
    "a name is composed, and its ligatures are taken apart",
    lambda name: unicodedata.normalize("NFKC", name),
)
changes_name("name-in-small-letters", "a name is granted in small letters", str.lower)
changes_name("name-of-60", "a name is cut to 60 characters", lambda name: name[:60])
changes_name(
    "name-length-signed",
    "a name of more than 127 bytes is treated as one of 128 fewer",
    lambda name: name[:-128] if len(name) > 127 else name,
)


@mutant("told-in-small-letters", "a Left has the name in small letters")
def _(patch: Patch) -> None:
    def leave(original: Any, self: Any, member: Any, reason: LeftReason) -> int:
        asked, member.user = member.user, member.user.lower()
        position: int = original(self, member, reason)
        member.user = asked
        return position

    points.on_leave(patch, leave)


@mutant("chosen-names-counted", "chosen names are numbered, and every client can request them")
def _(patch: Patch) -> None:
    patch.set(names, "is_kept", lambda name: False)
    patch.set(names, "assigned", lambda numbers, taken: f"guest-{next(numbers)}")
