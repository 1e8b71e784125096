"""Captures: what is written is read again, and what TCP does to a stream is undone."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from tests.watch.seen import seen
from tests.watch.talks import ACK, CLIENT, LOGIN, MESSAGE, SERVER, WELCOME, talk
from tests.watch.worlds import World

from refserver.watch import capture as capture_module
from refserver.watch.capture import CaptureError, CaptureWriter, is_capture, read_capture
from refserver.watch.conversation import Bytes, CutShort, Ended, How, Item, Missing, Opened, Side
from refserver.watch.judge import judged

Packets = list[bytes]


def written(items: list[Item]) -> bytes:
    file = io.BytesIO()
    writer = CaptureWriter(file, started=1_700_000_000.0)
    for item in items:
        writer.take(item)
    return file.getvalue()


def records(capture: bytes) -> tuple[bytes, Packets]:
    """The head of a pcap, and its packets with their own heads."""
    at, packets = 24, []
    while at < len(capture):
        size = struct.unpack_from("<I", capture, at + 8)[0]
        packets.append(capture[at : at + 16 + size])
        at += 16 + size
    return capture[:24], packets


def streams(items: list[Item]) -> dict[tuple[int, Side], bytes]:
    found: dict[tuple[int, Side], bytes] = {}
    for item in items:
        if isinstance(item, Bytes):
            key = item.connection, item.side
            found[key] = found.get(key, b"") + item.data
    return found


def read(capture: bytes, **options: int) -> list[Item]:
    items: list[Item] = []
    with suppress(CutShort):
        items.extend(read_capture(io.BytesIO(capture), **options))
    return items


def test_a_conversation_comes_back_with_its_bytes_ends_and_addresses() -> None:
    items = read(written(talk()))

    assert streams(items) == {(1, CLIENT): LOGIN + MESSAGE, (1, SERVER): WELCOME + ACK}
    assert isinstance(items[0], Opened)
    assert (items[0].client, items[0].server) == ("10.0.0.1:40001", "10.0.0.2:3000")
    assert [(each.side, each.how) for each in items if isinstance(each, Ended)] == [
        (CLIENT, How.FIN),
        (SERVER, How.FIN),
    ]
    assert [round(item.at, 3) for item in items[1:3]] == [0.1, 0.2]


@pytest.mark.parametrize("seed", range(20))
def test_a_world_is_judged_from_its_capture_with_no_finding(seed: int) -> None:
    assert judged(read(written(seen(World(seed))))).notes.findings == []


def test_a_gap_is_a_gap_again() -> None:
    items = talk()
    items[2:2] = [Missing(0.15, 1, SERVER, 9)]

    again = read(written(items))

    gaps = [each for each in again if isinstance(each, Missing)]
    assert [(each.side, each.size) for each in gaps] == [(SERVER, 9)]


def twice(packets: Packets) -> Packets:
    return [each for packet in packets for each in (packet, packet)]


def sent_again_changed(packets: Packets) -> Packets:
    return [
        each
        for packet in packets
        for each in ([packet, packet[:-3] + b"???"] if len(packet) > 60 else [packet])
    ]


@pytest.mark.parametrize("change", [twice, sent_again_changed])
def test_what_tcp_sends_again_counts_once(change: Callable[[Packets], Packets]) -> None:
    head, packets = records(written(talk()))

    again = read(head + b"".join(change(packets)))

    assert streams(again) == streams(talk())
    assert not [each for each in again if isinstance(each, Missing)]


def test_segments_that_come_in_another_order_are_put_in_theirs() -> None:
    only_client: list[Item] = [talk()[0], *(Bytes(0.1, 1, CLIENT, bytes([n])) for n in range(9))]
    head, packets = records(written(only_client))
    later = packets[3:]
    Random(3).shuffle(later)

    again = read(head + b"".join(packets[:3] + later))

    assert streams(again) == {(1, CLIENT): bytes(range(9))}


def test_an_acknowledged_segment_that_was_never_seen_is_a_gap() -> None:
    head, packets = records(written(talk()))
    del packets[3]  # the Login

    again = read(head + b"".join(packets))

    gaps = [each for each in again if isinstance(each, Missing)]
    assert [(each.side, each.size) for each in gaps] == [(CLIENT, len(LOGIN))]
    assert streams(again)[1, CLIENT] == MESSAGE


def test_a_packet_that_the_capture_cut_is_a_gap() -> None:
    head, packets = records(written(talk()))
    packet = packets[3]
    kept = struct.pack("<I", len(packet) - 16 - 10)
    packets[3] = packet[:8] + kept + packet[12:-10]

    again = read(head + b"".join(packets))

    assert [each.size for each in again if isinstance(each, Missing)] == [10]
    assert streams(again)[1, CLIENT] == LOGIN[:-10] + MESSAGE


def test_without_its_syn_a_connection_is_seen_from_its_middle() -> None:
    head, packets = records(written(talk()))

    again = read(head + b"".join(packets[4:]))

    assert isinstance(again[0], Opened)
    assert (again[0].whole, again[0].server) == (False, "10.0.0.2:3000")


def test_a_reset_ends_both_sides() -> None:
    items: list[Item] = [*talk()[:3], Ended(0.5, 1, CLIENT, How.RESET)]

    ends = [each for each in read(written(items)) if isinstance(each, Ended)]

    assert {each.side for each in ends} == set(Side)
    assert {each.how for each in ends} == {How.RESET}


def test_other_ports_are_passed_over() -> None:
    assert read(written(talk()), port=4000) == []
    assert read(written(talk()), port=3000)


@pytest.mark.parametrize("cut", [0, 3, 20])
def test_a_capture_that_is_cut_inside_its_head_is_none(cut: int) -> None:
    with pytest.raises(CaptureError):
        read(written(talk())[:cut])


@pytest.mark.parametrize(("cut", "items"), [(30, 0), (200, 1), (400, 3), (-1, 6)])
def test_a_capture_that_was_cut_is_read_so_far(cut: int, items: int) -> None:
    capture = written(talk())

    some = read(capture[:cut])

    assert some == read(capture)[:items]
    assert len(some) == items


def test_any_bytes_give_items_or_a_clear_error() -> None:
    rng = Random(1)
    good = written(talk())
    for _ in range(2_000):
        wrong = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            wrong[rng.randrange(len(wrong))] = rng.randrange(256)
        try:
            items = read(bytes(wrong))
        except CaptureError:
            continue
        judged(items)


def test_a_capture_is_known_by_its_first_bytes() -> None:
    assert is_capture(written([])[:4]) and is_capture(b"\x0a\x0d\x0d\x0a")
    assert not is_capture(b'{"fo')


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark")
def test_tshark_reads_what_is_written_and_we_read_what_it_writes(tmp_path: Path) -> None:
    """tshark turns our pcap into pcapng; its own reassembly has the same bytes."""
    ours, theirs = tmp_path / "ours.pcap", tmp_path / "theirs.pcapng"
    ours.write_bytes(written(talk()))
    run = ["tshark", "-r", str(ours)]

    subprocess.run([*run, "-w", str(theirs), "-F", "pcapng"], check=True, capture_output=True)
    fields = ["-T", "fields", "-e", "tcp.payload", "-e", "tcp.checksum.status"]
    options = ["-o", "tcp.check_checksum:TRUE"]
    told = subprocess.run([*run, *options, *fields], check=True, capture_output=True, text=True)

    payloads = [line.split("\t") for line in told.stdout.splitlines()]
    assert [each[0] for each in payloads if each[0]] == [
        data.hex() for data in (LOGIN, WELCOME, MESSAGE, ACK)
    ]
    assert {each[1] for each in payloads} == {"1"}
    assert streams(read(theirs.read_bytes())) == streams(talk())


# ----------------------------------------------------------------- the forms of captures

IP4, IP6 = 0x0800, 0x86DD
MACS = bytes(12)


def raw_packets() -> list[tuple[int, bytes]]:
    """Time in microseconds and IPv4 packet, of a talk."""
    _, packets = records(written(talk()))
    found = []
    for packet in packets:
        seconds, micros, _, _ = struct.unpack("<IIII", packet[:16])
        found.append((seconds * 1_000_000 + micros, packet[16:]))
    return found


def as_ipv6(packet: bytes) -> bytes:
    """The same TCP segment over IPv6."""
    addresses = b"".join(bytes(15) + packet[at : at + 1] for at in (15, 19))
    tcp = packet[20:]
    return struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + addresses + tcp


LINKS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "Ethernet": (1, lambda ip: MACS + IP4.to_bytes(2) + ip),
    "Ethernet with a VLAN": (1, lambda ip: MACS + b"\x81\0\0\1" + IP4.to_bytes(2) + ip),
    "Ethernet with two": (
        1,
        lambda ip: MACS + b"\x88\xa8\0\1\x81\0\0\2" + IP6.to_bytes(2) + as_ipv6(ip),
    ),
    "Ethernet with IPv6": (1, lambda ip: MACS + IP6.to_bytes(2) + as_ipv6(ip)),
    "any device": (113, lambda ip: bytes(14) + IP4.to_bytes(2) + ip),
    "any device, the later form": (276, lambda ip: IP6.to_bytes(2) + bytes(18) + as_ipv6(ip)),
    "raw IP": (101, lambda ip: ip),
    "raw IPv4": (228, lambda ip: ip),
    "raw IPv6": (229, as_ipv6),
    "loopback of BSD": (0, lambda ip: (2).to_bytes(4, "little") + ip),
    "loopback of OpenBSD": (108, lambda ip: (24).to_bytes(4) + as_ipv6(ip)),
}


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("unit", [1_000_000, 1_000_000_000])
def test_a_pcap_is_read_from_every_kind_of_device(name: str, order: str, unit: int) -> None:
    link, wrapped = LINKS[name]
    mark = 0xA1B2C3D4 if unit == 1_000_000 else 0xA1B23C4D
    capture = struct.pack(order + "IHHiIII", mark, 2, 4, 0, 0, 262_144, link)
    for micros, packet in raw_packets():
        seconds, fraction = divmod(micros * (unit // 1_000_000), unit)
        data = wrapped(packet)
        capture += struct.pack(order + "IIII", seconds, fraction, len(data), len(data)) + data

    items = read(capture)

    assert streams(items) == streams(talk())
    assert [round(item.at, 3) for item in items[1:3]] == [0.1, 0.2]


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("options", "ticks"),
    [
        (b"", 1_000_000),
        ((9, b"\x09"), 1_000_000_000),
        ((9, b"\x94"), 2**20),
        ((2, b"lo"), 1_000_000),
    ],
)
def test_a_pcapng_is_read_in_its_order_and_its_resolution(
    order: str, options: tuple[int, bytes] | bytes, ticks: int
) -> None:
    about = b""
    if isinstance(options, tuple):
        code, value = options
        about = struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)
    about += struct.pack(order + "HH", 0, 0)
    capture = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    capture += block(order, 5, b"statistics, which nobody reads")
    capture += block(order, 1, struct.pack(order + "HHI", 101, 0, 0) + about)
    for micros, packet in raw_packets():
        time = micros * ticks // 1_000_000
        head = struct.pack(
            order + "IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(packet), len(packet)
        )
        capture += block(order, 6, head + packet)
    unknown = struct.pack(order + "IIIII", 7, 0, 0, 4, 4) + b"lost"
    capture += block(order, 6, unknown)

    items = read(capture)

    assert streams(items) == streams(talk())
    assert [round(item.at, 3) for item in items[1:3]] == [0.1, 0.2]
    assert streams(read(capture[:-30])) == streams(talk())


@pytest.mark.parametrize("size", [0, 11, 1 << 21])
def test_a_block_that_cannot_be_is_refused(size: int) -> None:
    good = block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))

    with pytest.raises(CaptureError, match=f"a block of {size} bytes"):
        read(good + struct.pack("<II", 1, size) + bytes(20))


def test_a_packet_that_cannot_be_is_refused() -> None:
    head, _ = records(written([]))

    with pytest.raises(CaptureError, match="a packet of 1048577 bytes"):
        read(head + struct.pack("<IIII", 0, 0, (1 << 20) + 1, 5))


def test_what_is_no_tcp_segment_is_passed_over() -> None:
    head, packets = records(written(talk()))
    record, ip = packets[3][:16], bytearray(packets[3][16:])
    others = []
    for at, value in ((9, 17), (6, 0x20)):  # UDP, and a fragment
        other = bytearray(ip)
        other[at] = value
        others.append(record + other)
    for short_ in (ip[:10], ip[:30]):
        size = len(short_).to_bytes(4, "little")
        others.append(record[:8] + size + size + short_)

    assert streams(read(head + b"".join([*others, *packets, *others]))) == streams(talk())
    assert read(head[:20] + (147).to_bytes(4, "little") + b"".join(packets)) == []


def test_a_packet_whose_length_the_card_was_to_write_is_read() -> None:
    head, packets = records(written(talk()))
    packets[3] = packets[3][:18] + b"\0\0" + packets[3][20:]  # the total length of IPv4

    assert streams(read(head + b"".join(packets))) == streams(talk())


def test_what_waits_for_a_lost_packet_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "HELD", 20)
    only_client: list[Item] = [talk()[0], *(Bytes(0.1, 1, CLIENT, bytes(8)) for _ in range(9))]
    head, packets = records(written(only_client))
    del packets[3]

    again = read(head + b"".join(packets))

    assert [each.size for each in again if isinstance(each, Missing)] == [8]
    assert len(streams(again)[1, CLIENT]) == 64


def test_addresses_that_are_used_again_are_another_connection() -> None:
    head, packets = records(written(talk()))

    again = read(head + b"".join(packets) * 2)

    assert [item.connection for item in again if isinstance(item, Opened)] == [1, 2]
    assert streams(again)[1, CLIENT] == streams(again)[2, CLIENT]


def test_a_talk_from_its_middle_whose_server_speaks_first_has_its_sides_right() -> None:
    head, packets = records(written(talk()))

    again = read(head + b"".join(packets[4:]), port=3000)
    lower = read(head + b"".join(packets[5:]))

    for items in (again, lower):
        opened = items[0]
        assert isinstance(opened, Opened)
        assert (opened.client, opened.server) == ("10.0.0.1:40001", "10.0.0.2:3000")


def test_an_acknowledgement_alone_begins_no_connection() -> None:
    head, packets = records(written(talk()))

    assert read(head + packets[2]) == []


@pytest.mark.parametrize("address", ["", "[::1]:7", "somewhere:80"])
def test_an_address_that_is_not_ipv4_becomes_one(address: str) -> None:
    items = talk()
    items[0] = Opened(0.0, 1, address, address)

    again = read(written(items))

    assert streams(again) == streams(talk())
    assert isinstance(again[0], Opened)
    assert again[0].client.startswith("10.0.0.10:")


def test_a_long_write_is_several_packets() -> None:
    long = b"x" * 150_000
    items = [talk()[0], Bytes(0.1, 1, CLIENT, long)]

    _, packets = records(written(items))

    assert len(packets) == 3 + 3
    assert streams(read(written(items)))[1, CLIENT] == long
