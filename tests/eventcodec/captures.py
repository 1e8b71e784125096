"""A capture file of TCP conversations, as tcpdump would have written it.

Rule: the smallest that tshark takes as TCP. Lengths, sequence numbers and flags are right; there
are no checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

CLIENT, SERVER = "client", "server"
ADDRESS = {CLIENT: bytes([127, 0, 0, 1]), SERVER: bytes([127, 0, 0, 2])}
RAW_IP = 101
FIRST_PORT = 40_000
SYN, ACK, PUSH, FIN = 0x02, 0x10, 0x08, 0x01

Segment = tuple[str, bytes]
"""Who sends, and the bytes of one segment."""


def capture(*conversations: Iterable[Segment], port: int = 3000) -> bytes:
    """A pcap file of these conversations, one after the other, each from a port of its own.

    Each has the handshake, its segments, a millisecond apart, and both ends. The first client's
    port is `FIRST_PORT`, the next one's is one more.
    """
    file = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, RAW_IP))
    at = 0
    for client_port, segments in enumerate(conversations, FIRST_PORT):
        for packet in packets(segments, {CLIENT: client_port, SERVER: port}):
            file += struct.pack("<IIII", 1, 1_000 * at, len(packet), len(packet)) + packet
            at += 1
    return bytes(file)


def packets(segments: Iterable[Segment], ports: dict[str, int]) -> Iterator[bytes]:
    """The IP packets of one conversation."""
    sent = {CLIENT: 1_000, SERVER: 5_000}

    def packet(side: str, flags: int, data: bytes = b"") -> bytes:
        other = SERVER if side == CLIENT else CLIENT
        here = (ports[side], ports[other], sent[side], sent[other])
        tcp = struct.pack(">HHIIBBHHH", *here, 5 << 4, flags, 65_535, 0, 0)
        size = 20 + len(tcp) + len(data)
        ip = struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0, 64, 6, 0)
        sent[side] += len(data) + bool(flags & (SYN | FIN))
        return ip + ADDRESS[side] + ADDRESS[other] + tcp + data

    yield packet(CLIENT, SYN)
    yield packet(SERVER, SYN | ACK)
    yield packet(CLIENT, ACK)
    for side, data in segments:
        yield packet(side, PUSH | ACK, data)
    yield packet(CLIENT, FIN | ACK)
    yield packet(SERVER, FIN | ACK)
    yield packet(CLIENT, ACK)
