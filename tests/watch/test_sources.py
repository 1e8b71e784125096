"""A file is what its first bytes say; one that is neither, or not whole, is told in one line."""

from __future__ import annotations

import gzip
import io
import os
import struct
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from tests.watch.talks import ALL_KINDS, talk

from refserver.cli import main
from refserver.watch.capture import CaptureWriter
from refserver.watch.conversation import Bytes, Item, Missing, Side
from refserver.watch.recording import Recorder, new_mask
from refserver.watch.sources import SourceError, items_of

BOM = b"\xef\xbb\xbf"


def recorded() -> bytes:
    file = io.BytesIO()
    recorder = Recorder(file, datetime(2026, 1, 2, tzinfo=UTC), masked=False)
    for item in talk():
        recorder.take(item)
    return file.getvalue()


def captured() -> bytes:
    file = io.BytesIO()
    writer = CaptureWriter(file, started=1_700_000_000.0)
    for item in talk():
        writer.take(item)
    return file.getvalue()


def pcapng() -> bytes:
    """The same packets in the other form."""

    def block(kind: int, body: bytes) -> bytes:
        size = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", kind) + size + body + size

    old, at = captured(), 24
    (link,) = struct.unpack_from("<I", old, 20)
    made = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    made += block(1, struct.pack("<HHI", link, 0, 0))
    while at < len(old):
        seconds, micros, kept, size = struct.unpack_from("<IIII", old, at)
        ticks = seconds * 1_000_000 + micros
        head = struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, kept, size)
        data = old[at + 16 : at + 16 + kept]
        made += block(6, head + data + bytes(-len(data) % 4))
        at += 16 + kept
    return made


FORMS: dict[str, Callable[[], bytes]] = {
    "recording": recorded,
    "pcap": captured,
    "pcapng": pcapng,
}
FIRST, SECOND = recorded().splitlines(keepends=True)[:2]
WHOLE = {name: form() for name, form in FORMS.items()}


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def read(path: Path, data: bytes) -> list[Item]:
    path.write_bytes(data)
    return list(items_of(path))


def said(items: list[Item]) -> list[tuple[Side, bytes]]:
    return [(item.side, item.data) for item in items if isinstance(item, Bytes)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty, neither a recording nor a capture (pcap, pcapng)"),
        (b"\n\n", "line 1: neither a capture nor a recording: not JSON"),
        (b"[]\n", "line 1: not an object"),
        (b"# a page\n", "line 1: neither a capture nor a recording: not JSON"),
        (FIRST[:30], "line 1: neither a capture nor a recording: not JSON"),
        (SECOND, "line 1: not a recording: its format is not event-protocol-recording/1"),
        (FIRST + b"{\n" + SECOND, "line 2: not JSON"),
        (recorded().decode().encode("utf-16"), "neither a recording nor a capture (pcap, pcapng)"),
        (gzip.compress(recorded(), mtime=0), "compressed by gzip; decompress it first"),
        (gzip.compress(captured(), mtime=0), "compressed by gzip; decompress it first"),
        (captured()[:10], "a pcap that ends in its header"),
        *(
            (FIRST + line + b"\n", "line 2: a value is wrong")
            for line in (
                b'{"at":1,"connection":1,"opened":5}',
                b'{"at":1,"connection":1,"opened":null}',
                b'{"at":1e999,"connection":1,"opened":{}}',
                b'{"at":NaN,"connection":1,"opened":{}}',
                b'{"at":1,"connection":1e999,"opened":{}}',
                b'{"at":1,"connection":1,"side":"client","missing":1e999}',
                b'{"at":1,"connection":1,"side":"nobody","data":""}',
            )
        ),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ("judge",),
        ("watch",),
        ("replay", "--listen", "0"),
        ("replay", "--to", "localhost:1"),
        ("shrink", "--while", "true {port}"),
    ],
    ids=" ".join,
)
def test_what_is_neither_is_told_in_one_line(
    tmp_path: Path, data: bytes, why: str, command: tuple[str, ...]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)

    done = run(command[0], path, *command[1:])

    assert done.exit_code == 2
    assert done.stderr == f"refserver: {path}: {why}. Try main {command[0]} --help.\n"


@pytest.mark.parametrize("data", [BOM + recorded(), recorded().replace(b"\n", b"\r\n")])
def test_what_an_editor_adds_changes_nothing(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path / "file", data) == talk()


@pytest.mark.parametrize("form", WHOLE)
def test_a_file_that_is_cut_short_counts_as_far_as_it_is_whole(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    every = said(read(path, WHOLE[form]))
    assert capsys.readouterr().err == ""

    for lacking, left in ((3, every), (25, every), (len(WHOLE[form]) // 2, every[:1])):
        some = said(read(path, WHOLE[form][:-lacking]))

        assert some == left
        told = f"refserver: {path} is cut short: what is whole of it counts\n"
        assert capsys.readouterr().err == told


@pytest.mark.parametrize("form", WHOLE)
def test_a_pipe_is_read_as_a_file_is(tmp_path: Path, form: str) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(WHOLE[form],))
    writer.start()

    items = list(items_of(path))

    writer.join()
    assert said(items) == said(talk())


@given(st.sampled_from(list(WHOLE)), st.data())
def test_whatever_a_file_says_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed"
    changed = bytearray(WHOLE[form])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        new = data.draw(st.sampled_from([b"", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x20\0\0\0"]))
        changed[at : at + data.draw(st.integers(0, 8))] = new
    path.write_bytes(changed)
    mask = new_mask()
    recorder = Recorder(io.BytesIO(), datetime(2026, 1, 2, tzinfo=UTC), masked=True)

    try:
        for item in items_of(path):
            for each in mask(item):
                recorder.take(each)
    except SourceError as error:
        assert str(path) in str(error)


def test_what_comes_behind_an_end_or_of_no_connection_is_masked_whole() -> None:
    mask = new_mask()
    shown = [each for item in ALL_KINDS for each in mask(item)]

    behind = mask(Bytes(9.0, 1, Side.SERVER, b"a secret"))
    unknown = mask(Bytes(9.0, 77, Side.CLIENT, b"a secret"))

    assert any(isinstance(each, Bytes) for each in shown)
    assert behind == [Missing(9.0, 1, Side.SERVER, 8)]
    assert unknown == [Missing(9.0, 77, Side.CLIENT, 8)]
