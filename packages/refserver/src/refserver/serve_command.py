"""`refserver serve`: options and the environment become a `Config`, then the server runs.

Rule: all options of the server come from `config`.

Layer: below `cli`, above all that a server can be: watched, broken, or neither.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .arguments import Number, Whole, a_host, completing, near
from .client.options import CREDENTIAL
from .exit_codes import SERVE, in_one_line
from .server.config import Config, ConfigError

if TYPE_CHECKING:
    from .mutants import Mutant

__all__ = ["option_names", "serve"]

WATCHING = "Watching"
OTHERS = "Others"

Command = Callable[..., None]


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


@click.command("serve", cls=GroupedCommand, epilog=in_one_line(SERVE))
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
    from .server import logs
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
