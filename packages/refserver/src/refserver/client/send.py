"""`refserver send`: it says messages in a room, or sends any bytes.

Rule: results are lines on stdout, everything else is on stderr. Bytes of a peer are escaped before
they reach a terminal (EP-12-6).

Layer: below `cli`, beside the other commands.
"""

from __future__ import annotations

import json
import socket
import ssl
import string
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from eventcodec import (
    Ack,
    ApplicationEvent,
    ConnectionEnded,
    Decoder,
    Error,
    Event,
    Fate,
    LocalProtocolError,
    Message,
    Outcome,
    Ping,
    Pong,
    Reply,
    SessionState,
    encode,
    jsonlines,
)
from eventcodec.limits import MAX_FRAME_CEILING, SENDER_ALLOWANCE

from ..characters import escape
from ..readiness import source
from .blocking import Room
from .network import CommandError, connect, trusting, why
from .options import EXIT_CODES, Target, connecting, retrying, tell_json
from .shell import Watching, enter, in_room, say

__all__ = ["send"]

STDIN = "-"
CHUNK = 1 << 16
Sendable = Message | ApplicationEvent | Ping
ReadLine = Callable[[bytes, str], Sendable | None]


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
        self.number = 0
        """The number of lines so far."""
        self._held = b""

    def read(self) -> Iterator[bytes]:
        """Read the next whole lines. At the end of the file it sets `over`, and the last line needs
        no line end."""
        chunk = self._source.read(CHUNK)
        self.over = not chunk
        *lines, self._held = (self._held + (chunk or b"\n" * bool(self._held))).split(b"\n")
        for line in lines:
            self.number += 1
            yield line


class Sending:
    """Sends events, and shows their replies. The reply to the n-th event has the seq n.

    The session sends each message once, whatever becomes of the connection. A `Ping` waits until
    all events before it have their replies; if it is lost, it is sent again.
    """

    def __init__(
        self,
        room: Room,
        watching: Watching,
        show: Callable[[Ack | Error | Pong], None],
        timeout: float,
    ) -> None:
        self._room = room
        self._watching = watching
        self._show = show
        self._timeout = timeout
        self._queue: deque[Sendable] = deque()
        self._seqs: dict[int, int] = {}
        """The seq of each message without a reply, by the number that the session gave it."""
        self._last_seq = 0
        self._ping_sent = False
        self._reply_by: float | None = None
        self.failed: Counter[Fate] = Counter()
        """How many were not acknowledged."""

    def run(self, events: Iterable[Sendable], lines: Lines | None, read: ReadLine) -> None:
        """Run until everything is sent and has its reply. Raises CommandError."""
        self._queue.extend(events)
        failure: CommandError | None = None
        while True:
            self._offer()
            is_open = lines is not None and not lines.over and failure is None
            if not (self._queue or self._seqs or is_open):
                break
            inputs = (lines.fd,) if is_open and lines is not None and not self._queue else ()
            if self._room.wait(self._seconds, inputs) and lines is not None:
                try:
                    self._take(lines, read)
                except CommandError as error:
                    failure = error  # what came before it is sent
            self._answered()
            if self._watching.failure:
                raise self._lost()
            if self._watching.is_behind:
                self._watching.is_behind = False
                self._room.go_on()
        if failure is not None:
            raise failure

    @property
    def _seconds(self) -> float | None:
        """How long to wait now. Only a reply moves the deadline: the facts of others do not.

        Raises CommandError after it. With `--retry` the session decides when a server is silent.
        """
        if self._watching.retries or not (self._seqs or self._ping_sent):
            self._reply_by = None
            return None
        now = time.monotonic()
        self._reply_by = self._reply_by or now + self._timeout
        if now >= self._reply_by:
            raise CommandError(f"no reply within {self._timeout:g} s")
        return self._reply_by - now

    def _offer(self) -> None:
        """Give the session what it takes now."""
        while self._queue:
            event = self._queue[0]
            if isinstance(event, Ping):
                self._offer_ping()
                return
            try:
                number = self._room.offer(event)
            except LocalProtocolError as error:
                raise CommandError(f"not sent: {escape(str(error))}") from error
            if number is None:
                return
            self._last_seq += 1
            self._seqs[number] = self._last_seq
            self._queue.popleft()

    def _offer_ping(self) -> None:
        is_online = self._room.state is SessionState.ONLINE
        if is_online and not (self._seqs or self._ping_sent):
            self._room.ping()
        self._ping_sent = is_online and not self._seqs

    def _take(self, lines: Lines, read: ReadLine) -> None:
        for line in lines.read():
            event = read(line, f"line {lines.number}")
            if event is not None:
                self._queue.append(event)

    def _answered(self) -> None:
        for answer in self._room.answers():
            self._reply_by = None
            if isinstance(answer, Outcome):
                self._ended(answer)
            else:
                self._ponged(answer)

    def _ponged(self, reply: Reply) -> None:
        self._queue.popleft()
        self._ping_sent = False
        self._last_seq += 1
        assert isinstance(reply.event, Pong | Error)
        self.failed[Fate.REFUSED] += isinstance(reply.event, Error)
        self._show(reply.event.with_seq(self._last_seq))

    def _ended(self, outcome: Outcome) -> None:
        seq = self._seqs.pop(outcome.number)
        if outcome.fate is Fate.ACKNOWLEDGED:
            self._show(Ack(seq=seq, position=outcome.position))
            return
        self.failed[outcome.fate] += 1
        if outcome.error is not None:
            self._show(outcome.error.with_seq(seq))
        else:
            say(f"event {seq}: {outcome.fate.value}")

    def _lost(self) -> CommandError:
        """Why it cannot go on, and what is known of the events without a reply."""
        self._room.abort()
        fates = Counter(each.fate for each in self._room.answers() if isinstance(each, Outcome))
        unknown = fates.pop(Fate.UNKNOWN, 0)
        rest = [f"{unknown} may have been accepted"] * bool(unknown)
        unsent = fates.total() + len(self._queue)
        rest += [f"{unsent} were not"] * bool(unsent)
        told = f"; of the events without a reply, {' and '.join(rest)}" if rest else ""
        return CommandError(self._watching.failure + told)


def _text(line: bytes, where: str) -> Sendable:
    """A message with the text of a line."""
    try:
        return Message(content=line.removesuffix(b"\r").decode())
    except UnicodeDecodeError:
        raise CommandError(f"{where}: is not UTF-8") from None


def _event(line: bytes, where: str) -> Sendable | None:
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
    if not isinstance(event, Sendable):
        raise CommandError(f"{where}: only Message, ApplicationEvent and Ping can be sent")
    return event


def _tell_reply(event: Ack | Error | Pong) -> None:
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
@retrying("and still send each event only once")
def send(
    to: Target,
    texts: tuple[str, ...],
    file: Any,
    raw: bytes | None,
    retry: bool,
) -> None:
    """Send each TEXT as a message, and print `ack POSITION` for each.

    If the only TEXT is -, each line of stdin is a message.

    With --json, each line of the file is an event, and each reply is printed as an event: its seq
    is 1 for the first event, 2 for the next, and so on.
    The line needs only the fields of a request: {"event": "Message", "content": "hello"}.

    With --raw, the bytes are sent unchanged, and every frame from the server is printed as
    JSON. It logs in first only with --as. If one of the frames is an Error, the exit code is 1.

    HOST:PORT can also be only one of them: localhost, :3000, 3000.

    \b
    Examples:
      refserver send localhost:3000 --as ann 'hello'
      fortune | refserver send localhost:3000 --as ann -
      tail -f app.log | refserver send localhost:3000 --as ann --retry -
      echo '{"event": "ApplicationEvent", "type": 128, "data": "00ff"}' |
        refserver send localhost:3000 --as ann --json -
      refserver send localhost:3000 --raw '0000000c 01060000 0000000000000007'
    """
    if (bool(texts), file is not None, raw is not None).count(True) != 1:
        raise click.UsageError("use exactly one of TEXT, --json and --raw")
    lines = None if file is None else Lines(file)
    if texts == (STDIN,):
        texts, lines = (), Lines(sys.stdin.buffer)
    events = [Message(content=text) for text in texts]
    if raw is not None:
        context = trusting(to.ca) if to.tls else None
        with connect(to.address, to.timeout, to.login.credential, context) as sock:
            return _send_raw(sock, (b"" if to.user is None else encode(to.login)) + raw, to.timeout)
    with in_room(to, retries=retry) as (room, watching):
        enter(room, watching, to.timeout)
        show = _tell_reply if file is None else tell_json
        sending = Sending(room, watching, show, to.timeout)
        sending.run(events, lines, _text if file is None else _event)
    if +sending.failed:
        told = ", ".join(f"{number} {fate.value}" for fate, number in (+sending.failed).items())
        raise CommandError(told)
