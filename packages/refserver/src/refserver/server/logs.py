"""The log: one line on stderr for each event.

Rule: a record is one line of printable ASCII without a content, a credential or a ticket.

There are few lines of one kind in a second; the next line has the number of
the others. Logging never waits: lines that stderr does not take are dropped and counted.

Layer: below `server` and all that it is made of, above `stderr`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType

from .stderr import LineWriter

__all__ = [
    "FORMATS",
    "LOG",
    "OneLine",
    "RateLimitFilter",
    "ToWriter",
    "failure",
    "log_event",
    "to_stderr",
]

LOG = logging.getLogger("refserver")
STDERR = 2

LINES = 20
"""The most lines of one kind in a second. The metrics of a busy server have the rest."""
LINES_OF = {"accept": 1}


def log_event(kind: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Write a record of this kind with these fields, in order."""
    if LOG.isEnabledFor(level):
        LOG.log(level, kind, extra={"fields": fields})


def failure(error: BaseException) -> None:
    """Log a bug: the place in the code, without any data."""
    fields = {"error": type(error).__name__, "at": places(error.__traceback__)}
    LOG.error("internal", extra={"fields": fields})


def places(trace: TracebackType | None) -> str:
    """`server.py:100 _work, session.py:200 take`: the places of an error, outermost first."""
    frames = traceback.extract_tb(trace)
    names = ((frame.filename.rpartition("/")[2], frame.lineno, frame.name) for frame in frames)
    return ", ".join(f"{file}:{line} {name}" for file, line, name in names)


def fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    """The fields of a record. A record that is not from `log_event` has its message as a field."""
    fields: Mapping[str, object] | None = getattr(record, "fields", None)
    if fields is not None:
        return fields
    more: dict[str, object] = {"message": record.getMessage()}
    if record.exc_info and record.exc_info[1] is not None:
        more |= {"error": record.exc_info[0].__name__ if record.exc_info[0] else None}
        more |= {"at": places(record.exc_info[2])}
    return more


def kind_of(record: logging.LogRecord) -> str:
    """The kind of a record. All records of another logger are one kind."""
    return str(record.msg) if hasattr(record, "fields") else record.name


class RateLimitFilter(logging.Filter):
    """Passes `LINES` records of a kind in each second, and counts the others.

    `clock` returns seconds. The first record of a later second has their number.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._second: dict[str, tuple[int, int]] = {}  # the second, and the records in it

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = kind_of(record), int(self._clock())
        allowed = LINES_OF.get(kind, LINES)
        second, count = self._second.get(kind, (now, 0))
        if second != now:
            record.suppressed = max(0, count - allowed)
            second, count = now, 0
        self._second[kind] = second, count + 1
        return count < allowed


class OneLine(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO login user="ann"`: values in the form of JSON, in ASCII."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%SZ"
    default_msec_format = None

    def format(self, record: logging.LogRecord) -> str:
        head = (self.formatTime(record), record.levelname, kind_of(record))
        pairs = self.pairs(record).items()
        return " ".join([*head, *(f"{name}={json.dumps(value)}" for name, value in pairs)])

    def pairs(self, record: logging.LogRecord) -> dict[str, object]:
        """The fields of a record, and the number of records of its kind that were left out before
        it."""
        suppressed = getattr(record, "suppressed", 0)
        return {**fields_of(record), **({"suppressed": suppressed} if suppressed else {})}


class AsJson(OneLine):
    """`{"time": "2026-01-31T12:00:00Z", "level": "INFO", "event": "login", "user": "ann"}`"""

    def format(self, record: logging.LogRecord) -> str:
        head = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "event": kind_of(record),
        }
        return json.dumps(head | self.pairs(record))


FORMATS: dict[str, type[OneLine]] = {"text": OneLine, "json": AsJson}


class ToWriter(logging.Handler):
    """Passes lines to a writer, and writes how many were dropped when it takes lines again.

    In a running loop this happens when the reader continues; without a loop, with the next record.
    """

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer
        self._loop: asyncio.AbstractEventLoop | None = None  # the loop that watches the writer

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or drop it."""
        self.resume()
        self._writer.write(self._line(record))
        self._watch()

    def resume(self) -> None:
        """Write the rest of a line, and how many were dropped."""
        writer = self._writer
        if writer.flush() and writer.dropped:
            writer.write(self._line(dropped(writer.take_dropped())))
        self._watch()

    def close(self) -> None:
        """Stop using the writer."""
        self._writer.close()
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode() + b"\n"

    def _watch(self) -> None:
        """Let the loop report when a blocked writer takes bytes again."""
        if self._writer.is_blocked and self._loop is None:
            try:
                loop = asyncio.get_running_loop()
                loop.add_writer(self._writer.descriptor, self.resume)
            except (RuntimeError, OSError):  # no loop, or a file that a loop cannot watch
                return
            self._loop = loop
        elif not self._writer.is_blocked and self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_writer(self._writer.descriptor)
            self._loop = None


def dropped(count: int) -> logging.LogRecord:
    """The line for so many dropped records."""
    about = {"msg": "log", "levelno": logging.WARNING, "levelname": "WARNING"}
    return logging.makeLogRecord({**about, "fields": {"dropped": count}})


def to_stderr(level: int = logging.INFO, form: str = "text") -> None:
    """Send the records of this level and above to stderr, also the warnings of asyncio."""
    if sys.__stderr__ is None:  # closed: its number can belong to a client now
        handler: logging.Handler = logging.NullHandler()
    else:
        handler = ToWriter(LineWriter(STDERR))
    handler.setFormatter(FORMATS[form]())
    handler.addFilter(RateLimitFilter())
    for logger in (LOG, logging.getLogger("asyncio")):
        logger.handlers[:] = [handler]
        logger.propagate = False
    LOG.setLevel(level)
