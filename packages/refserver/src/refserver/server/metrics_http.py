"""The figures for Prometheus, over HTTP on loopback, in the server's own loop.

Rule: one small request, one answer, and the connection ends. Whoever asks, however
slowly, costs the members of the room next to nothing.

Layer: above `listening`, below `service`; it and `status` alone know prometheus-client.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from .listener import Listeners
from .metrics import FIGURES, PREFIX, Figure, Values

__all__ = ["Exposition"]

HOST = "127.0.0.1"
ASKERS = 8
"""Connections at a time; beyond, they are closed at once."""
PATIENCE = 5.0
REQUEST = 8192
GONE = (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


class Exposition:
    """Answers `GET /metrics` with what `read` gives at that moment."""

    def __init__(self, read: Callable[[], Values]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(Collector(read))
        ProcessCollector(registry=self._registry)
        self._listeners: Listeners | None = None
        self._asking: set[asyncio.Task[None]] = set()

    def open(self, port: int) -> int:
        """Listen on loopback; gives the port. Raises OSError."""
        self._listeners = Listeners(asyncio.get_running_loop(), self._let_in)
        return self._listeners.open([HOST], port)

    def close(self) -> None:
        """Listen no more. Who is asking is cut off when the loop ends."""
        if self._listeners is not None:
            self._listeners.close()

    def _let_in(self, sock: socket.socket, address: str) -> None:
        if len(self._asking) >= ASKERS:
            sock.close()
            return
        asking = asyncio.create_task(self._ask(sock))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    async def _ask(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock, limit=REQUEST)
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(self.answer(await reader.readuntil(b"\r\n\r\n")))
                writer.close()
                await writer.wait_closed()
        except GONE:
            pass
        finally:
            writer.transport.abort()

    def answer(self, head: bytes) -> bytes:
        """The response to a request whose head this is."""
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method != b"GET":
            return response("405 Method Not Allowed", b"GET is all there is\n", "Allow: GET")
        if path != b"/metrics":
            return response("404 Not Found", b"/metrics is all there is\n")
        return response("200 OK", generate_latest(self._registry), form=CONTENT_TYPE_PLAIN_0_0_4)


def response(status: str, body: bytes, *more: str, form: str = "text/plain") -> bytes:
    """A whole HTTP response, after which the connection is closed."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {form}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *more,
    ]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


class Collector:
    """The figures, in the form that prometheus-client asks for."""

    def __init__(self, read: Callable[[], Values]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Each figure with its values."""
        values = self._read()
        for figure in FIGURES:
            yield family(figure, values[figure.name])


def family(figure: Figure, value: float | Mapping[str, float]) -> Metric:
    """One figure; one with a label has a sample for each of its values."""
    kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
    labels = [figure.label] if figure.label else []
    found = kind(PREFIX + figure.name, figure.meaning, labels=labels)
    samples = value.items() if isinstance(value, Mapping) else [("", value)]
    for label, number in samples:
        found.add_metric([label] if figure.label else [], number)
    return found
