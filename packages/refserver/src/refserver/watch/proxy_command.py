"""`refserver proxy`: forward, and have another process judge what passes.

Rule: this process forwards. What it tells the judge goes through a pipe that never makes it wait.

Layer: above `proxy`, `feed` and `watcher`, below `commands`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from random import Random

import click

from ..arguments import address, an_address, spelled
from .conversation import Item
from .disturbing import Disturber, Rule
from .feed import Feed
from .options import EXIT_CODES, disturb_options, files, report_options
from .proxy import Proxy
from .watcher import Wishes

__all__ = ["proxy_command"]

Disturb = Callable[[int], Disturber]
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


def listen_address(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    """HOST:PORT, :PORT or PORT; port 0 is a free one."""
    host, colon, port = value.rpartition(":")
    if port == "0":
        return (host.strip("[]") if colon else "") or "localhost", 0
    try:
        return address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("proxy", epilog=EXIT_CODES)
@click.argument("listen", metavar="LISTEN", callback=listen_address)
@click.option("--to", required=True, metavar="HOST:PORT", callback=an_address, help="The server.")
@click.option("--tls-cert", type=EXISTING, help="Speak TLS with the clients: the certificate.")
@click.option("--tls-key", type=EXISTING, help="The key of --tls-cert.")
@click.option("--tls-to", is_flag=True, help="Speak TLS with the server.")
@click.option("--ca", type=EXISTING, help="Trust these certificates of a server; implies --tls-to.")
@disturb_options
@click.option("--frames", is_flag=True, help="Print each frame that passes.")
@click.option("--one-room", is_flag=True, help="Take all connections for one run of one room.")
@report_options
def proxy_command(
    listen: tuple[str, int],
    to: tuple[str, int],
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_to: bool,
    ca: Path | None,
    rules: tuple[Rule, ...],
    seed: int | None,
    frames: bool,
    one_room: bool,
    **asked: str | bool | None,
) -> None:
    """Stand between clients and a server, and say who breaks which rule.

    Clients connect to LISTEN (HOST:PORT, or a port on localhost; 0: a free one). The first line
    on stdout says where. Each finding is printed as it is found. Ctrl-C ends it, says what was
    seen, and writes the files.

    It can disturb what passes. SIDE is client or server, whose stream it is. FRAMES is a type, or
    any: Ack is each, Ack:3 the third of a connection, Ack*3 the first three, Ack%0.1 one in ten
    by chance; client.Ping is of one side. The server is judged by what reached it, and the client
    by what reached the client.

    \b
    Examples:
      refserver proxy 4000 --to localhost:3000
      refserver proxy 4000 --to localhost:3000 --record talk.jsonl --html talk.html
      refserver proxy 4000 --to localhost:3000 --drop Ack:3 --split random --seed 7
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key, both of them")
    tls = None
    if tls_cert is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(tls_cert, tls_key)
    to_tls = ssl.create_default_context(cafile=ca) if tls_to or ca is not None else None
    if to_tls is None and tls is not None and not _is_loopback(to[0]):
        raise click.UsageError(
            "clients that speak TLS may send credentials: to another machine, say --tls-to"
        )
    wishes = Wishes(
        source=f"proxy to {spelled(*to)}",
        started=time.time(),
        files=files(**asked),
        frames=frames,
        one_room=one_room,
    )
    disturb = None
    if rules:
        chosen = secrets.randbelow(2**32) if seed is None else seed
        click.echo(f"refserver: disturbing with --seed {chosen}", err=True)
        disturb = partial(disturber, rules, chosen)
    sys.exit(forward(listen, to, tls, to_tls, wishes, disturb))


def disturber(rules: Sequence[Rule], seed: int, connection: int) -> Disturber:
    """What disturbs a connection: each has chances of its own, the same with the same seed."""
    return Disturber(rules, Random(f"{seed}/{connection}"))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def forward(
    listen: tuple[str, int],
    to: tuple[str, int],
    tls: ssl.SSLContext | None,
    tls_to: ssl.SSLContext | None,
    wishes: Wishes,
    disturb: Disturb | None,
) -> int:
    """Forward until a signal, with a judge beside it. Returns the judge's exit code."""
    command = [sys.executable, "-P", "-m", "refserver.watch.watcher", wishes.to_argument()]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as judge:
        assert judge.stdin is not None
        feed = Feed(judge.stdin.fileno())
        try:
            asyncio.run(_forward(listen, to, tls, tls_to, feed, disturb))
        except OSError as error:
            judge.stdin.close()
            judge.kill()
            raise click.UsageError(f"{spelled(*listen)}: {error.strerror or error}") from None
        _hand_over(feed, judge)
        if feed.dropped:
            click.echo(f"refserver: {feed.dropped} bytes passed unjudged: too fast", err=True)
        return judge.returncode


def _hand_over(feed: Feed, judge: subprocess.Popen[bytes]) -> None:
    """Give the judge what it was not given yet, and wait for its word."""
    assert judge.stdin is not None
    os.set_blocking(judge.stdin.fileno(), True)
    feed.write()
    judge.stdin.close()
    judge.wait()


async def _forward(
    listen: tuple[str, int],
    to: tuple[str, int],
    tls: ssl.SSLContext | None,
    tls_to: ssl.SSLContext | None,
    feed: Feed,
    disturb: Disturb | None,
) -> None:
    loop = asyncio.get_running_loop()
    fed = _Fed(loop, feed)
    start = time.monotonic()
    proxy = Proxy(
        to, fed.take, lambda: time.monotonic() - start, tls=tls, tls_to=tls_to, disturb=disturb
    )
    port = await proxy.start(*listen)
    click.echo(f"forwarding {spelled(listen[0], port)} to {spelled(*to)}")
    sys.stdout.flush()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    await proxy.stop()
    fed.stop()


class _Fed:
    """Writes the feed when there is time, and when the pipe takes more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, feed: Feed) -> None:
        self._loop = loop
        self._feed = feed
        self._scheduled = False
        self._watches = False

    def take(self, item: Item) -> None:
        self._feed.take(item)
        if not self._scheduled and not self._watches:
            self._scheduled = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._scheduled = False
        self._feed.write()
        if self._feed.is_waiting and not self._watches:
            self._watches = True
            self._loop.add_writer(self._feed.fd, self._again)

    def _again(self) -> None:
        self._feed.write()
        if not self._feed.is_waiting:
            self.stop()

    def stop(self) -> None:
        """Wait for the pipe no more."""
        if self._watches:
            self._loop.remove_writer(self._feed.fd)
            self._watches = False
