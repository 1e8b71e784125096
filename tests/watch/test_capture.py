"""Captures: what is written is read again, and what TCP does to a stream is undone."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from tests.watch.seen import seen
from tests.watch.talks import ACK, CLIENT, LOGIN, MESSAGE, SERVER, WELCOME, talk
from tests.watch.worlds import World

from refserver.watch.capture import CaptureError, CaptureWriter, is_capture, read_capture
from refserver.watch.conversation import Bytes, Ended, How, Item, Missing, Opened, Side
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
    return list(read_capture(io.BytesIO(capture), **options))


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


def shuffled(packets: Packets) -> Packets:
    """The third and the fourth packet with data change places."""
    data = [n for n, packet in enumerate(packets) if len(packet) > 16 + 40]
    packets[data[0]], packets[data[2]] = packets[data[2]], packets[data[0]]
    return packets


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


@pytest.mark.parametrize("cut", [0, 3, 20, 30, 200])
def test_a_capture_that_was_cut_is_read_so_far(cut: int) -> None:
    capture = written(talk())[:cut]

    if cut < 24:
        with pytest.raises(CaptureError):
            read(capture)
    else:
        assert all(isinstance(item, Opened | Bytes) for item in read(capture))


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
