"""`refserver replay`: one side of a recording again, against a live peer.

Rule: a departure is told, whatever its cause; a finding is told beside it.

Layer: above `replay` and `reports`, below `commands`.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import click

from ..arguments import Number, Whole, an_address, spelled
from ..characters import escape
from ..client.network import connect, trusting
from ..exit_codes import Exit
from ..wording import counted
from .conversation import Side
from .findings import Notes
from .judge import Judge
from .options import EXIT_CODES, listen_address
from .replay import Replay
from .replay_server import ServerReplay
from .reports import complaints, print_finding
from .sources import items_of

__all__ = ["credential_option", "credentials_in", "replay_command"]

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
credential_option = click.option(
    "--credential-env",
    metavar="NAME",
    help="The environment variable with name:credential pairs, separated by spaces.",
)


def maybe_address(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """An address, if one is given."""
    return None if value is None else an_address(ctx, param, value)


def maybe_listen(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """An address to listen on, if one is given."""
    return None if value is None else listen_address(ctx, param, value)


@click.command("replay", epilog=EXIT_CODES)
@click.argument("file", type=EXISTING)
@click.option(
    "--to", metavar="HOST:PORT", callback=maybe_address, help="Play the clients, to this server."
)
@click.option(
    "--listen",
    metavar="[HOST:]PORT",
    callback=maybe_listen,
    help="Play the server, to clients that connect here (0: a free port).",
)
@click.option("--tls", is_flag=True, help="Use TLS.")
@click.option("--ca", type=EXISTING, help="Trust these certificates; implies --tls.")
@click.option("--port", type=Whole(1, 65_535), help="The server's port in a capture.")
@credential_option
@click.option("--pipelined", is_flag=True, help="Do not wait for a reply before the next request.")
@click.option(
    "--recorded-pongs",
    is_flag=True,
    help="Send the recorded Pongs, and do not answer live Pings.",
)
@click.option(
    "--timeout",
    type=Number(0.05),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to wait for a reply.",
)
def replay_command(
    file: Path,
    to: tuple[str, int] | None,
    listen: tuple[str, int] | None,
    tls: bool,
    ca: Path | None,
    port: int | None,
    credential_env: str | None,
    pipelined: bool,
    recorded_pongs: bool,
    timeout: float,
) -> None:
    """Play one side of a recording or a capture again, against a live peer.

    With --to it plays the clients, with --listen the server. It sends the frames as they were
    recorded, wrong ones too. It changes only what the live peer decides: tickets, positions, names,
    and the numbers of replies. It prints each difference from the recording, and each finding about
    the live peer.

    \b
    Examples:
      refserver replay talk.jsonl --to localhost:3000
      refserver replay talk.jsonl --listen 4000
    """
    judge = Judge(Notes(print_finding), one_room=True)
    if to is not None and listen is None:
        credentials = credentials_in(credential_env)
        context = trusting(ca) if tls or ca is not None else None
        replay: Replay | ServerReplay = Replay(
            lambda: connect(to, timeout, b"".join(credentials.values()), context),
            credentials=credentials,
            timeout=timeout,
            pipelined=pipelined,
            recorded_pongs=recorded_pongs,
            tell=judge.take,
        )
        peer = Side.SERVER
    elif listen is not None and to is None:
        if tls or ca is not None or credential_env is not None or recorded_pongs:
            raise click.UsageError(
                "--tls, --ca, --credential-env and --recorded-pongs are for --to"
            )
        listener = listening(listen)
        replay = ServerReplay(listener, timeout=timeout, pipelined=pipelined, tell=judge.take)
        peer = Side.CLIENT
    else:
        raise click.UsageError("--to or --listen, one of them")
    with complaints():
        replay.run(items_of(file, port=port))
    judge.close()
    for departure in replay.departures:
        click.echo(f"departure: {escape(str(departure))}")
    count = len(replay.departures)
    departed = counted(count, "departure") if count else "no departures"
    click.echo(f"{counted(replay.played, 'connection')} played, {departed}")
    wrong = count or any(finding.side is peer for finding in judge.notes.findings)
    sys.exit(Exit.FAILED if wrong else Exit.DONE if replay.played else Exit.NO_CASE_RAN)


def listening(at: tuple[str, int]) -> socket.socket:
    """Listen for clients, and say where. Raises UsageError."""
    try:
        host = "127.0.0.1" if at[0] == "localhost" else at[0]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, at[1]), family=family)
    except OSError as error:
        raise click.UsageError(f"{spelled(*at)}: {error.strerror or error}") from None
    click.echo(f"listening on {spelled(at[0], listener.getsockname()[1])}")
    sys.stdout.flush()
    return listener


def credentials_in(variable: str | None) -> dict[str, bytes]:
    """By user: from the environment, never from the command line, which others read."""
    if variable is None:
        return {}
    pairs = [each.partition(":") for each in os.environ.get(variable, "").split()]
    if not pairs or not all(name and credential for name, _, credential in pairs):
        raise click.UsageError(f"the environment variable {variable} has no name:credential")
    return {name: credential.encode() for name, _, credential in pairs}
