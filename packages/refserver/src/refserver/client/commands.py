"""`refserver send` and `refserver tail`: a client for the shell.

Rule: results are lines on stdout, everything else is on stderr. Bytes of a peer are escaped before
they reach a terminal (EP-12-6).

Layer: below `cli`, above `client` and `arguments`.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import string
import sys
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from eventcodec import (
    Ack,
    ApplicationEvent,
    ConnectionEnded,
    Decoder,
    Error,
    Event,
    Joined,
    Left,
    LocalProtocolError,
    Login,
    Message,
    Ping,
    Reply,
    Unknown,
    encode,
    jsonlines,
)
from eventcodec.limits import MAX_FRAME_CEILING, SENDER_ALLOWANCE

from ..arguments import Number, Whole, an_address
from ..characters import escape
from ..exit_codes import CLIENT_COMMANDS, in_one_line
from ..readiness import source
from .client import CHUNK, Client, CommandError, Fact, connect, why

__all__ = ["register"]

CREDENTIAL = "REFSERVER_CREDENTIAL"
EXIT_CODES = in_one_line(CLIENT_COMMANDS)
STDIN = "-"
IN_FLIGHT = 64
"""The most requests without a reply. With this limit no buffer fills up on either side."""
FIELDS: tuple[str, ...] = (
    "position",
    "event",
    "type",
    "sender",
    "user",
    "content",
    "data",
    "reason",
)
"""The fields for a template of `tail`."""
KINDS = ("Message", "Joined", "Left", "ApplicationEvent", "Unknown")
"""The kinds of events that `tail` prints."""

ReadLine = Callable[[bytes, str], Event | None]
Command = TypeVar("Command", bound=Callable[..., Any])


# ---------------------------------------------------------------- arguments


def _hex(ctx: click.Context, param: click.Parameter, value: str | None) -> bytes | None:
    try:
        return None if value is None else bytes.fromhex(value)
    except ValueError:
        odd = set(value or "") <= {*string.hexdigits, *string.whitespace}
        reason = "has an odd number of digits" if odd else "is not hexadecimal"
        raise click.BadParameter(f"{value!r} {reason}.") from None


def _template(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        for _, field, spec, _ in string.Formatter().parse(value or ""):
            if field is not None and field not in FIELDS:
                known = ", ".join(FIELDS)
                raise click.BadParameter(f"{{{field}}} is no field; known are {known}.")
            if "{" in (spec or ""):
                raise click.BadParameter("a field within a field is not allowed.")
        (value or "").format_map(dict.fromkeys(FIELDS, ""))
    except ValueError as error:  # Python's own words: a brace without its other, for example
        raise click.BadParameter(f"{value!r}: {error}.") from None
    return value


def _connecting(command: Command) -> Command:
    """The options for the address, the user and the time-out."""
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


def _login(user: str | None, credential_file: Path | None) -> Login:
    """The Login with user and credential. Raises LocalProtocolError if a Login cannot have them."""
    credential = os.fsencode(os.environ.get(CREDENTIAL, ""))
    if credential_file is not None:
        credential = credential_file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
        if not credential:
            raise click.UsageError(f"{credential_file}: holds no credential")
    return Login(seq=1, user=user or "", credential=credential)


def _join(client: Client, login: Login) -> None:
    """Log in. If no name was requested, print the name that the server chose."""
    client.log_in(login)
    if not login.user:
        click.echo(f"refserver: logged in as {escape(client.conn.user)}", err=True)


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


def _tell_json(event: Event) -> None:
    click.echo(jsonlines.dumps(event, secrets=False))


def _send_raw(sock: socket.socket, data: bytes, timeout: float) -> None:
    """Send bytes unchanged, and print every frame of the reply. Raises CommandError."""
    event = error = None
    for event in _exchange(sock, data, timeout):
        _tell_json(event)
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
@_connecting
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
    login = _login(user, credential_file)
    lines = None if file is None else Lines(file)
    if texts == (STDIN,):
        texts, lines = (), Lines(sys.stdin.buffer)
    events = [Message(content=text) for text in texts]
    with connect(address, timeout, login.credential, tls, ca) as sock:
        if raw is not None:
            return _send_raw(sock, (b"" if user is None else encode(login)) + raw, timeout)
        client = Client(sock, timeout)
        _join(client, login)
        sending = Sending(client, events, lines, _text if file is None else _event)
        if wait == "none":
            return sending.only_write()
        sending.run(_tell_reply if file is None else _tell_json)
        client.log_out()
    if sending.refused:
        raise CommandError(f"{sending.refused} refused")


# ---------------------------------------------------------------- tail


def _fields(event: Fact) -> dict[str, str]:
    """The fields for a template, escaped; empty if the event does not have the field."""
    told = dict.fromkeys(FIELDS, "")
    told |= {"event": type(event).__name__, "type": f"0x{event.type:02X}"}
    if not isinstance(event, Unknown):
        told["position"] = str(event.seq)
    for name in ("sender", "user", "content"):
        told[name] = escape(getattr(event, name, ""))
    told["data"] = (getattr(event, "data", b"") or getattr(event, "body", b"")).hex()
    if isinstance(event, Left):
        told["reason"] = event.why.name.lower()
    return told


def _line(event: Fact) -> str:
    """A fact as a line for people."""
    form = {
        Message: "{position} {sender}: {content}",
        Joined: "{position} {user} joined",
        Left: "{position} {user} left{how}",
        Unknown: "- unknown type {type} {data}",
    }.get(type(event), "{position} {sender}: {type} {data}")
    how = f" ({event.why.name.lower()})" if isinstance(event, Left) and event.reason else ""
    return form.format_map(_fields(event) | {"how": how})


def _follow(
    client: Client, count: int | None, only: Container[str], show: Callable[[Fact], None]
) -> None:
    """Show at most `count` facts. A silent server gets a Ping."""
    assert client.conn.welcome is not None
    timeout = client.conn.welcome.heartbeat or None
    shown = 0
    while count is None or shown < count:
        if not client.wait(timeout):
            if client.conn.outstanding:
                # EP-9.1-7: the Ping after the first silence had no reply during the second.
                raise CommandError(f"the server was silent for {2 * (timeout or 0)} s")
            client.conn.send(Ping())
            client.flush()
            continue
        for received in client.read():
            if isinstance(received, Reply) or type(received).__name__ not in only:
                continue
            if count is None or shown < count:
                show(received)
                shown += 1


@click.command(epilog=EXIT_CODES)
@_connecting
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
@click.option(
    "--format",
    "template",
    metavar="TEMPLATE",
    callback=_template,
    help="Print each event in this format; a field stands in braces: "
    f"{', '.join(FIELDS)}. A field that the event does not have is empty.",
)
@click.option(
    "--only",
    type=click.Choice(KINDS, case_sensitive=False),
    multiple=True,
    help="Print only events of this kind; can be repeated.",
)
@click.option("-n", "count", type=Whole(min=1), help="Exit after this number of events.")
def tail(
    address: tuple[str, int],
    user: str | None,
    credential_file: Path | None,
    tls: bool,
    ca: Path | None,
    timeout: float,
    as_json: bool,
    template: str | None,
    only: tuple[str, ...],
    count: int | None,
) -> None:
    """Print the events of a room, one line each, until Ctrl-C.

    HOST:PORT can also be only one of them: localhost, :3000, 3000.

    \b
    Examples:
      refserver tail localhost:3000 --as bob
      refserver tail localhost:3000 --as bob --json -n 10
      refserver tail localhost:3000 --only Message --format '{sender}: {content}'
    """
    if as_json and template is not None:
        raise click.UsageError("use only one of --json and --format")

    def show(event: Fact) -> None:
        if as_json:
            _tell_json(event)
        else:
            click.echo(_line(event) if template is None else template.format_map(_fields(event)))

    login = _login(user, credential_file)
    with connect(address, timeout, login.credential, tls, ca) as sock:
        client = Client(sock, timeout)
        try:
            _join(client, login)
            _follow(client, count, only or KINDS, show)
        except KeyboardInterrupt:
            pass  # the usual end: log out
        if client.conn.welcome is not None:
            client.log_out()


def register(group: click.Group) -> None:
    """Put both commands into a command line."""
    group.add_command(send)
    group.add_command(tail)
