"""`refserver status`: the main metrics of a server on this machine.

Rule: it says what is missing where the extra `metrics` is not installed.

Layer: above `status`, whose libraries are an extra.
"""

from __future__ import annotations

import click

from ..arguments import Whole
from ..server.config import ConfigError
from ..server.metrics import why_not

__all__ = ["status"]


@click.command("status")
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
        from .status import fetch, rows, table
    except ImportError as error:
        raise ConfigError(f"status {why_not(error)}") from None
    from ..output import Console

    metrics = fetch(port)
    console = Console()
    if console.is_terminal:
        console.print(table(metrics))
    else:
        click.echo("\n".join(map("\t".join, rows(metrics))))
