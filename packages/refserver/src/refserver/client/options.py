"""What all client commands share: where they connect, who logs in, and how an event is printed.

Rule: an option has one meaning in every command.

Layer: below the commands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from eventcodec import Event, Login, jsonlines

from ..arguments import Number, an_address, spelled
from ..exit_codes import CLIENT_COMMANDS, in_one_line

__all__ = ["CREDENTIAL", "EXIT_CODES", "Target", "connecting", "retrying", "tell_json"]

CREDENTIAL = "REFSERVER_CREDENTIAL"
EXIT_CODES = in_one_line(CLIENT_COMMANDS)

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """Where a command connects, who logs in, and how long a reply may take."""

    address: tuple[str, int]
    user: str | None
    """The name that was asked for, if any."""
    login: Login
    tls: bool
    ca: Path | None
    timeout: float
    """Seconds."""

    @property
    def where(self) -> str:
        """The address as text."""
        return spelled(*self.address)


def connecting(run: Callable[..., None]) -> Callable[..., None]:
    """The options for the address, the user and the time-out. The command gets a `Target`."""

    @wraps(run)
    def command(
        address: tuple[str, int],
        user: str | None,
        credential_file: Path | None,
        tls: bool,
        ca: Path | None,
        timeout: float,
        **others: Any,
    ) -> None:
        login = login_of(user, credential_file)
        run(Target(address, user, login, tls or ca is not None, ca, timeout), **others)

    a_file = click.Path(exists=True, dir_okay=False, path_type=Path)
    seconds = Number(min=0, min_open=True)
    for decorate in reversed(
        (
            click.argument("address", metavar="HOST:PORT", callback=an_address),
            click.option("--as", "user", metavar="NAME", help="Log in with this name."),
            click.option(
                "--credential-file",
                type=a_file,
                help="Read the credential from this file, without the line end.  "
                f"[env: {CREDENTIAL} has the credential itself]",
            ),
            click.option("--tls", is_flag=True, help="Connect over TLS."),
            click.option("--ca", type=a_file, help="Trust these certificates; implies --tls."),
            click.option(
                "--timeout",
                type=seconds,
                default=5.0,
                show_default=True,
                metavar="SECONDS",
                help="Time to wait for a reply.",
            ),
        )
    ):
        command = decorate(command)
    return command


def retrying(what: str) -> Callable[[Command], Command]:
    """The option `--retry`; `what` says what it does besides connecting again."""
    told = f"Connect again when the connection is lost, {what}. Messages about it go to stderr."
    return click.option("--retry", is_flag=True, help=told)


def login_of(user: str | None, credential_file: Path | None) -> Login:
    """The Login with user and credential. Raises LocalProtocolError if a Login cannot have them."""
    credential = os.fsencode(os.environ.get(CREDENTIAL, ""))
    if credential_file is not None:
        credential = credential_file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
        if not credential:
            raise click.UsageError(f"{credential_file}: holds no credential")
    return Login(seq=1, user=user or "", credential=credential)


def tell_json(event: Event) -> None:
    click.echo(jsonlines.dumps(event, secrets=False))
