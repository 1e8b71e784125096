"""A server that runs for a while, and all that its clients can do to it, over and over.

Rule: what is left when everybody has gone is counted, and memory is compared with what it
was after a third of the rounds, with all full that is kept on purpose: log and tickets.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.raw import (
    ACK,
    LEFT,
    MESSAGE,
    SLOW_CONSUMER,
    Bystander,
    Client,
    error_of,
    login,
    message,
    welcomed,
)
from tests.support.server import Running, running, when

from refserver.client.status import fetch
from refserver.session.tickets import KEPT_BY_GUESTS

MIB = 1 << 20
CROWD = 10
"""Of each kind, in a round."""
STALLED = 2
"""They cost their round the most: megabytes that the kernel takes for each."""
MOST = 3 * MIB
"""Steps in which a heap finds its size; less than 1 kB for each connection of the last rounds."""
OPTIONS = ("--log-bytes", str(MIB), "--heartbeat", "0", "--metrics", "0", "--close-timeout", "60")
"""Nobody is pinged, and who was evicted has a minute to read why."""


def fill_tickets(server: Running, bob: Bystander) -> None:
    """As many sessions of guests as are kept: from then on the oldest is forgotten."""
    for number in range(KEPT_BY_GUESTS):
        with Client(server.port) as client:
            client.join()
        if number % 100 == 0:
            bob.facts()
    bob.facts()


def play(server: Running, bob: Bystander, number: int) -> None:
    """Let members come, talk, resume, stall, reset and be evicted; bob reads of all of it."""
    with ExitStack() as stack:
        ann, *crowd = [stack.enter_context(Client(server.port)) for _ in range(1 + CROWD)]
        slow = [
            stack.enter_context(Client(server.port, receive_buffer=4_096)) for _ in range(STALLED)
        ]
        strangers = [stack.enter_context(Client(server.port)) for _ in range(CROWD)]
        for stranger in strangers:
            stranger.send(login("nobody")[: number % 30])
        for client in (ann, *slow):
            client.join()
        first = [client.join() for client in crowd]
        for client in crowd:
            client.reset()
        again = [stack.enter_context(Client(server.port)) for _ in crowd]
        for client, welcome in zip(again, first, strict=True):
            client.send(login(ticket=welcome.ticket, position=welcome.position))
            assert welcomed(client.frame()).user == welcome.user
            client.send(message("again", 2))
            client.until(ACK)

        evicted = 0
        while evicted < STALLED:
            ann.send(message(bytes(60_000), 2))
            ann.until(ACK)
            for client in again:
                client.until(MESSAGE)
            evicted += sum(f.type == LEFT and f.body[-1] == 2 for f in bob.facts())
        for client in slow:
            assert error_of(client.rest()[-1]).code == SLOW_CONSUMER
        for client in (*again[::2], *strangers[::2]):
            client.reset()


@pytest.mark.proves("EP-7.2-2", "EP-7.2-3")
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(
    "rounds", [3, pytest.param(180, marks=pytest.mark.slow)], ids=["short", "full"]
)
def test_nothing_is_left_of_many_rounds_and_memory_stays_what_it_was(
    tmp_path: Path, rounds: int
) -> None:
    with running(tmp_path, *OPTIONS, dev=False) as server:
        [metrics] = re.findall(r"http://127\.0\.0\.1:(\d+)/metrics", "\n".join(server.records))
        idle, memory = server.descriptors, []
        with Bystander(server.port, "bob") as bob:
            if rounds > 3:
                fill_tickets(server, bob)
            for number in range(rounds):
                play(server, bob, number)
                memory.append(server.memory)

        # The last ends are on their way, and then the end of what was asked last.
        when(lambda: not any(fetch(int(metrics))["connections"].values()))
        when(lambda: server.descriptors == idle)
        grown = memory[-1] - memory[rounds // 3]
        print(f"{rounds} rounds: {memory[-1] / MIB:.1f} MiB, {grown / MIB:.2f} more in the last")
        assert rounds == 3 or grown <= MOST
