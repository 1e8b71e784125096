"""The command line: it finds the command that the first word names, and reports how it failed.

Rule: only the command that runs is imported. A user's mistake is reported in one line, with exit
code 2 and no traceback.

Layer: the top.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

from .arguments import address, near
from .exit_codes import Exit
from .version import VERSION

__all__ = ["COMMANDS", "Place", "main"]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""The error numbers of a stdout that cannot be written any more."""


class Place(NamedTuple):
    """Where a command is, and the first line of its help: the list of commands imports none."""

    module: str
    name: str
    line: str

    def load(self) -> click.Command:
        """The command."""
        command: click.Command = getattr(import_module("." + self.module, __package__), self.name)
        return command


COMMANDS: Mapping[str, Place] = {
    "bench": Place(
        "client.bench",
        "bench",
        "Measure how many messages a server delivers in a second, and how late they come.",
    ),
    "check": Place(
        "conformance.check_command",
        "check_command",
        "Test the server at HOST:PORT, with all cases or some (FRAME-07, 'LOGIN-*').",
    ),
    "docs": Place("pages", "docs", "Print a PAGE of the documentation, or the list of all pages."),
    "explain": Place(
        "conformance.explain",
        "explain_command",
        "Show the rule of a case, a statement or an error code, and the usual causes.",
    ),
    "judge": Place(
        "watch.judge_command", "judge_command", "Report which side broke which rule, at which byte."
    ),
    "peer": Place(
        "conformance.peer.commands",
        "peer_command",
        "Test a client: run its COMMAND once for each case, against a scripted server.",
    ),
    "ping": Place(
        "client.ping", "ping", "Measure how long a server takes to answer a Ping, until Ctrl-C."
    ),
    "proxy": Place(
        "watch.proxy_command",
        "proxy_command",
        "Forward between clients and a server, and report which side breaks which rule.",
    ),
    "replay": Place(
        "watch.replay_command",
        "replay_command",
        "Play one side of a recording or a capture again, against a live peer.",
    ),
    "report": Place("conformance.report_command", "report_group", "Work with JSON reports."),
    "send": Place(
        "client.send", "send", "Send each TEXT as a message, and print `ack POSITION` for each."
    ),
    "serve": Place("serve_command", "serve", "Serve on localhost:3000, or on PORT, until Ctrl-C."),
    "shrink": Place(
        "watch.shrink_command",
        "shrink_command",
        "Make a recording as short as possible, so that it still shows a finding.",
    ),
    "status": Place(
        "client.status_command",
        "status",
        "Print the main metrics of the server that serves metrics on PORT.",
    ),
    "tail": Place(
        "client.tail", "tail", "Print the events of a room, one line each, until Ctrl-C."
    ),
    "token": Place("token_command", "token", "Make a token for USER."),
    "watch": Place(
        "watch.watch_command",
        "watch_command",
        "Print each frame of a recording, and each finding below its frame.",
    ),
}


class DefaultsToServe(click.Group):
    """A group with `serve` as the default command: `refserver 4000` is `refserver serve 4000`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now; None if there is none."""
        return COMMANDS[cmd_name].load() if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, each with its line from the table."""
        room = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl([(name, in_short(name, room)) for name in COMMANDS])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the first word: a command, or an option of this group."""
        begun = [name for name in COMMANDS if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=in_short(name)) for name in begun] + options

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {name for param in self.params for name in param.opts} | set(ctx.help_option_names)
        first = args[0] if args else "-"
        is_for_serve = first not in own and (first.isdigit() or first.startswith("-"))
        # A shell that completes the first word asks for the commands.
        if is_for_serve and not ctx.resilient_parsing:
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first word. The error for an unknown word suggests a similar one."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}{meant(args[0], COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line; `--help` is printed here."""
        with reader_may_leave():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with reader_may_leave():
            return super().invoke(ctx)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run and exit; an error is printed in one line."""
        standalone = extra.pop("standalone_mode", True)
        run: Callable[[], Any] = partial(super().main, *args, standalone_mode=False, **extra)
        if not standalone:
            return run()
        try:
            code = run()
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "refserver"
            reason = error.format_message().rstrip(".")
            fail(f"{reason}{'' if reason.endswith('?') else '.'} Try {command} --help.")
        except click.ClickException as error:
            fail(error.format_message())
        except click.Abort:
            sys.exit(Exit.INTERRUPTED)
        except OSError as error:
            fail_to_print(error)
        except Exception as error:
            fail_for(error)
        sys.exit(code if isinstance(code, int) else 0)


def in_short(name: str, limit: int = 45) -> str:
    """The line of a command, shortened as click shortens it."""
    return click.Command(name, help=COMMANDS[name].line).get_short_help_str(limit)


def meant(word: str, commands: Iterable[str]) -> str:
    """A suggestion for an unknown command, or an empty text.

    >>> meant("localhost:3022", ["serve"])
    '; to serve there, write refserver --host localhost --port 3022'
    >>> meant("serv", ["serve"])
    "; did you mean 'serve'?"
    """
    with suppress(ValueError):
        host, port = address(word)
        if ":" in word:
            return f"; to serve there, write refserver --host {host} --port {port}"
    return near(word, commands)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """End quietly if the reader of stdout has closed it: click and rich would exit with 1."""
    try:
        yield
    except BrokenPipeError:
        give_up_stdout()
        sys.exit(Exit.READER_LEFT)


@click.group(
    cls=DefaultsToServe,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`serve` is the default command: `refserver 4000` is `refserver serve 4000`. "
    "`refserver docs` prints the documentation.",
)
@click.version_option(VERSION, package_name="refserver")
def main() -> None:
    """The reference server for Event Protocol 1, and its conformance kit."""


def fail(reason: str, code: int = Exit.USAGE) -> NoReturn:
    """Print the error in one line, and exit."""
    click.echo(f"refserver: {reason}", err=True)
    sys.exit(code)


def fail_for(error: Exception) -> NoReturn:
    """Exit because of a wrong setting, or because of the other side. Any other error is a bug, and
    is raised.
    """
    from .client.network import CommandError  # the command that raises one has imported it

    if isinstance(error, CommandError):
        fail(str(error), error.code)
    from eventcodec import LocalProtocolError

    from .characters import escape
    from .server.config import ConfigError

    if isinstance(error, ConfigError | LocalProtocolError):
        fail(escape(str(error)))
    raise error


def fail_to_print(error: OSError) -> NoReturn:
    """Exit because stdout cannot be written. Any other error is a bug, and is raised."""
    if error.errno not in FULL:
        raise error
    give_up_stdout()
    fail(f"cannot write to stdout: {error.strerror}", Exit.BROKEN)


def give_up_stdout() -> None:
    """Stop writing: else Python tries once more at its exit, and prints its own error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
