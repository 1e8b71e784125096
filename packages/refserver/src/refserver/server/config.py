"""What can be set about a server: each option once, with its default and its reason.

Rule: an option exists here and nowhere else. The command line, `--help` and the
documentation are made from these fields.

Layer: the ground of refserver, above `names`.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eventcodec.limits import MAX_FRAME, MAX_FRAME_BEFORE_WELCOME, MAX_FRAME_CEILING

from ..session import names

__all__ = ["Config", "ConfigError", "Network", "is_loopback", "networks", "option"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

KIB = 1024
MIB = 1024 * KIB
A_DAY = 86_400

WHERE = "Where it listens"
WHO = "Who may come in"
ROOM = "The room"
SIZES = "Sizes"
CONNECTIONS = "Connections"
TIME = "Time"
WATCHING = "Watching it"

LOG_FORMATS = ("text", "json")


class ConfigError(Exception):
    """A setting that a server cannot run with; the text says which and why, in one line."""


def option(default: Any, help: str, *, group: str, reason: str, unit: str = "", **more: Any) -> Any:
    """A field of `Config`: what it does, its unit, and why its default is what it is.

    `least` and `most` bound a number. `path` says that a text names a file, `host` that it
    names an address to listen on, `choices` that it is one of these.
    """
    about = {"help": help, "group": group, "unit": unit, "reason": reason, **more}
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one server; times in seconds, sizes in bytes.

    Raises Unusable for settings that contradict each other.
    """

    host: str = option(
        "localhost",
        "address to listen on; localhost is 127.0.0.1 and, where there is one, ::1",
        group=WHERE,
        unit="HOST",
        reason="nobody but this machine, until somebody decides otherwise",
        host=True,
    )
    port: int = option(
        3000,
        "port to listen on; 0 takes a free one",
        group=WHERE,
        unit="PORT",
        reason="the protocol's own",
        least=0,
        most=65_535,
    )

    proxy_protocol: str = option(
        "",
        "addresses and networks of proxies, with commas between; each of their connections must "
        "begin with a header of the PROXY protocol, version 1 or 2, and counts as the client's "
        "that stands there",
        group=WHERE,
        unit="ADDRESSES",
        reason="whoever is believed can give any address",
    )

    tokens: str = option(
        "",
        "file of users and digests of their tokens, made with `refserver token`; without, a "
        "name proves nothing",
        group=WHO,
        unit="FILE",
        reason="open on loopback, where everybody is the same person",
        path=True,
    )
    tls_cert: str = option(
        "",
        "serve TLS with this certificate chain, in PEM form",
        group=WHO,
        unit="FILE",
        reason="a certificate is one's own to get",
        path=True,
    )
    tls_key: str = option(
        "",
        "the certificate's private key, where it is in a file of its own",
        group=WHO,
        unit="FILE",
        reason="many tools write both into one file",
        path=True,
    )
    tls_ca: str = option(
        "",
        "ask every client for a certificate by one of these authorities; its common name is "
        "the user; with --tokens a login needs both, for the same user",
        group=WHO,
        unit="FILE",
        reason="each option of this group lets fewer in",
        path=True,
    )
    allow_plaintext: bool = option(
        False,
        "listen beyond loopback without TLS: everybody on the way reads all, tokens too",
        group=WHO,
        reason="only where something in front does TLS, and somebody said so",
    )
    open_to_anybody: bool = option(
        False,
        "listen beyond loopback although a name proves nothing: anybody who reaches the port "
        "reads everything and takes any free name",
        group=WHO,
        reason="a mistake in a port mapping opens no room",
    )

    presence: bool = option(
        True,
        "enter who comes and goes into the log",
        group=ROOM,
        reason="people want to know who is there",
    )
    log_bytes: int = option(
        16 * MIB,
        "history kept: what a slow member may lag behind, and what a resume replays",
        group=ROOM,
        unit="BYTES",
        reason="a hundred thousand short messages; the memory is shared by all members",
        least=64 * KIB,
    )
    server_name: str = option(
        "refserver",
        "what Welcome calls this server",
        group=ROOM,
        unit="NAME",
        reason="for people only; no version, which helps attackers first",
    )

    max_frame: int = option(
        MAX_FRAME,
        f"greatest length of a member's frame; before login it is {MAX_FRAME_BEFORE_WELCOME}",
        group=SIZES,
        unit="BYTES",
        reason="a long message fits, and a thousand half-read frames fit into memory",
        least=MAX_FRAME_BEFORE_WELCOME,
        most=MAX_FRAME_CEILING,
    )
    rate: float = option(
        0.0,
        "most requests a second of one member, slowed above it, none dropped while it is "
        "connected; 0: no limit",
        group=SIZES,
        unit="N",
        reason="people test with this server, and a limit would be a surprise",
        least=0,
    )

    connections: int = option(
        1024,
        "most connections at a time; never above the limit of descriptors - 64",
        group=CONNECTIONS,
        unit="N",
        reason="what the usual limit of descriptors allows",
        least=1,
    )
    newcomers: int = option(
        256,
        "most connections that are not logged in; at it the oldest of them goes",
        group=CONNECTIONS,
        unit="N",
        reason="strangers cannot keep members out, nor each other",
        least=1,
    )
    address_share: float = option(
        0.25,
        "most of all connections that one address may hold (an IPv6 /64 is one; loopback all)",
        group=CONNECTIONS,
        unit="SHARE",
        reason="no single machine fills the room, and an office behind one address fits",
        least=0.0,
        most=1.0,
    )
    logins: float = option(
        20.0,
        "logins a second of one address, slowed above it (loopback exempt); 0: no limit",
        group=CONNECTIONS,
        unit="N",
        reason="nobody types faster, and guessing becomes hopeless",
        least=0,
    )
    closing: int = option(
        64,
        "most connections that wait for their client's end of stream, of what the limit of "
        "descriptors leaves; beyond, closed at once",
        group=CONNECTIONS,
        unit="N",
        reason="a courtesy that may not cost many descriptors",
        least=0,
    )

    login_timeout: float = option(
        5.0,
        "time to log in, and with TLS the time for the handshake before it",
        group=TIME,
        unit="SECONDS",
        reason="a login is one round trip; a silent stranger costs a descriptor",
        least=0.01,
        most=A_DAY,
    )
    heartbeat: int = option(
        20,
        "silence after which a member is pinged, gone at twice that; 0: never",
        group=TIME,
        unit="SECONDS",
        reason="address translators forget idle connections after 30 s and more",
        least=0,
        most=65_535,
    )
    frame_timeout: float = option(
        30.0,
        "a begun frame must be complete after so long",
        group=TIME,
        unit="SECONDS",
        reason="64 KiB over the slowest link that anybody uses",
        least=0.01,
        most=A_DAY,
    )
    write_timeout: float = option(
        10.0,
        "a member that takes no byte for so long is evicted",
        group=TIME,
        unit="SECONDS",
        reason="longer than a lost packet's retransmission, shorter than a person's patience",
        least=0.01,
        most=A_DAY,
    )
    close_timeout: float = option(
        2.0,
        "most time to wait for a client's end of stream after the last frame was taken",
        group=TIME,
        unit="SECONDS",
        reason="a round trip to the other side of the world and a retransmission",
        least=0.01,
        most=A_DAY,
    )
    close_bytes: int = option(
        256 * KIB,
        "most bytes to discard while waiting for it",
        group=TIME,
        unit="BYTES",
        reason="more than is on the way at any time; beyond, the client does not listen",
        least=0,
    )
    drain: float = option(
        10.0,
        "most time to bring every member to the end at shutdown",
        group=TIME,
        unit="SECONDS",
        reason="as long as a stalled member is borne",
        least=0,
        most=A_DAY,
    )

    metrics: int | None = option(
        None,
        "serve figures for Prometheus on this port of loopback; 0 takes a free one; "
        "needs refserver[metrics]",
        group=WATCHING,
        unit="PORT",
        reason="most runs need none",
        least=0,
        most=65_535,
    )
    log_format: str = option(
        "text",
        "how the lines on stderr are written: text or json, a JSON object a line",
        group=WATCHING,
        unit="FORM",
        reason="people read it first",
        choices=LOG_FORMATS,
    )
    quiet: bool = option(
        False,
        "log warnings and errors only",
        group=WATCHING,
        reason="who comes and goes is what one wants to see first",
    )

    def __post_init__(self) -> None:
        for needs in ("tls_key", "tls_ca"):
            if getattr(self, needs) and not self.tls_cert:
                raise ConfigError(f"--{needs.replace('_', '-')} needs --tls-cert")
        if self.open_to_anybody and self.asks_who:
            raise ConfigError("--open-to-anybody contradicts --tokens and --tls-ca")
        if self.metrics and self.metrics == self.port:
            raise ConfigError(f"--metrics and --port are both {self.port}")
        networks(self.proxy_protocol)
        self._check_numbers()
        self._check_name()

    def _check_numbers(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(
                    f"--{field.name.replace('_', '-')}: {value} is no number to count to"
                )

    def _check_name(self) -> None:
        """It is shown to people as a member's name is, and a Welcome must carry it."""
        fault = names.fault_of(self.server_name) if self.server_name else "is empty"
        if fault is not None:
            raise ConfigError(f"--server-name {fault}")

    @property
    def asks_who(self) -> bool:
        """Whether a client has to prove its name."""
        return bool(self.tokens or self.tls_ca)

    def check_exposure(self, addresses: Iterable[str]) -> None:
        """Raise Unusable where strangers could come in, or listen in, at these addresses."""
        beyond = [address for address in addresses if not is_loopback(address)]
        if not beyond:
            return
        if not (self.asks_who or self.open_to_anybody):
            raise ConfigError(
                f"{beyond[0]} is beyond loopback, and anybody could come in: give --tokens "
                "FILE, or --tls-cert and --tls-ca, or --open-to-anybody if that is the purpose"
            )
        if not (self.tls_cert or self.allow_plaintext):
            raise ConfigError(
                f"{beyond[0]} is beyond loopback, and tokens and messages would be sent in "
                "the clear: give --tls-cert FILE, or --allow-plaintext if TLS is done elsewhere"
            )


def networks(listed: str) -> list[Network]:
    """The addresses and networks in a value of --proxy-protocol. Raises Unusable.

    >>> networks("192.0.2.7, 2001:db8::/64")
    [IPv4Network('192.0.2.7/32'), IPv6Network('2001:db8::/64')]
    """
    each = [one.strip().strip("[]") for one in listed.split(",")] if listed else []
    try:
        return [ipaddress.ip_network(one) for one in each]
    except ValueError as error:
        raise ConfigError(f"--proxy-protocol: {error}") from None


def is_loopback(address: str) -> bool:
    """Whether only this machine can be at the other end.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
