"""How a command of the kit says that it cannot do what was asked.

Rule: one line on stderr, and the exit code.

Layer: above `suite`, below `options`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from ..exit_codes import Exit
from .interrupts import interruptible
from .suite import NotReached, UsageError

__all__ = ["complaints", "leave"]


@contextmanager
def complaints() -> Iterator[None]:
    """Turn what makes no sense, or cannot be reached, into one line and its exit code.

    A signal that ends the command is a KeyboardInterrupt in here.
    """
    try:
        with interruptible():
            yield
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    except NotReached as error:
        leave(Exit.UNREACHABLE, str(error))


def leave(code: Exit, reason: str) -> NoReturn:
    click.echo(f"refserver: {reason}", err=True)
    sys.exit(code)
