"""Read the files in the settings.

Rule: only a regular file is read.

A FIFO, a device or a socket is an error, and the server never waits for it.

Layer: above `config`, below `auth` and `tls`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .config import ConfigError

__all__ = ["check_regular", "read"]


def read(path: str | Path, most: int) -> bytes:
    """Returns the content of a file. Raises ConfigError, also for more than `most` bytes."""
    try:
        # Without O_NONBLOCK, open() itself waits for a FIFO's other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            _check_mode(os.fstat(descriptor).st_mode, path)
            data = file.read(most + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > most:
        raise ConfigError(f"cannot read {path}: it is larger than {most:,} bytes")
    return data


def check_regular(path: str | Path) -> None:
    """Raises ConfigError if the path is not a regular file.

    For a library that opens the file itself, and reports a missing one.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    _check_mode(mode, path)


def _check_mode(mode: int, path: str | Path) -> None:
    if stat.S_ISDIR(mode):
        raise ConfigError(f"cannot read {path}: Is a directory")
    if not stat.S_ISREG(mode):
        raise ConfigError(f"cannot read {path}: it is not a regular file")
