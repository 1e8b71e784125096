"""The lines of a token file: each has the digest of a token, and its user.

Rule: a line that could let in another user than its writer meant is an error.

Layer: above `config`, below `auth`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from ..session import names
from .config import ConfigError

__all__ = ["Token", "new_token", "tokens_in"]


@dataclass(frozen=True, slots=True)
class Token:
    """A line of a token file: the digest of a token, and its user."""

    digest: bytes
    user: str


NOTHING = hashlib.sha256().digest()


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
