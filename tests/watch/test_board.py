"""The board keeps a bounded part of what passes, and says how much it left out."""

from __future__ import annotations

import pytest
from tests.support.raw import frame, short
from tests.watch.talks import ACK, FRESH, MESSAGE, WELCOME

from refserver.watch import board as board_module
from refserver.watch.board import ANSWERED, Board, Wanted
from refserver.watch.conversation import Bytes, Ended, How, Item, Missing, Opened, Side
from refserver.watch.cutting import Frame
from refserver.watch.findings import Notes
from refserver.watch.judge import Judge, judged

CLIENT, SERVER = Side.CLIENT, Side.SERVER


def boarded(*items: Item) -> Board:
    notes = Notes(lambda finding: board.found(finding))
    board = Board(notes, b"key")
    judge = Judge(notes, on_frame=board.frame)
    for item in items:
        board.take(item)
        judge.take(item)
    return board


def talk(number: int = 1, *, messages: int = 1) -> list[Item]:
    return [
        Opened(0.0, number, "10.0.0.1:40001", "10.0.0.2:3000"),
        Bytes(0.1, number, CLIENT, FRESH),
        Bytes(0.2, number, SERVER, WELCOME),
        *(Bytes(0.3, number, CLIENT, MESSAGE) for _ in range(messages)),
    ]


def test_of_many_rows_the_last_are_answered_and_the_others_counted() -> None:
    board = boarded(*talk(messages=ANSWERED + 10))

    told = board.changes(Wanted())

    assert len(told["rows"]) == ANSWERED
    assert told["left_out"] == 13
    assert told["rows"][-1]["id"] == told["last"] == ANSWERED + 13
    assert board.changes(Wanted(after=told["last"] - 2))["left_out"] == 0


def test_of_a_second_with_too_many_frames_only_the_first_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board_module, "MOST_A_SECOND", 10)
    board = boarded(*talk(messages=20), Bytes(1.5, 1, CLIENT, MESSAGE))

    told = board.changes(Wanted())

    assert told["unseen"] == 12
    assert told["totals"]["frames"] == 23
    assert [row["at"] for row in told["rows"]][-2:] == [0.3, 1.5]
    kept = judged(board.items())
    assert kept.frames == 10
    assert kept.unjudged == 12 * len(MESSAGE)  # the one behind the gap waits for two more


def test_old_rows_go_and_what_is_left_is_a_recording_from_its_middle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board_module, "KEPT_ROWS", 6)
    board = boarded(*talk(messages=9))

    items = list(board.items())

    opened = items[0]
    assert isinstance(opened, Opened)
    assert (opened.client, opened.whole) == ("10.0.0.1:40001", False)
    assert items[1:] == [Bytes(0.3, 1, CLIENT, MESSAGE)] * 6
    assert board.dissected(1) is None
    assert judged(items).notes.findings == []


def test_a_row_that_was_shown_can_still_be_opened_when_it_is_no_longer_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board_module, "KEPT_ROWS", 6)
    board = boarded(*talk(messages=2))
    shown = board.changes(Wanted())["rows"][-1]["id"]
    for number in range(10, 20):
        board.frame(1, CLIENT, Frame(number, 0, 1.0, len(MESSAGE) - 4, MESSAGE))

    told = board.dissected(shown)

    assert told is not None and told["name"].startswith("Message")
    assert board.row_of(1, CLIENT, told["number"]) == shown
    assert shown not in [row["id"] for row in board.changes(Wanted())["rows"]]


def test_bytes_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "KEPT_BYTES", 3 * len(MESSAGE))
    board = boarded(*talk(messages=9))

    assert len([item for item in board.items() if isinstance(item, Bytes)]) == 3


def test_a_long_frame_is_kept_in_part_and_the_rest_of_it_is_missing() -> None:
    board = boarded(*talk(), Bytes(0.4, 1, CLIENT, frame(2, 3, b"\0" + b"x" * 70_000)))

    items = list(board.items())
    told = board.dissected(5)

    assert [item.size for item in items if isinstance(item, Missing)] == [70_017 - 65_536]
    assert told is not None
    assert told["not_shown"] == 70_017 - 1_024
    assert told["error"] is None and not any(each["faulty"] for each in told["fields"])


def test_what_was_not_seen_is_missing_in_what_is_kept() -> None:
    items = [
        *talk(),
        Bytes(0.4, 1, SERVER, ACK),
        Missing(0.5, 1, SERVER, 50),
        Bytes(0.6, 1, SERVER, b"".join(frame(9, n, short(f"b{n}")) for n in (9, 10, 11))),
    ]

    kept = list(boarded(*items).items())

    assert [item.size for item in kept if isinstance(item, Missing)] == [50]
    assert judged(kept).frames == judged(items).frames


def test_a_connection_that_ended_is_forgotten_before_one_that_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board_module, "KEPT_CONNECTIONS", 2)
    ended = [Ended(1.0, 2, side, How.FIN) for side in Side]
    board = boarded(*talk(1), *talk(2), *ended, *talk(3))

    told = board.changes(Wanted())

    assert {each["number"] for each in told["connections"]} == {1, 3}
    assert (told["totals"]["opened"], told["totals"]["open"]) == (3, 2)


def test_wrong_connections_come_first_and_their_frames_are_marked() -> None:
    wrong = Bytes(0.5, 1, CLIENT, frame(2, 3, short("ann") + b"x"))
    board = boarded(*talk(1), Opened(0.4, 2), wrong)

    told = board.changes(Wanted())

    assert [(each["number"], each["findings"]) for each in told["connections"]] == [(1, 1), (2, 0)]
    assert told["rows"][-1]["bad"]
    assert board.row_of(1, CLIENT, 3) == told["rows"][-1]["id"]
    assert board.row_of(1, SERVER, 3) is None


def test_what_is_no_frame_is_shown_with_what_is_wrong() -> None:
    board = boarded(Opened(0.0, 1), Bytes(0.1, 1, CLIENT, b"\0\0\0\x02GET / HTTP/1.1\r\n"))

    told = board.dissected(2)

    assert told is not None
    assert told["findings"][0]["statement"] == "EP-2.1-1"
    assert told["name"]
