"""Authenticators: they check who can log in, with which name.

Rule: an authenticator sees nothing of rooms or connections.

It gets the name, the credential and the certified name of a Login. Its proof may have no name.

Layer: above `files` and `token_file`, below `server`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ..session.context import Authenticator, Proof
from . import files
from .config import Config
from .logs import log_event
from .token_file import tokens_in

__all__ = [
    "AllOf",
    "AllowAll",
    "Auth",
    "Certificates",
    "Proof",
    "Tokens",
    "authenticator_of",
]


class Auth(Authenticator, Protocol):
    """Checks credentials, and can reload its files."""

    def reload(self) -> Iterable[None]:
        """Reload the files in steps. It is done when the iterable ends.

        Raises ConfigError; then nothing has changed.
        """
        ...


class AllowAll:
    """Accepts every client with any free name. It ignores credentials, so a name proves nothing."""

    def authenticate(self, user: str, credential: bytes, certified: str) -> Proof | None:
        """Always accepted."""
        return Proof()

    def reload(self) -> Iterable[None]:
        """It has no files."""
        return ()


class Certificates:
    """The name of a client is the common name in its certificate."""

    def authenticate(self, user: str, credential: bytes, certified: str) -> Proof | None:
        """Accepted if the certificate has a name, and no other name was requested."""
        return Proof(certified) if certified and user in ("", certified) else None

    def reload(self) -> Iterable[None]:
        """`tls` checks and reloads the certificates."""
        return ()


SLICE = 256
"""Lines of a token file read in one step: about two milliseconds of work."""
LARGEST = 64 << 20
"""The most bytes of a token file: half a million lines."""


class Tokens:
    """A token in the file proves the name in its line.

    A line is the SHA-256 of a token in hex, spaces, a user and a line end; a user can have several
    lines, so that an old and a new token are valid at the same time. Empty lines and lines that
    begin with `#` are ignored. Raises ConfigError for any other file.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._users: dict[bytes, str] = {}  # by digest
        for _ in self.reload():
            pass

    def reload(self) -> Iterator[None]:
        """Read the file again, `SLICE` lines with each step."""
        users: dict[bytes, str] = {}
        for count, token in enumerate(tokens_in(files.read(self._path, LARGEST), str(self._path))):
            if token is not None:
                users[token.digest] = token.user
            if count % SLICE == SLICE - 1:
                yield
        self._users = users
        if not users:
            none = "holds no token: nobody can log in"
            log_event("tokens", level=logging.WARNING, file=str(self._path), error=none)

    def authenticate(self, user: str, credential: bytes, certified: str) -> Proof | None:
        """Accepted if the token is in the file, and no other name was requested."""
        # The search is by digest, so its time reveals nothing about a token.
        owner = self._users.get(hashlib.sha256(credential).digest())
        return Proof(owner) if owner is not None and user in ("", owner) else None


class AllOf:
    """Several authenticators: all must accept, for the same name."""

    def __init__(self, authenticators: Sequence[Auth]) -> None:
        self._authenticators = authenticators

    def authenticate(self, user: str, credential: bytes, certified: str) -> Proof | None:
        """Accepted if each accepts; each next one gets the name that the one before proved."""
        for authenticator in self._authenticators:
            proof = authenticator.authenticate(user, credential, certified)
            if proof is None:
                return None
            user = proof.user
        return Proof(user)

    def reload(self) -> Iterator[None]:
        """Reload each."""
        for authenticator in self._authenticators:
            yield from authenticator.reload()


def authenticator_of(config: Config) -> Auth:
    """The authenticator for these settings. Raises ConfigError."""
    authenticators: list[Auth] = []
    if config.tls_ca:
        authenticators.append(Certificates())
    if config.tokens:
        authenticators.append(Tokens(config.tokens))
    return AllOf(authenticators) if authenticators else AllowAll()
