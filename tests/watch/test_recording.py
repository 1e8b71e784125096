"""Recordings come back as they were; what is masked has its length, and no secret in it."""

from __future__ import annotations

import io
import json
import stat
from datetime import UTC, datetime
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.raw import frame
from tests.watch.seen import seen
from tests.watch.talks import ALL_KINDS, CLIENT, FRESH, LOGIN, MESSAGE, SERVER, TICKET, WELCOME
from tests.watch.worlds import World

from refserver.watch import masking
from refserver.watch.conversation import Bytes, Item, Missing, Opened, Side
from refserver.watch.judge import judged
from refserver.watch.masking import Masker, Pseudonyms
from refserver.watch.recording import Mask, Recorder, RecordingError, created, read_recording

WHEN = datetime(2026, 1, 2, tzinfo=UTC)


def recorded(items: list[Item], *, masked: bool = False) -> str:
    file = io.BytesIO()
    recorder = Recorder(file, WHEN, masked=masked)
    for item in items:
        recorder.take(item)
    return file.getvalue().decode()


def test_each_kind_of_item_comes_back() -> None:
    assert list(read_recording(io.StringIO(recorded(ALL_KINDS)))) == ALL_KINDS


def test_each_line_is_as_the_schema_says() -> None:
    text = files("refserver.watch").joinpath("recording.schema.json").read_text(encoding="utf-8")
    validator = jsonschema.Draft202012Validator(json.loads(text))

    for line in recorded(ALL_KINDS, masked=True).splitlines():
        validator.validate(json.loads(line))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1: neither a capture nor a recording: not JSON"),
        ("[]\n", "line 1: not an object"),
        ('{"format":"another/1"}\n', "line 1: not a recording"),
        ('{"format":"event-protocol-recording/1"}\nx\n{}\n', "line 2: not JSON"),
        ('{"format":"event-protocol-recording/1"}\n\n{"at":1}\n', "line 3: lacks 'connection'"),
        (
            '{"format":"event-protocol-recording/1"}\n'
            '{"at":1,"connection":1,"side":"client","data":"0"}\n',
            "line 2: a value is wrong",
        ),
    ],
)
def test_what_is_no_recording_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(RecordingError, match=why):
        list(read_recording(io.StringIO(text)))


def test_a_recording_is_its_owners_alone_also_where_a_file_was_there(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text("old")
    path.chmod(0o644)

    created(path).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == b""


# ----------------------------------------------------------------- masks


def masked(data: bytes, cuts: list[int], *, contents: bool = False) -> bytes:
    masker = Masker(Pseudonyms(b"key"), contents=contents)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return b"".join(masker.mask(data[a:b]) for a, b in pairwise(places))


@given(st.lists(st.integers(0, 200), max_size=8))
def test_secrets_are_masked_however_the_stream_is_cut(cuts: list[int]) -> None:
    stream = LOGIN + WELCOME + MESSAGE

    assert masked(stream, cuts) == masked(stream, [])
    assert len(masked(stream, cuts)) == len(stream)


def test_only_secrets_change() -> None:
    out = masked(LOGIN + WELCOME + MESSAGE, [])
    login, welcome = out[: len(LOGIN)], out[len(LOGIN) : len(LOGIN + WELCOME)]

    assert b"sesame" not in out and TICKET not in out
    assert login[:22] == LOGIN[:22] and login[22:28] == b"******" and login[36:] == LOGIN[36:]
    assert welcome[:20] == WELCOME[:20] and welcome[28:] == WELCOME[28:]
    assert out.endswith(MESSAGE)


def test_a_ticket_has_one_pseudonym_wherever_it_appears() -> None:
    out = masked(LOGIN + WELCOME, [])

    assert out[28:36] == out[len(LOGIN) + 20 : len(LOGIN) + 28] != TICKET


def test_ticket_0_stays_0_and_none_becomes_0() -> None:
    assert masked(FRESH, [])[28:36] == bytes(8)
    names = Pseudonyms(b"key")
    for before in (b"", bytes(3), b"\1"):
        assert len({names.of(before, byte) for byte in range(256)}) == 256
    assert [names.of(bytes(n), 0) for n in range(8)] == [0] * 8


def test_a_pseudonym_is_the_same_after_it_was_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    before = masked(LOGIN + WELCOME, [])
    monkeypatch.setattr(masking, "REMEMBERED", 1)

    assert masked(LOGIN + WELCOME, []) == before


def test_another_key_gives_another_pseudonym() -> None:
    one, two = (Masker(Pseudonyms(key)).mask(WELCOME) for key in (b"a", b"b"))

    assert one != two


def test_contents_are_masked_where_it_is_asked_for() -> None:
    event = frame(0x80, 3, b"\3anndata")

    out = masked(MESSAGE + event, [], contents=True)

    assert out == frame(2, 2, b"\0*****") + frame(0x80, 3, b"\3ann****")


def test_bytes_behind_a_last_field_are_hidden() -> None:
    assert masked(frame(1, 1, FRESH[16:] + b"secret"), [])[-6:] == b"******"


def test_nothing_is_shown_where_it_is_not_known_where_a_frame_begins() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.0, 1, CLIENT, b"\0\0\0\x0c\1\6\0\1" + bytes(8) + LOGIN),
        Missing(0.0, 1, SERVER, 3),
        Bytes(0.0, 1, SERVER, WELCOME),
        Opened(0.0, 2, whole=False),
        Bytes(0.0, 2, CLIENT, LOGIN),
    ]
    mask = Mask(b"key")

    out = [each for item in items for each in mask(item)]

    assert [each for each in out if isinstance(each, Bytes)] == [
        Bytes(0.0, 1, CLIENT, b"\0\0\0\x0c\1\6\0\1" + bytes(8))
    ]
    hidden = [each.size for each in out if isinstance(each, Missing)]
    assert hidden == [len(LOGIN), 3, len(WELCOME), len(LOGIN)]


@pytest.mark.parametrize("seed", range(40))
def test_a_masked_world_is_judged_as_the_world_is(seed: int) -> None:
    items = seen(World(seed, faults=seed % 2 == 0))
    mask = Mask(b"key")

    plain = judged(items).notes.findings
    hidden = judged(each for item in items for each in mask(item)).notes.findings

    kept = [(f.statement, f.side, f.connection, f.offset) for f in hidden]
    assert [each for each in kept if each[1] is Side.SERVER] == []
    assert set(kept) <= {(f.statement, f.side, f.connection, f.offset) for f in plain}
