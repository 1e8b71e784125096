"""`refserver bench`: how many messages a server delivers, and how late they come.

Rule: it measures with real members in this one process, and says how busy this process was: where
it had no time left, the figures are its own limit and not the server's.

Layer: below `commands`, above `options`.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from eventcodec import (
    Ack,
    ClientConnection,
    ConnectionEnded,
    Error,
    Login,
    Logout,
    Message,
    PeerError,
    Reply,
    Welcome,
)

from ..arguments import Number, Whole
from ..exit_codes import Exit
from ..wording import counted
from .exceptions import PlaintextError, check_credential
from .network import CommandError, trusting, why
from .options import EXIT_CODES, Target, connecting

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Figures", "bench"]

KEPT = 100_000
"""Latencies that are kept; beyond, a random choice of all."""
DELIVERY_TIMEOUT = 5.0
"""Seconds that what was sent may take to be delivered after the end."""
BUSY = 0.9
"""The share of a processor from which on this process is the limit."""
STAMP = 16
"""Hexadecimal digits of the time at which a message was sent, in nanoseconds."""


@dataclass(slots=True)
class Figures:
    """What was measured. Latencies in seconds, from the send of a message to its delivery."""

    sent: int = 0
    accepted: int = 0
    delivered: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    """Seconds of processor time that this process used meanwhile."""
    latencies: list[float] = field(default_factory=list)

    def deliver(self, latency: float, rng: random.Random) -> None:
        """One delivery."""
        self.delivered += 1
        if len(self.latencies) < KEPT:
            self.latencies.append(latency)
        elif (at := rng.randrange(self.delivered)) < KEPT:
            self.latencies[at] = latency

    def percentile(self, share: float) -> float:
        """The latency below which this share of the deliveries is, in milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    @property
    def busy(self) -> float:
        """The share of one processor that this process used."""
        return self.processor / self.seconds if self.seconds else 0.0

    def told(self) -> dict[str, Any]:
        """The figures by name, for JSON.

        >>> Figures(sent=2, accepted=2, delivered=4, seconds=2.0).told()["deliveries_per_second"]
        2.0
        """
        seconds = self.seconds or 1.0
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        return {
            "sent": self.sent,
            "accepted": self.accepted,
            "delivered": self.delivered,
            "seconds": round(self.seconds, 3),
            "messages_per_second": round(self.accepted / seconds, 1),
            "deliveries_per_second": round(self.delivered / seconds, 1),
            "latency_ms": {name: round(self.percentile(at), 3) for name, at in shares.items()},
            "client_busy": round(self.busy, 3),
            "is_client_limited": self.busy >= BUSY,
        }


class Run:
    """One measurement: its members, and when it ends."""

    def __init__(self, size: int, window: int, seed: int) -> None:
        self.figures = Figures()
        self.rng = random.Random(seed)
        self.window = window
        self.is_sending = False
        self.failure = ""
        self.changed = asyncio.Event()
        self._token = secrets.token_hex(4)
        self._filler = "x" * max(0, size - len(self._token) - STAMP)

    def content(self) -> str:
        """A message of this run, with the time of its sending."""
        return f"{self._token}{time.monotonic_ns():0{STAMP}x}{self._filler}"

    def came(self, content: str) -> None:
        """A delivery, if it is of this run."""
        if content.startswith(self._token):
            start = len(self._token)
            sent = int(content[start : start + STAMP], 16)
            self.figures.deliver((time.monotonic_ns() - sent) / 1e9, self.rng)

    def fail(self, reason: str) -> None:
        """The run cannot go on."""
        self.failure = self.failure or reason
        self.changed.set()


class Member(asyncio.Protocol):
    """One member; a publisher keeps `window` messages without an Ack."""

    def __init__(self, run: Run, login: Login, *, publishes: bool) -> None:
        self._run = run
        self._login = login
        self._publishes = publishes
        self._waiting = 0
        self.conn = ClientConnection()
        self.is_in = asyncio.get_running_loop().create_future()
        self.is_out = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        is_tls = transport.get_extra_info("sslcontext") is not None
        address = transport.get_extra_info("peername")[0]
        try:
            check_credential(self._login.credential, address, is_tls=is_tls)
        except PlaintextError as error:
            self._run.fail(f"{error}: add --tls")
            transport.abort()
            return
        self.conn.send(self._login)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self._take()

    def eof_received(self) -> None:
        self.conn.receive_eof()
        self._take()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.conn.ended:
            self.conn.receive_eof()
            self._take()
        if not self.is_out.done():
            self.is_out.set_result(None)

    def _take(self) -> None:
        run = self._run
        for event in self.conn.events():
            if isinstance(event, Message):
                run.came(event.content)
            elif isinstance(event, Reply):
                self._replied(event)
            elif isinstance(event, ConnectionEnded):
                self._ended(event)
        if run.is_sending:
            self.publish()
        self.flush()

    def _replied(self, reply: Reply) -> None:
        if isinstance(reply.event, Welcome):
            self.is_in.set_result(None)
        elif isinstance(reply.event, Error):
            self._run.fail(f"refused: {why(reply.event)}")
        elif isinstance(reply.event, Ack) and isinstance(reply.request, Message):
            self._waiting -= 1
            self._run.figures.accepted += 1

    def _ended(self, end: ConnectionEnded) -> None:
        if isinstance(end.error, PeerError):
            said = Error(code=end.error.code, text=end.error.text)
            self._run.fail(f"the server ended a connection: {why(said)}")
        elif end.error is not None:
            self._run.fail(f"a connection was lost: {end.error}")
        if self._transport is not None:
            self._transport.close()

    def publish(self) -> None:
        """Send as much as the window has room for."""
        while self._publishes and self._waiting < self._run.window:
            self._waiting += 1
            self._run.figures.sent += 1
            self.conn.send(Message(content=self._run.content()))

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        if not self.conn.ended:
            self.conn.send(Logout())
            self.flush()

    def flush(self) -> None:
        data = self.conn.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)


async def measure(
    run: Run,
    to: Target,
    *,
    members: int,
    publishers: int,
    seconds: float,
    progress: Progress,
) -> Figures:
    """Let everybody in, publish for so long, and wait for what is on its way."""
    async with entered(run, to, members, publishers, progress) as joined:
        figures, publishing = run.figures, progress.add_task("publishing", total=seconds)
        start, used = time.monotonic(), time.process_time()
        run.is_sending = True
        for member in joined[:publishers]:
            member.publish()
            member.flush()
        while not run.failure and (left := start + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(0.1, left))
            progress.update(publishing, completed=time.monotonic() - start)
        run.is_sending = False
        await _wait_for_deliveries(run, members)
        figures.seconds = time.monotonic() - start
        figures.processor = time.process_time() - used
        for member in joined:
            member.leave()
        await asyncio.wait([member.is_out for member in joined], timeout=to.timeout)
    if run.failure:
        raise CommandError(run.failure)
    return figures


@asynccontextmanager
async def entered(
    run: Run,
    to: Target,
    members: int,
    publishers: int,
    progress: Progress,
) -> AsyncIterator[list[Member]]:
    """So many members, of whom the first publish; whatever happens, no connection stays open."""
    loop, login = asyncio.get_running_loop(), to.login
    context = trusting(to.ca) if to.tls else None
    entering = progress.add_task("entering", total=members)
    joined: list[Member] = []
    try:
        for number in range(members):
            user = f"{login.user}-{number + 1}" if login.user else ""
            one = Login(user=user, credential=login.credential)
            member = Member(run, one, publishes=number < publishers)
            await loop.create_connection(lambda member=member: member, *to.address, ssl=context)
            joined.append(member)
            await _either(member.is_in, run, to.timeout, "no Welcome")
            progress.advance(entering)
        yield joined
    finally:
        for member in joined:
            member.abort()
        await asyncio.sleep(0)  # a transport closes in the next turn of the loop


async def _wait_for_deliveries(run: Run, members: int) -> None:
    """Wait until all that was accepted has come to everybody else, but not for ever."""
    deadline = time.monotonic() + DELIVERY_TIMEOUT
    figures = run.figures
    while not run.failure and time.monotonic() < deadline:
        if figures.accepted == figures.sent and figures.delivered >= figures.sent * (members - 1):
            return
        await asyncio.sleep(0.02)


async def _either(future: asyncio.Future[None], run: Run, timeout: float, late: str) -> None:
    changed = asyncio.ensure_future(run.changed.wait())
    await asyncio.wait((future, changed), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    changed.cancel()
    if run.failure:
        raise CommandError(run.failure)
    if not future.done():
        raise CommandError(f"{late} within {timeout:g} s")


@contextmanager
def progressing() -> Iterator[Progress]:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console  # slow to import, and no other command draws progress
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    console.quiet = not console.is_terminal  # the oldest rich ends a bar with a line in any case
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        yield bar


@click.command(epilog=EXIT_CODES)
@connecting
@click.option("--members", type=Whole(2), default=10, show_default=True, help="Members in all.")
@click.option(
    "--publishers", type=Whole(1), default=1, show_default=True, help="Members that publish."
)
@click.option(
    "--size",
    type=Whole(24, 60_000),
    default=100,
    show_default=True,
    metavar="BYTES",
    help="Size of the content of a message.",
)
@click.option(
    "--window",
    type=Whole(1, 10_000),
    default=16,
    show_default=True,
    help="Maximum messages of a publisher that have no Ack yet.",
)
@click.option(
    "--duration",
    type=Number(min=0.05),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to publish.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def bench(
    to: Target,
    members: int,
    publishers: int,
    size: int,
    window: int,
    duration: float,
    as_json: bool,
) -> None:
    """Measure how many messages a server delivers in a second, and how late they come.

    The room should be empty. All members are in this process. If this process was busy all the
    time, the results show its own limit, and it says so. To go beyond this limit, run several bench
    commands at once.

    \b
    Examples:
      refserver bench localhost:3000
      refserver bench localhost:3000 --members 100 --publishers 4 --json
    """
    if publishers > members:
        raise click.UsageError("there are more publishers than members")

    async def main(progress: Progress) -> Figures:
        return await measure(
            Run(size, window, 0),
            to,
            members=members,
            publishers=publishers,
            seconds=duration,
            progress=progress,
        )

    try:
        with progressing() as progress:
            figures = asyncio.run(main(progress))
    except OSError as error:
        text = f"cannot connect to {to.where}: {error.strerror or error}"
        raise CommandError(text, Exit.UNREACHABLE) from error
    told = figures.told()
    click.echo(json.dumps(told) if as_json else _lines(told))


def _lines(told: dict[str, Any]) -> str:
    late = told["latency_ms"]
    lines = [
        f"{counted(told['accepted'], 'message')} in {told['seconds']:.1f} s: "
        f"{told['messages_per_second']:,.0f}/s accepted, "
        f"{told['deliveries_per_second']:,.0f}/s delivered",
        f"latency p50/p95/p99/max = {late['p50']:.2f}/{late['p95']:.2f}/{late['p99']:.2f}/"
        f"{late['max']:.2f} ms",
        f"this client used {100 * told['client_busy']:.0f}% of a processor",
    ]
    if told["is_client_limited"]:
        lines.append("these figures are the limit of this client, not of the server")
    return "\n".join(lines)
