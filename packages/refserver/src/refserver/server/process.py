"""The process of a server: signals, first line, metrics, exit code.

Rule: what belongs to the process, not to a room, is here.

So any program with a loop can run a `Server`.

Layer: below `cli`, above `server`.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from ..arguments import spelled
from .auth import authenticator_of
from .config import Config, ConfigError
from .logs import failure, log_event
from .measuring import values_of, watch_loop
from .metrics import why_not
from .server import Server
from .stderr import without_blocking
from .systemd import tell
from .tapped import Tap
from .tls import Tls
from .watched import WatchedServer

if TYPE_CHECKING:
    from .metrics_http import MetricsServer

__all__ = ["run"]

STOPPING = (signal.SIGINT, signal.SIGTERM)
ONLY_ROOT = "only root may use this port; choose one above 1023"
REASONS = {
    errno.EADDRINUSE: "something listens there already; choose another port, or 0 for a free one",
    errno.EACCES: ONLY_ROOT,
    errno.EPERM: ONLY_ROOT,
}
"""The reasons for an error at listening, if the text of the system is not enough."""


async def serve(config: Config, tap: Tap | None = None) -> None:
    """Serve until SIGINT or SIGTERM: the first two drain, the third ends at once."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(on_unhandled)
    tls = Tls(config) if config.tls_cert else None
    auth = authenticator_of(config)
    server = Server(config, auth, tls) if tap is None else WatchedServer(config, auth, tls, tap)
    metrics_server = None if config.metrics is None else expose(server, config.metrics)
    await server.connect()
    with listening(spelled(config.host, config.port)):
        port = server.start()
    lines = [f"listening on {spelled(config.host, port)}\n"]
    if config.ws is not None:
        lines.append(f"websocket on {spelled(config.host, start_websockets(server, config.ws))}\n")
    signals = count(1)

    def on_signal() -> None:
        tell("STOPPING=1")
        if next(signals) < 3:
            server.stop()
        else:
            server.abort()

    for number in STOPPING:
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, server.reloading.start)
    with said("".join(lines)):
        tell("READY=1")
        if tap is not None:
            tap.listening(config.host, port, secure=tls is not None)
        gc.freeze()  # the loaded modules stay: a full garbage collection over them would cost 30 ms
        await server.ended.wait()
    if metrics_server is not None:
        metrics_server.close()
    await server.disconnect()
    log_event("stopped")
    # From here on, a signal would end the process by itself, as after an error.
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOPPING, signal.SIGHUP))


@contextmanager
def said(line: str) -> Iterator[None]:
    """Write a line to stdout, now or when its reader reads, without waiting.

    Raises OSError if stdout cannot take a line, for example on a full disk.
    """
    if sys.stdout is None:  # closed: its number may be a client's by now
        yield
        return
    loop = asyncio.get_running_loop()
    descriptor, write, close = without_blocking(sys.stdout.fileno())
    rest = line.encode()

    def go_on() -> None:
        nonlocal rest
        loop.remove_writer(descriptor)
        try:
            while rest:
                rest = rest[write(rest) :]
        except BlockingIOError:
            loop.add_writer(descriptor, go_on)

    try:
        go_on()
        yield
    finally:
        loop.remove_writer(descriptor)
        close()


def start_websockets(server: Server, port: int) -> int:
    """Listen for WebSocket clients too, and return the port. Raises ConfigError."""
    try:
        with listening(f"{spelled(server.config.host, port)} for --ws"):
            return server.start_websockets(port)
    except ImportError as error:
        if error.name == "websockets":
            raise ConfigError("--ws needs websockets: install refserver[ws]") from None
        raise ConfigError(f"--ws cannot use the websockets that is installed: {error}") from None


def expose(server: Server, port: int) -> MetricsServer:
    """Serve the server's metrics on this port. Raises ConfigError."""
    try:
        from .metrics_http import MetricsServer
    except ImportError as error:
        raise ConfigError(f"--metrics {why_not(error)}") from None
    metrics_server = MetricsServer(partial(values_of, server), lambda: server.stopping)
    with listening(f"{spelled('127.0.0.1', port)} for --metrics"):
        chosen = metrics_server.open(port)
    log_event("metrics", url=f"http://127.0.0.1:{chosen}/metrics")
    watch_loop(server, server.loop.time())
    return metrics_server


@contextmanager
def listening(place: str) -> Iterator[None]:
    """Turn an error at listening into a ConfigError."""
    try:
        yield
    except OSError as error:
        reason = REASONS.get(error.errno or 0, error.strerror or str(error))
        raise ConfigError(f"cannot listen on {place}: {reason}") from None


def on_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an exception that was not caught."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        failure(error)
    else:
        log_event("internal", level=logging.ERROR, error=context.get("message"))


def run(config: Config, tap: Tap | None = None) -> None:
    """Serve in this thread, and tell `tap` what passes. Raises ConfigError if it cannot start."""
    asyncio.run(serve(config, tap))
