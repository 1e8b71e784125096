"""The metrics of a server, with their meanings.

Rule: a metric is read from the state at the time of the request if possible.

Only the others are counted: once for each run of requests, each write and each connection.

Layer: the bottom layer of refserver, beside `config`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..session.context import Counters

__all__ = [
    "METRICS",
    "PREFIX",
    "SHARED_METRICS",
    "Metric",
    "ServerCounters",
    "Values",
    "why_not",
]

PREFIX = "refserver_"
"""The beginning of the name of each metric on the page for Prometheus."""

Values = Mapping[str, float | Mapping[str, float]]
"""The metrics by their names. A metric with a label has a value for each value of the label."""


@dataclass(slots=True)
class ServerCounters:
    """The counters since the start. The code that causes an event counts it."""

    accepted: int = 0
    turned_away: int = 0
    carried: int = 0  # entries that were sent to closed connections
    bytes_in: int = 0
    bytes_out: int = 0
    lags: deque[float] = field(default_factory=lambda: deque([0.0], maxlen=15))
    sessions: Counters = field(default_factory=Counters)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table of metrics. `kind` is `counter` or `gauge`."""

    name: str
    kind: str
    meaning: str
    label: str = ""


METRICS = (
    Metric(
        "connections",
        "gauge",
        "open connections; handshake: of TLS or WebSocket, not done; new: not logged in; "
        "closing: the server waits for the client's end",
        "state",
    ),
    Metric("connections_accepted", "counter", "accepted connections"),
    Metric(
        "connections_turned_away",
        "counter",
        "accepted connections that were refused because the server was full",
    ),
    Metric("logins", "counter", "successful logins and resumes"),
    Metric("events_received", "counter", "validated frames of clients"),
    Metric("events_sent", "counter", "facts, replies and pings written to sockets"),
    Metric("bytes_received", "counter", "bytes received from clients, without the overhead of TLS"),
    Metric("bytes_sent", "counter", "bytes written to sockets, without the overhead of TLS"),
    Metric("errors", "counter", "Errors sent to clients", "code"),
    Metric(
        "evictions",
        "counter",
        "members ended with SLOW_CONSUMER; log: their next entry is gone; time: no byte taken",
        "reason",
    ),
    Metric("log_entries", "gauge", "entries in the log"),
    Metric("log_bytes", "gauge", "size of the log, with 100 bytes for each entry"),
    Metric("backlog_entries", "gauge", "entries not yet written, the sum over all members"),
    Metric(
        "backlog_most", "gauge", "entries not yet written to the member that is furthest behind"
    ),
    Metric("loop_lag_seconds", "gauge", "longest delay of the event loop in the last 15 seconds"),
)

SHARED_METRICS = (
    Metric("node", "gauge", "1; identity: under which this server is in the room now", "identity"),
    Metric("engine_away_seconds", "gauge", "time since Redis stopped answering; 0: it answers"),
    Metric("engine_lag_entries", "gauge", "entries in Redis that this server has not yet read"),
    Metric(
        "engine_calls_in_flight",
        "gauge",
        "calls that were made and whose effect this server has not yet read back",
    ),
    Metric(
        "engine_unplaced_bytes",
        "gauge",
        "size of what members asked and what has no place in the log yet; at 8 MiB the server"
        " reads no more requests",
    ),
    Metric("engine_calls", "counter", "calls to Redis that were answered"),
    Metric("engine_call_seconds", "counter", "time that the answered calls took"),
    Metric("engine_repeats", "counter", "calls that were made again, because no answer came"),
    Metric("engine_reconnects", "counter", "connections to Redis after the first one"),
    Metric(
        "engine_fencings",
        "counter",
        "times that this server stood still for too long, and went on under a new identity",
    ),
    Metric("engine_losses", "counter", "times that Redis had lost data, and the room began anew"),
)
"""The metrics that only a server with `--log` has."""


def why_not(error: ImportError) -> str:
    """The reason why prometheus-client cannot be imported, for people.

    >>> why_not(ModuleNotFoundError(name="prometheus_client"))
    'needs prometheus-client: install refserver[metrics]'
    >>> why_not(ImportError("cannot import name 'this'"))
    "cannot use the prometheus-client that is installed: cannot import name 'this'"
    """
    if isinstance(error, ModuleNotFoundError) and error.name == "prometheus_client":
        return "needs prometheus-client: install refserver[metrics]"
    return f"cannot use the prometheus-client that is installed: {error}"
