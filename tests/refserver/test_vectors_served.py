"""Every vector that a server must refuse, sent to a real one, and nobody else disturbed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.support.raw import (
    JOINED,
    LEFT,
    PONG,
    WELCOME,
    Bystander,
    Client,
    ErrorReply,
    Frame,
    error_of,
    login,
    ping,
    short,
)
from tests.support.server import Running
from tests.together import together

from eventcodec import vectors
from eventcodec.vectors import Invalid

VECTORS = vectors.load()
FOR_SERVERS = [vector for vector in VECTORS.invalid if vector.receiver in ("codec", "server")]
EACH_FOR_SERVERS = [
    pytest.param(vector, id=vector.id, marks=pytest.mark.proves(*vector.proves))
    for vector in FOR_SERVERS
]
MENDED = [
    vector
    for vector in VECTORS.invalid
    if vector.name in ("BAD_USER", "HISTORY_GONE") and vector.repair is not None
]


@pytest.fixture(scope="module")
def bob(server: Running) -> Iterator[Bystander]:
    with Bystander(server.port, "bob") as bystander:
        yield bystander


def whole(data: bytes) -> list[bytes]:
    return [data]


def needs_a_member(vector: Invalid) -> bool:
    """A fault of the bytes alone has the limit of a member."""
    return vector.state in ("member", None)


def around_the_middle(data: bytes) -> list[bytes]:
    """The middle byte alone, and what stands around it."""
    at = len(data) // 2
    return [data[:at], data[at : at + 1], data[at + 1 :]]


def assert_undisturbed(bob: Bystander, joined: bool) -> None:
    """The bystander saw somebody come and go, if it was a member, and nothing else."""
    facts = bob.until_left("ann") if joined else bob.facts()
    assert [(fact.type, fact.body[:4]) for fact in facts] == (
        [(JOINED, short("ann")), (LEFT, short("ann"))] if joined else []
    )


@pytest.mark.proves("EP-8.3-1", "EP-8.2-1", "EP-8.2-2", "EP-7.2-3")
@pytest.mark.parametrize("vector", EACH_FOR_SERVERS)
@together("cut", [whole, around_the_middle])
@pytest.mark.unmeasured
def test_a_server_refuses_it_and_nobody_else_is_disturbed(
    server: Running, bob: Bystander, vector: Invalid, cut: Callable[[bytes], list[bytes]]
) -> None:
    is_member = needs_a_member(vector)

    with Client(server.port) as ann:
        if is_member:
            ann.send(login("ann"))
            assert ann.frame().type == WELCOME
        for piece in cut(vector.data):
            ann.send(piece)
        refused = error_of(ann.frame())
        if vector.fatal:
            assert ann.rest() == []
        else:
            ann.send(ping(8))
            assert ann.frame() == Frame(PONG, 8)

    assert refused == ErrorReply(vector.reply_seq or 0, vector.code)
    assert_undisturbed(bob, is_member)


@pytest.mark.proves("EP-2.1-3", "EP-2.2-9")
@together("vector", FOR_SERVERS)
@pytest.mark.unmeasured
def test_a_server_refuses_it_as_soon_as_it_can_be_known(
    server: Running, bob: Bystander, vector: Invalid
) -> None:
    is_member = needs_a_member(vector)

    with Client(server.port) as ann:
        if is_member:
            ann.send(login("ann"))
            assert ann.frame().type == WELCOME
        ann.send(vector.data[: vector.known_after])
        refused = error_of(ann.frame())

    assert refused == ErrorReply(vector.reply_seq or 0, vector.code)
    assert_undisturbed(bob, is_member)


@pytest.mark.proves("EP-6.2-6", "EP-6.4-5", "EP-6.4-7", "EP-4.3-5")
@together("vector", MENDED)
def test_a_login_is_good_once_its_fault_is_mended(
    server: Running, bob: Bystander, vector: Invalid
) -> None:
    assert vector.repair is not None and vector.repair.data is not None

    with Client(server.port) as somebody:
        somebody.send(vector.data, vector.repair.data)
        answers = somebody.frames(2)

    assert error_of(answers[0]).code == vector.code
    assert answers[1].type == WELCOME
    size = answers[1].body[0]
    bob.until_left(answers[1].body[1 : 1 + size].decode())
