"""Who may come in.

Rule: a credential is judged before anything else of a Login, and says which name
its bearer has. Nothing here knows rooms or connections.

Layer: beside `room`, below `session`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Auth", "OpenDoor", "Proof"]


@dataclass(frozen=True, slots=True)
class Proof:
    """A credential that was accepted; `user` is the name it proves, empty where any is free."""

    user: str = ""


class Auth(Protocol):
    """Judges credentials."""

    def judge(self, user: str, credential: bytes, certified: str) -> Proof | None:
        """What the credential proves about `user`, the name asked for, or None.

        `certified` is the name in the client's certificate, empty without one.
        """
        ...


class OpenDoor:
    """Everybody may have any name; no credential is looked at, so a name proves nothing."""

    def judge(self, user: str, credential: bytes, certified: str) -> Proof | None:
        """Always accepted."""
        return Proof()
