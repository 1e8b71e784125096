"""When the log is sent: at once where a message comes alone, and in large writes where many do."""

from __future__ import annotations

import os
from itertools import repeat

import pytest
from tests.support.raw import ACK, MESSAGE, message
from tests.support.stopped import hosting

from refserver.server.batching import FULL, POLLS, VAIN_POLLS, Batching, Send


def writes(batching: Batching, turns: list[int]) -> list[int]:
    """The bytes of each write to a member, if so many are entered in each turn."""
    sent, unsent = [], 0
    for brought in turns:
        unsent += brought
        if batching.decide(unsent, alone=False) in (Send.FIRST, Send.LAST):
            sent.append(unsent)
            unsent = 0
    return sent


def test_a_message_that_comes_alone_is_sent_at_once_and_its_ack_follows() -> None:
    batching = Batching()

    for _ in range(3):
        assert batching.decide(80, alone=True) is Send.FIRST
        assert batching.decide(0, alone=False) is Send.NOTHING


def test_what_follows_a_message_that_waits_is_not_alone() -> None:
    batching = Batching()

    assert batching.decide(160, alone=False) is Send.LATER
    assert batching.decide(240, alone=True) is Send.LATER


@pytest.mark.parametrize("brought", [1, 80, 10_000, 11_000, 30_000, 65_536])
def test_no_write_is_so_full_that_it_becomes_two(brought: int) -> None:
    """A batch of 71 KB was a write of 64 KiB to each member and a second one of the rest."""
    sent = writes(Batching(), [brought] * 100)

    assert sent
    assert max(sent) <= FULL
    assert min(sent) > min(FULL - brought, (POLLS - 1) * brought) - brought


def test_a_run_that_is_over_waits_for_so_many_polls_and_no_longer() -> None:
    batching = Batching()

    decisions = [batching.decide(1_280, alone=False) for _ in range(VAIN_POLLS + 1)]

    assert decisions == [*repeat(Send.LATER, VAIN_POLLS), Send.LAST]


def test_entries_that_come_one_by_one_wait_for_so_many_polls() -> None:
    batching = Batching()

    decisions = [batching.decide(80 * n, alone=False) for n in range(1, POLLS + 2)]

    assert decisions == [*repeat(Send.LATER, POLLS), Send.LAST]


@pytest.mark.parametrize(("count", "order"), [(1, ["bob", "ann"]), (2, ["ann", "bob"])])
async def test_the_author_of_one_message_is_answered_last_and_of_several_first(
    monkeypatch: pytest.MonkeyPatch, count: int, order: list[str]
) -> None:
    written: list[str] = []
    write = os.write

    async with hosting() as host:
        ann, bob = await host.member("ann"), await host.member("bob")
        await ann.sync()
        names = {
            connection.descriptor: connection.session.member.user
            for connection in host.server.connections
            if connection.session.member is not None
        }

        def recorded(descriptor: int, data: bytes) -> int:
            written.append(names.get(descriptor, ""))
            return write(descriptor, data)

        monkeypatch.setattr(os, "write", recorded)
        await ann.send(*(message(b"hello", 2 + number) for number in range(count)))
        await bob.until(MESSAGE)
        await ann.until(ACK)

    assert [name for name in written if name][:2] == order
