"""Rules are read as they are written; what they do depends on the seed and the bytes alone."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.raw import frame, short
from tests.watch.talks import ACK, CLIENT, LOGIN, MESSAGE, SERVER, WELCOME
from tools.pages import ROOT

from refserver.watch.conversation import Side
from refserver.watch.disturbing import (
    INSERTED,
    KINDS,
    PAUSE,
    VERBS,
    Action,
    Disturber,
    End,
    RuleError,
    parsed,
    rules_in,
)
from refserver.watch.disturbing import (
    PINGS as PINGS_AT_ONCE,
)


def disturber(*rules: str, seed: int = 1) -> Disturber:
    return Disturber(rules_in("\n".join(rules)), Random(seed))


def passed(it: Disturber, side: Side, *pieces: bytes) -> bytes:
    """The bytes that go on, without their times."""
    actions = [action for piece in pieces for action in it.take(side, piece)]
    return b"".join(each.what for each in actions if isinstance(each.what, bytes))


PINGS = [frame(6, n) for n in range(1, 8)]


def test_each_option_is_read() -> None:
    values = {
        "cut-at": "client:10",
        "reset": "server:0",
        "half-close": "client:3",
        "stall": "server:4@0.5",
        "split": "random",
        "latency": "0.05",
        "drop": "Ack:3",
        "duplicate": "client.Message*2",
        "reorder": "0x80%0.25",
        "delay": "any@1",
        "corrupt": "utf8@Message",
        "insert": "ping@Welcome:1",
        "insert-before": "end-22@Resumed:1",
        "lose-reply": "2",
    }

    assert {parsed(verb, value).verb for verb, value in values.items()} == set(VERBS)


@pytest.mark.once
def test_the_page_names_each_kind() -> None:
    page = (ROOT / "docs/watching.md").read_text(encoding="utf-8")

    assert [kind for kind in (*KINDS, *INSERTED) if f"`{kind}`" not in page] == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("dorp Ack", "did you mean 'drop'"),
        ("drop Akc", "no frame 'Akc'"),
        ("drop Applicaton", "did you mean 'Application'"),
        ("insert end-@Ack", "no kind 'end-'"),
        ("drop Ack:0", "FRAMES is a type"),
        ("drop Ack%2", "FRAMES is a type"),
        ("corrupt lenght@Ack", "did you mean 'length'"),
        ("insert pingg@Ack", "did you mean 'ping'"),
        ("insert ping@client.Message", "only the client gets inserted frames"),
        ("cut-at client", "SIDE:BYTE"),
        ("cut-at nobody:3", "SIDE:BYTE"),
        ("cut-at client:3@1", "SIDE:BYTE"),
        ("stall client:3", "SIDE:BYTE@SECONDS"),
        ("latency -1", "SECONDS"),
        ("latency nan", "SECONDS"),
        ("lose-reply 0", "Nth reply"),
        ("split often", "bytewise.random"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_line(line: str, why: str) -> None:
    with pytest.raises(RuleError, match="line 2.*" + why):
        rules_in(f"# a comment\n{line}  # another\n")


@given(st.lists(st.integers(0, 200), max_size=6), st.sampled_from(["drop Ack:9", "latency 0"]))
def test_what_no_rule_is_about_goes_on_unchanged_however_it_is_cut(
    cuts: list[int], rule: str
) -> None:
    stream = LOGIN + MESSAGE + b"\0\0\0"
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    it = disturber(rule)

    out = passed(it, CLIENT, *(stream[a:b] for a, b in pairwise(places)))
    rest = it.eof(CLIENT)

    assert out + b"".join(each.what for each in rest if isinstance(each.what, bytes)) == stream


def test_one_frame_is_dropped_by_its_number() -> None:
    it = disturber("drop Ping:2")

    assert passed(it, CLIENT, *PINGS[:3]) == PINGS[0] + PINGS[2]
    assert it.did == [(CLIENT, "dropped frame 2, Ping seq 2")]


def test_the_first_ones_are_dropped() -> None:
    assert passed(disturber("drop Ping*2"), CLIENT, *PINGS[:4]) == PINGS[2] + PINGS[3]


def test_a_side_is_left_alone_where_the_other_is_named() -> None:
    it = disturber("drop server.Ping")

    assert passed(it, CLIENT, PINGS[0]) == PINGS[0]
    assert passed(it, SERVER, PINGS[0]) == b""


def test_a_chance_comes_from_the_seed() -> None:
    def outcome(seed: int) -> bytes:
        return passed(disturber("drop Ping%0.5", seed=seed), CLIENT, *PINGS)

    assert outcome(3) == outcome(3)
    assert len({outcome(seed) for seed in range(20)}) > 5


def test_a_frame_is_written_twice() -> None:
    assert passed(disturber("duplicate Message"), CLIENT, LOGIN + MESSAGE) == LOGIN + MESSAGE * 2


def test_two_frames_change_places() -> None:
    assert passed(disturber("reorder Ping:1"), CLIENT, *PINGS[:3]) == (
        PINGS[1] + PINGS[0] + PINGS[2]
    )


def test_a_frame_that_waits_for_the_next_one_goes_on_at_the_end() -> None:
    it = disturber("reorder Ping:1")

    assert passed(it, CLIENT, PINGS[0]) == b""
    assert it.eof(CLIENT) == [Action(0.0, PINGS[0])]


def test_a_delay_holds_one_frame() -> None:
    it = disturber("delay Ping:2@1.5")

    actions = [each for ping in PINGS[:3] for each in it.take(CLIENT, ping)]

    assert [each.delay for each in actions] == [0.0, 1.5, 0.0]


@pytest.mark.parametrize(
    ("kind", "at", "value"),
    [
        ("length", slice(0, 4), b"\0\0\0\x15"),
        ("short", slice(0, 4), b"\0\0\0\x0b"),
        ("version", slice(4, 5), b"\2"),
        ("old", slice(4, 5), b"\0"),
        ("reserved", slice(6, 8), b"\0\1"),
        ("type", slice(5, 6), b"\x0b"),
        ("seq", slice(8, 16), bytes(7) + b"\3"),
        ("zero", slice(8, 16), bytes(8)),
        ("position", slice(16, 24), bytes(7) + b"\4"),
        ("utf8", slice(23, 24), b"\xff"),
    ],
)
def test_a_field_is_corrupted_and_no_other(kind: str, at: slice, value: bytes) -> None:
    out = passed(disturber(f"corrupt {kind}@Ack"), SERVER, ACK)

    assert out[at] == value
    assert out[: at.start] + out[at.stop :] == ACK[: at.start] + ACK[at.stop :]


@pytest.mark.parametrize(
    ("kind", "of", "made"),
    [
        ("over", ACK, frame(4, 2, (3).to_bytes(8, "big") + b"\0")),
        ("less", ACK, frame(4, 2, bytes(7))),
        ("less", PINGS[0], PINGS[0]),
        ("name", frame(2, 5, b"\3bobhi"), frame(2, 5, b"\3\xffobhi")),
        ("name", frame(0x80, 5, b"\3bobhi"), frame(0x80, 5, b"\3\xffobhi")),
        ("name", frame(2, 5, b"\0hi"), frame(2, 5, b"\0hi")),
        ("name", ACK, ACK),
    ],
)
def test_a_body_is_corrupted_where_it_has_what_is_to_be_wrong(
    kind: str, of: bytes, made: bytes
) -> None:
    it = disturber(f"corrupt {kind}@any")

    assert passed(it, SERVER, of) == made
    assert bool(it.did) == (of != made)


LARGE = bytes(65_536 + 255 + 1 - 12)
"""The body of a frame that is too long behind the Welcome, which says 65,536."""
FULL = {
    "large": frame(0x0B, 1, LARGE),
    "longest": frame(0x0B, 1, LARGE[1:]),
    "nothing": bytes(4),
    "stub": b"\0\0\0\x0b",
    "begun": frame(0x0B, 1, LARGE)[:16],
    "end-4711": frame(5, 0, b"\x12\x67\0"),
}
"""What is inserted of these kinds, with another seq."""


@pytest.mark.parametrize("verb", ["insert", "insert-before"])
@pytest.mark.parametrize("kind", [*INSERTED, "end-4711"])
def test_a_frame_is_inserted_beside_one_of_the_server(kind: str, verb: str) -> None:
    it = disturber(f"{verb} {kind}@Ack:1")

    assert passed(it, CLIENT, ACK, PINGS[6]) == ACK + PINGS[6]
    out = passed(it, SERVER, WELCOME, ACK, ACK)

    assert out.startswith(WELCOME) and out.endswith(ACK)
    new = out[len(WELCOME) : -len(ACK)]
    assert new.startswith(ACK) if verb == "insert" else new.endswith(ACK)
    new = new.removeprefix(ACK) if verb == "insert" else new.removesuffix(ACK)
    seqs = {
        "unnumbered": 0,
        **dict.fromkeys(("end", "end-over", "end-utf8", "end-4711"), 0),
        "same": 2,
        "echo": 7,
        "next": 4 if verb == "insert" else 3,  # the Ack has 3, and the Welcome before it has 2
    }
    wanted = FULL[kind] if kind in FULL else frame(*INSERTED[kind][:1], 1, INSERTED[kind][1])
    if kind == "twins":
        assert new == new[:16] * 2
    elif kind == "pings":
        assert len(new) == PINGS_AT_ONCE * 16
        assert len({new[at + 8 : at + 16] for at in range(0, len(new), 16)}) == PINGS_AT_ONCE
    else:
        seq = int.from_bytes(new[8:16], "big")
        assert new == wanted[:8] + new[8:16] + wanted[16:]
        assert seq == seqs[kind] if kind in seqs else len(new) == 4 or seq >= 2**63
    assert len(it.did) == 1 and it.did[0][0] is SERVER
    assert ("behind" if verb == "insert" else "before") + " frame 2, Ack seq 2" in it.did[0][1]


def test_the_pong_to_an_inserted_ping_goes_no_further_and_any_other_does() -> None:
    it = disturber("insert ping@Welcome:1")
    out = passed(it, SERVER, WELCOME)
    seq = int.from_bytes(out[len(WELCOME) :][8:16], "big")

    assert passed(it, CLIENT, frame(7, seq)) == b""
    assert passed(it, CLIENT, frame(7, seq)) == frame(7, seq)
    assert passed(it, CLIENT, frame(7, 9)) == frame(7, 9)


def test_what_is_behind_an_inserted_ping_waits_for_its_pong() -> None:
    def delays(it: Disturber) -> list[float]:
        return [action.delay for action in it.take(SERVER, ACK)]

    asked, answered = (disturber("insert ping@Welcome:1", "insert pong@Ack:2") for _ in range(2))
    for it in (asked, answered):
        seq = passed(it, SERVER, WELCOME)[len(WELCOME) :][8:16]
    assert delays(asked) == [PAUSE] and not asked.is_answered

    passed(answered, CLIENT, frame(7, int.from_bytes(seq, "big")))

    assert answered.is_answered
    assert delays(answered) + delays(answered) + delays(answered) == [0.0] * 3


def test_what_is_inserted_stands_behind_what_is_disturbed_too() -> None:
    it = disturber("duplicate Ack:1", "insert ping@Ack:1", "corrupt zero@Ack:1")

    out = passed(it, SERVER, ACK)

    wrong = ACK[:8] + bytes(8) + ACK[16:]
    assert out[: 2 * len(ACK)] == wrong * 2 and out[2 * len(ACK) + 5] == 6


@pytest.mark.parametrize(
    "rule",
    ["insert large@any", "insert longest@any", "insert-before begun@any", "corrupt large@Ack"],
)
@pytest.mark.parametrize("most", [1 << 26, 2**32 - 1])
def test_no_frame_is_made_of_more_bytes_than_a_machine_has_to_spare(rule: str, most: int) -> None:
    said = frame(8, 1, b"\3ann" + bytes(16) + most.to_bytes(4, "big") + bytes(3)), ACK

    assert passed(disturber(rule, "corrupt most@Welcome"), SERVER, *said)[-len(ACK) :] == ACK
    assert passed(disturber(rule), SERVER, *said)[-len(ACK) :] == ACK


def test_a_lost_reply_resets_and_lets_its_request_pass() -> None:
    it = disturber("lose-reply 2")

    assert passed(it, CLIENT, LOGIN + MESSAGE) == LOGIN + MESSAGE
    actions = it.take(SERVER, WELCOME + ACK + ACK)

    assert actions == [Action(0.0, WELCOME), Action(0.0, End("reset"))]
    assert it.take(CLIENT, MESSAGE) == []


def test_a_loss_waits_for_the_pong_of_an_inserted_ping_too() -> None:
    it = disturber("insert ping@Welcome:1", "lose-reply 2")
    seq = passed(it, SERVER, WELCOME)[len(WELCOME) :][8:16]

    assert it.take(SERVER, ACK) == [Action(PAUSE, End("reset"))]
    assert it.take(CLIENT, MESSAGE + frame(7, int.from_bytes(seq, "big"))) == []
    assert it.is_answered


def test_a_connection_is_cut_behind_a_byte() -> None:
    it = disturber("cut-at client:20")

    assert it.take(CLIENT, LOGIN[:10]) == [Action(0.0, LOGIN[:10])]
    assert it.take(CLIENT, LOGIN[10:]) == [
        Action(0.0, LOGIN[10:20]),
        Action(0.0, End("close")),
    ]
    assert it.did == [(CLIENT, "closed the connection behind byte 20")]


def test_a_side_that_was_ended_says_no_more_and_the_other_goes_on() -> None:
    it = disturber("half-close client:4")

    assert it.take(CLIENT, LOGIN) == [Action(0.0, LOGIN[:4]), Action(0.0, End("half-close"))]
    assert it.take(CLIENT, MESSAGE) == [] == it.eof(CLIENT)
    assert passed(it, SERVER, ACK) == ACK


def test_a_stall_and_a_latency_add_up() -> None:
    it = disturber("stall server:4@2", "latency 0.5")

    assert it.take(SERVER, ACK) == [Action(0.5, ACK[:4]), Action(2.5, ACK[4:])]
    assert it.take(SERVER, ACK) == [Action(0.5, ACK)]


def test_bytes_are_written_one_by_one() -> None:
    it = disturber("split bytewise")

    assert [each.what for each in it.take(CLIENT, b"abc")] == [b"a", b"b", b"c"]


def test_behind_a_length_of_no_frame_bytes_go_on_as_they_are() -> None:
    it = disturber("drop Ping")

    assert passed(it, CLIENT, PINGS[0] + b"\0\0\0\2?", PINGS[1]) == b"\0\0\0\2?" + PINGS[1]


RESUMED = frame(1, 1, short("ann") + b"\0\0" + bytes(7) + b"\x05" + bytes(7) + b"\x09")


def test_a_frame_to_a_client_that_resumes_is_told_from_any_other() -> None:
    fresh, resumes = disturber("drop Resumed"), disturber("drop Resumed")

    login = frame(1, 1, short("ann") + b"\0\0" + bytes(16))
    assert passed(fresh, CLIENT, login) + passed(fresh, SERVER, WELCOME) == login + WELCOME
    assert passed(resumes, CLIENT, RESUMED) + passed(resumes, SERVER, WELCOME) == RESUMED


def test_every_application_event_is_one() -> None:
    it = disturber("drop Application")

    assert passed(it, CLIENT, frame(0x80, 1, b"\0"), frame(0xFF, 2, b"\0"), MESSAGE) == MESSAGE


def test_the_welcome_is_written_again_at_the_place_that_the_client_has_reached() -> None:
    it = disturber("corrupt welcome@Ack:2")

    out = passed(it, SERVER, WELCOME, ACK, frame(2, 7, b"\3bobhi"), frame(4, 9, bytes(8)))

    again = out[-len(WELCOME) :]
    assert again[8:16] == bytes(7) + b"\x09"
    assert again[:8] + again[16:] == WELCOME[:8] + WELCOME[16:28] + bytes(7) + b"\7" + WELCOME[36:]


@given(st.integers(1, 255), st.binary(max_size=40), st.sampled_from([*KINDS]))
def test_whatever_a_frame_is_each_change_keeps_its_length_right(
    type: int, body: bytes, kind: str
) -> None:
    """Of a server and of a client that are wrong too. Only these kinds are about the length."""
    of = frame(type, 7, body)
    for side in Side:
        out = passed(disturber(f"corrupt {kind}@any"), side, of, of)
        at = 0
        while at < len(out) and kind not in ("length", "short"):
            at += 4 + int.from_bytes(out[at : at + 4], "big")
        assert at == len(out) or kind in ("length", "short")


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        ("corrupt position@Ack", ACK, ACK[:-1] + b"\4"),
        ("corrupt position@Welcome", WELCOME, WELCOME[:35] + b"\3" + WELCOME[36:]),
        ("corrupt position@Ping", PINGS[0], PINGS[0]),
        ("corrupt seq@Ping", frame(6, 2**64 - 1), frame(6, 1)),
        ("corrupt utf8@Ping", PINGS[0], PINGS[0]),
        ("corrupt wide@Ping", PINGS[0], frame(6, 2**32 + 1)),
        ("corrupt far@Ack", ACK, frame(4, 2, (2**62 + 3).to_bytes(8, "big"))),
        ("corrupt far@Ack", frame(4, 2, bytes(8)), frame(4, 2, bytes(8))),
        ("corrupt far@Message", frame(2, 5, b"\3bobhi"), frame(2, 2**62 + 5, b"\3bobhi")),
        ("corrupt far@Login", RESUMED, RESUMED[:-8] + (9 - 2**62 + 2**64).to_bytes(8, "big")),
        ("corrupt limit@Welcome", WELCOME, WELCOME[:36] + b"\0\0\x10\0" + WELCOME[40:]),
        ("corrupt few@Welcome", WELCOME, WELCOME[:36] + b"\0\0\0\x64" + WELCOME[40:]),
        ("corrupt most@Welcome", WELCOME, WELCOME[:36] + b"\xff\xff\xff\xff" + WELCOME[40:]),
        ("corrupt user@Welcome", WELCOME, WELCOME[:17] + b"A" + WELCOME[18:]),
        (
            "corrupt ticket@Login",
            RESUMED,
            RESUMED[:-16] + b"\xff" + bytes(6) + b"\xfa" + RESUMED[-8:],
        ),
        ("corrupt code@Error", frame(5, 2, b"\0\4\0"), frame(5, 2, b"\x92\x67\0")),
        ("corrupt fatal@Error", frame(5, 2, b"\0\4\0"), frame(5, 2, b"\0\x16\0")),
        ("corrupt empty@Message", frame(2, 5, b"\3bobhi"), frame(2, 5)),
        ("corrupt cut@Message", frame(2, 5, b"\3bobhi"), frame(2, 5, b"\3bobhi\xc3")),
        ("corrupt cut@Ack", ACK, ACK),
        ("corrupt long@Joined", frame(9, 5, b"\3bob"), frame(9, 5, b"\xc8" + b"n" * 200)),
        ("corrupt ack@Message", frame(2, 5, b"\3bobhi"), frame(4, 5, bytes(8))),
        ("corrupt pong@Ack", ACK, frame(7, 2)),
        ("corrupt welcome@Ack", ACK, ACK),
        ("corrupt large@Ack", ACK, frame(0x0B, 2, bytes(4096 + 255 + 1 - 12))),
    ],
)
def test_a_field_is_changed_where_the_frame_has_it(rule: str, before: bytes, after: bytes) -> None:
    it = disturber(rule)

    assert passed(it, SERVER, before) == after
    assert len(it.did) == (before != after)
