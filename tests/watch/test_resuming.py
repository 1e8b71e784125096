"""What a client does with its session when it comes back is observed, and is never a finding."""

from __future__ import annotations

import pytest
from tests.support.raw import error, frame, login, message
from tests.watch.test_judge import ack, fact, joined, left, welcome

from refserver.watch.conversation import Bytes, Ended, How, Item, Opened, Side
from refserver.watch.judge import judged

CLIENT, SERVER = Side.CLIENT, Side.SERVER
TICKET = 9 << 40

Said = tuple[Side, bytes]


def seen(*connections: list[Said]) -> list[str]:
    """What is observed of these connections, one after the other, and that nothing is found.

    The server loses each of them but the last, which the client ends.
    """
    items: list[Item] = []
    at = 0.0
    for number, said in enumerate(connections, 1):
        items.append(Opened(at, number, "10.0.0.1:5", "127.0.0.1:3000", only=CLIENT))
        for side, data in said:
            at += 0.01
            items.append(Bytes(at, number, side, data))
        order = (CLIENT, SERVER) if number == len(connections) else (SERVER, CLIENT)
        items += [Ended(at, number, side, How.FIN) for side in order]
    notes = judged(items).notes
    assert notes.findings == []
    return [each.what for each in notes.observations]


def welcomed(position: int = 2, *, user: str = "ann", **settings: int) -> Said:
    ticket = settings.pop("ticket", TICKET)
    return SERVER, welcome(user, ticket=ticket, position=position, **settings)


FIRST: list[Said] = [
    (CLIENT, login("ann")),
    welcomed(),
    (CLIENT, message("one", 2) + message("two", 3)),
    (SERVER, ack(2, 3)),
]
"""`two` has no reply."""


def back(position: int = 3, *, ticket: int = TICKET, user: str = "ann") -> list[Said]:
    """The Login of a resume with its marker, and its Welcome."""
    return [
        (CLIENT, login(user, ticket=ticket, position=position) + frame(6, 2)),
        welcomed(position, ticket=ticket, user=user),
    ]


PONG: Said = (SERVER, frame(7, 2))
ACCEPTED: Said = (SERVER, fact("ann", b"two", position=4) + left(5, "ann", 1) + joined(6, "ann"))
NOT_ACCEPTED: Said = (SERVER, left(4, "ann", 1) + joined(5, "ann"))
BYE: list[Said] = [(CLIENT, frame(3, 9)), (SERVER, ack(9, 0))]
TWO: Said = (CLIENT, message("two", 3))

RIGHT = {
    "what was accepted is not said again": [*back(), ACCEPTED, PONG, *BYE],
    "what was not accepted is said again": [*back(), NOT_ACCEPTED, PONG, TWO, *BYE],
    "and then something else": [*back(), NOT_ACCEPTED, PONG, TWO, (CLIENT, message("x", 4)), *BYE],
    "an Ack that was not read": [
        *back(2),
        (SERVER, fact("ann", b"one") + ACCEPTED[1]),
        PONG,
        *BYE,
    ],
    "what is too long now": [
        *back()[:1],
        welcomed(3, max_frame=15),
        NOT_ACCEPTED,
        PONG,
        *BYE,
    ],
    "no name at a resume": [
        (CLIENT, login("", ticket=TICKET, position=3) + frame(6, 2)),
        welcomed(3),
        ACCEPTED,
        PONG,
        *BYE,
    ],
    "a fresh login": [(CLIENT, login("ann")), welcomed(9, ticket=7), *BYE],
}


@pytest.mark.parametrize("name", RIGHT)
def test_of_a_right_client_nothing_is_observed(name: str) -> None:
    assert seen(FIRST, RIGHT[name]) == []


AGAIN = "behind its resume the client "
WRONG = {
    "said again": (
        [*back(), ACCEPTED, PONG, TWO, *BYE],
        AGAIN + "sent again Message (3 bytes), which its replay had shown (EP-6.5-3)",
    ),
    "not said again": (
        [*back(), NOT_ACCEPTED, PONG, *BYE],
        AGAIN + "did not send again Message (3 bytes), which was not accepted",
    ),
    "something else first": (
        [*back(), NOT_ACCEPTED, PONG, (CLIENT, message("other", 3)), *BYE],
        AGAIN + "sent Message (5 bytes); "
        "Message (3 bytes) was not accepted, and was due first (EP-6.5-16)",
    ),
    "in front of the marker's Pong": (
        [*back(), TWO, NOT_ACCEPTED, PONG, *BYE],
        AGAIN + "sent Message (3 bytes) before the Pong of its marker (EP-6.5-6)",
    ),
    "another name": (
        [
            (CLIENT, login("bob", ticket=TICKET, position=3) + frame(6, 2)),
            (SERVER, error(1, 15) + frame(7, 2)),
        ],
        "the client resumes with a name that it did not get",
    ),
    "a position ahead": (
        [
            (CLIENT, login("ann", ticket=TICKET, position=99) + frame(6, 2)),
            (SERVER, error(1, 15) + frame(7, 2)),
        ],
        "the client resumes from a position that it was never told",
    ),
    "a ticket of nobody": (
        [
            (CLIENT, login("ann", ticket=TICKET + 1, position=3) + frame(6, 2)),
            (SERVER, error(1, 15) + frame(7, 2)),
        ],
        "the client resumes with a ticket that it never got",
    ),
    "a position without a ticket": (
        [(CLIENT, login("ann", position=3)), (SERVER, error(1, 15))],
        "the client asks for a position without a ticket",
    ),
    "another first number": (
        [(CLIENT, login("ann", seq=77)), (SERVER, error(77, 14))],
        "the client numbers its first request 77",
    ),
    "words behind a refused Login": (
        [(CLIENT, login("ann")), (SERVER, error(1, 14)), (CLIENT, message("x", 2))],
        "the client sent Message behind the refusal of its Login",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_worth_knowing_is_observed(name: str) -> None:
    said, what = WRONG[name]

    assert seen(FIRST, said) == [what]


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (13, ["the client connected again behind USER_TAKEN"]),
        (1, ["the client connected again behind MALFORMED"]),
        (22, []),
    ],
)
def test_who_should_stay_away_is_observed_when_it_comes_back(code: int, what: list[str]) -> None:
    """Behind each of these, what has no reply had no effect."""
    first = [*FIRST, (SERVER, error(0, code))]
    came = seen(first, [*back(), (SERVER, left(4, "ann", 1) + joined(5, "ann")), PONG, TWO, *BYE])

    assert came == what


def test_who_comes_back_behind_its_servers_fault_is_observed() -> None:
    first = [*FIRST, (SERVER, joined(99, "bob"))]

    assert "the client connected again behind its server's fault" in seen(
        first, [*back(), ACCEPTED, PONG, *BYE]
    )


def test_a_resume_in_front_of_what_was_certainly_read_is_observed() -> None:
    first = [*FIRST, (SERVER, frame(6, 7)), (CLIENT, frame(7, 7))]

    assert seen(first, [*back(2), (SERVER, fact("ann", b"one") + ACCEPTED[1]), PONG, *BYE]) == [
        "the client resumes 1 position before what it has read (EP-6.5-4)"
    ]


def test_what_was_refused_and_is_sent_again_is_observed() -> None:
    first = [*FIRST[:3], (SERVER, error(2, 4) + ack(3, 3))]
    again = [*back(), NOT_ACCEPTED, PONG, (CLIENT, message("one", 3)), *BYE]

    assert seen(first, again) == [AGAIN + "sent again Message (3 bytes), which was refused"]


def test_a_session_that_is_lost_twice_is_remembered() -> None:
    """The second connection is lost before its Welcome."""
    again = [*back(), NOT_ACCEPTED, PONG, *BYE]

    assert seen(FIRST, back()[:1], again) == [
        AGAIN + "did not send again Message (3 bytes), which was not accepted"
    ]


def test_a_ticket_that_was_replaced_or_is_gone_is_observed() -> None:
    replaced = "the client resumes with a ticket that is replaced or gone"
    other = [(CLIENT, login("ann", ticket=TICKET, position=3)), welcomed(3, ticket=5)]
    gone = [(CLIENT, login("ann", ticket=TICKET, position=3)), (SERVER, error(1, 15))]

    assert replaced in seen(FIRST, other, back())
    assert replaced in seen(FIRST, gone, back())
