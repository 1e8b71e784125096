"""`refserver token`: a new token, and its line for the file of the server.

Rule: the token goes where only this user reads it.

Layer: below `cli`, beside the other commands.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click

from .server.config import ConfigError
from .server.token_file import new_token

__all__ = ["token"]


@click.command("token")
@click.argument("user")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the token to this new file, which only you can read, and do not print it.",
)
def token(user: str, token_file: Path | None) -> None:
    """Make a token for USER.

    The line for the server's file goes to stdout. The token itself goes only to stderr, or to
    the file of --token-file. To replace a token, add the new line, give the token to the user,
    and remove the old line. A running server reads its file again after SIGHUP.

    \b
    Examples:
      refserver token ann >> tokens.txt
      refserver token bob --token-file bob.token >> tokens.txt
      refserver send localhost --as bob --credential-file bob.token hello
    """
    secret, line = new_token(user)
    with nullcontext() if token_file is None else _kept(secret, token_file):
        click.echo(line)
        sys.stdout.flush()
    if token_file is None:
        click.echo(f"token: {secret}", err=True)


@contextmanager
def _kept(secret: str, path: Path) -> Iterator[None]:
    """Write a new file that only this user can read; remove it if the block fails.

    Raises ConfigError if it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    try:
        try:
            with open(descriptor, "w") as file:
                file.write(secret + "\n")
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
