"""Files of conversations, whatever their form.

Rule: the first bytes of a file say what it is, and not its name.

Layer: above `recording` and `capture`, below the commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .capture import CaptureError, is_capture, read_capture
from .conversation import Item
from .recording import RecordingError, read_recording
from .tls_capture import read_tls_capture

__all__ = ["SourceError", "items_of"]


class SourceError(ValueError):
    """A file that cannot be read as conversations; the message says why."""


def items_of(path: Path, *, port: int | None = None, keylog: Path | None = None) -> Iterator[Item]:
    """What passed, as the file has it. Raises SourceError.

    `port` is the server's in a capture. With `keylog` the capture has TLS.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
            if keylog is not None:
                if not is_capture(head) or port is None:
                    raise CaptureError("a key log is for a capture, and needs the server's port")
                yield from read_tls_capture(path, keylog, port)
                return
            if is_capture(head):
                file.seek(0)
                yield from read_capture(file, port=port)
                return
        with path.open(encoding="utf-8", errors="strict") as lines:
            yield from read_recording(lines)
    except (CaptureError, RecordingError) as error:
        raise SourceError(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise SourceError(f"{path}: neither a recording nor a capture") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None
