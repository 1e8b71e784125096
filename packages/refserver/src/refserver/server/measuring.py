"""The current value of each metric of a server.

Rule: measuring has no effect on a client.

Layer: above `server`, below `process`.
"""

from __future__ import annotations

from .metrics import Values
from .server import Server
from .shared import metrics as shared_metrics

__all__ = ["values_of", "watch_loop"]


def values_of(server: Server) -> Values:
    """The current value of each of `metrics.METRICS`, and with `--log` of `SHARED_METRICS`."""
    counters, log, admission = server.counters, server.room.log, server.admission
    outboxes = [connection.session.outbox for connection in server.connections]
    backlogs = [outbox.backlog for outbox in outboxes]
    handshakes = sum(not connection.is_open for connection in server.handshakes)
    carried = counters.carried + sum(outbox.sent_entries for outbox in outboxes)
    values: Values = {
        "connections": {
            "handshake": handshakes,
            "new": len(admission.unauthenticated) - handshakes,
            "member": len(server.room.members),
            "closing": len(admission.lingering),
        },
        "connections_accepted": counters.accepted,
        "connections_turned_away": counters.turned_away,
        "logins": counters.sessions.logins,
        "events_received": counters.sessions.requests,
        "events_sent": carried + counters.sessions.replies,
        "bytes_received": counters.bytes_in,
        "bytes_sent": counters.bytes_out,
        "errors": counters.sessions.errors,
        "evictions": counters.sessions.evictions,
        "log_entries": log.end + 1 - log.first,
        "log_bytes": log.size,
        "backlog_entries": sum(backlogs),
        "backlog_most": max(backlogs, default=0),
        "loop_lag_seconds": max(counters.lags),
    }
    return values if server.engine is None else {**values, **shared_metrics(server.engine)}


def watch_loop(server: Server, expected: float) -> None:
    """Measure how late the loop is. Do this again every second."""
    now = server.loop.time()
    server.counters.lags.append(max(0.0, now - expected))
    server.loop.call_at(now + 1.0, watch_loop, server, now + 1.0)
