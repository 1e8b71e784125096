"""Captures of tcpdump and Wireshark: pcap and pcapng, read and written.

Rule: a capture is what one place saw, in its order. What TCP sent twice counts once; what was
acknowledged and never seen is a gap; a connection whose SYN was not seen is seen from its middle.

Layer: above `conversation`, below the commands. Ethernet, Linux cooked, raw IP and loopback are
read, IPv4 and IPv6, not in fragments.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import IO

from ..arguments import spelled
from .conversation import Bytes, CutShort, Ended, How, Item, Missing, Opened, Side

__all__ = ["CaptureError", "CaptureWriter", "is_capture", "read_capture"]

LITTLE = {b"\xd4\xc3\xb2\xa1": 1e-6, b"\x4d\x3c\xb2\xa1": 1e-9}
BIG = {b"\xa1\xb2\xc3\xd4": 1e-6, b"\xa1\xb2\x3c\x4d": 1e-9}
SECTION = b"\x0a\x0d\x0d\x0a"
RAW_IP = 101
LONGEST_PACKET = 1 << 20
SHORTEST_PACKET = 32
"""Bytes of a block that holds a packet of none."""
FIN, SYN, RST, ACKED = 1, 2, 4, 16
WRAP = 1 << 32
HELD = 4 << 20
"""Bytes that wait for one that was lost; with more of them it counts as never seen."""
SEGMENT = 60_000


class CaptureError(ValueError):
    """A file that is no capture that can be read; the message says why."""


def is_capture(head: bytes) -> bool:
    """Whether a file that begins so is a capture."""
    return head[:4] in LITTLE or head[:4] in BIG or head[:4] == SECTION


# ------------------------------------------------------------- packets


@dataclass(frozen=True, slots=True)
class _Packet:
    at: float
    link: int
    data: bytes
    size: int  # on the wire; more than was kept where the capture cut it


def _packets(file: IO[bytes]) -> Iterator[_Packet]:
    head = file.read(4)
    if head == SECTION:
        yield from _blocks(file)
    elif head in LITTLE or head in BIG:
        order, unit = ("<", LITTLE[head]) if head in LITTLE else (">", BIG[head])
        yield from _records(file, order, unit)
    else:
        raise CaptureError("neither pcap nor pcapng")


def _records(file: IO[bytes], order: str, unit: float) -> Iterator[_Packet]:
    rest = file.read(20)
    if len(rest) < 20:
        raise CaptureError("a pcap that ends in its header")
    link = struct.unpack(order + "I", rest[16:])[0] & 0x0FFF_FFFF
    head = struct.Struct(order + "IIII")
    while len(record := file.read(16)) == 16:
        seconds, fraction, kept, size = head.unpack(record)
        if kept > LONGEST_PACKET:
            raise CaptureError(f"a packet of {kept} bytes")
        data = file.read(kept)
        if len(data) < kept:
            raise CutShort
        yield _Packet(seconds + fraction * unit, link, data, size)
    if record:
        raise CutShort


def _blocks(file: IO[bytes]) -> Iterator[_Packet]:
    order = "<"
    links: list[tuple[int, float]] = []
    head = SECTION + file.read(4)
    while len(head) == 8:
        if head[:4] == SECTION:
            mark = file.read(4)
            order = "<" if mark == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
            (size,) = struct.unpack(order + "I", head[4:])
            body = mark + file.read(max(0, size - 12))
        else:
            (size,) = struct.unpack(order + "I", head[4:])
            if not 12 <= size <= LONGEST_PACKET:
                raise CaptureError(f"a block of {size} bytes")
            body = file.read(size - 8)
        if len(body) < size - 8:
            raise CutShort
        (kind,) = struct.unpack(order + "I", head[:4])
        if kind == 1:
            (link,) = struct.unpack(order + "H", body[:2])
            links.append((link, _resolution(body[8:-4], order)))
        elif kind == 6:
            if size < SHORTEST_PACKET:
                raise CaptureError(f"a packet's block of {size} bytes")
            number, high, low, kept, whole = struct.unpack(order + "IIIII", body[:20])
            if number < len(links):
                link, unit = links[number]
                yield _Packet((high << 32 | low) * unit, link, body[20 : 20 + kept], whole)
        head = file.read(8)
    if head:
        raise CutShort


def _resolution(options: bytes, order: str) -> float:
    at = 0
    while at + 4 < len(options):
        code, size = struct.unpack_from(order + "HH", options, at)
        if code == 9 and size == 1:
            value = options[at + 4]
            return float(2 ** -(value & 0x7F) if value & 0x80 else 10**-value)
        if code == 0:
            break
        at += 4 + (size + 3) // 4 * 4
    return 1e-6


# ------------------------------------------------------------- segments


@dataclass(frozen=True, slots=True)
class _Segment:
    at: float
    source: tuple[str, int]
    target: tuple[str, int]
    seq: int
    ack: int
    flags: int
    data: bytes
    size: int


def _network(packet: _Packet) -> tuple[int, int] | None:
    """Where the IP header begins in a packet, and its version."""
    data, link = packet.data, packet.link
    if link == 1 and len(data) >= 14:
        kind, at = int.from_bytes(data[12:14], "big"), 14
        while kind in (0x8100, 0x88A8) and len(data) >= at + 4:
            kind, at = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
    elif link == 113 and len(data) >= 16:
        kind, at = int.from_bytes(data[14:16], "big"), 16
    elif link == 276 and len(data) >= 20:
        kind, at = int.from_bytes(data[:2], "big"), 20
    elif link in (101, 12, 228, 229) and data:
        return 0, data[0] >> 4
    elif link in (0, 108) and len(data) > 4:
        return 4, data[4] >> 4
    else:
        return None
    return {0x0800: (at, 4), 0x86DD: (at, 6)}.get(kind)


def _segment(packet: _Packet) -> _Segment | None:
    network = _network(packet)
    if network is None:
        return None
    at, version = network
    data = packet.data
    if version == 4 and len(data) >= at + 20:
        if data[at + 9] != 6 or int.from_bytes(data[at + 6 : at + 8], "big") & 0x3FFF:
            return None
        header = (data[at] & 15) * 4
        total = int.from_bytes(data[at + 2 : at + 4], "big")
        addresses = data[at + 12 : at + 16], data[at + 16 : at + 20]
    elif version == 6 and len(data) >= at + 40 and data[at + 6] == 6:
        header = 40
        total = int.from_bytes(data[at + 4 : at + 6], "big") + 40
        addresses = data[at + 8 : at + 24], data[at + 24 : at + 40]
    else:
        return None
    tcp = at + header
    if len(data) < tcp + 20:
        return None
    here, there, seq, ack, offset, flags = struct.unpack_from(">HHIIBB", data, tcp)
    # A total of 0 is written by a card that cuts the packet later (segmentation offload).
    end = at + total if total else packet.size
    size = max(0, end - tcp - (offset >> 4) * 4)
    body = data[tcp + (offset >> 4) * 4 :][:size]
    source, target = (str(ip_address(each)) for each in addresses)
    return _Segment(packet.at, (source, here), (target, there), seq, ack, flags, body, size)


# ------------------------------------------------------------- streams


@dataclass(slots=True)
class _Stream:
    """One direction: what is next, and what came before its turn."""

    next: int | None = None
    later: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    held: int = 0
    fin: int | None = None
    ended: bool = False

    def behind(self, seq: int) -> int:
        """How far a number is from the next one; negative for what was there before."""
        assert self.next is not None
        far = (seq - self.next) % WRAP
        return far - WRAP if far >= WRAP // 2 else far


class _Flow:
    def __init__(self, number: int, client: tuple[str, int]) -> None:
        self.number = number
        self.client = client
        self.streams = {Side.CLIENT: _Stream(), Side.SERVER: _Stream()}

    def take(self, segment: _Segment, at: float) -> Iterator[Item]:
        side = Side.CLIENT if segment.source == self.client else Side.SERVER
        stream, other = self.streams[side], self.streams[side.other]
        if segment.flags & SYN:
            stream.next = (segment.seq + 1) % WRAP
            return
        if stream.next is None:
            stream.next = segment.seq
        if segment.flags & ACKED and other.next is not None:
            yield from self._acknowledged(side.other, other, segment.ack, at)
        if segment.size:
            yield from self._data(side, stream, segment, at)
        if segment.flags & FIN:
            stream.fin = (segment.seq + segment.size) % WRAP
        if segment.flags & RST:
            for each in (side, side.other):
                if not self.streams[each].ended:
                    self.streams[each].ended = True
                    yield Ended(at, self.number, each, How.RESET)
        else:
            yield from self._fin(side, stream, at)

    def _fin(self, side: Side, stream: _Stream, at: float) -> Iterator[Item]:
        if stream.fin is not None and stream.behind(stream.fin) <= 0 and not stream.ended:
            stream.ended = True
            yield Ended(at, self.number, side, How.FIN)

    def _data(self, side: Side, stream: _Stream, segment: _Segment, at: float) -> Iterator[Item]:
        far = stream.behind(segment.seq)
        if far + segment.size <= 0:
            return  # it was sent again, whatever its bytes are now: the first were taken
        known = stream.later.get(segment.seq)
        if far > 0 and (known is None or len(known[0]) < len(segment.data)):
            stream.held += len(segment.data) - (len(known[0]) if known else 0)
            stream.later[segment.seq] = segment.data, segment.size
            if stream.held > HELD:
                yield from self._skip(side, stream, at)
            return
        if far <= 0:
            yield from self._give(side, stream, segment.data, segment.size, far, at)
            yield from self._in_turn(side, stream, at)

    def _give(
        self, side: Side, stream: _Stream, data: bytes, size: int, far: int, at: float
    ) -> Iterator[Item]:
        assert stream.next is not None
        new = data[-far:] if far else data
        if new:
            yield Bytes(at, self.number, side, new)
        lacking = size - max(len(data), -far)
        if lacking > 0:  # the capture kept only the beginning of the packet
            yield Missing(at, self.number, side, lacking)
        stream.next = (stream.next + size + far) % WRAP

    def _in_turn(self, side: Side, stream: _Stream, at: float) -> Iterator[Item]:
        """What came too early, as far as it is its turn now."""
        while ready := [seq for seq in stream.later if stream.behind(seq) <= 0]:
            for seq in ready:
                data, size = stream.later.pop(seq)
                stream.held -= len(data)
                far = stream.behind(seq)
                if far + size > 0:
                    yield from self._give(side, stream, data, size, far, at)

    def _acknowledged(self, side: Side, stream: _Stream, ack: int, at: float) -> Iterator[Item]:
        """The reader has all bytes before `ack`, so what lacks of them was not captured."""
        while stream.behind(ack) > 0 and ack != ((stream.fin or 0) + 1) % WRAP:
            begins = min((stream.behind(seq) for seq in stream.later), default=WRAP)
            lacking = min(stream.behind(ack), begins)
            if stream.fin is not None and lacking == 1 + stream.behind(stream.fin):
                return
            yield Missing(at, self.number, side, lacking)
            assert stream.next is not None
            stream.next = (stream.next + lacking) % WRAP
            yield from self._in_turn(side, stream, at)

    def _skip(self, side: Side, stream: _Stream, at: float) -> Iterator[Item]:
        lacking = min(stream.behind(seq) for seq in stream.later)
        assert stream.next is not None
        yield Missing(at, self.number, side, lacking)
        stream.next = (stream.next + lacking) % WRAP
        yield from self._in_turn(side, stream, at)


def read_capture(file: IO[bytes], *, port: int | None = None) -> Iterator[Item]:
    """The conversations in a capture.

    `port` is the server's. Without it, the sender of the SYN is the client.
    Where no SYN was seen, the lower port is taken for the server's. Raises CaptureError, and
    CutShort at the end.
    """
    flows: dict[frozenset[tuple[str, int]], _Flow] = {}
    started: float | None = None
    number = 0
    for packet in _packets(file):
        segment = _segment(packet)
        if segment is None or port not in (None, segment.source[1], segment.target[1]):
            continue
        started = packet.at if started is None else started
        at = packet.at - started
        key = frozenset((segment.source, segment.target))
        begins = segment.flags & (SYN | ACKED) == SYN
        flow = flows.get(key)
        again = flow is not None and all(stream.ended for stream in flow.streams.values())
        if flow is None or (begins and again):
            if not (segment.size or begins or segment.flags & SYN):
                continue
            number += 1
            client, server = _ends(segment, port)
            flow = flows[key] = _Flow(number, client)
            yield Opened(at, number, spelled(*client), spelled(*server), bool(segment.flags & SYN))
        yield from flow.take(segment, at)


def _ends(segment: _Segment, port: int | None) -> tuple[tuple[str, int], tuple[str, int]]:
    """Who is the client, and who the server."""
    source, target = segment.source, segment.target
    if port is not None:
        from_server = source[1] == port
    elif segment.flags & SYN:
        from_server = bool(segment.flags & ACKED)
    else:
        from_server = source[1] < target[1]
    return (target, source) if from_server else (source, target)


# ------------------------------------------------------------- writing


class _Written:
    """The numbers of one connection that is written."""

    def __init__(self, opened: Opened) -> None:
        self.ends = {
            Side.CLIENT: _end(opened.client, 10, 40_000 + opened.connection % 20_000),
            Side.SERVER: _end(opened.server, 20, 3000),
        }
        self.seq = {Side.CLIENT: 1000, Side.SERVER: 5000}


def _end(address: str, last: int, port: int) -> tuple[bytes, int]:
    host, _, digits = address.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        packed = ip_address(host.strip("[]")).packed
    except ValueError:
        packed = b""
    return (packed if len(packed) == 4 else bytes([10, 0, 0, last])), int(digits or port)


class CaptureWriter:
    """Writes a pcap of items, as IPv4 with headers of its own making.

    `started` is the moment of time 0, in seconds since 1970. What is missing is missing there too.
    An address that is not IPv4 becomes one of 10.0.0.0/8.
    """

    def __init__(self, file: IO[bytes], *, started: float = 0.0) -> None:
        self._file = file
        self._started = started
        self._flows: dict[int, _Written] = {}
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, RAW_IP))

    def take(self, item: Item) -> None:
        """Write an item."""
        if isinstance(item, Opened):
            flow = self._flows[item.connection] = _Written(item)
            if item.whole:
                self._packet(item.at, flow, Side.CLIENT, SYN)
                self._packet(item.at, flow, Side.SERVER, SYN | ACKED)
                self._packet(item.at, flow, Side.CLIENT, ACKED)
            return
        flow = self._flows[item.connection]
        if isinstance(item, Bytes):
            for start in range(0, len(item.data), SEGMENT):
                piece = item.data[start : start + SEGMENT]
                self._packet(item.at, flow, item.side, ACKED | 8, piece)
        elif isinstance(item, Missing):
            flow.seq[item.side] = (flow.seq[item.side] + (item.size or 1)) % WRAP
            self._packet(item.at, flow, item.side.other, ACKED)
        elif isinstance(item, Ended):
            flags = RST if item.how is How.RESET else FIN
            self._packet(item.at, flow, item.side, flags | ACKED)

    def _packet(self, at: float, flow: _Written, side: Side, flags: int, data: bytes = b"") -> None:
        raw = _ipv4(flow, side, flags, data)
        seconds, fraction = divmod(round((self._started + at) * 1_000_000), 1_000_000)
        self._file.write(struct.pack("<IIII", seconds, fraction, len(raw), len(raw)) + raw)
        flow.seq[side] = (flow.seq[side] + len(data) + bool(flags & (SYN | FIN))) % WRAP


def _ipv4(flow: _Written, side: Side, flags: int, data: bytes) -> bytes:
    (source, here), (target, there) = flow.ends[side], flow.ends[side.other]
    ack = flow.seq[side.other] if flags & ACKED else 0
    tcp = struct.pack(">HHIIBBHHH", here, there, flow.seq[side], ack, 0x50, flags, 65_535, 0, 0)
    total = 20 + len(tcp) + len(data)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, total, 0, 0x4000, 64, 6, 0) + source + target
    pseudo = source + target + struct.pack(">BBH", 0, 6, len(tcp) + len(data))
    tcp = tcp[:16] + _checksum(pseudo + tcp + data) + tcp[18:]
    return ip[:10] + _checksum(ip) + ip[12:] + tcp + data


def _checksum(data: bytes) -> bytes:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", ~total & 0xFFFF)
