"""`refserver peer`: test a client, or look at its command step by step.

Rule: what stands behind `--` is the client's command, as it is; nothing of it is read
as an option of ours.

Layer: the top of `peer`.
"""

from __future__ import annotations

import shlex
import shutil
import sys

import click

from ...exit_codes import Exit
from ..attempt import Setting
from ..complaints import complaints
from ..model import Report, Verdict
from ..options import (
    EXIT_CODES,
    Asked,
    aside,
    ids_argument,
    list_cases,
    suite_options,
)
from ..reports.phrases import ascii_only
from ..segmentation import Segmentation
from ..streams import Wrap
from ..suite import NotReached, UsageError
from .cases import CLIENT_CASES
from .doctor import examine
from .peer import Peer, opened, placed
from .run import CAPABILITIES, LOOPBACK, ClientDriver, check_client

__all__ = ["peer_command"]


class BehindDashes(click.Command):
    """A command whose arguments behind `--` are another program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, dashes, command = args, False, []
        if "--" in args:
            at = args.index("--")
            own, dashes, command = args[:at], True, args[at + 1 :]
        ctx.meta[__name__] = command if dashes else []
        return super().parse_args(ctx, own)


@click.command("peer", cls=BehindDashes, epilog=EXIT_CODES)
@ids_argument("ids", CLIENT_CASES, "[ID]... -- COMMAND {host} {port}")
@aside("--doctor", is_flag=True, help="Check the command itself, step by step.")
@click.option(
    "--can",
    "abilities",
    type=click.Choice(list(CAPABILITIES)),
    multiple=True,
    help="Declare what the client can: "
    + "; ".join(f"{name}: {text}" for name, text in CAPABILITIES.items())
    + ".",
)
@click.option("--ws", is_flag=True, help="Test it over WebSocket, which cannot half-close.")
@suite_options(CLIENT_CASES)
@click.pass_context
def peer_command(
    ctx: click.Context,
    asked: Asked,
    ids: tuple[str, ...],
    doctor: bool,
    abilities: tuple[str, ...],
    ws: bool,
) -> None:
    """Test a client: run its COMMAND once for each case, against a scripted server.

    {host} and {port} in COMMAND become the address of the server. With --doctor, the kit
    checks step by step what COMMAND has to do:

    \b
    * It connects, and logs in as ann, without a credential.
    * It prints each event from the server as one line of JSON, at once:
        {"event": "Welcome", "seq": "1", "user": "ann", "position": "40", ...}
        {"event": "Message", "seq": "41", "sender": "bob", "content": "hello"}
        {"event": "Ack", "seq": "2", "position": "42"}
      seq and position as strings of digits, bytes as hex; without the ticket.
    * It follows orders, which are Messages of the member kit: "say TEXT",
      "event TYPE HEX", "ping", "logout", and with --can resume "resume".
    * It prints the end of each connection, and exits with status 0:
        {"event": "End", "how": "clean"}     or lost, fault, refused, explained

    `refserver docs conformance-clients` is the whole contract, `refserver docs small-clients`
    lists clients that you can copy.

    \b
    Examples:
      refserver peer --doctor -- ./client {host} {port}
      refserver peer -- ./client {host} {port}
      refserver peer 'PEER-FRAME-*' --segmentation bytewise -- node client.mjs {host} {port}
      refserver peer --can resume --html report.html -- ./client {host} {port}
      refserver peer --list
    """
    with complaints():
        if asked.listing:
            return list_cases(asked.chosen(ids))
        command: list[str] = ctx.meta[__name__]
        if not command:
            raise UsageError("which client? behind -- stands its command")
        placed(command, *LOOPBACK)
        if shutil.which(command[0]) is None:
            raise NotReached(f"cannot start {command[0]}: no such command")
        declared = frozenset(abilities) | ({"websocket"} if ws else set())
        setting = Setting(
            address=LOOPBACK,
            timeout=asked.timeout,
            capabilities=declared,
            wrap=accepting() if ws else None,
        )
        if doctor and ids:
            raise UsageError("--doctor looks at the command, and takes no ID")
        if doctor:
            with opened(setting, Segmentation.WHOLE, "", command) as peer:
                return diagnose(peer)
        driver = ClientDriver(
            command=command,
            setting=setting,
            seed=asked.some_seed(),
            options=asked.again,
        )
        plan = asked.plan(ids, declared)
        name = asked.name or shlex.join(command)
        asked.run(
            plan,
            lambda show: check_client(plan, driver, name=name, on_result=show),
            lambda report: advice(report, driver),
        )


def accepting() -> Wrap:
    """What makes an accepted socket a WebSocket. Raises UsageError without `websockets`."""
    try:
        from ..websocket import accepted
    except ImportError as error:
        raise UsageError("--ws needs websockets: install refserver[ws]") from error
    return accepted


def advice(report: Report, driver: ClientDriver) -> str:
    """What to do where the command itself is wrong, whatever the client is."""
    has_failed = any(result.verdict is Verdict.FAILED for result in report.results)
    if driver.has_printed or not has_failed:
        return ""
    again = shlex.join(["refserver", "peer", "--doctor", "--", *driver.command])
    return f"the command prints nothing; what is missing in it says: {again}"


def diagnose(peer: Peer) -> None:
    """Tell each step of the contract, and leave."""
    failure = ""
    for number, finding in enumerate(examine(peer), 1):
        failure = ascii_only(finding.failure)
        click.echo(f"{number:3} {'ok     ' if not failure else 'FAILED '} {finding.title}")
        if failure:
            click.echo(f"            {failure}")
            click.echo(f"            What to do: {finding.advice}.")
    if not failure:
        click.echo("The command keeps the contract; now test the client: leave --doctor out.")
    sys.exit(Exit.FAILED if failure else Exit.DONE)
