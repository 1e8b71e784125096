"""Files of conversations, whatever their form.

Rule: the first bytes of a file say what it is, and not its name.

Layer: above `recording` and `capture`, below the commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

import click

from .capture import CaptureError, is_capture, read_capture
from .conversation import CutShort, Item
from .recording import RecordingError, read_recording

__all__ = ["SourceError", "items_of"]

GZIP = b"\x1f\x8b"
NEITHER = "neither a recording nor a capture (pcap, pcapng)"


class SourceError(ValueError):
    """A file that cannot be read as conversations; the message says why."""


def items_of(path: Path, *, port: int | None = None, keylog: Path | None = None) -> Iterator[Item]:
    """What passed, as the file has it. Raises SourceError.

    `port` is the server's in a capture. With `keylog` the capture has TLS. A file that ends in
    the middle of a line or of a packet counts up to there; this is said on stderr. The file may be
    a pipe.
    """
    try:
        with path.open("rb") as file:
            head = file.peek(4)[:4]
            if not head:
                raise SourceError(f"{path}: empty, {NEITHER}")
            if head.startswith(GZIP):
                raise SourceError(f"{path}: compressed by gzip; decompress it first")
            if keylog is not None:
                if not is_capture(head) or port is None:
                    raise CaptureError("a key log is for a capture, and needs the server's port")
                from .tls_capture import read_tls_capture

                yield from read_tls_capture(path, keylog, port)
                return
            if is_capture(head):
                yield from read_capture(file, port=port)
                return
            # With a byte order mark too: some editors write one.
            with TextIOWrapper(file, encoding="utf-8-sig") as lines:
                yield from read_recording(lines)
    except CutShort:
        click.echo(f"refserver: {path} is cut short: what is whole of it counts", err=True)
    except (CaptureError, RecordingError) as error:
        raise SourceError(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise SourceError(f"{path}: {NEITHER}") from None
    except OSError as error:
        raise SourceError(f"{error.filename or path}: {error.strerror}") from None
