"""What people read of a conversation: a frame in a line, a timeline, a summary, a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.raw import frame, short
from tests.watch.talks import ALL_KINDS, LOGIN, wrong_talk

from refserver.watch import reports
from refserver.watch.conversation import Bytes, Ended, Item, Missing, Opened, Side
from refserver.watch.cutting import Cutter
from refserver.watch.findings import Notes
from refserver.watch.judge import Judge, judged
from refserver.watch.judgement import summary_lines
from refserver.watch.reading import summary
from refserver.watch.reports import Files, Reports
from refserver.watch.sources import SourceError, items_of
from refserver.watch.timeline import Timeline

CLIENT, SERVER = Side.CLIENT, Side.SERVER


def test_a_frame_in_a_line_says_what_is_wrong_or_missing_in_it() -> None:
    lines = {
        b"\0\0\0\2": "4 bytes of a header, 4 of 6 bytes",
        frame(2, 2, b"\0\xff"): "Message seq 2: Message: content: not UTF-8",
        frame(6, 7): "Ping seq 7",
    }
    told = {}
    for data in lines:
        (shown,) = Cutter().feed(data, 0.0)
        told[data] = summary(shown)

    assert told == lines


def test_a_timeline_tells_gaps_ends_and_what_a_proxy_did() -> None:
    timeline = Timeline()
    items = [*ALL_KINDS, Bytes(0.5, 1, CLIENT, LOGIN[:20]), Ended(0.6, 1, CLIENT)]

    assert [row.text for item in items for row in timeline.take(item)] == [
        "opened: [::1]:4 to localhost:3000",
        "Message seq 2 (sender '', content 'hello')",
        "some bytes were not seen",
        "7 bytes were not seen",
        "the proxy dropped frame 2",
        "end of the server's stream: reset",
        "end of the client's stream: fin, inside a frame",
    ]


def test_of_what_is_told_often_the_summary_has_the_number() -> None:
    many = Bytes(1.0, 1, CLIENT, frame(2, 4, short("ann") + b"again") * 9)
    unknown = Bytes(2.0, 1, CLIENT, frame(0x0B, 20) * 2)
    judge = judged([*wrong_talk(), many, unknown])
    for connection in (2, 1, 3, 4, 5, 6, 7):
        judge.notes.observe(connection, 3.0, "the client rests")

    lines = list(summary_lines(judge))

    assert lines[:3] == [
        "EP-3.3-2  7 more like it, by the client",
        "observed: the client rests (7 times, on connections 2, 1, 3, 4, 5 and 2 more)",
        "observed: the client sent unknown type 0x0B (2 times, on connection 1)",
    ]


def test_a_report_has_no_more_rows_than_it_may_and_says_how_many_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST_ROWS", 2)
    page = tmp_path / "page.html"
    report = Reports(Files(as_html=str(page)), started=0.0)
    judge = Judge(Notes())
    for item in wrong_talk():
        report.take(item)
        judge.take(item)
    report.write(judge, ["a test"])

    assert "Not shown: 4 more lines." in page.read_text()


def test_an_observation_stands_in_the_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    items: list[Item] = [Opened(0.0, 1), Bytes(1.5, 1, CLIENT, frame(0x0B, 1))]
    Reports(Files(as_json=str(path)), started=0.0).write(judged(items), ["a test"])

    assert json.loads(path.read_text())["observations"] == [
        {"connection": 1, "at": 1.5, "what": "the client sent unknown type 0x0B"}
    ]


def test_a_connection_that_begins_again_under_its_number_is_another_one() -> None:
    half: list[Item] = [
        Opened(0.0, 1, whole=False),
        Bytes(0.1, 1, SERVER, b"left of a frame"),
    ]

    judge = judged([*half, Missing(0.2, 1, SERVER, 5), *wrong_talk()])

    assert judge.connections == 2
    assert judge.unjudged == 5 + len(b"left of a frame")
    assert [finding.statement for finding in judge.notes.findings] == ["EP-3.3-2"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing: No such file"):
        list(items_of(tmp_path / "nothing"))
