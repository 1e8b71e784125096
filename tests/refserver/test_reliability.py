"""Clients that push, stall, stutter and vanish, against a real server process.

Rule: what is judged is counted: bytes of memory, frames, positions, codes. The short
forms run always, the full ones with `tox -e soak`.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.refserver.process import running
from tests.refserver.raw import (
    ACK,
    ERROR,
    LEFT,
    MESSAGE,
    SERVER_FULL,
    SHUTTING_DOWN,
    SLOW_CONSUMER,
    Bystander,
    Client,
    Failed,
    Frame,
    acked,
    failed,
    frame,
    login,
    message,
    ping,
    said,
    short,
)

MIB = 1 << 20
SMALL = 4_096
"""A receive buffer that is soon full."""


def push(port: int, chunk: bytes, size: int) -> Frame:
    """Send so much, or until it is refused; the last frame that came."""
    with Client(port) as client:
        try:
            for _ in range(size // len(chunk)):
                client.send(chunk)
        except (ConnectionResetError, BrokenPipeError):
            pass
        last = client.frame()
        try:
            while last.type != ERROR or last.seq:
                last = client.frame()
        except ConnectionResetError:
            pass
        return last


# ---------------------------------------------------------------- those who push


@pytest.mark.proves("EP-7.2-2")
@pytest.mark.parametrize(
    "size", [MIB, pytest.param(100 * MIB, marks=pytest.mark.slow)], ids=["short", "full"]
)
@pytest.mark.parametrize(
    "chunk",
    [bytes(65_536), b"\x7f" * 65_536, frame(0x7F, 1, bytes(4_000)) * 16, message("x" * 4_000, 1)],
    ids=["zeros", "noise", "unknown types", "messages"],
)
def test_what_strangers_push_is_not_kept(tmp_path: Path, chunk: bytes, size: int) -> None:
    with running(tmp_path, "--login-timeout", "0.5", dev=False) as server:
        push(server.port, chunk, MIB)
        before = server.memory

        with ThreadPoolExecutor(14) as pushers:
            ends = [pushers.submit(push, server.port, chunk, size) for _ in range(14)]

        assert {failed(end.result()).seq for end in ends} == {0}
        assert server.memory - before <= 2 * MIB


@pytest.mark.proves("EP-7.2-2", "EP-7.2-3")
def test_replies_that_nobody_reads_are_not_piled_up(tmp_path: Path) -> None:
    pings = b"".join(ping(seq) for seq in range(1, 4_097))
    with (
        running(tmp_path, dev=False) as server,
        Bystander(server.port, "bob") as bob,
        Client(server.port, receive_buffer=SMALL) as ann,
    ):
        ann.join("ann")
        before = server.memory
        ann.sock.setblocking(False)
        sent = waits = 0
        while sent < 16 * MIB and waits < 20:
            try:
                sent += ann.sock.send(pings[sent % len(pings) :])
                waits = 0
            except BlockingIOError:
                waits += 1
                bob.facts()  # a reply that came after it

        assert sent < 16 * MIB
        assert server.memory - before <= 4 * MIB
        ann.sock.setblocking(True)
        assert [pong.seq for pong in ann.frames(10_000)] == [n % 4_096 + 1 for n in range(10_000)]


# ---------------------------------------------------------------- those who do not read


@pytest.mark.proves("EP-7.2-3", "EP-5.2-8", "EP-5.4-4", "EP-5.2-1")
@pytest.mark.parametrize(
    ("readers", "stalled"),
    [(10, 1), pytest.param(100, 100, marks=pytest.mark.slow)],
    ids=["short", "full"],
)
def test_whoever_stalls_is_evicted_and_everybody_else_reads_everything(
    tmp_path: Path, readers: int, stalled: int
) -> None:
    options = ("--log-bytes", str(MIB), "--no-presence", "--connections", "1000")
    with running(tmp_path, *options, dev=False) as server, ExitStack() as stack:
        ann = stack.enter_context(Client(server.port))
        ann.join("ann")
        others = [stack.enter_context(Client(server.port)) for _ in range(readers)]
        slow = [
            stack.enter_context(Client(server.port, receive_buffer=SMALL)) for _ in range(stalled)
        ]
        for client in others + slow:
            client.join()

        for n in range(1, 201):
            ann.send(message(b"%06d" % n + bytes(60_000), n + 1))
            assert acked(ann.frame()) == n
            for client in others:
                fact = client.frame()
                assert (fact.seq, said(fact)[1][:6]) == (n, b"%06d" % n)

        for client in slow:
            *facts, last = client.rest()
            assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
            assert failed(last) == Failed(0, SLOW_CONSUMER)


@pytest.mark.proves("EP-5.2-8", "EP-7.2-3")
def test_whoever_keeps_up_with_the_stream_is_never_evicted(tmp_path: Path) -> None:
    options = ("--log-bytes", str(MIB), "--no-presence")
    with (
        running(tmp_path, *options, dev=False) as server,
        Client(server.port) as ann,
        Client(server.port, receive_buffer=SMALL) as bob,
    ):
        ann.join("ann")
        bob.join("bob")
        read = 0
        for n in range(1, 301):
            ann.send(message(bytes(10_000), n + 1))
            assert acked(ann.frame()) == n
            if n > 30:  # never further behind than a third of the log
                read += 1
                assert bob.frame().seq == read

        assert [fact.seq for fact in bob.frames(300 - read)] == list(range(read + 1, 301))


# ---------------------------------------------------------------- many at once


@pytest.mark.proves("EP-7.2-3")
def test_when_descriptors_run_out_nobody_inside_loses_anything(tmp_path: Path) -> None:
    with (
        running(tmp_path, descriptors=128, dev=False) as server,
        Bystander(server.port, "bob") as bob,
        Client(server.port) as ann,
    ):
        ann.join("ann")
        crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
        ann.send(*(message("still here", seq) for seq in range(2, 102)))
        assert [reply.type for reply in ann.frames(100)] == [ACK] * 100
        for sock in crowd:
            sock.close()

        assert [fact.type for fact in bob.facts()].count(MESSAGE) == 100
        with Client(server.port) as eve:
            assert eve.join("eve").user == "eve"
        assert sum(" accept " in record for record in server.records) <= 10


@pytest.mark.proves("EP-6.1-1", "EP-5.4-2")
@pytest.mark.parametrize(
    "count", [100, pytest.param(1_000, marks=pytest.mark.slow)], ids=["short", "full"]
)
def test_all_are_served_that_come_at_once_and_nothing_is_left_when_they_reset(
    tmp_path: Path, count: int
) -> None:
    limits = ("--connections", "4000", "--newcomers", "4000")
    with running(tmp_path, *limits) as server, Bystander(server.port, "bob") as bob:
        idle = server.descriptors
        crowd = [Client(server.port) for _ in range(count)]
        for client in crowd:
            client.send(login(), message("hi", 2))
        assert all(client.until(ACK) for client in crowd)

        crowd[0].send(*(message(bytes(1_000), seq) for seq in range(3, 103)))
        for client in crowd:
            client.reset()

        gone = 0
        while gone < count:
            fact = bob._fact(bob.frame())
            gone += fact.type == LEFT
        assert server.descriptors == idle


# ---------------------------------------------------------------- the end


def listen(client: Client) -> list[Frame]:
    return client.rest()


@pytest.mark.proves("EP-10.2-2", "EP-5.3-2", "EP-8.2-5")
@pytest.mark.parametrize(
    ("members", "times"),
    [(8, 1), pytest.param(45, 20, marks=pytest.mark.slow)],
    ids=["short", "full"],
)
def test_what_was_acknowledged_before_a_stop_is_read_by_all_who_keep_up(
    tmp_path: Path, members: int, times: int
) -> None:
    for turn in range(times):
        folder = tmp_path / str(turn)
        folder.mkdir()
        with running(folder, "--no-presence", "--drain", "3", dev=False) as server:
            stop_under_load(server.port, members, lambda: server.signal(signal.SIGTERM))
            assert server.wait() == 0


def stop_under_load(port: int, members: int, stop: Callable[[], None]) -> None:
    with ExitStack() as stack:
        ann = stack.enter_context(Client(port))
        ann.join("ann")
        readers = [stack.enter_context(Client(port)) for _ in range(members)]
        stalled = [stack.enter_context(Client(port, receive_buffer=SMALL)) for _ in range(2)]
        for client in readers + stalled:
            client.join()

        with ThreadPoolExecutor(members + 1) as pool:
            read = [pool.submit(listen, client) for client in readers]
            replies = pool.submit(listen, ann)
            said_so_far = 0
            halt = threading.Timer(0.3, stop)
            halt.start()
            try:
                while said_so_far < 50_000:
                    said_so_far += 1
                    ann.send(message(b"%d" % said_so_far, said_so_far + 1))
            except (ConnectionResetError, BrokenPipeError):
                pass
            halt.join()
            *acks, last = replies.result()
            accepted = [acked(ack) for ack in acks]

            assert accepted == list(range(1, len(accepted) + 1))
            assert failed(last) == Failed(0, SHUTTING_DOWN)
            for each in read:
                *facts, last = each.result()
                assert [fact.seq for fact in facts] == accepted
                assert failed(last) == Failed(0, SHUTTING_DOWN)


@pytest.mark.proves("EP-10.2-2", "EP-10.3-5")
@pytest.mark.parametrize(
    "size", [2 * MIB, pytest.param(8 * MIB, marks=pytest.mark.slow)], ids=["short", "full"]
)
def test_a_slow_reader_gets_every_byte_of_what_was_due_at_a_stop(tmp_path: Path, size: int) -> None:
    count = size // 10_000
    with (
        running(tmp_path, "--no-presence", dev=False) as server,
        Client(server.port) as ann,
        Client(server.port, receive_buffer=SMALL) as bob,
    ):
        ann.join("ann")
        bob.join("bob")
        ann.send(*(message(bytes(10_000), seq) for seq in range(1, count + 1)))
        ann.frames(count)

        server.signal(signal.SIGTERM)
        *facts, last = bob.rest()

        assert [fact.seq for fact in facts] == list(range(1, count + 1))
        assert all(len(fact.body) == len(short("ann")) + 10_000 for fact in facts)
        assert failed(last) == Failed(0, SHUTTING_DOWN)


@pytest.mark.proves("EP-10.4-3")
def test_where_too_many_are_closing_already_the_next_is_closed_at_once(tmp_path: Path) -> None:
    with (
        running(tmp_path, "--connections", "1", "--closing", "1") as server,
        Bystander(server.port, "bob") as bob,
        Client(server.port) as told,
        Client(server.port) as cut_off,
    ):
        assert failed(told.frame()) == Failed(0, SERVER_FULL)
        with pytest.raises((EOFError, ConnectionResetError)):
            cut_off.frame()
        assert bob.facts() == []
