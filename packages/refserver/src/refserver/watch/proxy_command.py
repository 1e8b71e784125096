"""`refserver proxy`: forward, and have another process judge what passes.

Rule: this process forwards, and only tells the one that judges.

Layer: above `proxy` and `judging`, below `commands`.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from random import Random

import click

from ..arguments import Whole, an_address, spelled
from ..client.network import trusting
from ..wording import counted
from .disturbing import Disturber, Rule, parsed
from .judging import Judging
from .options import (
    EXIT_CODES,
    PAGE,
    disturb_options,
    files,
    listen_address,
    page_socket,
    report_options,
)
from .provoking import PROVOCATIONS, Provoker, as_options
from .proxy import Proxy
from .watcher import Wishes

__all__ = ["proxy_command"]

BEYOND = (
    "not seen here: what a client tells its user, and whether it waits or comes back in time; "
    "`refserver peer -- COMMAND` runs it and sees that"
)
ALL_MET = "nothing is left to provoke: connections that begin now are left alone"
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
RESERVED = 128
"""File descriptors that are kept free of connections."""


@click.command("proxy", epilog=EXIT_CODES)
@click.argument("listen", metavar="LISTEN", callback=listen_address)
@click.option("--to", required=True, metavar="HOST:PORT", callback=an_address, help="The server.")
@click.option("--tls-cert", type=EXISTING, help="Speak TLS with the clients: the certificate.")
@click.option("--tls-key", type=EXISTING, help="The key of --tls-cert.")
@click.option("--tls-to", is_flag=True, help="Speak TLS with the server.")
@click.option("--ca", type=EXISTING, help="Trust these certificates of a server; implies --tls-to.")
@disturb_options
@click.option(
    "--provoke",
    is_flag=True,
    help="Do to each connection one thing that clients seldom meet. Run your client again and "
    "again until the proxy says that nothing is left.",
)
@click.option("--frames", is_flag=True, help="Print each frame that it forwards.")
@click.option("--one-room", is_flag=True, help="Treat all connections as one run of one room.")
@click.option("--page", type=Whole(0, 65_535), metavar="PORT", help=PAGE)
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
    provoke: bool,
    frames: bool,
    one_room: bool,
    page: int | None,
    **asked: str | bool | None,
) -> None:
    """Forward between clients and a server, and report which side breaks which rule.

    Clients connect to LISTEN (HOST:PORT, or a port on localhost; 0: a free one). The first line
    on stdout is the address. Findings are printed at once. Ctrl-C ends the proxy; it then prints a
    summary, and writes the files.

    The proxy can disturb the streams. SIDE is the sender of a stream: client or server. FRAMES is
    a type of frames, or any: Ack is every Ack, Ack:3 the third one of a connection, Ack*3 the
    first three, Ack%0.1 one in ten by chance, client.Ping only the Pings of clients, Application
    every application event, Resumed a Welcome to a client that resumes. The judge takes into
    account what each side really received.

    \b
    Examples:
      refserver proxy 4000 --to localhost:3000
      refserver proxy 4000 --to localhost:3000 --record talk.jsonl --html talk.html
      refserver proxy 4000 --to localhost:3000 --drop Ack:3 --split random --seed 7
      refserver proxy 4000 --to localhost:3000 --provoke
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key, both of them")
    tls = None
    if tls_cert is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            tls.load_cert_chain(tls_cert, tls_key)
        except OSError as error:
            is_read = isinstance(error, ssl.SSLError)
            reason = "no certificate in PEM form with its key" if is_read else error.strerror
            raise click.UsageError(f"{tls_cert} and {tls_key}: {reason}") from None
    to_tls = trusting(ca) if tls_to or ca is not None else None
    if to_tls is None and tls is not None and not _is_loopback(to[0]):
        raise click.UsageError(
            "clients that speak TLS may send credentials: to another machine, say --tls-to"
        )
    if is_itself(listen, to):
        raise click.UsageError(f"it would forward to itself: listen elsewhere than {spelled(*to)}")
    chosen = secrets.randbelow(2**32) if seed is None else seed
    if rules or provoke:
        click.echo(f"refserver: disturbing with --seed {chosen}", err=True)
    wishes = Wishes(
        source=f"proxy to {spelled(*to)}",
        started=time.time(),
        files=files(page=page is not None, **asked),
        frames=frames,
        one_room=one_room,
        rules=[rule.text for rule in rules],
    )
    shown = page_socket(page)
    provoker = Provoker(lambda: click.echo(ALL_MET)) if provoke else None
    done = forward(listen, to, tls, to_tls, wishes, shown, Rules(rules, chosen, provoker))
    if provoker is not None:
        click.echo(BEYOND)
    if provoker is not None and (left := provoker.not_met):
        click.echo(f"provoked {len(PROVOCATIONS) - len(left)} of {len(PROVOCATIONS)}; not met:")
        for each in left:
            click.echo(f"    {as_options(each)}")
    sys.exit(done)


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
    page: socket.socket | None,
    rules: Rules,
) -> int:
    """Forward until a signal, with a judge beside it. Returns the judge's exit code."""
    judging = Judging(wishes, page, rules.switch)
    try:
        asyncio.run(_forward(listen, to, tls, tls_to, judging, rules))
    except OSError as error:
        judging.give_up()
        raise click.UsageError(f"{spelled(*listen)}: {error.strerror or error}") from None
    return judging.finish()


async def _forward(
    listen: tuple[str, int],
    to: tuple[str, int],
    tls: ssl.SSLContext | None,
    tls_to: ssl.SSLContext | None,
    judging: Judging,
    rules: Rules,
) -> None:
    loop = asyncio.get_running_loop()
    start = time.monotonic()
    proxy = Proxy(
        to,
        judging.take,
        lambda: time.monotonic() - start,
        tls=tls,
        tls_to=tls_to,
        disturb=rules.disturber,
        most=most_connections(),
    )
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    port = await proxy.start(*listen)
    click.echo(f"forwarding {spelled(listen[0], port)} to {spelled(*to)}")
    sys.stdout.flush()
    judging.listening(listen[0], port, secure=tls is not None)
    await stopped.wait()
    await proxy.stop()
    if proxy.refused:
        told = f"closed {counted(proxy.refused, 'connection')} beyond {proxy.most} at once"
        click.echo(f"refserver: {told}; `ulimit -n` allows more", err=True)


def most_connections() -> int:
    """Those for which the descriptors suffice: each needs two, and some are for other files."""
    import resource  # the commands are loaded on Windows too, which has none

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(1, (limit - RESERVED) // 2)


def is_itself(listen: tuple[str, int], to: tuple[str, int]) -> bool:
    """Whether a proxy that listens there would forward to itself, round and round."""
    if listen[1] != to[1]:
        return False
    try:
        here, there = (
            {info[4][0] for info in socket.getaddrinfo(*place, type=socket.SOCK_STREAM)}
            for place in (listen, to)
        )
    except OSError:  # a name that is not known yet is not this machine's
        return False
    return bool(here & there) or (_is_loopback(to[0]) and bool(here & {"0.0.0.0", "::"}))


class Rules:
    """The rules that are on, for the connections that begin now."""

    def __init__(self, rules: Sequence[Rule], seed: int, provoker: Provoker | None = None) -> None:
        self._rules = tuple(rules)
        self._seed = seed
        self._provoker = provoker

    def switch(self, on: Sequence[str]) -> None:
        """Let these be on, and no others."""
        self._rules = tuple(parsed(*text.split(" ", 1)) for text in on)

    def disturber(self, connection: int) -> Disturber | None:
        """What disturbs a connection: each has chances of its own, the same with the same seed."""
        rng = Random(f"{self._seed}/{connection}")
        if self._provoker is not None:
            return self._provoker.disturber(self._rules, rng)
        return Disturber(self._rules, rng) if self._rules else None
