"""`refserver send` and `refserver tail`: a member of a room for one command line.

Rule: a result is a line on stdout, all else goes to stderr, and nothing that a peer
said reaches a terminal unescaped (EP-12-6).

Layer: beside `server`, below `cli`, above `member` and `arguments`.
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
"""Requests without a reply at a time: neither side then fills up while the other waits."""
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
"""What a template of `tail` may name."""
KINDS = ("Message", "Joined", "Left", "ApplicationEvent", "Unknown")
"""What `tail` tells."""

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
                raise click.BadParameter("a field within a field: a peer would set its width.")
        (value or "").format_map(dict.fromkeys(FIELDS, ""))
    except ValueError as error:  # Python's own words: a brace without its other, for example
        raise click.BadParameter(f"{value!r}: {error}.") from None
    return value


def _connecting(command: Command) -> Command:
    """The options that say where to, as whom, and how long to wait."""
    a_file = click.Path(exists=True, dir_okay=False, path_type=Path)
    seconds = Number(min=0, min_open=True)
    for decorate in reversed(
        (
            click.argument("address", metavar="HOST:PORT", callback=an_address),
            click.option("--as", "user", metavar="NAME", help="Log in under this name."),
            click.option(
                "--credential-file",
                type=a_file,
                help=f"The credential; a line end after it is ignored.  [env: {CREDENTIAL}, "
                "the credential itself]",
            ),
            click.option("--tls", is_flag=True, help="Connect over TLS."),
            click.option("--ca", type=a_file, help="Trust these certificates; implies --tls."),
            click.option(
                "--timeout",
                type=seconds,
                default=5.0,
                show_default=True,
                metavar="SECONDS",
                help="How long to wait for a reply.",
            ),
        )
    ):
        command = decorate(command)
    return command


def _login(user: str | None, credential_file: Path | None) -> Login:
    """Who logs in, and with what. Raises LocalProtocolError for what no Login can carry."""
    credential = os.fsencode(os.environ.get(CREDENTIAL, ""))
    if credential_file is not None:
        credential = credential_file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
        if not credential:
            raise click.UsageError(f"{credential_file}: holds no credential")
    return Login(seq=1, user=user or "", credential=credential)


def _join(client: Client, login: Login) -> None:
    """Log in, and say which name the server has chosen where none was asked for."""
    client.log_in(login)
    if not login.user:
        click.echo(f"refserver: logged in as {escape(client.conn.user)}", err=True)


# ---------------------------------------------------------------- send


class Lines:
    """Lines of a file or a pipe, as far as they are there."""

    def __init__(self, file: Any) -> None:
        self._source = source(file)
        self.fd = self._source.fd
        self.over = False
        self._held = b""

    def read(self) -> list[bytes]:
        """Whole lines that have come, and the last one also without an end; then `over` is set."""
        chunk = self._source.read(CHUNK)
        self.over = not chunk
        if self.over:
            return [self._held] if self._held else []
        *lines, self._held = (self._held + chunk).split(b"\n")
        return lines


class Sending:
    """Sends events, and takes their replies."""

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
        """Until there is nothing more to send and every request has its reply."""
        conn, client = self._client.conn, self._client
        deadline = None
        while self._queue or conn.outstanding or self._open:
            while self._queue and len(conn.outstanding) < IN_FLIGHT:
                self._send(self._queue.popleft())
            client.flush()
            inputs = self._open if not self._queue else ()
            if not conn.outstanding:  # nothing is due while only one's own input is awaited
                ready = client.wait(None, *inputs)
            else:
                # Facts of others move no deadline: a reply does.
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
        """Show the replies among what came; whether there was one."""
        is_answered = False
        for received in came:
            if isinstance(received, Reply):
                is_answered = True
                self.refused += isinstance(received.event, Error)
                show(received.event)
        return is_answered

    def only_write(self) -> None:
        """Write everything, and say nothing of what became of it."""
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
    """The message whose text a line is."""
    try:
        return Message(content=line.removesuffix(b"\r").decode())
    except UnicodeDecodeError:
        raise CommandError(f"{where}: is not UTF-8") from None


def _event(line: bytes, where: str) -> Event | None:
    """The event in a line of JSON; what the server fills in may be left out."""
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
    """Send bytes as they are, and tell every frame that comes back. Raises CommandError."""
    event = error = None
    for event in _exchange(sock, data, timeout):
        _tell_json(event)
        error = event if isinstance(event, Error) else error
    if event is None:
        raise CommandError("the server ended the connection without a word")
    if error is not None:
        verb = "refused" if error.seq else "the server ended the connection"
        raise CommandError(f"{verb}: {why(error)}")


def _exchange(sock: socket.socket, data: bytes, timeout: float) -> Iterator[Event]:
    """Send, end one's own stream, and give every frame up to the end of the server's.

    What comes moves no deadline: a server may say something for ever.
    """
    decoder = Decoder(max_frame=MAX_FRAME_CEILING + SENDER_ALLOWANCE)
    try:
        sock.sendall(data)
        if not isinstance(sock, ssl.SSLSocket):
            # The server answers what came before it and closes: EP-10.3-5.
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
                    raise CommandError(f"what came is no frame: {event.error}")
    except TimeoutError:
        raise CommandError(f"no end of the stream within {timeout:g} s") from None
    except OSError as error:
        raise CommandError(f"the connection failed: {error.strerror or error}") from error


@click.command(epilog=EXIT_CODES)
@_connecting
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option("--json", "file", type=click.File("rb"), help="Events as JSON lines; - is stdin.")
@click.option(
    "--raw", metavar="HEX", callback=_hex, help="Bytes to send as they are, well-formed or not."
)
@click.option(
    "--wait",
    type=click.Choice(["ack", "none"]),
    default="ack",
    show_default=True,
    help="Wait for every reply, or exit when all is written.",
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
    """Send messages to a room, each TEXT as one; print `ack POSITION` for each.

    With --json each line is an event, and each reply is printed as one. The server's
    numbers may be left out: {"event": "Message", "content": "hello"}.

    With --raw the bytes are sent and every frame that comes back is printed as JSON;
    a login comes first only with --as. An Error among them is exit code 1.

    A lone - as TEXT is stdin: each of its lines is a message.

    Of HOST:PORT one may be left out: localhost, :3000, 3000.

    \b
    Examples:
      refserver send localhost:3000 --as ann 'hello'
      fortune | refserver send localhost:3000 --as ann -
      echo '{"event": "ApplicationEvent", "type": 128, "data": "00ff"}' |
        refserver send localhost:3000 --as ann --json -
      refserver send localhost:3000 --raw '0000000c 01060000 0000000000000007'
    """
    if (bool(texts), file is not None, raw is not None).count(True) != 1:
        raise click.UsageError("give one of TEXT, --json and --raw")
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
    """What a template may name, escaped; empty where the event has no such field."""
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
    """A fact as people read it."""
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
    """Show facts until there were so many, asking a silent server whether it is there."""
    assert client.conn.welcome is not None
    timeout = client.conn.welcome.heartbeat or None
    shown = 0
    while count is None or shown < count:
        if not client.wait(timeout):
            if client.conn.outstanding:
                # EP-9.1-7: the Ping of the first silence had no answer in the second.
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
@click.option("--json", "as_json", is_flag=True, help="Events as JSON lines.")
@click.option(
    "--format",
    "template",
    metavar="TEMPLATE",
    callback=_template,
    help=f"Format of a line; in braces: {', '.join(FIELDS)}. A missing field is empty.",
)
@click.option(
    "--only",
    type=click.Choice(KINDS, case_sensitive=False),
    multiple=True,
    help="Only events of this kind; can be repeated.",
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
    """Print what happens in a room, a line for each event, until Ctrl-C.

    Of HOST:PORT one may be left out: localhost, :3000, 3000.

    \b
    Examples:
      refserver tail localhost:3000 --as bob
      refserver tail localhost:3000 --as bob --json -n 10
      refserver tail localhost:3000 --only Message --format '{sender}: {content}'
    """
    if as_json and template is not None:
        raise click.UsageError("give one of --json and --format")

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
            pass  # the ordinary way to end it: leave cleanly
        if client.conn.welcome is not None:
            client.log_out()


def register(group: click.Group) -> None:
    """Put both commands into a command line."""
    group.add_command(send)
    group.add_command(tail)
