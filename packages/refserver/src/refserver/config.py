"""What can be set about a server: each option once, with its default and its reason.

Rule: an option exists here and nowhere else. The command line, `--help` and the
documentation are made from these fields.

Layer: the ground of refserver, beside `names`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from eventcodec.limits import MAX_FRAME, MAX_FRAME_BEFORE_WELCOME, MAX_FRAME_CEILING

__all__ = ["Config", "option"]

KIB = 1024
MIB = 1024 * KIB


def option(default: Any, help: str, *, unit: str = "", reason: str = "", **more: Any) -> Any:
    """A field of `Config`: what it does, its unit, and why its default is what it is."""
    about = {"help": help, "unit": unit, "reason": reason, **more}
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one server; times in seconds, sizes in bytes."""

    host: str = option(
        "localhost",
        "address to listen on; localhost is 127.0.0.1 and, where there is one, ::1",
        unit="HOST",
        reason="nobody but this machine, until somebody decides otherwise",
    )
    port: int = option(
        3000, "port to listen on; 0 takes a free one", unit="PORT", least=0, most=65_535
    )
    presence: bool = option(
        True, "enter who comes and goes into the log", reason="people want to know who is there"
    )
    max_frame: int = option(
        MAX_FRAME,
        "greatest length of a member's frame",
        unit="BYTES",
        reason="a long message fits, and a thousand half-read frames fit into memory",
        least=MAX_FRAME_BEFORE_WELCOME,
        most=MAX_FRAME_CEILING,
    )
    log_bytes: int = option(
        16 * MIB,
        "history kept: what a slow member may lag behind, and what a resume replays",
        unit="BYTES",
        reason="a quarter of a million short messages; the memory is shared by all members",
        least=64 * KIB,
    )
    stalled: float = option(
        10.0,
        "a member that takes no byte for so long is evicted",
        unit="SECONDS",
        reason="longer than a lost packet's retransmission, shorter than a person's patience",
        least=0.01,
    )
    connections: int = option(
        1024,
        "most connections at a time; never above the limit of descriptors - 64",
        unit="N",
        reason="what the usual limit of descriptors allows",
        least=1,
    )
    newcomers: int = option(
        256,
        "most connections that are not logged in; at it the oldest of them goes",
        unit="N",
        reason="strangers cannot keep members out",
        least=1,
    )
    login_timeout: float = option(
        5.0,
        "time to log in",
        unit="SECONDS",
        reason="a login is one round trip; a silent stranger costs a descriptor",
        least=0.01,
    )
    heartbeat: int = option(
        20,
        "silence after which a member is pinged, gone at twice that; 0: never",
        unit="SECONDS",
        reason="NAT tables forget idle connections after 30 s and more",
        least=0,
        most=65_535,
    )
    frame_timeout: float = option(
        30.0,
        "a begun frame must be complete after so long",
        unit="SECONDS",
        reason="64 KiB over the slowest link that anybody uses",
        least=0.01,
    )
    rate: float = option(
        0.0,
        "most requests a second of one member, slowed above it and never dropped; 0: no limit",
        unit="N",
        reason="off: people test with this server, and a limit would be a surprise",
        least=0,
    )
    drain: float = option(
        10.0,
        "most time to bring every member to the end at shutdown",
        unit="SECONDS",
        reason="as long as a stalled member is borne",
        least=0,
    )
    close_timeout: float = option(
        2.0,
        "most time to wait for a client's end of stream after the last frame",
        unit="SECONDS",
        reason="a round trip to the other side of the world and a retransmission",
        least=0.01,
    )
    server_name: str = option(
        "refserver", "what Welcome calls this server", unit="NAME", reason="for people only"
    )
