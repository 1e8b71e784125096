"""argv -> config -> run.

Rule: options come from `config`, each once; a mistake costs its maker one clear line
and exit code 2, never a traceback.

Layer: the top.
"""

from __future__ import annotations

import dataclasses
import errno
import logging
import sys
from typing import Any

import click

from . import logs
from .config import Config

__all__ = ["main"]

USAGE = 2


class DefaultsToServe(click.Group):
    """A group whose first word may be left out: `refserver 4000` is `refserver serve 4000`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {name for param in self.params for name in param.opts} | set(ctx.help_option_names)
        if not args or (args[0] not in self.commands and args[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=DefaultsToServe,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Without a command it serves: `refserver 4000` is `refserver serve 4000`.",
)
@click.version_option(package_name="refserver")
def main() -> None:
    """The reference server for Event Protocol 1."""


def _options(command: Any) -> Any:
    for each in reversed(dataclasses.fields(Config)):
        about = dict(each.metadata)
        text = about["help"] + (f" ({about['reason']})" if about["reason"] else "")
        name = "--" + each.name.replace("_", "-")
        if isinstance(each.default, bool):
            decorate = click.option(
                f"{name}/--no-{name[2:]}", default=each.default, show_default=True, help=text
            )
        else:
            kind: Any = type(each.default)
            if "least" in about:
                numbers = click.IntRange if kind is int else click.FloatRange
                kind = numbers(about["least"], about.get("most"))
            decorate = click.option(
                name,
                default=each.default,
                type=kind,
                metavar=about["unit"],
                show_default=True,
                help=text,
            )
        command = decorate(command)
    return command


@main.command()
@click.argument("at", metavar="[PORT]", required=False, type=click.IntRange(0, 65_535))
@_options
@click.option("--quiet", is_flag=True, help="Log warnings and errors only.")
def serve(at: int | None, quiet: bool, **settings: Any) -> None:
    """Serve on localhost:3000, or on PORT, until Ctrl-C.

    The first line on stdout says where; what happens goes to stderr.

    \b
    Examples:
      refserver
      refserver 4000
      refserver serve --port 0 --no-presence
    """
    from .server import run

    if at is not None:
        settings["port"] = at
    config = Config(**settings)
    logs.to_stderr(logging.WARNING if quiet else logging.INFO)
    try:
        run(config)
    except OSError as error:
        fail(f"cannot listen on {config.host}:{config.port}: {_why(error)}")


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "something listens there already; choose another port, or 0 for a free one"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "only root may use this port; choose one above 1023"
    return error.strerror or str(error)


def fail(reason: str) -> None:
    """Say what is wrong, in one line, and leave."""
    click.echo(f"refserver: {reason}", err=True)
    sys.exit(USAGE)
