"""The process that serves: its signals, its first line, its figures, its exit code.

Rule: whatever belongs to a process and not to a room is here, so that `Server` can
be run by anybody who has a loop.

Layer: below `cli`, above `server`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from itertools import count
from typing import TYPE_CHECKING, Any

from .auth import door
from .config import Config, Unusable
from .logs import failure, note
from .server import Server
from .supervisor import tell
from .tls import Tls

if TYPE_CHECKING:
    from .exposition import Exposition

__all__ = ["run"]

STOPPING = (signal.SIGINT, signal.SIGTERM)


async def serve(config: Config) -> None:
    """Serve until SIGINT or SIGTERM: the first two drain, the third ends at once."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(on_unhandled)
    server = Server(config, door(config), Tls(config) if config.tls_cert else None)
    exposition = None if config.metrics is None else expose(server, config.metrics)
    port = server.start()
    signals = count(1)

    def on_signal() -> None:
        tell("STOPPING=1")
        if next(signals) < 3:
            server.stop()
        else:
            server.abort()

    for number in STOPPING:
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, server.reload)
    host = f"[{config.host}]" if ":" in config.host else config.host
    print(f"listening on {host}:{port}", flush=True)
    tell("READY=1")
    await server.ended.wait()
    if exposition is not None:
        exposition.close()
    note("stopped")
    # From here on a signal would end us by itself, as if something had gone wrong.
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOPPING, signal.SIGHUP))


def expose(server: Server, port: int) -> Exposition:
    """Give the server's figures on this port. Raises OSError or Unusable."""
    try:
        from .exposition import Exposition
    except ImportError:
        raise Unusable("--metrics needs prometheus-client: install refserver[metrics]") from None
    exposition = Exposition(server.figures)
    try:
        chosen = exposition.open(port)
    except OSError as error:
        raise Unusable(f"--metrics cannot listen on port {port}: {error.strerror}") from None
    note("metrics", url=f"http://127.0.0.1:{chosen}/metrics")
    server.probe(server.now())
    return exposition


def on_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody has caught: a line of the log."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        failure(error)
    else:
        note("internal", level=logging.ERROR, error=context.get("message"))


def run(config: Config) -> None:
    """Serve in this thread. Raises OSError or Unusable where it cannot begin."""
    asyncio.run(serve(config))
