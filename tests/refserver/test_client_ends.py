"""How the clients come to their end where a server does not do what it should.

The server is a thread of this process, and says what a test tells it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest
from click.testing import CliRunner
from tests.support.raw import LOGIN, LOGOUT, MESSAGE, PING, Frame, frames_of, parsed

from eventcodec import Ack, Error, Fate, Pong, Welcome, encode
from refserver.cli import main
from refserver.client import PausedError, aio, bench, blocking, connect
from refserver.client.exceptions import PlaintextError

WELCOME = encode(Welcome(user="ann", ticket=9, position=1, max_frame=65_536, heartbeat=0, seq=1))
Answer = Callable[[Frame], bytes | None]


def welcoming(frame: Frame) -> bytes | None:
    """What is said to a Login; nothing to all else."""
    return WELCOME if frame.type == LOGIN else b""


def serving(frame: Frame) -> bytes | None:
    """What a server says that has one member."""
    if frame.type == PING:
        return encode(Pong(seq=frame.seq))
    if frame.type == LOGIN:
        return WELCOME
    position = 2 if frame.type == MESSAGE else 0
    return encode(Ack(position=position, seq=frame.seq))


@contextmanager
def answering(answer: Answer, *, reads: int = 1 << 30) -> Iterator[int]:
    """The port of a server that answers each frame so, and ends its stream where that is None.

    Behind `reads` bytes it reads no more, until the client is gone.
    """
    done = threading.Event()

    def serve(sock: socket.socket) -> None:
        buffer, left = bytearray(), reads
        with sock, suppress(OSError):
            while left > 0 and (data := sock.recv(min(left, 65_536))):
                left -= len(data)
                buffer += data
                for whole in frames_of(buffer):
                    said = answer(parsed(whole))
                    if said is None:
                        return
                    sock.sendall(said)
            done.wait(60.0)

    def accept() -> None:
        with suppress(OSError):  # it is shut down at the end
            while True:
                sock, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(sock,), daemon=True))
                threads[-1].start()

    threads = [threading.Thread(target=accept, daemon=True)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Nobody else may decide how much a server takes that does not read.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        threads[0].start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(60.0)
        assert not thread.is_alive()


def invoke(port: int, command: str, *words: str) -> Any:
    return CliRunner().invoke(main, [command, f"127.0.0.1:{port}", "--as", "ann", *words])


# ---------------------------------------------------------------- rooms


def test_a_server_that_never_acks_the_logout_is_left_after_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aio, "CLOSE_TIMEOUT", 0.01)

    async def leave(port: int) -> Fate:
        async with connect("127.0.0.1", port, user="ann") as room:
            outcome = await room.put("hello")
        return outcome.result().fate

    with answering(welcoming) as port:
        assert asyncio.run(leave(port)) is Fate.UNKNOWN
    with answering(welcoming) as port, blocking.connect("127.0.0.1", port, user="ann") as room:
        number = room.put("hello")
        room.wait(0.0)  # it is written
        room.leave(0.01)
        room.abort()
        assert room.outcome(number).fate is Fate.UNKNOWN


def test_a_server_that_reads_nothing_holds_nobody_at_the_end() -> None:
    """What it does not take is dropped with the connection."""

    async def leave(port: int) -> list[Fate]:
        with pytest.raises(ZeroDivisionError):
            async with connect("127.0.0.1", port, user="ann") as room:
                connection = room._connection
                assert connection is not None and connection._transport is not None
                sock = connection._transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                outcomes = [await room.put("x" * 60_000) for _ in range(15)]
                assert not connection._may_write
                raise ZeroDivisionError
        return [outcome.result().fate for outcome in outcomes]

    with answering(welcoming, reads=60) as port:
        fates = set(asyncio.run(leave(port)))

    assert fates <= {Fate.UNKNOWN, Fate.NEVER_SENT}


@pytest.mark.parametrize("error", [ValueError("no such key"), OSError("the keyring is locked")])
def test_why_there_is_no_credential_is_raised_where_the_room_is_entered(error: Exception) -> None:
    def missing() -> bytes:
        raise error

    async def enter(port: int) -> None:
        async with connect("127.0.0.1", port, user="ann", credential=missing):
            pass

    with answering(welcoming) as port:
        with pytest.raises(type(error), match=str(error)):
            asyncio.run(enter(port))
        with (
            pytest.raises(type(error), match=str(error)),
            blocking.connect("127.0.0.1", port, user="ann", credential=missing),
        ):
            pass


def test_entering_can_be_cancelled_while_a_credential_is_awaited() -> None:
    asked = asyncio.Event()

    async def never() -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    async def enter(port: int) -> None:
        async with connect("127.0.0.1", port, user="ann", credential=never):
            pass

    async def run(port: int) -> None:
        entering = asyncio.create_task(enter(port))
        await asked.wait()
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering

    with answering(welcoming) as port:
        asyncio.run(run(port))


def test_a_paused_room_is_left_at_once_and_has_nothing_to_wait_for() -> None:
    def taken_over(frame: Frame) -> bytes | None:
        return encode(Error(code=13)) if frame.type == MESSAGE else serving(frame)

    with (
        answering(taken_over) as port,
        blocking.connect("127.0.0.1", port, user="ann") as room,
    ):
        with pytest.raises(PausedError):
            room.say("hello")
        assert room.wait() == set()


def test_a_message_whose_connection_ends_is_said_again_on_the_next_one() -> None:
    """The first message ends the connection; it is said again on the second one."""
    messages = count(1)

    def second_time(frame: Frame) -> bytes | None:
        return None if frame.type == MESSAGE and next(messages) == 1 else serving(frame)

    with (
        answering(second_time) as port,
        blocking.connect("127.0.0.1", port, user="ann") as room,
    ):
        assert room.say("x" * 60_000) == 2

    assert next(messages) == 3


# ---------------------------------------------------------------- ping


def test_a_server_that_ends_between_two_pings_is_told_behind_the_summary() -> None:
    def once(frame: Frame) -> bytes | None:
        if frame.type == PING:
            return encode(Pong(seq=frame.seq)) + encode(Error(code=24))
        return serving(frame)

    with answering(once) as port:
        done = invoke(port, "ping", "-i", "60", "--timeout", "60")

    assert done.exit_code == 1
    assert "1 sent, 1 received, 0% lost" in done.stdout
    assert done.stderr == "refserver: the server ended the connection: SHUTTING_DOWN\n"


def test_without_a_pong_there_are_no_times() -> None:
    def never(frame: Frame) -> bytes | None:
        return encode(Error(code=24)) if frame.type == PING else serving(frame)

    with answering(never) as port:
        done = invoke(port, "ping", "-c", "3", "--timeout", "60")

    assert done.exit_code == 1
    assert "1 sent, 0 received, 100% lost" in done.stdout and "min" not in done.stdout


def test_pings_with_json_print_the_summary_only() -> None:
    with answering(serving) as port:
        done = invoke(port, "ping", "-c", "2", "-i", "0.01", "--json")

    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith('{"sent": 2, "received": 2, ')


# ---------------------------------------------------------------- bench


@pytest.mark.parametrize("type", [LOGOUT, MESSAGE])
def test_a_bench_whose_server_ends_the_stream_says_so(type: int) -> None:
    """Before it accepts a member, and while it is to accept a message."""

    def ends(frame: Frame) -> bytes | None:
        return None if frame.type == MESSAGE or type == LOGOUT else WELCOME

    with answering(ends) as port:
        done = invoke(port, "bench", "--members", "2", "--duration", "60", "--timeout", "60")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "a connection was lost: " in done.stderr


def test_a_bench_sends_no_credential_in_plain_text_to_another_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(credential: bytes, address: str, *, is_tls: bool) -> None:
        raise PlaintextError("a credential goes out over TLS only")

    seen: list[Frame] = []

    def kept(frame: Frame) -> bytes | None:
        seen.append(frame)
        return serving(frame)

    monkeypatch.setattr(bench, "check_credential", refused)
    with answering(kept) as port:
        done = invoke(port, "bench", "--members", "2", "--duration", "60")

    assert done.exit_code == 1
    assert "a credential goes out over TLS only: add --tls" in done.stderr
    assert seen == []
