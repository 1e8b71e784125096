"""The options of a server, each with its default and its reason.

Rule: options are declared only here.

The command line, `--help` and the documentation are generated from these fields.

Layer: the bottom layer of refserver, above `names`.
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

WHERE = "Listening"
SHARED = "A shared room"
WHO = "Authentication"
ROOM = "The room"
SIZES = "Requests"
CONNECTIONS = "Connections"
TIME = "Times"
WATCHING = "Metrics and logs"

LOG_FORMATS = ("text", "json")


class ConfigError(Exception):
    """A setting that a server cannot run with. The text says in one line which one and why."""


def option(default: Any, help: str, *, group: str, reason: str, unit: str = "", **more: Any) -> Any:
    """A field of `Config`: what it does, its unit, and the reason for its default.

    `least` and `most` bound a number. With `path` the text is the name of a file, with `host`
    an address to listen on, with `choices` one of these.
    """
    about = {"help": help, "group": group, "unit": unit, "reason": reason, **more}
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one server; times in seconds, sizes in bytes.

    Raises ConfigError if settings contradict each other.

    It has more than fifteen attributes: each is an option of the command line.
    """

    host: str = option(
        "localhost",
        "address to listen on; localhost is 127.0.0.1, and ::1 if the machine has it",
        group=WHERE,
        unit="HOST",
        reason="only this machine can connect, until you decide otherwise",
        host=True,
    )
    port: int = option(
        3000,
        "port to listen on; 0 takes a free one",
        group=WHERE,
        unit="PORT",
        reason="the port of the protocol",
        least=0,
        most=65_535,
    )

    ws: int | None = option(
        None,
        "listen for WebSocket clients on this port too; 0 takes a free one; needs refserver[ws]",
        group=WHERE,
        unit="PORT",
        reason="only browsers need it",
        least=0,
        most=65_535,
    )
    ws_hosts: str = option(
        "",
        "allowed host names in a WebSocket handshake, separated by commas; localhost, --host and "
        "IP addresses are always allowed",
        group=WHERE,
        unit="NAMES",
        reason="a hostile page can point its own host name to this machine; the server refuses it",
    )
    ws_origins: str = option(
        "",
        "origins of web pages that may connect over WebSocket, separated by commas, for example "
        "http://localhost:8000; null allows pages that are opened from a file",
        group=WHERE,
        unit="ORIGINS",
        reason="otherwise any page in the browser of a user could use the room",
    )

    proxy_protocol: str = option(
        "",
        "addresses and networks of proxies, separated by commas; each connection from them must "
        "begin with a header of the PROXY protocol (version 1 or 2), which gives the address of "
        "the client",
        group=WHERE,
        unit="ADDRESSES",
        reason="a listed proxy can claim any address, so list only your own",
    )

    log: str = option(
        "",
        "keep the log of the room in Redis at this URL (redis://HOST:PORT/DB, rediss://, unix://); "
        "servers with the same --log and --room share one room; needs refserver[redis]",
        group=SHARED,
        unit="URL",
        reason="a room on one server needs nothing else",
    )
    room: str = option(
        "room",
        "name of the shared room, if Redis has several",
        group=SHARED,
        unit="NAME",
        reason="one shared room needs no name of its own",
    )
    log_credentials: str = option(
        "",
        "file with USER:PASSWORD for Redis, in one line",
        group=SHARED,
        unit="FILE",
        reason="a password in a command line is shown to every user of the machine",
        path=True,
    )
    log_timeout: float = option(
        10.0,
        "if Redis is not reachable for this time, members get UNAVAILABLE; after 1.5 times this "
        "time the other servers treat this server as dead",
        group=SHARED,
        unit="SECONDS",
        reason="Redis restarts in less, and a person waits no longer",
        least=0.5,
        most=A_DAY,
    )

    tokens: str = option(
        "",
        "file of users and digests of their tokens, made with `refserver token`; without it, "
        "a name proves nothing",
        group=WHO,
        unit="FILE",
        reason="on loopback all clients belong to one person",
        path=True,
    )
    tls_cert: str = option(
        "",
        "serve TLS with this certificate chain, in PEM form",
        group=WHO,
        unit="FILE",
        reason="only you can get a certificate for your host",
        path=True,
    )
    tls_key: str = option(
        "",
        "the private key of the certificate, if it is in another file",
        group=WHO,
        unit="FILE",
        reason="many tools write both into one file",
        path=True,
    )
    tls_ca: str = option(
        "",
        "require a client certificate of one of these authorities; its common name is the user; "
        "with --tokens a login needs both, for the same user",
        group=WHO,
        unit="FILE",
        reason="without it, clients need no certificate",
        path=True,
    )
    allow_plaintext: bool = option(
        False,
        "listen beyond loopback without TLS; the network can read everything, tokens included",
        group=WHO,
        reason="for a proxy in front that does TLS, or for a trusted network",
    )
    open_to_anybody: bool = option(
        False,
        "listen beyond loopback although a name proves nothing: anybody who reaches the port "
        "reads everything and takes any free name",
        group=WHO,
        reason="without it, a wrong port mapping cannot open the room to strangers",
    )

    presence: bool = option(
        True,
        "write a `Joined` and a `Left` into the log when a member comes and goes",
        group=ROOM,
        reason="people want to know who is in the room",
    )
    log_bytes: int = option(
        16 * MIB,
        "size of the history: how far a slow member can lag, and what a resume can replay",
        group=ROOM,
        unit="BYTES",
        reason="a hundred thousand short messages; all members share the memory",
        least=64 * KIB,
    )
    server_name: str = option(
        "refserver",
        "name of the server in `Welcome`",
        group=ROOM,
        unit="NAME",
        reason="for people only; it has no version, because a version helps attackers",
    )

    max_frame: int = option(
        MAX_FRAME,
        f"maximum length of a member's frame; before login it is {MAX_FRAME_BEFORE_WELCOME}",
        group=SIZES,
        unit="BYTES",
        reason="a long message fits, and memory holds a thousand incomplete frames",
        least=MAX_FRAME_BEFORE_WELCOME,
        most=MAX_FRAME_CEILING,
    )
    rate: float = option(
        0.0,
        "maximum requests a second of one member; above it the member is slowed, and no request "
        "is dropped while it is connected; 0: no limit",
        group=SIZES,
        unit="N",
        reason="people test with this server, and do not expect a limit",
        least=0,
    )

    connections: int = option(
        1024,
        "maximum open connections, and at most the limit of file descriptors minus 64",
        group=CONNECTIONS,
        unit="N",
        reason="with the usual limit of 1,024 descriptors, the server accepts 960",
        least=1,
    )
    unauthenticated: int = option(
        256,
        "maximum connections that are not logged in; above it the oldest of them is closed",
        group=CONNECTIONS,
        unit="N",
        reason="clients that do not log in cannot keep other clients out",
        least=1,
    )
    address_share: float = option(
        0.25,
        "maximum share of --connections for one address (an IPv6 /64 is one address; loopback is "
        "exempt)",
        group=CONNECTIONS,
        unit="SHARE",
        reason="one machine cannot fill the room, and an office behind one address fits in",
        least=0.0,
        most=1.0,
    )
    logins: float = option(
        20.0,
        "maximum logins a second of one address, slowed above it (loopback is exempt); 0: no limit",
        group=CONNECTIONS,
        unit="N",
        reason="no person types faster, and guessing tokens takes too long",
        least=0,
    )
    closing: int = option(
        64,
        "maximum connections that wait for the client to close, if there are enough file "
        "descriptors; further ones are closed at once",
        group=CONNECTIONS,
        unit="N",
        reason="waiting is polite, but must not cost many descriptors",
        least=0,
    )

    login_timeout: float = option(
        5.0,
        "time to log in; with TLS also the time for the handshake before it",
        group=TIME,
        unit="SECONDS",
        reason="a login is one round trip; a silent client costs a descriptor",
        least=0.01,
        most=A_DAY,
    )
    heartbeat: int = option(
        20,
        "a member that is silent for this time gets a `Ping`; for twice this time, it is "
        "disconnected; 0: never",
        group=TIME,
        unit="SECONDS",
        reason="address translators forget idle connections after 30 s or more",
        least=0,
        most=65_535,
    )
    frame_timeout: float = option(
        30.0,
        "maximum time from the first to the last byte of a frame",
        group=TIME,
        unit="SECONDS",
        reason="enough for 64 KiB over a very slow link",
        least=0.01,
        most=A_DAY,
    )
    write_timeout: float = option(
        10.0,
        "a member that takes no byte for this time is disconnected with SLOW_CONSUMER",
        group=TIME,
        unit="SECONDS",
        reason="longer than the retransmission of a lost packet, shorter than a person waits",
        least=0.01,
        most=A_DAY,
    )
    close_timeout: float = option(
        2.0,
        "maximum time to wait until the client ends its stream, after it received the last frame",
        group=TIME,
        unit="SECONDS",
        reason="a round trip around the world and a retransmission",
        least=0.01,
        most=A_DAY,
    )
    close_bytes: int = option(
        256 * KIB,
        "maximum bytes to discard while the server waits for a client to close",
        group=TIME,
        unit="BYTES",
        reason="more bytes than the network holds; a client that sends more does not read",
        least=0,
    )
    drain: float = option(
        10.0,
        "maximum time for a shutdown; connections that are left are then cut",
        group=TIME,
        unit="SECONDS",
        reason="the same as --write-timeout",
        least=0,
        most=A_DAY,
    )

    metrics: int | None = option(
        None,
        "serve metrics for Prometheus on this port of loopback; 0 takes a free one; "
        "needs refserver[metrics]",
        group=WATCHING,
        unit="PORT",
        reason="most servers need no metrics",
        least=0,
        most=65_535,
    )
    log_format: str = option(
        "text",
        "format of the lines on stderr: text, or json for one JSON object in each line",
        group=WATCHING,
        unit="FORM",
        reason="the first reader is a person",
        choices=LOG_FORMATS,
    )
    quiet: bool = option(
        False,
        "log warnings and errors only",
        group=WATCHING,
        reason="at first you want to see who comes and goes",
    )

    def __post_init__(self) -> None:
        for needs in ("tls_key", "tls_ca"):
            if getattr(self, needs) and not self.tls_cert:
                raise ConfigError(f"--{needs.replace('_', '-')} needs --tls-cert")
        if self.open_to_anybody and self.asks_who:
            raise ConfigError("--open-to-anybody contradicts --tokens and --tls-ca")
        if self.metrics and self.metrics == self.port:
            raise ConfigError(f"--metrics and --port are both {self.port}")
        if self.ws and self.ws in (self.port, self.metrics):
            raise ConfigError(f"--ws and another listener are both on port {self.ws}")
        if (self.ws_hosts or self.ws_origins) and self.ws is None:
            raise ConfigError("--ws-hosts and --ws-origins need --ws PORT")
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
        """People see it as they see a member's name, and it must fit into a Welcome."""
        error = names.error_of(self.server_name) if self.server_name else "is empty"
        if error is not None:
            raise ConfigError(f"--server-name {error}")

    @property
    def asks_who(self) -> bool:
        """Whether a client has to prove its name."""
        return bool(self.tokens or self.tls_ca)

    def check_exposure(self, addresses: Iterable[str]) -> None:
        """Raise ConfigError if these addresses are open to all, or not encrypted."""
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
    """The addresses and networks in a value of --proxy-protocol. Raises ConfigError.

    >>> networks("192.0.2.7, 2001:db8::/64")
    [IPv4Network('192.0.2.7/32'), IPv6Network('2001:db8::/64')]
    """
    each = [one.strip().strip("[]") for one in listed.split(",")] if listed else []
    try:
        return [ipaddress.ip_network(one) for one in each]
    except ValueError as error:
        raise ConfigError(f"--proxy-protocol: {error}") from None


def is_loopback(address: str) -> bool:
    """Whether a peer with this address is this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
