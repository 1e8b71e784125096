"""The command line: options and the environment become a `Config`, then a command runs.

Rule: all options of the server come from `config`. A user's mistake is reported in one line, with
exit code 2 and no traceback.

Layer: the top.
"""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.core import ParameterSource

from eventcodec import LocalProtocolError

from . import pages
from .arguments import Number, Whole, a_host, address, completing, near
from .characters import escape
from .client import commands as client_commands
from .client.network import CommandError
from .client.options import CREDENTIAL
from .exit_codes import SERVE, Exit, in_one_line
from .server import auth, logs
from .server.config import Config, ConfigError
from .server.metrics import why_not
from .version import VERSION

if TYPE_CHECKING:
    from .mutants import Mutant

__all__ = ["main"]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""The error numbers of a stdout that cannot be written any more."""
WATCHING = "Watching"
OTHERS = "Others"

Command = Callable[..., None]


class DefaultsToServe(click.Group):
    """A group with `serve` as the default command: `refserver 4000` is `refserver serve 4000`.

    It imports the kit only for the commands of the kit and for the list of all commands: the
    import takes twice as long as the start of the server.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._add_kit()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            self._add_kit()
        return super().get_command(ctx, cmd_name)

    def _add_kit(self) -> None:
        from .conformance.commands import register
        from .watch.commands import register as register_watch

        register(self)
        register_watch(self)

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
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}{meant(args[0], self.list_commands(ctx))}.")
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
        except (ConfigError, LocalProtocolError) as error:
            fail(escape(str(error)))
        except CommandError as error:
            fail(str(error), error.code)
        except click.Abort:
            sys.exit(Exit.INTERRUPTED)
        except OSError as error:
            fail_to_print(error)
        sys.exit(code if isinstance(code, int) else 0)


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


class Grouped(click.Option):
    """An option with its heading in `--help`."""

    def __init__(self, *args: Any, group: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.group = group


class Switch(Grouped):
    """`--this/--no-this`: both have a variable in the environment."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The value from the environment; `..._NO_THIS=1` is `..._THIS=0`."""
        off = os.environ.get(variable(self.secondary_opts[0]))
        if not off:
            return super().resolve_envvar_value(ctx)
        return str(not click.BOOL.convert(off, self, ctx))


class GroupedCommand(click.Command):
    """A command that shows its options under headings in `--help`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[str, list[tuple[str, str]]] = {}
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for option in sorted(options, key=lambda option: not isinstance(option, Grouped)):
            row = option.get_help_record(ctx)
            if row is not None:
                rows.setdefault(getattr(option, "group", OTHERS), []).append(row)
        for heading, lines in rows.items():
            with formatter.section(heading):
                formatter.write_dl(lines)


@click.group(
    cls=DefaultsToServe,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`serve` is the default command: `refserver 4000` is `refserver serve 4000`. "
    "`refserver docs` prints the documentation.",
)
@click.version_option(VERSION, package_name="refserver")
def main() -> None:
    """The reference server for Event Protocol 1, and its conformance kit."""


client_commands.register(main)
main.add_command(pages.docs)


def option_names(field: dataclasses.Field[Any]) -> tuple[str, str]:
    """An option on the command line, and its variable in the environment."""
    option = "--" + field.name.replace("_", "-")
    return option, variable(option)


def variable(option: str) -> str:
    """An option's variable in the environment.

    >>> variable("--max-frame")
    'REFSERVER_MAX_FRAME'
    """
    return "REFSERVER_" + option[2:].replace("-", "_").upper()


def _option(field: dataclasses.Field[Any]) -> Callable[[Command], Command]:
    about = dict(field.metadata)
    name, its_variable = option_names(field)
    settings: dict[str, Any] = {
        "cls": Grouped,
        "group": about["group"],
        "default": field.default,
        "envvar": its_variable,
        "help": f"{about['help'][0].upper()}{about['help'][1:]}. Why: {about['reason']}.",
        "show_default": all(field.default is not nothing for nothing in ("", None, False)),
    }
    if field.default is False:
        return click.option(name, is_flag=True, **settings)
    if field.default is True:
        return click.option(f"{name}/--no-{name[2:]}", **settings | {"cls": Switch})
    if about.get("host"):
        settings["callback"] = a_host
    return click.option(name, type=_kind(field), metavar=about["unit"], **settings)


def _kind(field: dataclasses.Field[Any]) -> Any:
    about = field.metadata
    if about.get("path"):
        return click.Path(dir_okay=False)
    if "choices" in about:
        return click.Choice(about["choices"])
    if "least" in about:
        numbers = Number if isinstance(field.default, float) else Whole
        return numbers(about["least"], about.get("most"))
    return str


def _options(command: Command) -> Command:
    for field in reversed(dataclasses.fields(Config)):
        command = _option(field)(command)
    return command


@main.command(cls=GroupedCommand, epilog=in_one_line(SERVE))
@click.argument("at", metavar="[PORT]", required=False, type=Whole(0, 65_535))
@_options
@click.option(
    "--mutant",
    metavar="NAME",
    shell_complete=completing(lambda: _mutants()),
    help="Run with one deliberate fault, to test a conformance kit; `list` prints all of them.",
)
@click.option(
    "--watch",
    cls=Grouped,
    group=WATCHING,
    is_flag=True,
    help="Judge both sides of every connection, in another process, and print each finding.",
)
@click.option(
    "--record",
    cls=Grouped,
    group=WATCHING,
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="With --watch: write a recording; credentials and tickets are masked.",
)
@click.option(
    "--page",
    cls=Grouped,
    group=WATCHING,
    type=Whole(0, 65_535),
    metavar="PORT",
    help="With --watch: show what passes on a page for a browser of this machine; 0 takes a free "
    "port; needs refserver[page].",
)
@click.pass_context
def serve(
    ctx: click.Context,
    /,
    at: int | None,
    mutant: str | None,
    watch: bool,
    record: str | None,
    page: int | None,
    **settings: Any,
) -> None:
    """Serve on localhost:3000, or on PORT, until Ctrl-C.

    The first line on stdout is the address. The log goes to stderr. You can also set each
    option in the environment: --max-frame is REFSERVER_MAX_FRAME. `refserver docs server` is the
    page on running a server.

    \b
    SIGTERM, SIGINT  send every member its last frames, then exit with 0;
                     the third of these signals cuts all connections at once
    SIGHUP           read the token file and the certificates again

    \b
    Examples:
      refserver
      refserver 4000 --no-presence
      refserver --tokens tokens.txt --tls-cert cert.pem --tls-key key.pem --host 0.0.0.0
    """
    from .server.process import run

    if at is not None:
        is_said_twice = ctx.get_parameter_source("port") is ParameterSource.COMMANDLINE
        if is_said_twice and settings["port"] != at:
            raise click.UsageError(f"two ports: {at} and --port {settings['port']}")
        settings["port"] = at
    _check_environment(ctx.find_root().command)
    if mutant == "list":
        return click.echo("\n".join(f"{each.name}: {each.wrong}" for each in _mutants().values()))
    if mutant is not None:
        settings |= _broken(mutant, shares=bool(settings["log"]))
    config = Config(**settings)
    if not watch and (record is not None or page is not None):
        raise click.UsageError("--record and --page need --watch")
    logs.to_stderr(logging.WARNING if config.quiet else logging.INFO, config.log_format)
    if not watch:
        return run(config)
    from .watch.serving import watching

    with watching(record, page, shared=bool(config.log)) as tap:
        run(config, tap)


def _check_environment(root: click.Command) -> None:
    """Refuse an unknown REFSERVER_ variable: a misspelt REFSERVER_TOKENS would admit everybody."""
    known = {variable("--" + field.name) for field in dataclasses.fields(Config)}
    others = {name for name in os.environ if name.startswith("REFSERVER_")} - known
    if not others:  # the usual case: the other commands need not be loaded
        return
    known |= {CREDENTIAL, *_variables(root)}
    for name in sorted(others - known):
        raise ConfigError(f"{name} in the environment is not a setting{near(name, known)}")


def _variables(command: click.Command) -> Iterator[str]:
    """The variables of the environment that a command and the commands below it read."""
    for param in command.params:
        yield from [param.envvar] if isinstance(param.envvar, str) else param.envvar or []
        if isinstance(param, Switch):
            yield variable(param.secondary_opts[0])
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            each = command.get_command(click.Context(command), name)
            if each is not None:
                yield from _variables(each)


def _broken(name: str, *, shares: bool) -> Mapping[str, Any]:
    """Break the server of this process. Returns the settings that show the fault."""
    mutants = _mutants()
    if name not in mutants:
        known = near(name, mutants) or "; --mutant list names all"
        raise click.UsageError(f"no mutant {name!r}{known}")
    if mutants[name].servers > 1 and not shares:
        raise click.UsageError(f"{name} is wrong in a room of two servers only: give --log")
    mutants[name].install()
    return mutants[name].settings


def _mutants() -> Mapping[str, Mutant]:
    from .mutants import MUTANTS  # loaded only for this option

    return MUTANTS


@main.command()
@click.argument("user")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the token to this new file, which only you can read, and do not print it.",
)
def token(user: str, token_file: Path | None) -> None:
    """Make a token for USER.

    The line for the server's file goes to stdout. The token itself goes only to stderr, or to
    the file of --token-file. To replace a token, add the new line, give the token to the user,
    and remove the old line. A running server reads its file again after SIGHUP.

    \b
    Examples:
      refserver token ann >> tokens.txt
      refserver token bob --token-file bob.token >> tokens.txt
      refserver send localhost --as bob --credential-file bob.token hello
    """
    secret, line = auth.new_token(user)
    with nullcontext() if token_file is None else _kept(secret, token_file):
        click.echo(line)
        sys.stdout.flush()
    if token_file is None:
        click.echo(f"token: {secret}", err=True)


@contextmanager
def _kept(secret: str, path: Path) -> Iterator[None]:
    """Write a new file that only this user can read; remove it if the block fails.

    Raises ConfigError if it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    try:
        try:
            with open(descriptor, "w") as file:
                file.write(secret + "\n")
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@main.command()
@click.argument("port", type=Whole(1, 65_535), envvar="REFSERVER_METRICS")
def status(port: int) -> None:
    """Print the main metrics of the server that serves metrics on PORT.

    The default for PORT is REFSERVER_METRICS. In a pipe, tabs separate the columns. If there
    is no such server, the exit code is 1.

    \b
    Example:
      refserver --metrics 9100 &
      refserver status 9100
    """
    try:
        from .client.status import fetch, rows, table
    except ImportError as error:
        raise ConfigError(f"status {why_not(error)}") from None
    from .output import Console

    metrics = fetch(port)
    console = Console()
    if console.is_terminal:
        console.print(table(metrics))
    else:
        click.echo("\n".join(map("\t".join, rows(metrics))))


def fail(reason: str, code: int = Exit.USAGE) -> NoReturn:
    """Print the error in one line, and exit."""
    click.echo(f"refserver: {reason}", err=True)
    sys.exit(code)


def fail_to_print(error: OSError) -> NoReturn:
    """Exit because stdout cannot be written. Any other error is a bug, and is raised."""
    if error.errno not in FULL:
        raise error
    give_up_stdout()
    fail(f"cannot write to stdout: {error.strerror}", Exit.BROKEN)


def give_up_stdout() -> None:
    """Stop writing: else Python tries once more at its exit, and prints its own error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
