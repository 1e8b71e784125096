"""`refserver send`, and the other client commands: a client for the shell.

Rule: results are lines on stdout, everything else is on stderr. Bytes of a peer are escaped before
they reach a terminal (EP-12-6).

Layer: below `cli`, above the other commands.
"""

from __future__ import annotations

import json
import socket
import ssl
import string
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from eventcodec import (
    Ack,
    ApplicationEvent,
    ConnectionEnded,
    Decoder,
    Error,
    Event,
    LocalProtocolError,
    Message,
    Ping,
    Reply,
    encode,
    jsonlines,
)
from eventcodec.limits import MAX_FRAME_CEILING, SENDER_ALLOWANCE

from ..characters import escape
from ..readiness import source
from .bench import bench
from .client import CHUNK, Client, CommandError, Fact, connect, why
from .options import EXIT_CODES, connecting, join, login_of, tell_json
from .ping import ping
from .tail import tail

__all__ = ["register"]

STDIN = "-"
IN_FLIGHT = 64
"""The most requests without a reply. With this limit no buffer fills up on either side."""
ReadLine = Callable[[bytes, str], Event | None]


# ---------------------------------------------------------------- arguments


def _hex(ctx: click.Context, param: click.Parameter, value: str | None) -> bytes | None:
    try:
        return None if value is None else bytes.fromhex(value)
    except ValueError:
        odd = set(value or "") <= {*string.hexdigits, *string.whitespace}
        reason = "has an odd number of digits" if odd else "is not hexadecimal"
        raise click.BadParameter(f"{value!r} {reason}.") from None


# ---------------------------------------------------------------- send


class Lines:
    """The lines of a file or a pipe, as they become available."""

    def __init__(self, file: Any) -> None:
        self._source = source(file)
        self.fd = self._source.fd
        self.over = False
        self._held = b""

    def read(self) -> list[bytes]:
        """Read the next whole lines. At the end of the file it sets `over`, and the last line needs
        no line end."""
        chunk = self._source.read(CHUNK)
        self.over = not chunk
        if self.over:
            return [self._held] if self._held else []
        *lines, self._held = (self._held + chunk).split(b"\n")
        return lines


class Sending:
    """Sends events, and receives their replies."""

    def __init__(
        self, client: Client, events: Iterable[Event], lines: Lines | None, read: ReadLine
    ) -> None:
        self._client = client
        self._read = read
        self._queue = deque(events)
        self._lines = lines
        self._number = 0
        self.refused = 0

    def run(self, show: Callable[[Event], None]) -> None:
        """Run until everything is sent and every request has its reply."""
        conn, client = self._client.conn, self._client
        deadline = None
        while self._queue or conn.outstanding or self._open:
            while self._queue and len(conn.outstanding) < IN_FLIGHT:
                self._send(self._queue.popleft())
            client.flush()
            inputs = self._open if not self._queue else ()
            if not conn.outstanding:  # while it waits only for input, no reply is due
                ready = client.wait(None, *inputs)
            else:
                # Only a reply moves the deadline. The facts of other members do not.
                deadline = deadline or time.monotonic() + client.timeout
                ready = client.wait_until(deadline, *inputs)
            if not ready:
                raise CommandError(f"no reply within {client.timeout:g} s")
            if ready.intersection(inputs):
                self._take()
            if client.fd in ready and self._answered(client.read(), show):
                deadline = None

    @property
    def _open(self) -> tuple[int, ...]:
        return () if self._lines is None or self._lines.over else (self._lines.fd,)

    def _answered(self, came: Iterable[Fact | Reply], show: Callable[[Event], None]) -> bool:
        """Show the replies among the events. Returns whether there was one."""
        is_answered = False
        for received in came:
            if isinstance(received, Reply):
                is_answered = True
                self.refused += isinstance(received.event, Error)
                show(received.event)
        return is_answered

    def only_write(self) -> None:
        """Write everything, and do not wait for replies."""
        while self._queue or self._open:
            while self._queue:
                self._send(self._queue.popleft())
            self._client.flush()
            if self._open:
                self._take()

    def _take(self) -> None:
        assert self._lines is not None
        for line in self._lines.read():
            self._number += 1
            event = self._read(line, f"line {self._number}")
            if event is not None:
                self._queue.append(event)

    def _send(self, event: Event) -> None:
        try:
            self._client.conn.send(event)
        except LocalProtocolError as error:
            raise CommandError(f"not sent: {escape(str(error))}") from error


def _text(line: bytes, where: str) -> Event:
    """A message with the text of a line."""
    try:
        return Message(content=line.removesuffix(b"\r").decode())
    except UnicodeDecodeError:
        raise CommandError(f"{where}: is not UTF-8") from None


def _event(line: bytes, where: str) -> Event | None:
    """The event in a line of JSON. The fields that the server fills in can be left out."""
    if not line.strip():
        return None
    try:
        form = json.loads(line)
        if isinstance(form, dict):
            form.setdefault("seq", "0")
            if form.get("event") in ("Message", "ApplicationEvent"):
                form.setdefault("sender", "")
        event = jsonlines.from_object(form)
    except json.JSONDecodeError as error:
        raise CommandError(f"{where}, column {error.colno}: not JSON") from None
    except (ValueError, RecursionError):
        raise CommandError(f"{where}: not JSON") from None
    except LocalProtocolError as error:
        raise CommandError(f"{where}: {escape(str(error))}") from error
    if not isinstance(event, Message | ApplicationEvent | Ping):
        raise CommandError(f"{where}: only Message, ApplicationEvent and Ping can be sent")
    return event


def _tell_reply(event: Event) -> None:
    if isinstance(event, Ack):
        click.echo(f"ack {event.position}")
    elif isinstance(event, Error):
        click.echo(f"refserver: refused: {why(event)}", err=True)


def _send_raw(sock: socket.socket, data: bytes, timeout: float) -> None:
    """Send bytes unchanged, and print every frame of the reply. Raises CommandError."""
    event = error = None
    for event in _exchange(sock, data, timeout):
        tell_json(event)
        error = event if isinstance(event, Error) else error
    if event is None:
        raise CommandError("the server ended the connection and sent nothing")
    if error is not None:
        verb = "refused" if error.seq else "the server ended the connection"
        raise CommandError(f"{verb}: {why(error)}")


def _exchange(sock: socket.socket, data: bytes, timeout: float) -> Iterator[Event]:
    """Send, end the own stream, and return every frame up to the end of the server's stream.
    Received bytes do not move the deadline: a server can send without end.
    """
    decoder = Decoder(max_frame=MAX_FRAME_CEILING + SENDER_ALLOWANCE)
    try:
        sock.sendall(data)
        if not isinstance(sock, ssl.SSLSocket):
            # The server replies to all earlier requests and closes: EP-10.3-5.
            sock.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + timeout
        while True:
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError
            sock.settimeout(left)
            if chunk := sock.recv(CHUNK):
                decoder.receive_data(chunk)
            else:
                decoder.receive_eof()
            for event in decoder.events():
                if not isinstance(event, ConnectionEnded):
                    yield event
                elif event.error is None:
                    return
                else:
                    raise CommandError(f"the server sent an invalid frame: {event.error}")
    except TimeoutError:
        raise CommandError(f"no end of the stream within {timeout:g} s") from None
    except OSError as error:
        raise CommandError(f"the connection failed: {error.strerror or error}") from error


@click.command(epilog=EXIT_CODES)
@connecting
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option(
    "--json",
    "file",
    type=click.File("rb"),
    help="Send the events in this file of JSON lines; - is stdin.",
)
@click.option(
    "--raw", metavar="HEX", callback=_hex, help="Send these bytes unchanged, also invalid ones."
)
@click.option(
    "--wait",
    type=click.Choice(["ack", "none"]),
    default="ack",
    show_default=True,
    help="Wait for every reply, or exit when everything is written.",
)
def send(
    address: tuple[str, int],
    user: str | None,
    credential_file: Path | None,
    tls: bool,
    ca: Path | None,
    timeout: float,
    texts: tuple[str, ...],
    file: Any,
    raw: bytes | None,
    wait: str,
) -> None:
    """Send each TEXT as a message, and print `ack POSITION` for each.

    If the only TEXT is -, each line of stdin is a message.

    With --json, each line of the file is an event, and each reply is printed as an event.
    The line needs only the fields of a request: {"event": "Message", "content": "hello"}.

    With --raw, the bytes are sent unchanged, and every frame from the server is printed as
    JSON. It logs in first only with --as. If one of the frames is an Error, the exit code is 1.

    HOST:PORT can also be only one of them: localhost, :3000, 3000.

    \b
    Examples:
      refserver send localhost:3000 --as ann 'hello'
      fortune | refserver send localhost:3000 --as ann -
      echo '{"event": "ApplicationEvent", "type": 128, "data": "00ff"}' |
        refserver send localhost:3000 --as ann --json -
      refserver send localhost:3000 --raw '0000000c 01060000 0000000000000007'
    """
    if (bool(texts), file is not None, raw is not None).count(True) != 1:
        raise click.UsageError("use exactly one of TEXT, --json and --raw")
    login = login_of(user, credential_file)
    lines = None if file is None else Lines(file)
    if texts == (STDIN,):
        texts, lines = (), Lines(sys.stdin.buffer)
    events = [Message(content=text) for text in texts]
    with connect(address, timeout, login.credential, tls, ca) as sock:
        if raw is not None:
            return _send_raw(sock, (b"" if user is None else encode(login)) + raw, timeout)
        client = Client(sock, timeout)
        join(client, login)
        sending = Sending(client, events, lines, _text if file is None else _event)
        if wait == "none":
            return sending.only_write()
        sending.run(_tell_reply if file is None else tell_json)
        client.log_out()
    if sending.refused:
        raise CommandError(f"{sending.refused} refused")


def register(group: click.Group) -> None:
    """Put the client commands into a command line."""
    for command in (send, tail, ping, bench):
        group.add_command(command)
