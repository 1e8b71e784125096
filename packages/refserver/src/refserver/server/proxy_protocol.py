"""Read the header with which a proxy names the client of a connection.

Rule: a connection of a listed proxy begins with one whole, well-formed header, or is closed.

No byte of other connections is read.

Versions 1 (a line of text) and 2 (binary) of HAProxy's PROXY protocol. `parse` knows
no socket; `Headers` reads exactly the header, so that TLS or the first frame follows.

Layer: beside `listener`, below `server`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .client_timers import ClientTimers, Expired
from .config import Network
from .logs import log_event
from .timers import Timer

__all__ = ["Header", "Headers", "Malformed", "parse"]

MOST_LINE = 107
"""The most bytes of a header of version 1 with its line end, by its specification."""
MOST_BINARY = 4096
"""The most bytes of a header of version 2 with its extensions, which are not used."""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r]*)?"
    rb"|(TCP4|TCP6) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
)
LOCAL, PROXY = 0, 1
UNSPECIFIED, IPV4, IPV6, UNIX = range(4)
SIZES = {UNSPECIFIED: 0, IPV4: 12, IPV6: 36, UNIX: 216}
"""Bytes of the addresses of each family."""
DATAGRAM = 2

Accepted = Callable[[socket.socket, str], None]


class Malformed(Exception):
    """The bytes are not a header. The text is the reason, for people."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header: its size in bytes, and the client's address.

    The address is empty if the proxy itself is the client (LOCAL, for example a health check), or
    if the client has no IP address.
    """

    size: int
    source: str


def parse(data: bytes) -> Header | None:
    r"""Returns the header at the start of the data, or None if more bytes are needed.

    Raises Malformed as soon as the bytes cannot become a header.

    >>> parse(b"PROXY TCP4 192.0.2.1 192.0.2.9 4711 3000\r\n\x00\x00")
    Header(size=42, source='192.0.2.1')
    >>> parse(b"PROXY TCP4 192.0.2.1 192.")
    """
    if SIGNATURE.startswith(data[: len(SIGNATURE)]):
        return _parse_binary(data)
    if b"PROXY ".startswith(data[:6]):
        return _parse_line(data)
    raise Malformed("it does not begin as one")


def _parse_line(data: bytes) -> Header | None:
    end = data.find(b"\n", 0, MOST_LINE)
    if end < 0:
        if len(data) >= MOST_LINE:
            raise Malformed("its line is too long")
        return None
    found = LINE.fullmatch(data, 0, end + 1)
    if found is None:
        raise Malformed("its line is not well-formed")
    if found[1] is None:
        return Header(end + 1, "")
    family = ipaddress.IPv4Address if found[1] == b"TCP4" else ipaddress.IPv6Address
    try:
        source, _ = family(found[2].decode()), family(found[3].decode())
    except ValueError:
        raise Malformed("an address is not well-formed") from None
    if max(int(found[4]), int(found[5])) > 65_535:
        raise Malformed("a port is above 65535")
    return Header(end + 1, plain(source))


def _parse_binary(data: bytes) -> Header | None:
    if len(data) > 12 and data[12] >> 4 != 2:
        raise Malformed("its version is unknown")
    if len(data) > 12 and data[12] & 15 not in (LOCAL, PROXY):
        raise Malformed("its command is unknown")
    if len(data) < 16:
        return None
    command, family, length = data[12] & 15, data[13], struct.unpack_from(">H", data, 14)[0]
    size = 16 + length
    if size > MOST_BINARY:
        raise Malformed("it is too long")
    kind, transport = family >> 4, family & 15
    if kind not in SIZES or transport > DATAGRAM:
        raise Malformed("its address family is unknown")
    if command == PROXY and transport == DATAGRAM:
        raise Malformed("it is of datagrams")
    if command == PROXY and length < SIZES[kind]:
        raise Malformed("it is too short for its addresses")
    if len(data) < size:
        return None
    if command == LOCAL or not transport or kind not in (IPV4, IPV6):
        return Header(size, "")
    if kind == IPV4:
        return Header(size, plain(ipaddress.IPv4Address(data[16:20])))
    return Header(size, plain(ipaddress.IPv6Address(data[16:32])))


def plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The normal form of an address. An IPv4 address in IPv6 form becomes IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


@dataclass(slots=True)
class Waiting:
    """A connection of a proxy that waits for its whole header."""

    proxy: str
    timer: Timer[Expired]
    held: bytes = b""


class Headers:
    """Reads the header of each connection from a listed proxy.

    Other connections are passed on at once. At most `most` connections wait for their header; one
    more ends the oldest. Each has `timeout` seconds.
    """

    def __init__(
        self,
        proxies: Sequence[Network],
        timeout: float,
        most: int,
        accepted: Accepted,
        timers: ClientTimers,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._proxies = proxies
        self._timeout = timeout
        self._most = most
        self._accepted = accepted
        self._timers = timers
        self._waiting: dict[socket.socket, Waiting] = {}  # oldest first

    def accepted(self, sock: socket.socket, address: str) -> None:
        """Take a connection, and pass it on with the address of its client."""
        if not self._is_proxy(address):
            self._accepted(sock, address)
            return
        if len(self._waiting) >= self._most:
            self._refuse(next(iter(self._waiting)), "others came")
        timer = self._timers.add(lambda _: self._refuse(sock, "its time is over"))
        self._timers.set(timer, self._timers.clock.now() + self._timeout)
        self._waiting[sock] = Waiting(address, timer)
        self._loop.add_reader(sock, self._read, sock)
        self._read(sock)  # usually the header is already there

    def close(self) -> None:
        """End all that wait."""
        for sock in list(self._waiting):
            self._forget(sock)
            sock.close()

    def _is_proxy(self, address: str) -> bool:
        ip = ipaddress.ip_address(address)
        return any(ip in network for network in self._proxies)

    def _read(self, sock: socket.socket) -> None:
        """Read the header and no byte after it: those are for TLS or the session."""
        waiting = self._waiting[sock]
        try:
            more = sock.recv(MOST_BINARY, socket.MSG_PEEK)
            header = parse(waiting.held + more)
            sock.recv(len(more) if header is None else header.size - len(waiting.held))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._refuse(sock, error.strerror or "lost")
            return
        except Malformed as error:
            self._refuse(sock, str(error))
            return
        waiting.held += more
        if header is not None:
            self._forget(sock)
            self._accepted(sock, header.source or waiting.proxy)
        elif not more:
            self._refuse(sock, "the stream ended before it")

    def _refuse(self, sock: socket.socket, reason: str) -> None:
        waiting = self._forget(sock)
        sock.close()
        log_event("proxy", level=logging.WARNING, peer=waiting.proxy, error=f"no header: {reason}")

    def _forget(self, sock: socket.socket) -> Waiting:
        waiting = self._waiting.pop(sock)
        self._timers.remove(waiting.timer)
        self._loop.remove_reader(sock)
        return waiting
