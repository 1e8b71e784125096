"""The vectors as questions and answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventcodec import LocalProtocolError, vectors
from eventcodec.exchange import JUDGED_BY_A_ROOM, RECEIVERS, Case, answer, cases, complaint

VECTORS = vectors.load()
ALL = list(cases(VECTORS, receivers=RECEIVERS, encoding=True))
RIGHT = {"event": "Ack", "seq": "1", "position": "1"}
ACK = Case("ack", "valid", "", (), {"id": "ack", "bytes": ""}, RIGHT)
ERROR = Case("error", "length", "", (), {"id": "error", "bytes": ""}, {"error": 1})


def test_every_vector_is_asked_unless_no_codec_can_find_its_fault() -> None:
    asked = {case.id.split("#")[0] for case in ALL}

    findable = [each for each in VECTORS.invalid if each.name not in JUDGED_BY_A_ROOM]
    assert asked == {
        *(vector.id for vector in VECTORS.valid),
        *(vector.id for vector in findable),
        *(vector.id for vector in VECTORS.prefixes),
    }


def test_an_id_asks_one_thing() -> None:
    assert len({case.id for case in ALL}) == len(ALL)
    assert all(case.question["id"] == case.id for case in ALL)


def test_who_names_no_receiver_is_asked_what_every_reader_finds() -> None:
    asked = list(cases(VECTORS))

    assert {case.question["receiver"] for case in asked} == {"codec"}
    assert not any("event" in case.question for case in asked)


def test_a_fault_that_is_due_early_is_also_asked_for_early() -> None:
    by_id = {case.id: case for case in ALL}

    assert by_id["length.0#4"].question["bytes"] == by_id["length.0"].question["bytes"][:8]
    assert by_id["length.0#4"].expected == by_id["length.0"].expected == {"error": 1}


def test_every_strict_prefix_that_the_vectors_name_is_asked() -> None:
    prefixes = [case for case in ALL if case.group == "prefix"]

    assert len(prefixes) == sum(len(cut) for vector in VECTORS.prefixes for cut in vector.cuts)
    assert {json.dumps(case.expected) for case in prefixes} == {'{"incomplete": true}'}


@pytest.mark.parametrize("group", sorted({case.group for case in ALL}))
def test_this_package_answers_rightly(group: str) -> None:
    wrong = {
        case.id: complaint(case, json.dumps(answer(case.question)).encode())
        for case in ALL
        if case.group == group
    }

    assert set(wrong.values()) == {None}


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(RIGHT),
        json.dumps({"id": "ack", **RIGHT}),
        ' {"position":"1", "seq":"1",\t"event":"\\u0041ck"} \r',
    ],
)
def test_order_space_and_an_echoed_id_make_no_difference(line: str) -> None:
    assert complaint(ACK, line.encode()) is None


@pytest.mark.parametrize(
    ("case", "line"),
    [
        (ACK, b""),
        (ACK, b"null"),
        (ACK, b"[]"),
        (ACK, b"\xff"),
        (ACK, b"[" * 100_000),
        (ACK, json.dumps({**RIGHT, "id": "other"}).encode()),
        (ACK, json.dumps({**RIGHT, "position": 1}).encode()),
        (ACK, json.dumps({**RIGHT, "more": 1}).encode()),
        (ACK, json.dumps({"event": "Ack", "seq": "1"}).encode()),
        (ERROR, b'{"error": true}'),
        (ERROR, b'{"error": 1.0}'),
        (ERROR, b'{"error": "1"}'),
        (ERROR, b'{"error": 2}'),
    ],
)
def test_any_other_answer_is_wrong(case: Case, line: bytes) -> None:
    assert complaint(case, line) is not None


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"bytes": "0"},
        {"bytes": 7, "receiver": "codec", "limit": 100},
        {"bytes": "", "receiver": "codec", "state": None, "limit": 1},
        {"bytes": "", "receiver": "server", "state": None, "limit": 100},
        {"bytes": "", "receiver": "nobody", "state": "new", "limit": 100},
        {"event": {"event": "Ping"}},
    ],
)
def test_what_is_no_question_is_a_local_error(question: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        answer(question)


def test_what_is_no_fault_is_an_event_for_every_receiver() -> None:
    asked: dict[str, Any] = {
        "limit": 65_536,
        "bytes": "0000000f01050000000000000000000000180" + "0",
    }

    assert answer({**asked, "receiver": "client", "state": "member"}) == {
        "event": "Error",
        "seq": "0",
        "code": 24,
        "text": "",
    }
    ping = {**asked, "bytes": "0000000c010600000000000000000007"}
    assert answer({**ping, "receiver": "server", "state": "new"}) == {"event": "Ping", "seq": "7"}
    pong = {**asked, "bytes": "0000000c010700000000000000000007"}
    assert answer({**pong, "receiver": "server", "state": "new"}) == {"incomplete": True}
    ack = {**asked, "bytes": "00000014010400000000000000000007" + "0000000000000007"}
    assert answer({**ack, "receiver": "client", "state": "member"})["position"] == "7"
