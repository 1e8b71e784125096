"""What a server counts, and what each figure means.

Rule: a figure that can be read off the state is read when somebody looks; only what
leaves no trace is counted, and that once a run of requests, a write or a connection.

Layer: the ground of refserver, beside `config`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..session.context import Counters

__all__ = ["FIGURES", "PREFIX", "Figure", "Tally", "Values", "why_not"]

PREFIX = "refserver_"
"""Begins the name of every figure, where Prometheus reads it."""

Values = Mapping[str, float | Mapping[str, float]]
"""The figures by their names; one with a label has a value for each of the label's."""


@dataclass(slots=True)
class Tally:
    """What has happened since the start. Whoever makes it happen counts it here."""

    accepted: int = 0
    turned_away: int = 0
    carried: int = 0  # entries, to connections that are gone
    bytes_in: int = 0
    bytes_out: int = 0
    lags: deque[float] = field(default_factory=lambda: deque([0.0], maxlen=15))
    sessions: Counters = field(default_factory=Counters)


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table of figures. `kind` is `counter` or `gauge`."""

    name: str
    kind: str
    meaning: str
    label: str = ""


FIGURES = (
    Figure(
        "connections",
        "gauge",
        "connections there are now; new: not logged in, closing: until the client ends too",
        "state",
    ),
    Figure("connections_accepted", "counter", "connections that were accepted"),
    Figure("connections_turned_away", "counter", "of these, those that found no room"),
    Figure("logins", "counter", "logins and resumes that were granted"),
    Figure("events_received", "counter", "requests that were judged"),
    Figure("events_sent", "counter", "facts, replies and pings that were given to sockets"),
    Figure("bytes_received", "counter", "bytes that came from clients, without TLS's own"),
    Figure("bytes_sent", "counter", "bytes that were given to sockets, without TLS's own"),
    Figure("errors", "counter", "Errors sent to clients", "code"),
    Figure("evictions", "counter", "members that did not keep up, by what ran out", "reason"),
    Figure("log_entries", "gauge", "entries that the log holds"),
    Figure("log_bytes", "gauge", "bytes that the log is charged with"),
    Figure("backlog_entries", "gauge", "entries still to be given, over all members"),
    Figure("backlog_most", "gauge", "the same, of the member that is furthest behind"),
    Figure("loop_lag_seconds", "gauge", "worst delay of the event loop in the last 15 seconds"),
)


def why_not(error: ImportError) -> str:
    """Why prometheus-client cannot be imported, for people.

    >>> why_not(ModuleNotFoundError(name="prometheus_client"))
    'needs prometheus-client: install refserver[metrics]'
    >>> why_not(ImportError("cannot import name 'this'"))
    "cannot use the prometheus-client that is installed: cannot import name 'this'"
    """
    if isinstance(error, ModuleNotFoundError) and error.name == "prometheus_client":
        return "needs prometheus-client: install refserver[metrics]"
    return f"cannot use the prometheus-client that is installed: {error}"
