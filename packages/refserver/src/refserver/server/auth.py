"""Authenticators: they check who can log in, with which name.

Rule: an authenticator sees nothing of rooms or connections.

It gets the name, the credential and the certified name of a Login. Its proof may have no name.

Layer: above `files`, below `server`.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

from ..session import names
from ..session.context import Authenticator, Proof
from . import files
from .config import Config, ConfigError
from .logs import log_event

__all__ = [
    "AllOf",
    "AllowAll",
    "Auth",
    "Certificates",
    "Proof",
    "Tokens",
    "authenticator_of",
    "new_token",
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


@dataclass(frozen=True, slots=True)
class Token:
    """A line of a token file: the digest of a token, and its user."""

    digest: bytes
    user: str


SLICE = 256
"""Lines of a token file read in one step: about two milliseconds of work."""
LARGEST = 64 << 20
"""The most bytes of a token file: half a million lines."""

NOTHING = hashlib.sha256().digest()


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


LINE = re.compile(r"([0-9a-fA-F]{64})[ \t]+(.+)")
COMMENT = re.compile(r"\s#")


def tokens_in(data: bytes, source: str) -> Iterator[Token | None]:
    """The token in each line of a file, or None for a line without one.

    `source` is the file's name in messages. Raises ConfigError, with the number of the line.
    """
    digests: dict[bytes, int] = {}
    users: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(BytesIO(data.removeprefix(BOM_UTF8)), start=1):
        where = f"{source}, line {number}"
        token = _token_in(line, where)
        if token is not None:
            first = digests.setdefault(token.digest, number)
            if first != number:
                raise ConfigError(f"{where}: the same token as in line {first}")
            spelling, first = users.setdefault(names.key_of(token.user), (token.user, number))
            if spelling != token.user:
                raise ConfigError(f"{where}: the same name as in line {first}, spelled otherwise")
        yield token


def _token_in(line: bytes, where: str) -> Token | None:
    if not line.endswith(b"\n"):  # a name that is cut would be the name of another user
        raise ConfigError(f"{where}: has no line end; the file may be written only in part")
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: is not UTF-8") from None
    if not text or text.startswith("#"):
        return None
    found = LINE.fullmatch(text)
    if found is None:
        raise ConfigError(f"{where}: is not 64 hex digits, a space and a user")
    error = _error_of(found[2])
    if error is not None:
        raise ConfigError(f"{where}: the name {error}")
    token = Token(bytes.fromhex(found[1]), found[2])
    if token.digest == NOTHING:
        raise ConfigError(
            f"{where}: the digest of an empty token; a client without a token could log in"
        )
    return token


def _error_of(user: str) -> str | None:
    """The reason why a token file cannot have this user, for people, or None."""
    if COMMENT.search(user):
        return "is followed by a comment, which must stand in a line of its own"
    return names.error_of(user)


def new_token(user: str) -> tuple[str, str]:
    """A new token for this user, and its line for the file. Raises ConfigError. A plain digest
    protects it, because 256 random bits cannot be guessed.
    """
    error = _error_of(user) if user else "is empty"
    if error is not None:
        raise ConfigError(f"the name {error}")
    token = secrets.token_urlsafe(32)
    return token, f"{hashlib.sha256(token.encode()).hexdigest()}  {user}"
