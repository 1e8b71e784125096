"""What happened, one line each on stderr.

Rule: a record is one line of printable ASCII, whatever a peer put into it, and
never holds a content, a credential or a ticket.

Layer: the ground of refserver, beside `config`.
"""

from __future__ import annotations

import json
import logging
import sys
import time

__all__ = ["LOG", "note", "to_stderr"]

LOG = logging.getLogger("refserver")


def note(kind: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Write a record of this kind; the fields follow as `name=value`, in order."""
    if LOG.isEnabledFor(level):
        LOG.log(level, kind, extra={"fields": fields})


class OneLine(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO login user="ann"`: values as JSON writes them, in ASCII."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        pairs = "".join(f" {name}={json.dumps(value)}" for name, value in fields.items())
        return super().format(record) + pairs


def to_stderr(level: int = logging.INFO) -> None:
    """Send the records of this level and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    LOG.handlers[:] = [handler]
    LOG.setLevel(level)
    LOG.propagate = False
