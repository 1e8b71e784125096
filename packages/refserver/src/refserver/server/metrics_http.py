"""The metrics for Prometheus, over HTTP on loopback, in the loop of the server.

Rule: a client that asks slowly or often costs the members nearly nothing.

A connection has one small request, and no client keeps others out.

Layer: above `listener`, below `process`; only it and `status` use prometheus-client.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from .listener import Listeners
from .metrics import METRICS, PREFIX, SHARED_METRICS, Metric, Values

__all__ = ["MetricsServer"]

HOST = "127.0.0.1"
ASKERS = 32
"""The most connections at a time. One more closes the oldest."""
ACCEPTS = 4
"""The most connections accepted in one turn of the loop, so that members do not wait."""
FRESH = 0.25
"""Seconds for which a page is sent again, so that frequent requests do not cost more."""
TIMEOUT = 5.0
REQUEST = 8192
GONE = (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
OURS = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
"""The allowed Host headers. A page of another site that resolves its name to this machine has
another one."""


class MetricsServer:
    """Serves the values of `read` as `/metrics`, and whether the server drains as `/healthz`.

    `now` returns seconds, for the age of a page.
    """

    def __init__(
        self,
        read: Callable[[], Values],
        is_draining: Callable[[], bool] = lambda: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(Collector(read))
        ProcessCollector(registry=self._registry)
        self._is_draining = is_draining
        self._now = now
        self._page = b""
        self._fresh_until = 0.0
        self._listeners: Listeners | None = None
        self._asking: dict[asyncio.Task[None], None] = {}  # oldest first

    def open(self, port: int) -> int:
        """Listen on loopback, and return the port. Raises OSError."""
        self._listeners = Listeners(asyncio.get_running_loop(), self._let_in, ACCEPTS)
        return self._listeners.open([HOST], port)

    def close(self) -> None:
        """Stop listening. Open connections end with the loop."""
        if self._listeners is not None:
            self._listeners.close()

    def _let_in(self, sock: socket.socket, address: str) -> None:
        if len(self._asking) >= ASKERS:
            oldest = next(iter(self._asking))
            del self._asking[oldest]
            oldest.cancel()
        asking = asyncio.create_task(self._ask(sock))
        self._asking[asking] = None
        asking.add_done_callback(lambda done: self._asking.pop(done, None))

    async def _ask(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock, limit=REQUEST)
        try:
            async with asyncio.timeout(TIMEOUT):
                writer.write(self.answer(await reader.readuntil(b"\r\n\r\n")))
                writer.close()
                await writer.wait_closed()
        except GONE:
            pass
        finally:
            writer.transport.abort()

    def answer(self, head: bytes) -> bytes:
        """The response to the request with this head."""
        request, *lines = head.split(b"\r\n")
        method, _, rest = request.partition(b" ")
        path, _, version = rest.partition(b" ")
        error = host_error(lines, version)
        if error:
            return response(error, b"ask for 127.0.0.1 or localhost\n")
        if method not in (b"GET", b"HEAD"):
            return response("405 Method Not Allowed", b"GET and HEAD only\n", "Allow: GET, HEAD")
        whole = self._found(path.partition(b"?")[0])
        return whole if method == b"GET" else whole[: whole.index(b"\r\n\r\n") + 4]

    def _found(self, path: bytes) -> bytes:
        if path == b"/metrics":
            return response("200 OK", self._metrics(), form=CONTENT_TYPE_PLAIN_0_0_4)
        if path == b"/healthz" and self._is_draining():
            return response("503 Service Unavailable", b"draining\n")
        if path == b"/healthz":
            return response("200 OK", b"ok\n")
        return response("404 Not Found", b"/metrics and /healthz are all there is\n")

    def _metrics(self) -> bytes:
        """The page: the last one, or a new one if that is too old."""
        now = self._now()
        if now >= self._fresh_until:
            self._page = generate_latest(self._registry)
            self._fresh_until = now + FRESH
        return self._page


def host_error(lines: list[bytes], version: bytes) -> str:
    """The error status for a request to another host, or an empty text."""
    hosts = [line[5:].strip() for line in lines if line[:5].lower() == b"host:"]
    if len(hosts) > 1 or (not hosts and version != b"HTTP/1.0"):
        return "400 Bad Request"
    if hosts and not OURS.fullmatch(hosts[0]):
        return "421 Misdirected Request"
    return ""


def response(status: str, body: bytes, *more: str, form: str = "text/plain") -> bytes:
    """A whole HTTP response, after which the connection is closed."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {form}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *more,
    ]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


class Collector:
    """The metrics, in the form of prometheus-client."""

    def __init__(self, read: Callable[[], Values]) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        """Each metric with its values."""
        values = self._read()
        for metric in METRICS + SHARED_METRICS:
            if metric.name in values:
                yield family(metric, values[metric.name])


def family(metric: Metric, value: float | Mapping[str, float]) -> Family:
    """One metric; one with a label has a sample for each of its values."""
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    labels = [metric.label] if metric.label else []
    found = kind(PREFIX + metric.name, metric.meaning, labels=labels)
    samples = value.items() if isinstance(value, Mapping) else [("", value)]
    for label, number in samples:
        found.add_metric([label] if metric.label else [], number)
    return found
