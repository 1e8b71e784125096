"""A room for a command: enter it, say what becomes of the connection, leave it.

Rule: a command that goes on after a lost connection does so by its `--retry` alone. The session
decides everything else.

Layer: below the commands, above `options` and `blocking`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLError

import click

from eventcodec import (
    Closed,
    ConnectionLostError,
    Error,
    Gap,
    Offline,
    Online,
    Pause,
    Paused,
    PeerError,
    RemoteProtocolError,
    SessionState,
)

from ..characters import escape
from ..exit_codes import Exit
from .blocking import Room, connect
from .exceptions import PlaintextError
from .network import CommandError, trusting, why
from .options import Target
from .room import Status

__all__ = ["Watching", "enter", "in_room", "say"]


class Watching:
    """Says what becomes of the connection, and keeps why the command cannot go on."""

    def __init__(
        self, *, retries: bool, where: str, is_tls: bool, is_named: bool, listens: bool = True
    ) -> None:
        self.retries = retries
        self._listens = listens
        self.where = where
        self.hint = "" if is_tls else "; the port may speak TLS: --tls"
        self._is_named = is_named
        self.was_online = self.is_behind = self.left = False
        self.failure = ""
        """Why it does not go on. What came before is shown first."""

    def __call__(self, status: Status) -> None:
        match status:
            case Online(welcome=welcome, is_resumed=is_resumed):
                if is_resumed:
                    say(f"connected again, behind position {welcome.position}")
                elif not self._is_named and not self.was_online:
                    say(f"logged in as {escape(welcome.user)}")
                self.was_online = True
            case Offline(error=error, retry_at=at):
                if not self.retries or not self.was_online:
                    self.failure = self._why(error)
                    return
                say(f"{self._why(error)}; again in {max(0.0, at - time.monotonic()):.1f} s")
            case Gap(position=position):
                self.is_behind = self.retries
                if self._listens:
                    lost = f"no entries behind position {position} any more: some are lost"
                    say(f"the server has {lost}")
                else:
                    say("the server does not know this session any more: a new one begins")
            case Paused(reason=reason, error=error):
                if not (self.is_behind and reason is Pause.GAP):
                    self.failure = self._why_paused(reason, error)
            case Closed(is_clean=is_clean):
                self.left = is_clean

    def _why(self, error: Exception | None) -> str:
        match error:
            case PeerError(code=code, text=text):
                return f"the server ended the connection: {why(Error(code=code, text=text))}"
            case ConnectionLostError() if self.was_online:
                return f"the connection was lost: {error}"
            case ConnectionLostError():
                return f"the connection was lost{self.hint}"
            case OSError():
                return f"cannot connect to {self.where}: {error.strerror or error}"
        return f"the connection was lost: {error}"

    def _why_paused(self, reason: Pause, error: Exception | None) -> str:
        match error:
            case RemoteProtocolError():
                return f"the server broke the protocol: {error}"
            case PeerError(code=code, text=text):
                said = why(Error(code=code, text=text))
                if self.was_online:
                    return f"the server ended the connection: {said}"
                return f"the server refused the login: {said}"
        return f"the session is paused: {reason.value}"


def say(remark: str) -> None:
    """A remark on stderr."""
    click.echo(f"refserver: {remark}", err=True)


@contextmanager
def in_room(
    to: Target,
    *,
    retries: bool = False,
    listen: bool = False,
) -> Iterator[tuple[Room, Watching]]:
    """A room that is not entered yet. It logs out at the end, if it still can.

    A Logout without its Ack is a remark and no failure: each request has its reply by then, and
    whoever repeats a command that failed would say everything twice.
    """
    login, where = to.login, to.where
    watching = Watching(
        retries=retries, where=where, is_tls=to.tls, is_named=bool(login.user), listens=listen
    )
    room = connect(
        *to.address,
        user=login.user,
        credential=login.credential,
        tls=trusting(to.ca) if to.tls else False,
        listen=listen,
        on_status=watching,
    )
    try:
        yield room, watching
        is_offline = room.state is SessionState.WAITING  # then the server frees the name by itself
        if watching.was_online and not watching.failure and not is_offline:
            room.leave(to.timeout)
            if room.state is not SessionState.CLOSED:
                say(f"no Ack of the Logout within {to.timeout:g} s")
            elif not watching.left:
                say("the connection ended before the Ack of the Logout")
    except PlaintextError:
        text = f"a credential goes to {where} over TLS only: add --tls"
        raise CommandError(text, Exit.USAGE) from None
    finally:
        room.abort()


def enter(room: Room, watching: Watching, timeout: float) -> None:
    """Wait until the room was entered. Raises CommandError.

    A connection that is lost soon after its Welcome is retried without this limit.
    """
    deadline = time.monotonic() + timeout
    entering = (SessionState.WAITING, SessionState.LOGIN)
    where = watching.where
    try:
        while room.state in entering and not (watching.was_online or watching.failure):
            left = deadline - time.monotonic()
            if left <= 0:
                raise CommandError(f"no Welcome within {timeout:g} s{watching.hint}")
            room.wait(left)
    except (SSLError, ValueError) as error:
        raise CommandError(
            f"no TLS with {where}: {escape(str(error))}", Exit.UNREACHABLE
        ) from error
    except OSError as error:
        text = f"cannot connect to {where}: {error.strerror or error}"
        raise CommandError(text, Exit.UNREACHABLE) from error
    if watching.failure and not watching.was_online:
        raise CommandError(watching.failure)
