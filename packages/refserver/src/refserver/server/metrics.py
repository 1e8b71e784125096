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

__all__ = ["FIGURES", "PREFIX", "Metric", "ServerCounters", "Values", "why_not"]

PREFIX = "refserver_"
"""Begins the name of every figure, where Prometheus reads it."""

Values = Mapping[str, float | Mapping[str, float]]
"""The figures by their names; one with a label has a value for each of the label's."""


@dataclass(slots=True)
class ServerCounters:
    """What has happened since the start. Whoever makes it happen counts it here."""

    accepted: int = 0
    turned_away: int = 0
    carried: int = 0  # entries, to connections that are gone
    bytes_in: int = 0
    bytes_out: int = 0
    lags: deque[float] = field(default_factory=lambda: deque([0.0], maxlen=15))
    sessions: Counters = field(default_factory=Counters)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table of figures. `kind` is `counter` or `gauge`."""

    name: str
    kind: str
    meaning: str
    label: str = ""


FIGURES = (
    Metric(
        "connections",
        "gauge",
        "connections there are now; new: not logged in, closing: until the client ends too",
        "state",
    ),
    Metric("connections_accepted", "counter", "connections that were accepted"),
    Metric("connections_turned_away", "counter", "of these, those that found no room"),
    Metric("logins", "counter", "logins and resumes that were granted"),
    Metric("events_received", "counter", "requests that were judged"),
    Metric("events_sent", "counter", "facts, replies and pings that were given to sockets"),
    Metric("bytes_received", "counter", "bytes that came from clients, without TLS's own"),
    Metric("bytes_sent", "counter", "bytes that were given to sockets, without TLS's own"),
    Metric("errors", "counter", "Errors sent to clients", "code"),
    Metric("evictions", "counter", "members that did not keep up, by what ran out", "reason"),
    Metric("log_entries", "gauge", "entries that the log holds"),
    Metric("log_bytes", "gauge", "bytes that the log is charged with"),
    Metric("backlog_entries", "gauge", "entries still to be given, over all members"),
    Metric("backlog_most", "gauge", "the same, of the member that is furthest behind"),
    Metric("loop_lag_seconds", "gauge", "worst delay of the event loop in the last 15 seconds"),
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
