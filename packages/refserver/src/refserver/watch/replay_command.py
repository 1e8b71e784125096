"""`refserver replay`: the clients of a recording again, against a live server.

Rule: a departure is told, whatever its cause; a finding is told beside it.

Layer: above `replay` and `reports`, below `commands`.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from pathlib import Path

import click

from ..arguments import Number, Whole, an_address, spelled
from ..characters import escape
from ..exit_codes import Exit
from .findings import Notes
from .judge import Judge
from .options import EXIT_CODES
from .replay import Replay
from .reports import complaints, print_finding
from .sources import items_of

__all__ = ["credential_option", "credentials_in", "replay_command"]

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
credential_option = click.option(
    "--credential-env",
    metavar="NAME",
    help="The environment variable with name:credential pairs, separated by spaces.",
)


@click.command("replay", epilog=EXIT_CODES.replace("a finding", "a departure or a finding"))
@click.argument("file", type=EXISTING)
@click.option("--to", required=True, metavar="HOST:PORT", callback=an_address, help="The server.")
@click.option("--tls", is_flag=True, help="Speak TLS with it.")
@click.option("--ca", type=EXISTING, help="Trust these certificates; implies --tls.")
@click.option("--port", type=Whole(1, 65_535), help="The server's port in a capture.")
@credential_option
@click.option(
    "--pipelined", is_flag=True, help="Send without awaiting the replies that had passed before."
)
@click.option(
    "--recorded-pongs",
    is_flag=True,
    help="Send the recorded Pongs; otherwise live Pings are answered.",
)
@click.option(
    "--timeout",
    type=Number(0.05),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a reply may take.",
)
def replay_command(
    file: Path,
    to: tuple[str, int],
    tls: bool,
    ca: Path | None,
    port: int | None,
    credential_env: str | None,
    pipelined: bool,
    recorded_pongs: bool,
    timeout: float,
) -> None:
    """Play the clients of a recording or a capture again, against a live server.

    Frames go out as they were recorded, wrong ones too. Tickets, positions and names that a
    server chose are those of the live server. Each difference to what was recorded is told, and
    the live server is judged.

    \b
    Example:
      refserver replay talk.jsonl --to localhost:3000
    """
    context = ssl.create_default_context(cafile=ca) if tls or ca is not None else None

    def connect() -> socket.socket:
        sock = socket.create_connection(to, timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock if context is None else context.wrap_socket(sock, server_hostname=to[0])

    judge = Judge(Notes(print_finding), one_room=True)
    replay = Replay(
        connect,
        credentials=credentials_in(credential_env),
        timeout=timeout,
        pipelined=pipelined,
        recorded_pongs=recorded_pongs,
        tell=judge.take,
    )
    with complaints():
        try:
            replay.run(items_of(file, port=port))
        except OSError as error:
            if error.filename is not None:
                raise
            click.echo(f"refserver: {spelled(*to)}: {error.strerror or error}", err=True)
            sys.exit(Exit.UNREACHABLE)
    judge.close()
    for departure in replay.departures:
        click.echo(f"departure: {escape(str(departure))}")
    count = len(replay.departures)
    click.echo(f"{replay.played} connections played, {count or 'no'} departures")
    wrong = count or any(finding.side == "server" for finding in judge.notes.findings)
    sys.exit(Exit.FAILED if wrong else Exit.DONE if replay.played else Exit.NO_CASE_RAN)


def credentials_in(variable: str | None) -> dict[str, bytes]:
    """By user: from the environment, never from the command line, which others read."""
    if variable is None:
        return {}
    pairs = [each.partition(":") for each in os.environ.get(variable, "").split()]
    if not pairs or not all(name and credential for name, _, credential in pairs):
        raise click.UsageError(f"the environment variable {variable} has no name:credential")
    return {name: credential.encode() for name, _, credential in pairs}
