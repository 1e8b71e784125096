"""The judge never accuses a right conversation, and names what a wrong one breaks."""

from __future__ import annotations

import struct
from collections import Counter
from random import Random

import pytest
from tests.support.raw import error, frame, login, short
from tests.watch import worlds
from tests.watch.seen import from_the_middle, seen, with_gaps
from tests.watch.worlds import World

from refserver.watch import client_side, cutting, room, server_side
from refserver.watch.conversation import Bytes, Ended, How, Item, Missing, Opened, Side
from refserver.watch.coverage import coverage
from refserver.watch.findings import Finding
from refserver.watch.judge import Judge, judged

CLIENT, SERVER = Side.CLIENT, Side.SERVER
TICKET = int.from_bytes(bytes([9] * 8))


def welcome(
    user: str = "ann",
    *,
    ticket: int = TICKET,
    position: int = 2,
    max_frame: int = 65_536,
    heartbeat: int = 20,
) -> bytes:
    numbers = struct.pack(">QQIH", ticket, position, max_frame, heartbeat)
    return frame(8, 1, short(user) + numbers + short(""))


LOGIN, WELCOME = login("ann"), welcome()


def talk(*said: tuple[Side, bytes], **opened: object) -> list[Item]:
    """One connection on which these bytes passed, one after the other, each 10 s later."""
    begun = Opened(0.0, 1, "10.0.0.1:5", "127.0.0.1:3000", **opened)  # type: ignore[arg-type]
    return [begun, *(Bytes(10.0 * at, 1, side, data) for at, (side, data) in enumerate(said, 1))]


def found(*said: tuple[Side, bytes], **opened: object) -> list[tuple[str, Side]]:
    """What is found in that."""
    findings = judged(talk(*said, **opened)).notes.findings
    return [(finding.statement, finding.side) for finding in findings]


# ----------------------------------------------------------------- soundness

BOUNDS = (
    (room, "KEPT", 2),
    (room, "ABOUT_ONE", 2),
    (server_side, "MOST_NAMES", 2),
    (client_side, "MOST_PINGS", 0),
    (cutting, "SOUGHT", 100),
)
"""What limits the memory of a judge, and a value that is soon reached."""


def accusations(seed: int) -> list[Finding]:
    """What is found wrong in a right conversation: whole, from the middle, and with gaps.

    In every fourth world the clients break rules, and only the server is right; in every fourth
    the server does, and only the clients are right.
    """
    wrong = {0: CLIENT, 1: SERVER}.get(seed % 4)
    items = seen(World(seed, faults=wrong is CLIENT, wrong_server=wrong is SERVER))
    rng = Random(seed)
    seen_so = items, from_the_middle(items, rng), with_gaps(items, rng)
    return [
        finding
        for some in seen_so
        for finding in judged(some, one_room=seed % 8 > 3).notes.findings
        if finding.side is not wrong
    ]


@pytest.mark.once
@pytest.mark.parametrize("start", range(0, 1_500, 250))
def test_no_right_conversation_is_accused(start: int) -> None:
    wrong = {seed: accusations(seed) for seed in range(start, start + 250)}

    assert {seed: each for seed, each in wrong.items() if each} == {}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("start", range(10_000, 110_000, 500))
def test_none_of_a_hundred_thousand_right_rooms_is_accused(start: int) -> None:
    """200 runs of 500 worlds, and three views of each. All of them take 10 minutes of one core."""
    wrong = {seed: accusations(seed) for seed in range(start, start + 500)}

    assert {seed: each for seed, each in wrong.items() if each} == {}


def test_a_judge_that_soon_forgets_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a room had so many entries, names and sessions that not all can be kept."""
    for module, name, value in BOUNDS:
        monkeypatch.setattr(module, name, value)

    wrong = {seed: accusations(seed) for seed in range(20_000, 20_050)}

    assert {seed: each for seed, each in wrong.items() if each} == {}


def test_a_left_that_was_forgotten_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of ann's connection passes late: behind her Left and behind other names."""
    monkeypatch.setattr(room, "KEPT", 2)
    seen_by_bob = left(3, "ann", 1) + joined(4, "cyd") + joined(5, "dan")
    ended = (1, SERVER, joined(2, "bob") + error(0, 30))

    came = (*ANN, *BOB, (2, SERVER, seen_by_bob), ended, (2, SERVER, joined(6, "ann")))

    assert in_one_room(*came) == []


@pytest.mark.unmeasured
def test_the_worlds_exercise_what_they_are_to_prove() -> None:
    exercised: Counter[str] = Counter()
    for seed in range(300):
        exercised.update(coverage(judged(seen(World(seed, faults=seed % 4 == 0))).notes))

    needed = """EP-2.2-4 EP-2.2-2 EP-2.1-4 EP-3.5-2 EP-3.7-2 EP-3.7-4 EP-3.12-1 EP-4.3-1 EP-4.3-3
        EP-4.3-4 EP-4.4-3 EP-4.4-5 EP-5.1-1 EP-5.2-1 EP-5.3-5 EP-5.4-4 EP-6.1-3 EP-6.3-4 EP-6.4-2
        EP-6.4-5 EP-6.4-8 EP-7.1-2 EP-8.2-3 EP-9.1-5 EP-10.1-1"""
    assert [each for each in needed.split() if not exercised[each]] == []


def test_how_the_streams_are_cut_changes_no_finding() -> None:
    said = [(CLIENT, LOGIN + frame(2, 2, b"\x03anna")), (SERVER, WELCOME + error(2, 10))]
    whole = judged(talk(*said)).notes.findings
    pieces = [(side, data[at : at + 1]) for side, data in said for at in range(len(data))]
    cut = judged(talk(*pieces)).notes.findings

    assert [(f.statement, f.side, f.frame, f.offset) for f in cut] == [
        ("EP-3.3-2", CLIENT, 2, len(LOGIN)),
        ("EP-3.3-3", SERVER, 2, len(WELCOME)),
    ]
    assert [(f.statement, f.frame, f.offset) for f in whole] == [
        (f.statement, f.frame, f.offset) for f in cut
    ]


# ----------------------------------------------------------------- right, and easily accused

RIGHT = {
    "requests after the last Error has passed": [
        (CLIENT, LOGIN),
        (SERVER, WELCOME + error(0, 30)),
        (CLIENT, frame(2, 2, b"\0hello") + frame(3, 3)),
    ],
    "a second Login as the Error to the first passes": [
        (CLIENT, LOGIN),
        (SERVER, error(1, 13)),
        (CLIENT, frame(1, 1, short("bob") + bytes(18))),
    ],
    "a name that the server chose": [
        (CLIENT, login()),
        (SERVER, welcome("g")),
    ],
    "a resume without a name": [
        (CLIENT, login(ticket=TICKET, position=2)),
        (SERVER, welcome(position=2)),
    ],
    "equal seqs": [
        (CLIENT, frame(6, 7) * 3),
        (SERVER, frame(7, 7) * 3),
    ],
    "a reply that has not come": [(CLIENT, LOGIN + frame(6, 2)), (SERVER, WELCOME)],
    "a frame that the end cuts": [(CLIENT, LOGIN[:9])],
    "an end without a word": [(CLIENT, LOGIN)],
    "TIMEOUT where a frame was begun": [
        (CLIENT, LOGIN),
        (SERVER, WELCOME),
        (CLIENT, b"\0\0"),
        (SERVER, error(0, 22)),
    ],
    "INTERNAL instead of the Ack": [
        (CLIENT, LOGIN + frame(2, 2, b"\0hello")),
        (SERVER, WELCOME + error(0, 30)),
    ],
    "an unknown type from a later server": [(CLIENT, LOGIN), (SERVER, WELCOME + frame(11, 1))],
    "a client that tries a later version first": [
        (CLIENT, b"\0\0\0\x0c\2\1\0\0" + bytes(7) + b"\1"),
        (SERVER, error(0, 3)),
    ],
}


@pytest.mark.parametrize("name", RIGHT)
def test_it_is_not_accused(name: str) -> None:
    assert found(*RIGHT[name]) == []


# ----------------------------------------------------------------- wrong


def joined(position: int, user: str) -> bytes:
    return frame(9, position, short(user))


def left(position: int, user: str, reason: int = 0) -> bytes:
    return frame(10, position, short(user) + bytes([reason]))


def ack(seq: int, position: int) -> bytes:
    return frame(4, seq, position.to_bytes(8, "big"))


def fact(author: str, content: bytes = b"hi", *, position: int = 3) -> bytes:
    return frame(2, position, short(author) + content)


def of_version_2(data: bytes) -> bytes:
    return data[:4] + b"\2" + data[5:]


RESERVED = b"\0\0\0\x0c\1\6\0\1" + bytes(7) + b"\1"
RESUME = login("ann", ticket=TICKET, position=2)
IN = [(CLIENT, LOGIN), (SERVER, WELCOME)]
PATIENT = [(CLIENT, LOGIN), (SERVER, welcome(heartbeat=0))]
SAY = (CLIENT, frame(2, 2, b"\0hello"))
WRONG = {
    "reserved": ("EP-2.2-3", CLIENT, [(CLIENT, RESERVED)]),
    "seq 0": ("EP-2.2-5", CLIENT, [(CLIENT, frame(6, 0))]),
    "a length of 11": ("EP-2.1-1", CLIENT, [(CLIENT, b"\0\0\0\x0b")]),
    "no UTF-8": ("EP-2.3-4", CLIENT, [*IN, (CLIENT, frame(2, 2, b"\0\xff"))]),
    "a Login that is short": ("EP-3.2-1", CLIENT, [(CLIENT, frame(1, 1, b"\3ann\0\0"))]),
    "a body in a Ping": ("EP-3.7-1", CLIENT, [(CLIENT, frame(6, 1, b"now"))]),
    "a sender": ("EP-3.3-2", CLIENT, [*IN, (CLIENT, frame(2, 2, b"\3annhi"))]),
    "an Ack of a client": ("EP-3.1-1", CLIENT, [*IN, (CLIENT, ack(1, 1))]),
    "two Logins": ("EP-4.4-3", CLIENT, [(CLIENT, LOGIN * 2)]),
    "a Message first": ("EP-4.4-4", CLIENT, [SAY]),
    "a Ping after Logout": ("EP-4.4-5", CLIENT, [*IN, (CLIENT, frame(3, 2) + frame(6, 3))]),
    "a long frame first": ("EP-7.1-1", CLIENT, [(CLIENT, login("ann", credential=bytes(5000)))]),
    "a frame beyond max_frame": (
        "EP-7.1-2",
        CLIENT,
        [*IN, (CLIENT, b"\0\1\0\1\1\2\0\0" + bytes(7) + b"\1")],
    ),
    "a Pong of its own number": (
        "EP-3.7-2",
        CLIENT,
        [*IN, (SERVER, frame(6, 5)), (CLIENT, frame(7, 1))],
    ),
    "two Pongs": ("EP-3.7-3", CLIENT, [*IN, (SERVER, frame(6, 5)), (CLIENT, frame(7, 5) * 2)]),
    "use of what follows a fault": (
        "EP-4.2-12",
        CLIENT,
        [*IN, (SERVER, joined(9, "bob") + frame(6, 5)), (CLIENT, frame(7, 5))],
    ),
    "a greeting": ("EP-4.1-3", SERVER, [(SERVER, frame(6, 1))]),
    "a reply that nobody asked for": ("EP-4.2-1", SERVER, [(SERVER, frame(7, 1))]),
    "a reply twice": ("EP-4.2-1", SERVER, [(CLIENT, frame(6, 1)), (SERVER, frame(7, 1) * 2)]),
    "replies out of order": (
        "EP-4.2-7",
        SERVER,
        [(CLIENT, frame(6, 1) + frame(6, 2)), (SERVER, frame(7, 2))],
    ),
    "another seq": ("EP-3.7-2", SERVER, [(CLIENT, frame(6, 1)), (SERVER, frame(7, 9))]),
    "a Pong to a Message": ("EP-4.2-10", SERVER, [*IN, SAY, (SERVER, frame(7, 2))]),
    "a refused Message": ("EP-5.3-5", SERVER, [*IN, SAY, (SERVER, error(2, 5))]),
    "no position": ("EP-3.5-2", SERVER, [*IN, SAY, (SERVER, ack(2, 0))]),
    "a position left out": ("EP-5.2-1", SERVER, [*IN, (SERVER, joined(4, "bob"))]),
    "its own words as a fact": (
        "EP-5.2-2",
        SERVER,
        [*IN, SAY, (SERVER, frame(2, 3, short("ann") + b"hello"))],
    ),
    "its own Left": ("EP-5.2-7", SERVER, [*IN, (SERVER, left(3, "ann"))]),
    "two Left": ("EP-5.4-2", SERVER, [*IN, (SERVER, left(3, "bob") + left(4, "bob"))]),
    "words behind a Left": (
        "EP-5.4-1",
        SERVER,
        [*IN, (SERVER, left(3, "bob") + frame(2, 4, short("bob") + b"hi"))],
    ),
    "a fatal code with a seq": ("EP-8.2-1", SERVER, [(CLIENT, LOGIN), (SERVER, error(1, 30))]),
    "a code of its own": ("EP-8.1-1", SERVER, [(CLIENT, LOGIN), (SERVER, error(1, 77))]),
    "a frame behind the last": ("EP-8.2-3", SERVER, [*IN, (SERVER, error(0, 30) + frame(6, 1))]),
    "half a frame behind the last": ("EP-8.2-3", SERVER, [*IN, (SERVER, error(0, 30) + b"\0\0\0")]),
    "a frame behind the Ack of Logout": (
        "EP-10.1-1",
        SERVER,
        [*IN, (CLIENT, frame(3, 2)), (SERVER, ack(2, 3) + frame(6, 1))],
    ),
    "reserved accepted": (
        "EP-2.2-4",
        SERVER,
        [(CLIENT, RESERVED), (SERVER, frame(7, 1))],
    ),
    "MALFORMED for what is right": (
        "EP-8.3-1",
        SERVER,
        [(CLIENT, frame(6, 1)), (SERVER, error(0, 1))],
    ),
    "an early TIMEOUT": ("EP-9.1-2", SERVER, [*IN, (SERVER, error(0, 22))]),
    "a second Ping": (
        "EP-9.1-4",
        SERVER,
        [*IN, (SERVER, frame(6, 1)), (SERVER, frame(6, 2))],
    ),
    "another name": (
        "EP-6.1-3",
        SERVER,
        [(CLIENT, frame(1, 1, short("bob") + bytes(18))), (SERVER, WELCOME)],
    ),
    "USER_TAKEN for an invisible name": (
        "EP-6.2-6",
        SERVER,
        [(CLIENT, frame(1, 1, short("a\u200b") + bytes(18))), (SERVER, error(1, 13))],
    ),
    "a long frame of the server's": ("EP-7.1-4", SERVER, [*IN, (SERVER, b"\0\2\0\0")]),
    "an Error with seq 0 of version 2": (
        "EP-8.2-6",
        SERVER,
        [*IN, (SERVER, of_version_2(error(0, 30)))],
    ),
    "an Error with a seq of version 2": (
        "EP-2.2-1",
        SERVER,
        [*IN, (SERVER, of_version_2(error(2, 5)))],
    ),
    "a sender that is cut": ("EP-3.3-1", SERVER, [*IN, (SERVER, frame(2, 3, b"\xc8bob"))]),
    "words that are no UTF-8": ("EP-2.3-4", SERVER, [*IN, (SERVER, fact("bob", b"\xff"))]),
    "a fact without a position": ("EP-2.2-7", SERVER, [*IN, (SERVER, fact("bob", position=0))]),
    "words of nobody": ("EP-3.3-4", SERVER, [*IN, (SERVER, fact(""))]),
    "an application event of nobody": (
        "EP-3.11-2",
        SERVER,
        [*IN, (SERVER, frame(0x80, 3, short("") + b"x"))],
    ),
    "its own Joined": ("EP-6.1-4 EP-5.4-2", SERVER, [*IN, (SERVER, joined(3, "ann"))]),
    "two Joined": ("EP-5.4-2", SERVER, [*IN, (SERVER, joined(3, "bob") + joined(4, "bob"))]),
    "a Login of the server's": ("EP-3.1-2", SERVER, [*IN, (SERVER, LOGIN)]),
    # What a server must refuse.
    "an unknown type accepted": (
        "EP-3.12-1",
        SERVER,
        [*IN, (CLIENT, frame(11, 2)), (SERVER, ack(2, 3))],
    ),
    "an Ack accepted": ("EP-4.3-4", SERVER, [*IN, (CLIENT, ack(2, 3)), (SERVER, ack(2, 3))]),
    "a sender accepted": (
        "EP-3.3-3",
        SERVER,
        [*IN, (CLIENT, fact("ann", position=2)), (SERVER, ack(2, 3))],
    ),
    "an application event with a sender accepted": (
        "EP-3.11-2",
        SERVER,
        [*IN, (CLIENT, frame(0x80, 2, short("ann"))), (SERVER, ack(2, 3))],
    ),
    "words before a Login accepted": ("EP-4.3-1", SERVER, [SAY, (SERVER, ack(2, 3))]),
    "a Logout before a Login accepted": (
        "EP-4.3-2",
        SERVER,
        [(CLIENT, frame(3, 1)), (SERVER, ack(1, 0))],
    ),
    "a second Login accepted": ("EP-4.3-3", SERVER, [*IN, (CLIENT, LOGIN), (SERVER, WELCOME)]),
    "a fault refused with its seq": (
        "EP-8.2-1",
        SERVER,
        [(CLIENT, RESERVED), (SERVER, error(1, 1))],
    ),
    "a fault in a body to come accepted": (
        "EP-2.2-4",
        SERVER,
        [(CLIENT, b"\0\0\0\x0d" + RESERVED[4:]), (SERVER, frame(7, 1))],
    ),
    # Logins.
    "LOGIN_REQUIRED for a Login": ("EP-8.3-1", SERVER, [(CLIENT, LOGIN), (SERVER, error(1, 10))]),
    "USER_TAKEN for a position without a ticket": (
        "EP-6.4-7",
        SERVER,
        [(CLIENT, login("ann", position=5)), (SERVER, error(1, 13))],
    ),
    "HISTORY_GONE for a fresh Login": (
        "EP-6.1-9",
        SERVER,
        [(CLIENT, LOGIN), (SERVER, error(1, 15))],
    ),
    "a position without a ticket accepted": (
        "EP-6.4-7",
        SERVER,
        [(CLIENT, login("ann", position=2)), (SERVER, WELCOME)],
    ),
    "no name for a client that asked for none": (
        "EP-6.1-2",
        SERVER,
        [(CLIENT, login()), (SERVER, welcome(""))],
    ),
    "no name at a resume that asked for none": (
        "EP-6.4-9",
        SERVER,
        [(CLIENT, login(ticket=TICKET, position=2)), (SERVER, welcome("", position=2))],
    ),
    "no name for a client that asked for one": (
        "EP-6.1-3",
        SERVER,
        [(CLIENT, LOGIN), (SERVER, welcome(""))],
    ),
    "a ticket of 0": ("EP-3.8-2", SERVER, [(CLIENT, LOGIN), (SERVER, welcome(ticket=0))]),
    "a max_frame of 4095": (
        "EP-3.8-3",
        SERVER,
        [(CLIENT, LOGIN), (SERVER, welcome(max_frame=4095))],
    ),
    "a resume with another ticket": (
        "EP-6.4-1",
        SERVER,
        [(CLIENT, RESUME), (SERVER, welcome(ticket=8))],
    ),
    "a resume at another position": (
        "EP-6.4-2",
        SERVER,
        [(CLIENT, RESUME), (SERVER, welcome(position=3))],
    ),
    "an invisible name accepted": (
        "EP-6.2-6",
        SERVER,
        [(CLIENT, login("a\u200b")), (SERVER, welcome("a\u200b"))],
    ),
    "an invisible name given": (
        "EP-6.2-7",
        SERVER,
        [(CLIENT, login()), (SERVER, welcome("a\u200b"))],
    ),
    # The end.
    "a Logout without a Left": (
        "EP-5.4-7",
        SERVER,
        [*IN, (SERVER, joined(3, "bob")), (CLIENT, frame(3, 2)), (SERVER, ack(2, 0))],
    ),
    "a Ping with heartbeat 0": ("EP-9.1-5", SERVER, [*PATIENT, (SERVER, frame(6, 1))]),
    "TIMEOUT with heartbeat 0": ("EP-9.1-5", SERVER, [*PATIENT, (SERVER, error(0, 22))]),
    "a last code of its own": ("EP-8.1-1", SERVER, [*IN, (SERVER, error(0, 77))]),
    "a request's code with seq 0": ("EP-8.2-2", SERVER, [*IN, (SERVER, error(0, 5))]),
    "USER_TAKEN with seq 0 and no member": (
        "EP-8.2-2",
        SERVER,
        [(CLIENT, LOGIN), (SERVER, error(0, 13))],
    ),
    "another code for a fault": ("EP-8.3-1", SERVER, [(CLIENT, RESERVED), (SERVER, error(0, 2))]),
    "MALFORMED for nothing": ("EP-8.3-1", SERVER, [(SERVER, error(0, 1))]),
    "MALFORMED for a body to come": (
        "EP-2.2-10",
        SERVER,
        [(CLIENT, LOGIN[:20]), (SERVER, error(0, 1))],
    ),
    "FRAME_TOO_LARGE for a length in the limit": (
        "EP-8.3-1",
        SERVER,
        [(CLIENT, LOGIN[:4]), (SERVER, error(0, 2))],
    ),
    "UNAUTHORIZED for nothing": ("EP-6.3-3", SERVER, [(SERVER, error(0, 12))]),
    "an Ack to a Ping": ("EP-4.2-10", SERVER, [*IN, (CLIENT, frame(6, 2)), (SERVER, ack(2, 3))]),
    "UNAUTHORIZED for a Ping": (
        "EP-6.3-3",
        SERVER,
        [(CLIENT, frame(6, 1)), (SERVER, error(0, 12))],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_it_is_found_with_its_statement_and_its_side(name: str) -> None:
    statements, side, said = WRONG[name]

    assert [each for each, of in found(*said) if of is side] == statements.split()


def test_an_early_unauthorized_is_found_and_a_late_one_is_not() -> None:
    def after(seconds: float) -> list[str]:
        items: list[Item] = [
            Opened(0.0, 1),
            Bytes(1.0, 1, CLIENT, LOGIN),
            Bytes(1.0 + seconds, 1, SERVER, error(0, 12)),
        ]
        return [finding.statement for finding in judged(items).notes.findings]

    assert after(0.05) == ["EP-6.3-4"]
    assert after(0.1) == []


def test_a_credential_in_plain_text_is_found_beyond_loopback_only() -> None:
    login = frame(1, 1, short("ann") + b"\0\2pw" + bytes(16))

    def to(server: str, secure: bool | None) -> list[str]:
        items: list[Item] = [Opened(0.0, 1, "", server, secure=secure)]
        items.append(Bytes(0.0, 1, CLIENT, login))
        return [finding.statement for finding in judged(items).notes.findings]

    assert to("192.0.2.7:3000", False) == ["EP-6.3-1"]
    assert (
        to("127.0.0.1:3000", False)
        == to("a-name:3000", False)
        == to("192.0.2.7:3000", True)
        == to("", None)
        == []
    )


# ----------------------------------------------------------------- several connections


def in_one_room(*said: tuple[int, Side, bytes]) -> list[str]:
    """What is found where connections of one room say this, one after the other."""
    numbers = dict.fromkeys(number for number, _, _ in said)
    items: list[Item] = [Opened(0.0, number, "", "127.0.0.1:3000") for number in numbers]
    items += [Bytes(float(at), *each) for at, each in enumerate(said, 1)]
    return [finding.statement for finding in judged(items).notes.findings]


def member(number: int, name: str, place: int, ticket: int) -> list[tuple[int, Side, bytes]]:
    numbers = ticket.to_bytes(8, "big") + place.to_bytes(8, "big") + b"\0\1\0\0\0\x14"
    return [
        (number, CLIENT, frame(1, 1, short(name) + bytes(18))),
        (number, SERVER, frame(8, 1, short(name) + numbers + short(""))),
    ]


ANN, BOB = member(1, "ann", 1, 11), member(2, "bob", 2, 12)


def test_two_members_that_read_different_entries_at_one_position_are_found() -> None:
    cyd = frame(2, 3, short("cyd") + b"one"), frame(2, 3, short("cyd") + b"two")

    assert in_one_room(*ANN, *BOB, (1, SERVER, joined(2, "bob") + cyd[0]), (2, SERVER, cyd[1])) == [
        "EP-5.1-1"
    ]


def test_a_content_that_was_changed_on_its_way_is_found() -> None:
    said = (1, CLIENT, frame(2, 2, b"\0hello")), (1, SERVER, joined(2, "bob") + ack(2, 3))
    changed = 2, SERVER, frame(2, 3, short("ann") + b"HELLO")

    assert in_one_room(*ANN, *BOB, *said, changed) == ["EP-3.3-5"]


BOB_CAME = (1, SERVER, joined(2, "bob"))
APPLICATION = (1, CLIENT, frame(0x80, 2, b"\0data"))
LATE = member(3, "cyd", 3, 13)
WRONG_TOGETHER = {
    "a ticket that two fresh logins get": ("EP-6.1-8", [*ANN, *member(2, "bob", 2, 11)]),
    "two requests at one position": (
        "EP-5.3-3",
        [
            *ANN,
            *BOB,
            BOB_CAME,
            (1, *SAY),
            (1, SERVER, ack(2, 3)),
            (2, *SAY),
            (2, SERVER, ack(2, 3)),
        ],
    ),
    "words under another name": (
        "EP-3.3-4",
        [
            *ANN,
            *BOB,
            BOB_CAME,
            (1, *SAY),
            (1, SERVER, ack(2, 3)),
            (2, SERVER, fact("cyd", b"hello")),
        ],
    ),
    "data that changed on its way": (
        "EP-3.11-4",
        [
            *ANN,
            *BOB,
            BOB_CAME,
            APPLICATION,
            (1, SERVER, ack(2, 3)),
            (2, SERVER, frame(0x80, 3, short("ann") + b"DATA")),
        ],
    ),
    "data under another name": (
        "EP-3.11-2",
        [
            *ANN,
            *BOB,
            BOB_CAME,
            APPLICATION,
            (1, SERVER, ack(2, 3)),
            (2, SERVER, frame(0x80, 3, short("cyd") + b"data")),
        ],
    ),
    "words where a member arrived": (
        "EP-6.1-4",
        [*ANN, *BOB, BOB_CAME, *LATE, (2, SERVER, fact("dan"))],
    ),
    "an arrival without a position": ("EP-6.1-4", [*ANN, *BOB, BOB_CAME, *member(3, "cyd", 0, 13)]),
    "a Logout where something else stands": (
        "EP-5.4-7",
        [
            *ANN,
            *BOB,
            BOB_CAME,
            (1, CLIENT, frame(3, 2)),
            (1, SERVER, ack(2, 3)),
            (2, SERVER, fact("cyd")),
        ],
    ),
    "a Logout without a Left, and an arrival later": (
        "EP-5.4-7",
        [
            *ANN,
            (1, CLIENT, frame(3, 2)),
            (1, SERVER, ack(2, 0)),
            *BOB,
            (2, SERVER, joined(3, "cyd")),
        ],
    ),
    "a member that is gone, and comes": (
        "EP-5.4-2",
        [*ANN, *BOB, (1, SERVER, joined(2, "bob") + error(0, 30)), (2, SERVER, joined(3, "ann"))],
    ),
    "a resume before its session's beginning": (
        "EP-6.4-4",
        [*ANN, (2, CLIENT, login("ann", ticket=11)), (2, SERVER, welcome(ticket=11, position=0))],
    ),
    "a resume from a position that is not there yet": (
        "EP-6.4-6",
        [
            *ANN,
            (2, CLIENT, login("bob", ticket=12, position=5)),
            (2, SERVER, welcome("bob", ticket=12, position=5)),
            (1, *SAY),
            (1, SERVER, ack(2, 2)),
        ],
    ),
    "texts of UNAUTHORIZED that differ": (
        "EP-6.3-7",
        [
            (1, CLIENT, LOGIN),
            (1, SERVER, error(0, 12)),
            (2, CLIENT, LOGIN),
            (2, SERVER, error(0, 12, "no")),
        ],
    ),
    "an Ack to who was superseded": (
        "EP-6.4-12",
        [
            *ANN,
            (2, CLIENT, login("ann", ticket=11, position=1)),
            (2, SERVER, welcome(ticket=11, position=1)),
            (1, *SAY),
            (1, SERVER, ack(2, 2)),
        ],
    ),
}


@pytest.mark.parametrize("name", WRONG_TOGETHER)
def test_what_connections_say_together_is_found(name: str) -> None:
    statement, said = WRONG_TOGETHER[name]

    assert in_one_room(*said) == [statement]


def test_a_logout_that_is_told_with_another_reason_is_found() -> None:
    goodbye = (1, CLIENT, frame(3, 2)), (1, SERVER, joined(2, "bob") + ack(2, 3))

    assert in_one_room(*ANN, *BOB, *goodbye, (2, SERVER, left(3, "ann", 1))) == ["EP-5.4-4"]


def test_words_that_are_entered_behind_a_last_error_are_found() -> None:
    ended = (1, SERVER, joined(2, "bob") + error(0, 30))
    words = (2, SERVER, frame(2, 3, short("ann") + b"late") + left(4, "ann", 1))

    assert in_one_room(*ANN, *BOB, ended, words) == ["EP-8.2-4"]


def test_a_loss_that_is_told_as_a_logout_is_found() -> None:
    items: list[Item] = [Opened(0.0, n, "", "127.0.0.1:3000") for n in (1, 2)]
    items += [Bytes(1.0, *each) for each in (*ANN, *BOB)]
    items += [
        Bytes(2.0, 1, SERVER, joined(2, "bob")),
        Ended(3.0, 1, CLIENT),
        Ended(3.0, 1, SERVER),
        Bytes(4.0, 2, SERVER, left(3, "ann", 0)),
    ]

    assert [finding.statement for finding in judged(items).notes.findings] == ["EP-5.4-4"]


def test_connections_that_do_not_overlap_are_not_compared() -> None:
    items: list[Item] = []
    for number in (1, 2):
        items.append(Opened(float(number), number, "", "127.0.0.1:3000"))
        items += [Bytes(float(number), number, side, data) for side, data in IN]
        items += [Ended(number + 0.5, number, side, How.FIN) for side in Side]

    assert judged(items).notes.findings == []
    assert [each.statement for each in judged(items, one_room=True).notes.findings] == ["EP-6.1-8"]


def test_a_resume_joins_the_run_that_its_session_began_in() -> None:
    ticket = (11).to_bytes(8, "big")
    login = frame(1, 1, short("ann") + b"\0\0" + ticket + (5).to_bytes(8, "big"))
    welcome = frame(
        8, 1, short("bob") + ticket + (5).to_bytes(8, "big") + b"\0\1\0\0\0\x14" + short("")
    )
    items: list[Item] = [Opened(0.0, 1, "", "127.0.0.1:3000")]
    items += [Bytes(1.0, *each) for each in ANN]
    items += [Ended(2.0, 1, side) for side in Side]
    items += [Opened(3.0, 2, "", "127.0.0.1:3000"), Bytes(3.0, 2, CLIENT, login)]
    items += [Bytes(4.0, 2, SERVER, welcome)]

    found = [finding.statement for finding in judged(items).notes.findings]

    assert found == ["EP-6.1-3", "EP-6.4-5"]


# ----------------------------------------------------------------- gaps and bounds


def test_behind_a_gap_frames_are_judged_again_and_what_lies_between_is_counted() -> None:
    judge = judged(
        [
            *talk(*IN),
            Missing(30.0, 1, SERVER, 100),
            Bytes(31.0, 1, SERVER, b"left of a frame"),
            Bytes(32.0, 1, SERVER, b"".join(joined(n, f"x{n}") for n in (7, 8, 9))),
            Bytes(33.0, 1, SERVER, joined(11, "bob")),
        ]
    )

    assert [finding.statement for finding in judge.notes.findings] == ["EP-5.2-1"]
    assert judge.unjudged == 100 + len(b"left of a frame")


UNSEEN = Missing(25.0, 1, CLIENT, None)
"""Which request the next reply answers is not known any more."""


@pytest.mark.parametrize(
    ("said", "statement"),
    [
        (ack(2, 3) + ack(3, 5), "EP-5.2-1"),
        (error(2, 77), "EP-8.1-1"),
        (error(2, 30), "EP-8.2-1"),
    ],
)
def test_replies_to_what_was_not_seen_are_judged_by_themselves(said: bytes, statement: str) -> None:
    judge = judged([*talk(*IN), UNSEEN, Bytes(30.0, 1, SERVER, said)])

    assert [finding.statement for finding in judge.notes.findings] == [statement]


@pytest.mark.parametrize("reply", [ack(2, 3), error(2, 5)])
def test_a_client_may_answer_what_follows_an_early_reply(reply: bytes) -> None:
    """The request had been sent already: to the client nothing was wrong."""
    early = [*IN, (SERVER, reply + frame(6, 5))]

    assert found(*early, SAY, (CLIENT, frame(7, 5))) == [("EP-4.2-1", SERVER)]
    assert found(*early, (CLIENT, frame(7, 5)), SAY) == [
        ("EP-4.2-1", SERVER),
        ("EP-4.2-12", CLIENT),
    ]


@pytest.mark.parametrize("size", [1, 16, 500])
def test_of_a_frame_that_is_too_long_to_be_held_only_the_length_counts(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "KEPT", 1000)
    words = bytes(2000)
    said = [
        (CLIENT, frame(2, 2, short("ann") + words)),
        (SERVER, ack(2, 3) + fact("bob", words, position=4) + joined(6, "cyd")),
    ]

    pieces = [(of, data[at : at + size]) for of, data in said for at in range(0, len(data), size)]

    assert found(*IN, *pieces) == [("EP-5.2-1", SERVER)]


def test_of_many_open_pings_none_is_held_against_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_side, "MOST_PINGS", 2)
    pings = [(SERVER, frame(6, n)) for n in (1, 2, 3)]
    other = (CLIENT, frame(7, 9))

    assert found(*IN, *pings, other) == [("EP-9.1-4", SERVER)] * 2 + [("EP-3.7-2", CLIENT)]
    assert ("EP-3.7-2", CLIENT) not in found(*IN, *pings, (SERVER, frame(6, 4)), other)


def test_behind_a_gap_the_order_of_replies_is_not_judged() -> None:
    """What is wrong here is not found: decision 0021 says why."""
    asked = (CLIENT, b"".join(frame(2, seq, b"\0hello") for seq in (4, 5, 6)) + frame(6, 7))
    replies = ack(6, 4) + ack(5, 5) + frame(7, 7) + joined(6, "bob")
    items = talk(*IN, asked)

    whole = judged([*items, Bytes(60.0, 1, SERVER, ack(4, 3) + replies)])
    gap = judged([*items, Missing(60.0, 1, SERVER, 24), Bytes(60.0, 1, SERVER, replies)])

    assert [each.statement for each in whole.notes.findings] == ["EP-4.2-7"]
    assert gap.notes.findings == [] and gap.frames == whole.frames - 1


def test_one_side_is_judged_alone_where_the_other_is_disturbed() -> None:
    said = [(CLIENT, frame(6, 0)), (SERVER, frame(7, 9))]

    assert {side for _, side in found(*said, only=CLIENT)} == {CLIENT}
    assert {side for _, side in found(*said, only=SERVER)} == {SERVER}


@pytest.mark.parametrize(
    ("length", "welcomed", "statements"),
    [
        (65_536 + 255, True, []),
        (65_536 + 256, True, ["EP-4.2-12"]),
        (4_351, False, []),
        (4_352, False, ["EP-4.2-12"]),
    ],
)
def test_what_a_client_must_find_too_long_ends_what_it_may_use(
    length: int, welcomed: bool, statements: list[str]
) -> None:
    long = frame(11, 9, bytes(length - 12)) + frame(6, 5)
    said = [*(IN if welcomed else IN[:1]), (SERVER, long), (CLIENT, frame(7, 5))]

    assert [statement for statement, _ in found(*said, only=CLIENT)] == statements


SMALL = WELCOME.replace(b"\0\1\0\0\0\x14", b"\0\0\0\0\0\x14")
"""A Welcome with max_frame 0, which no server may send."""
TO_A_WRONG_SERVER = {
    "its Acks of requests that it should have refused": [
        (CLIENT, LOGIN),
        (SERVER, SMALL),
        (CLIENT, frame(2, 2, b"\0hello") + frame(2, 3, b"\0hello")),
        (SERVER, ack(2, 3) + ack(3, 4) + frame(6, 5)),
    ],
    "its Ack that came before the request had passed": [
        *IN,
        (SERVER, ack(2, 3)),
        SAY,
        (SERVER, joined(4, "bob") + frame(6, 5)),
    ],
}


@pytest.mark.parametrize("name", TO_A_WRONG_SERVER)
def test_a_client_that_counted_as_its_server_did_may_answer_its_ping(name: str) -> None:
    said = [*TO_A_WRONG_SERVER[name], (CLIENT, frame(7, 5))]

    assert [each for each in found(*said) if each[1] is CLIENT] == []


def observed(*said: tuple[Side, bytes], ends: tuple[Side, ...]) -> list[str]:
    """What is observed when the sides end in this order."""
    items = [*talk(*said), *(Ended(99.0, 1, side) for side in ends)]
    return [seen.what for seen in judged(items).notes.observations]


ENDED_IT = "the client ended the connection behind Joined, without a Logout"


def test_a_client_that_ends_the_connection_by_itself_is_observed() -> None:
    hears = [*IN, (SERVER, joined(3, "bob"))]

    assert observed(*hears, ends=(CLIENT, SERVER)) == [ENDED_IT]
    assert observed(*hears, ends=(SERVER, CLIENT)) == []
    assert observed(*hears, (CLIENT, frame(3, 2)), ends=(CLIENT, SERVER)) == []
    assert observed(*IN[:1], ends=(CLIENT, SERVER)) == []


def test_a_client_that_stays_behind_the_end_is_observed() -> None:
    """Also behind its server's fault. Nobody who only watches knows why it is slow."""
    for last, why in (
        (error(0, 30), "an Error with seq 0"),
        (joined(9, "x"), "its server's fault"),
    ):
        items = talk(*IN, (SERVER, last))
        for later, seen_then in (
            (0.9, []),
            (9.0, [f"the client did not close for 9 s behind {why}"]),
        ):
            ended = Ended(items[-1].at + later, 1, CLIENT)
            assert [each.what for each in judged([*items, ended]).notes.observations] == seen_then


def test_a_ping_that_is_never_answered_is_observed() -> None:
    left_open = "the client ended and left a Ping unanswered"
    asked = [*IN, (SERVER, frame(6, 7) + joined(3, "bob"))]

    assert observed(*asked, ends=(CLIENT, SERVER)) == [ENDED_IT, left_open]
    assert observed(*asked, (CLIENT, frame(7, 7)), ends=(CLIENT,)) == [ENDED_IT]


FEW = (SERVER, welcome(max_frame=100) + frame(6, 7))
LONGER = (CLIENT, frame(2, 3, b"\0" + b"x" * 100))


def test_a_client_keeps_to_a_max_frame_below_the_least_once_it_has_read_it() -> None:
    """Until then it may send what it has made before."""
    accused = ("EP-3.8-6", CLIENT)

    assert accused in found((CLIENT, LOGIN), FEW, (CLIENT, frame(7, 7)), LONGER)
    assert accused not in found((CLIENT, LOGIN), FEW, LONGER, (CLIENT, frame(7, 7)))


def test_many_findings_of_a_kind_are_counted_and_not_told() -> None:
    judge = judged(talk(*IN, (CLIENT, frame(2, 2, b"\x03anna") * 50)))

    assert len(judge.notes.findings) == 3
    assert judge.notes.more["EP-3.3-2", CLIENT] == 47


def test_requests_that_nobody_answers_are_not_held_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_side, "MOST_ASKED", 100)

    judge = judged(talk((CLIENT, frame(6, 1) * 101), (SERVER, frame(7, 9))))

    assert judge.notes.findings == []
    assert "too many requests" in judge.notes.observations[0].what


def test_the_judge_forgets_a_connection_that_has_ended() -> None:
    items = [*talk(*IN), Ended(40.0, 1, CLIENT), Ended(40.0, 1, SERVER)]
    judge = Judge(judged([]).notes)
    for item in items:
        judge.take(item)

    assert judge._open == {}


def test_the_worlds_and_the_judge_share_no_code() -> None:
    assert worlds.__spec__.loader is not None
    source = worlds.__spec__.loader.get_source(worlds.__name__)  # type: ignore[attr-defined]

    assert "refserver" not in source.replace("refserver 0", "") and "eventcodec" not in source
