"""A console for stdout that reports when the reader has closed it.

Rule: nothing here exits; the command line decides what a broken pipe means.

Layer: the bottom layer of refserver.
"""

from __future__ import annotations

import errno
import os

import rich.console

__all__ = ["Console"]


class Console(rich.console.Console):
    """rich's console; it raises BrokenPipeError, where rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Called by rich where the reader of stdout has left."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
