"""The vectors themselves: complete, well-formed, and right in the eyes of a second reader.

Rule: nothing here goes through the codec; what it makes of the vectors is the
matter of test_vectors_judged.py.
"""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.eventcodec import oracle
from tests.together import together

from eventcodec import vectors
from eventcodec.vectors import Invalid, Prefixes, Valid

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
HOME = files("eventcodec.vectors")
SCHEMA = json.loads(HOME.joinpath("schema.json").read_text("utf-8"))
NAMES = ("valid.json", "invalid.json", "prefixes.json")
VECTORS = vectors.load()
MENDED = [vector for vector in VECTORS.invalid if vector.repair is not None]
TWO_FAULTS = [vector for vector in VECTORS.invalid if vector.hidden is not None]
FOR_ANY_READER = [vector for vector in VECTORS.invalid if vector.receiver == "codec"]


def in_file(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(HOME.joinpath(name).read_text("ascii"))
    return document


EVERY: list[Valid | Invalid] = [*VECTORS.valid, *VECTORS.invalid]


# --- The files -------------------------------------------------------------------


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", NAMES)
def test_each_file_fits_the_schema(name: str) -> None:
    faults = Draft202012Validator(SCHEMA).iter_errors(in_file(name))

    assert [fault.message[:200] for fault in faults] == []


@pytest.mark.parametrize(
    ("name", "field", "wrong"),
    [
        ("valid.json", "bytes", "0"),
        ("valid.json", "bytes", "AB"),
        ("valid.json", "event", {"event": "Ping", "seq": 7}),
        ("valid.json", "event", {"event": "Ping", "seq": "07"}),
        ("valid.json", "event", {"event": "Ping", "seq": "7", "more": 1}),
        ("valid.json", "event", {"event": "Unknown", "type": 10, "seq": "7", "body": ""}),
        ("valid.json", "proves", ["EP-2"]),
        ("invalid.json", "receiver", "anybody"),
        ("invalid.json", "repair", {}),
        ("invalid.json", "hidden", {"state": "new", "error": {"code": 1, "name": "MALFORMED"}}),
        ("prefixes.json", "cuts", []),
    ],
)
def test_the_schema_refuses_what_is_wrong(name: str, field: str, wrong: object) -> None:
    document = in_file(name)
    document["vectors"] = document["vectors"][:1]
    schema = Draft202012Validator(SCHEMA)
    assert schema.is_valid(document)

    document["vectors"][0][field] = wrong

    assert not schema.is_valid(document)


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_is_one_short_line_however_long_its_frame_is(name: str) -> None:
    """How many faults are shown is not bounded; that each is written in its packed form is."""
    lines = HOME.joinpath(name).read_text("ascii").splitlines()

    assert [line[:60] for line in lines if len(line) > 1_500] == []
    assert len(lines) == 2 + len(in_file(name)["vectors"])


def test_the_readme_names_every_field() -> None:
    readme = HOME.joinpath("README.md").read_text("utf-8")
    fields = {field for name in NAMES for field in in_file(name)["vectors"][0]}
    events = {field for vector in VECTORS.valid for field in vector.event}

    assert [field for field in sorted(fields | events) if f"`{field}`" not in readme] == []


def test_every_id_is_there_once() -> None:
    ids = Counter([vector.id for vector in EVERY] + [cuts.id for cuts in VECTORS.prefixes])

    assert [id for id, times in ids.items() if times > 1] == []


def test_the_id_of_a_fault_begins_with_its_group() -> None:
    assert [v.id for v in VECTORS.invalid if v.id.partition(".")[0] != v.group] == []


def test_the_last_frame_is_an_error_of_seq_0_and_no_other_is() -> None:
    final = [vector for vector in VECTORS.valid if vector.way == "final"]

    assert {vector.event["event"] for vector in final} == {"Error"}
    assert final == [vector for vector in VECTORS.valid if vector.event["seq"] == "0"]


def test_every_statement_that_a_vector_proves_is_in_the_protocol() -> None:
    protocol = (ROOT / "docs/protocol.md").read_text("utf-8")
    known = set(re.findall(r"^\*\*(EP-[\d.]+-\d+)\*\*", protocol, re.MULTILINE))
    named = {number for vector in EVERY for number in vector.proves}

    assert sorted((named | set(in_file("prefixes.json")["proves"])) - known) == []


@together("vector", EVERY)
def test_each_vector_proves_something(vector: Valid | Invalid) -> None:
    assert vector.proves


# --- The generator ---------------------------------------------------------------


def test_the_generator_knows_nothing_of_the_code_under_test() -> None:
    program = "import sys, tools.vectors.files; print('eventcodec' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=600
    )

    assert done.stdout == "False\n", done.stderr


# --- The loader ------------------------------------------------------------------


def test_long_values_are_unpacked() -> None:
    longest = next(vector for vector in VECTORS.valid if vector.id == "message.fact.longest")

    assert len(longest.frame) == 4 + 65_791
    assert longest.event["content"] == "m" * 65_523


def test_vectors_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        VECTORS.valid[0].id = "other"  # type: ignore[misc]


def test_vectors_stand_in_the_order_of_the_files() -> None:
    in_files = [entry["id"] for name in NAMES for entry in in_file(name)["vectors"]]

    assert [v.id for v in EVERY] + [cuts.id for cuts in VECTORS.prefixes] == in_files


# --- What is covered -------------------------------------------------------------


def test_every_event_is_there_in_each_way_it_travels() -> None:
    ways = {(vector.event["event"], vector.origin, vector.way) for vector in VECTORS.valid}

    assert ways == {
        ("Login", "client", "request"),
        ("Message", "client", "request"),
        ("Message", "server", "fact"),
        ("Logout", "client", "request"),
        ("Ack", "server", "reply"),
        ("Error", "server", "reply"),
        ("Error", "server", "final"),
        ("Ping", "client", "request"),
        ("Ping", "server", "heartbeat"),
        ("Pong", "server", "reply"),
        ("Pong", "client", "heartbeat"),
        ("Welcome", "server", "reply"),
        ("Joined", "server", "fact"),
        ("Left", "server", "fact"),
        ("ApplicationEvent", "client", "request"),
        ("ApplicationEvent", "server", "fact"),
        ("Unknown", "server", "unknown"),
    }


def test_every_text_field_has_valid_text_of_all_scripts_and_every_kind_of_bad_text() -> None:
    kinds = ("continuation", "cut", "surrogate", "overlong", "above")
    bad = [vector.id for vector in VECTORS.invalid if vector.group == "text"]
    for layout in (*oracle.BODIES.values(), "Application sender:text8"):
        event, *fields = layout.lower().split()
        for field in (field.partition(":")[0] for field in fields if ":text" in field):
            for kind in kinds:
                assert any(id.startswith(f"text.{event}-{field}-{kind}") for id in bad)


def test_the_errors_that_a_frame_alone_can_cause_all_occur() -> None:
    names = {vector.name for vector in VECTORS.invalid}

    assert names == {
        "MALFORMED",
        "FRAME_TOO_LARGE",
        "UNSUPPORTED_VERSION",
        "UNKNOWN_TYPE",
        "UNEXPECTED_EVENT",
        "LOGIN_REQUIRED",
        "ALREADY_LOGGED_IN",
        "BAD_USER",
        "HISTORY_GONE",
    }


def test_every_group_of_the_schema_has_vectors() -> None:
    groups = SCHEMA["$defs"]["invalid_vector"]["properties"]["group"]["enum"]

    assert {vector.group for vector in VECTORS.invalid} == set(groups)


def test_every_valid_frame_has_its_prefixes() -> None:
    assert [prefixes.of for prefixes in VECTORS.prefixes] == [each.id for each in VECTORS.valid]


# --- The second reader -----------------------------------------------------------


@together("vector", VECTORS.valid)
def test_a_second_reader_finds_the_same_event(vector: Valid) -> None:
    assert oracle.judge(vector.frame) == ("event", vector.event)


@together("vector", VECTORS.prefixes)
def test_a_second_reader_waits_at_every_cut(vector: Prefixes) -> None:
    verdicts = {oracle.judge(prefix) for prefix in vector}

    assert verdicts == {("incomplete",)}
    assert all(len(prefix) < len(vector.frame) for prefix in vector)


@together("vector", FOR_ANY_READER)
def test_a_second_reader_finds_the_same_error(vector: Invalid) -> None:
    assert oracle.judge(vector.data, vector.limit) == ("error", vector.code)
    assert oracle.judge(vector.data[: vector.known_after], vector.limit) == ("error", vector.code)


@together("vector", [vector for vector in VECTORS.invalid if vector.group == "length"])
def test_a_second_reader_finds_each_fault_of_length_at_the_receivers_limit(vector: Invalid) -> None:
    assert oracle.judge(vector.data[:4], vector.limit) == ("error", vector.code)


# --- One fault each --------------------------------------------------------------


def without_right_length(frame: bytes) -> bytes:
    """What a frame says besides a length that only follows from the rest."""
    right = int.from_bytes(frame[:4], "big") == len(frame) - 4
    return frame[4:] if right else frame


def difference(one: bytes, other: bytes) -> tuple[bytes, bytes]:
    """What is left of both without what they have in common at the front and the end."""
    short = min(len(one), len(other))
    front = next((at for at in range(short) if one[at] != other[at]), short)
    one, other = one[front:], other[front:]
    short = min(len(one), len(other))
    back = next((at for at in range(short) if one[-1 - at] != other[-1 - at]), short)
    return one[: len(one) - back], other[: len(other) - back]


def test_only_two_groups_have_vectors_without_repair() -> None:
    unmended = {vector.group for vector in VECTORS.invalid if vector.repair is None}

    assert unmended == {"foreign", "precedence"}


@together(
    "vector", [vector for vector in MENDED if vector.repair and vector.repair.data is not None]
)
def test_one_small_place_is_all_that_differs_from_a_good_frame(vector: Invalid) -> None:
    assert vector.repair is not None and vector.repair.data is not None
    bad, good = map(without_right_length, (vector.data, vector.repair.data))

    wrong, right = difference(bad, good)

    assert wrong or right
    assert min(len(wrong), len(right)) <= 6
    assert oracle.judge(vector.repair.data, vector.limit)[0] == "event"


@together("vector", [vector for vector in MENDED if vector.repair and vector.repair.data is None])
def test_a_frame_that_only_came_to_the_wrong_place_is_good_in_itself(vector: Invalid) -> None:
    assert vector.repair is not None
    elsewhere = (vector.repair.receiver, vector.repair.state)

    assert oracle.judge(vector.data, vector.limit)[0] == "event"
    assert elsewhere not in ((None, None), (vector.receiver, vector.state), (None, vector.state))


def test_the_group_precedence_and_no_other_has_two_faults() -> None:
    assert {vector.group for vector in TWO_FAULTS} == {"precedence"}
    assert len(TWO_FAULTS) == sum(vector.group == "precedence" for vector in VECTORS.invalid)


@together("vector", TWO_FAULTS)
def test_the_hidden_fault_is_another_one_than_the_one_found(vector: Invalid) -> None:
    assert vector.hidden is not None

    change = vector.hidden.change
    if change.data is None:
        assert change.state not in (None, vector.state)
    else:
        assert oracle.judge(change.data) != oracle.judge(vector.data)
