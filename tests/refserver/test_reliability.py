"""Clients that push, stall, stutter and vanish, against a real server process.

Rule: what is judged is counted: bytes of memory, frames, positions, codes. The short
forms run always, the full ones with `tox -e soak`.
"""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.refserver.crowd import crowd
from tests.support.raw import (
    ACK,
    ERROR,
    FRAME_TOO_LARGE,
    LEFT,
    LOGIN,
    MALFORMED,
    MESSAGE,
    SERVER_FULL,
    SHUTTING_DOWN,
    SLOW_CONSUMER,
    TIMEOUT,
    Bystander,
    Client,
    ErrorReply,
    Frame,
    acked,
    error_of,
    frame,
    login,
    message,
    ping,
    said,
    short,
)
from tests.support.server import EXIT_TIMEOUT, Running, running

MIB = 1 << 20
SMALL = 4_096
"""A receive buffer that is soon full."""
QUIET = ("--heartbeat", "0", "--write-timeout", "600")
"""Nobody is pinged, or evicted after a time: who reads late has not failed, and reads nothing but
what was said."""
DRAIN = 2
"""Seconds that a stop may take for those who do not read, where its time is judged."""


LONG = frame(LOGIN, 1, bytes(4 * MIB))
"""A Login that is longer than a stranger's frames may be, and no longer than a member's could."""


class Pushed(NamedTuple):
    """How long a stranger was there, and what it was told at the end."""

    lasted: float
    end: ErrorReply


def push(port: int, data: bytes, size: int) -> Pushed:
    """Send so much of this, over and over, or until it is refused."""
    began = time.monotonic()
    with Client(port) as client:
        try:
            for start in range(0, size, len(data)):
                client.send(data[: size - start])
        except (ConnectionResetError, BrokenPipeError):
            pass
        last = client.frame()
        while last.type != ERROR or last.seq:
            last = client.frame()
        with pytest.raises((EOFError, ConnectionResetError)):
            client.frame()
        return Pushed(time.monotonic() - began, error_of(last))


# ---------------------------------------------------------------- those who push


@pytest.mark.proves("EP-7.2-2")
@pytest.mark.parametrize(
    "size", [MIB, pytest.param(100 * MIB, marks=pytest.mark.slow)], ids=["short", "full"]
)
@pytest.mark.parametrize(
    ("chunk", "code"),
    [
        (bytes(65_536), MALFORMED),
        (b"\x7f" * 65_536, FRAME_TOO_LARGE),
        (frame(0x7F, 1, bytes(4_000)) * 16, TIMEOUT),  # each is refused, and it may try again
        (message("x" * 4_000, 1), TIMEOUT),
        (LONG, FRAME_TOO_LARGE),
    ],
    ids=["zeros", "noise", "unknown types", "messages", "a long login"],
)
def test_what_strangers_push_is_not_kept_and_they_are_told_so(
    tmp_path: Path, chunk: bytes, code: int, size: int
) -> None:
    # Whoever is told something else has to be in time for it.
    login_timeout = "0.5" if code == TIMEOUT else "60"
    options = ("--login-timeout", login_timeout, "--close-timeout", "60")
    with running(tmp_path, *QUIET, *options, dev=False) as server:
        push(server.port, chunk, MIB)
        before = server.most_memory

        with ThreadPoolExecutor(14) as pushers:
            pushed = [pushers.submit(push, server.port, chunk, size) for _ in range(14)]

        assert {each.result().end for each in pushed} == {ErrorReply(0, code)}
        grown = server.most_memory - before
        longest = max(each.result().lasted for each in pushed)
        print(f"14 strangers pushed {size // MIB} MiB each: {grown / MIB:.2f} MiB more")
        print(f"the last of them was told so after {longest:.2f} s")
        assert grown <= 2 * MIB
        assert size == MIB or longest <= 1.0


@pytest.mark.proves("EP-7.2-2", "EP-7.2-3")
@pytest.mark.parametrize("joins", [True, False], ids=["member", "stranger"])
def test_replies_that_nobody_reads_are_not_piled_up(tmp_path: Path, joins: bool) -> None:
    pings = b"".join(ping(seq) for seq in range(1, 4_097))
    with (
        running(tmp_path, *QUIET, dev=False) as server,
        Bystander(server.port, "bob") as bob,
        Client(server.port, receive_buffer=SMALL) as ann,
    ):
        if joins:
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
        grown = server.memory - before
        print(f"{sent / MIB:.1f} MiB of pings were taken: {grown / MIB:.2f} MiB more")
        assert grown <= 4 * MIB
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
    # Who was evicted is given the time until somebody here reads its end.
    options = ("--log-bytes", str(MIB), "--no-presence", "--close-timeout", "60")
    with running(tmp_path, *QUIET, *options, dev=False) as server, ExitStack() as stack:
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
            assert error_of(last) == ErrorReply(0, SLOW_CONSUMER)


@pytest.mark.proves("EP-5.2-8", "EP-7.2-3")
def test_whoever_keeps_up_with_the_stream_is_never_evicted(tmp_path: Path) -> None:
    options = ("--log-bytes", str(MIB), "--no-presence")
    with (
        running(tmp_path, *QUIET, *options, dev=False) as server,
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


def test_members_leave_descriptors_free_and_the_next_one_is_told(tmp_path: Path) -> None:
    with (
        running(tmp_path, *QUIET, descriptors=128, dev=False) as server,
        crowd(server.port, 64) as clients,
    ):
        members = [client.join().user for client in clients]
        with crowd(server.port, 20) as more:
            ends = [error_of(client.frame()) for client in more]

        assert len(set(members)) == 128 - 64
        assert ends == [ErrorReply(0, SERVER_FULL)] * 20
        assert kinds(server.records).count("accept") == 0
        assert "descriptors limit=128 connections=64" in server.records[0]


@pytest.mark.proves("EP-7.2-3")
def test_when_descriptors_run_out_nobody_inside_loses_anything_and_others_get_in(
    tmp_path: Path,
) -> None:
    waits: list[float] = []
    with (
        running(tmp_path, *QUIET, descriptors=128, dev=False) as server,
        Bystander(server.port, "bob") as bob,
        Client(server.port) as ann,
    ):
        ann.join("ann")
        began = time.monotonic()
        while kinds(server.records).count("accept") < 3:  # again and again, in different seconds
            server.signal(signal.SIGSTOP)  # so that all are there at once
            with crowd(server.port, 300) as strangers:
                server.signal(signal.SIGCONT)
                for client in strangers[:100]:
                    client.reset()
                waits.append(seconds_to_log_in(server.port))
                ann.send(*(message("still here", seq) for seq in range(2, 102)))
                ann.until(ACK, 101)
                told = bob.facts()
            assert [fact.type for fact in told].count(MESSAGE) == 100
        lasted = time.monotonic() - began

        lines = kinds(server.records).count("accept")
        print(f"{len(waits)} times 300 came, a login took {max(waits):.2f} s at most")
        print(f"{lines} lines of the log in {lasted:.1f} s")
        assert lines <= lasted + 2  # where its seconds begin is its own


def seconds_to_log_in(port: int) -> float:
    began = time.monotonic()
    with Client(port) as eve:
        eve.join()
        return time.monotonic() - began


def kinds(records: list[str]) -> list[str]:
    """What each record is about."""
    return [record.split()[2] for record in records]


@pytest.mark.proves("EP-6.1-1", "EP-5.4-2")
@pytest.mark.parametrize(
    "count", [100, pytest.param(1_000, marks=pytest.mark.slow)], ids=["short", "full"]
)
def test_all_are_served_that_come_at_once_and_nothing_is_left_when_they_reset(
    tmp_path: Path, count: int
) -> None:
    limits = ("--connections", "4000", "--unauthenticated", "4000")
    with (
        running(tmp_path, *QUIET, *limits) as server,
        Bystander(server.port, "bob") as bob,
    ):
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


@pytest.mark.proves("EP-10.2-2", "EP-5.3-2", "EP-8.2-8")
@pytest.mark.parametrize(
    ("keeping_up", "stalled", "seconds", "times"),
    [(8, 2, 0.3, 1), pytest.param(45, 5, 1.0, 20, marks=pytest.mark.slow)],
    ids=["short", "full"],
)
def test_what_was_acknowledged_before_a_stop_is_read_by_all_who_keep_up(
    tmp_path: Path, keeping_up: int, stalled: int, seconds: float, times: int
) -> None:
    longest = 0.0
    drain = EXIT_TIMEOUT if times == 1 else DRAIN
    for turn in range(times):
        folder = tmp_path / str(turn)
        folder.mkdir()
        options = ("--no-presence", "--drain", str(drain))
        with running(folder, *QUIET, *options, dev=False) as server, ExitStack() as stack:
            ann = stack.enter_context(Client(server.port))
            readers = [stack.enter_context(Client(server.port)) for _ in range(keeping_up)]
            slow = [
                stack.enter_context(Client(server.port, receive_buffer=SMALL))
                for _ in range(stalled)
            ]
            for client in (ann, *readers, *slow):
                client.join()

            stopped = stop_under_load(server, ann, readers, seconds)

            if times == 1:  # on a busy machine, the others may need longer than the short time
                for client in slow:
                    client.reset()
            assert server.wait() == 0
            longest = max(longest, time.monotonic() - stopped)
    print(f"{times} stops, {stalled} of {keeping_up + stalled} stalled: {longest:.2f} s at most")
    assert times == 1 or longest <= DRAIN + 1


def stop_under_load(server: Running, ann: Client, readers: list[Client], seconds: float) -> float:
    """Stop the server amid 2,000 messages a second, and give when that was.

    It is stopped when it has accepted as many as half of them. Each reader must have read what
    was accepted, once, in order, and nothing else.
    """
    stopped, sent, began = 0.0, 0, time.monotonic()
    never, is_loaded = threading.Event(), threading.Event()
    enough = int(1_000 * seconds)

    def read_replies() -> list[Frame]:
        first = ann.frames(enough)
        is_loaded.set()
        return first + ann.rest()

    with ThreadPoolExecutor(len(readers) + 1) as pool:
        replies = pool.submit(read_replies)
        read = [pool.submit(client.rest) for client in readers]
        while not replies.done() and sent < 2_000 * (seconds + EXIT_TIMEOUT):
            try:
                ann.send(*(message(bytes(4_000), sent + n + 1) for n in range(20)))
            except (ConnectionResetError, BrokenPipeError):
                break  # it went on behind the end for longer than the server bears
            sent += 20
            if not stopped and is_loaded.is_set():
                stopped = time.monotonic()
                server.signal(signal.SIGTERM)
            never.wait(began + sent / 2_000 - time.monotonic())

        *acks, last = replies.result()
        accepted = [acked(ack) for ack in acks]
        assert accepted == list(range(1, len(accepted) + 1))
        assert error_of(last) == ErrorReply(0, SHUTTING_DOWN)
        for each in read:
            *facts, last = each.result()
            assert [fact.seq for fact in facts] == accepted
            assert error_of(last) == ErrorReply(0, SHUTTING_DOWN)
    return stopped


@pytest.mark.proves("EP-10.2-2", "EP-10.3-5")
@pytest.mark.parametrize(
    "size", [2 * MIB, pytest.param(8 * MIB, marks=pytest.mark.slow)], ids=["short", "full"]
)
def test_a_slow_reader_gets_every_byte_of_what_was_due_at_a_stop(tmp_path: Path, size: int) -> None:
    count = size // 10_000
    with (
        running(tmp_path, *QUIET, "--no-presence", "--drain", "60", dev=False) as server,
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
        assert error_of(last) == ErrorReply(0, SHUTTING_DOWN)


@pytest.mark.proves("EP-10.4-3")
@pytest.mark.measured_processes
def test_where_too_many_are_closing_already_the_next_is_closed_at_once(tmp_path: Path) -> None:
    with (
        running(tmp_path, *QUIET, "--connections", "1", "--closing", "1") as server,
        Bystander(server.port, "bob") as bob,
        Client(server.port) as told,
        Client(server.port) as cut_off,
    ):
        assert error_of(told.frame()) == ErrorReply(0, SERVER_FULL)
        with pytest.raises((EOFError, ConnectionResetError)):
            cut_off.frame()
        assert bob.facts() == []
