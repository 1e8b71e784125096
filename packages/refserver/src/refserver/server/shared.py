"""How a server comes to share its room: from its settings to a client of Redis.

Rule: only this module of `server` knows what sharing a room needs.

Settings must be alike, and Redis asks for credentials. `cluster` and `redis` are imported only
where a room is shared.

Layer: above `files`, below `server`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..session.log import Log
from .config import Config, ConfigError
from .files import read
from .logs import log_event
from .metrics import Values

if TYPE_CHECKING:
    from ..cluster.engine_client import EngineClient
    from ..cluster.node import Settings

__all__ = ["connect", "engine_client", "metrics"]

LEASE = 1.5
"""The lease of a node is --log-timeout times this number. So a node has told its members that the
room is unavailable before the other nodes treat it as dead."""

SCHEMES = ("redis", "rediss", "unix")
MOST_CREDENTIALS = 4_096


def engine_client(
    config: Config, began: Callable[[Log], None], progressed: Callable[[], None]
) -> EngineClient:
    """The way to the engine of `config.log`. Raises ConfigError, also without refserver[redis]."""
    check(config)
    try:
        from ..cluster.engine_client import EngineClient
    except ImportError as error:
        if error.name == "redis":
            raise ConfigError("--log needs redis: install refserver[redis]") from None
        raise
    return EngineClient(
        config.log,
        config.room,
        settings(config),
        timeout=config.log_timeout,
        began=began,
        progressed=progressed,
        log_event=log_event,
        credentials=credentials(config.log_credentials) if config.log_credentials else None,
    )


async def connect(engine: EngineClient) -> None:
    """Come into the shared room. Raises ConfigError."""
    from ..cluster.calls import EngineError

    try:
        await engine.start()
    except EngineError as error:
        raise ConfigError(f"--log: {error}") from None


def metrics(engine: EngineClient) -> Values:
    """The current value of each of `metrics.SHARED_METRICS`."""
    node, counters = engine.node, engine.counters
    return {
        "node": {node.identity: 1.0},
        "engine_away_seconds": engine.away_for,
        "engine_lag_entries": node.lag,
        "engine_calls_in_flight": node.in_flight,
        "engine_unplaced_bytes": node.unplaced,
        "engine_calls": counters.calls,
        "engine_call_seconds": counters.waited,
        "engine_repeats": counters.repeats,
        "engine_reconnects": counters.reconnects,
        "engine_fencings": counters.fencings,
        "engine_losses": counters.losses,
    }


def settings(config: Config) -> Settings:
    """The settings that must be the same on all nodes. With another version of Unicode, other names
    would count as the same.
    """
    alike = {
        "presence": config.presence,
        "max-frame": config.max_frame,
        "log-bytes": config.log_bytes,
        "log-timeout": config.log_timeout,
        "unicode": unicodedata.unidata_version,
    }
    from ..cluster.node import Settings

    return Settings(
        config=" ".join(f"{name}={value}" for name, value in alike.items()),
        presence=config.presence,
        log_bytes=config.log_bytes,
        lease=LEASE * config.log_timeout,
    )


def check(config: Config) -> None:
    """Raises ConfigError for an address that cannot be used, or that has a password in it."""
    try:
        parts = urlsplit(config.log)
        has_password, _ = "@" in parts.netloc, parts.port
    except ValueError as error:
        raise ConfigError(f"--log: {error}") from None
    if parts.scheme not in SCHEMES:
        raise ConfigError("--log: begin with redis://, rediss:// or unix://")
    if has_password:
        raise ConfigError("--log: give user and password in --log-credentials FILE")
    if not config.room or set(config.room) & set("{}"):
        raise ConfigError("--room: give a name without braces")


def credentials(path: str) -> tuple[str, str]:
    """User and password in this file. Raises ConfigError."""
    try:
        user, colon, password = read(path, MOST_CREDENTIALS).decode().strip("\r\n").partition(":")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8") from None
    if not colon or "\n" in password:
        raise ConfigError(f"{path}: write USER:PASSWORD in one line")
    return user or "default", password
