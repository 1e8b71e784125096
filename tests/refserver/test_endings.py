"""How connections end: slowly where the client is slow, at once where it is gone, and whole."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.refserver.clients import TIMEOUT, Client, client, member
from tests.refserver.conftest import Authority
from tests.support.raw import Frame, Frames, error_of, login, logout, message, ping, said
from tests.support.server import running
from tests.support.stopped import Host, HostedClient, hosting

from eventcodec import ErrorCode, Joined, Left, Login, Message, PeerError

CONTENT = "x" * 4000


async def say(ann: HostedClient, count: int, first: int = 2) -> None:
    """Messages, each acknowledged before the next is said."""
    for number in range(first, first + count):
        await ann.send(message(CONTENT, number))
        await ann.sync()


# ---------------------------------------------------------------- slow, and not stalled


async def stuck_behind(host: Host, slow: HostedClient) -> None:
    """Say so much that the kernel takes no more for this guest, which reads nothing."""
    ann = await host.member("ann")
    await slow.sync()
    connection = next(iter(host.server.connections))
    number = 2
    while connection.writable:
        await say(ann, 50, number)
        number += 50


@pytest.mark.parametrize("reads", [True, False], ids=["reads a little", "reads nothing"])
@pytest.mark.unmeasured
async def test_who_takes_a_little_now_and_then_is_not_stalled(reads: bool) -> None:
    async with hosting(write_timeout=10.0, heartbeat=0) as host:
        slow = await host.member("slow", receive_buffer=65_536)
        await stuck_behind(host, slow)

        # Far less than what makes the kernel ask for more: a third of some megabytes.
        for _ in range(4):
            if reads:
                await slow.frames(40)
            await host.pass_time(6.0)

        assert ("slow" in host.server.room.members) is reads


@pytest.mark.proves("EP-8.2-8", "EP-10.4-1")
async def test_a_client_that_still_reads_is_given_the_time_to_read_to_the_end() -> None:
    async with hosting(close_timeout=2.0, write_timeout=60.0, drain=60.0) as host:
        slow = await host.member("slow", receive_buffer=65_536)
        ann = await host.member("ann")
        await slow.sync()
        await say(ann, 300)

        host.server.stop()
        await host.pass_time()
        frames: list[Frame] = []
        for number in range(7):  # 13 seconds, of which no two without a byte taken
            frames += await slow.frames(40)
            await slow.send(ping(number + 1))  # makes a socket that is closed reset
            await host.pass_time(1.9)
        frames += await slow.rest()

        assert [said(frame) for frame in frames[:-1]] == [("ann", CONTENT.encode())] * 300
        assert error_of(frames[-1]) == (0, ErrorCode.SHUTTING_DOWN)


async def test_a_client_that_neither_reads_nor_closes_is_not_waited_for() -> None:
    async with hosting(close_timeout=2.0) as host:
        ann = await host.member("ann")
        await ann.send(logout(2))
        await host.pass_time()
        assert len(host.server.connections) == 1

        await host.pass_time(2.0)

        assert host.server.connections == {}


async def test_a_client_that_sends_on_is_cut_off_at_its_measure() -> None:
    async with hosting(close_bytes=100_000) as host:
        ann = await host.member("ann")
        await ann.send(logout(2))
        await ann.rest()
        assert len(host.server.connections) == 1

        await ann.send(bytes(100_000))
        await host.pass_time()
        assert len(host.server.connections) == 1
        await ann.send(bytes(1))
        await host.pass_time()

        assert host.server.connections == {}


async def test_at_shutdown_nobody_is_cut_off_because_there_are_many() -> None:
    async with hosting(closing=1) as host:
        ann = await host.member("ann")
        clients = [await host.member(f"user {number}", receive_buffer=4096) for number in range(8)]
        await ann.sync()
        await say(ann, 50)

        host.server.stop()
        await host.pass_time()
        for client in clients:
            await client.send(ping(7))  # unread, it would make a closed socket reset
        for client in clients:
            *_, last_message, last = await client.rest()
            assert said(last_message) == ("ann", CONTENT.encode())
            assert error_of(last) == (0, ErrorCode.SHUTTING_DOWN)


# ---------------------------------------------------------------- over TLS


@contextmanager
def tls_member(port: int, context: ssl.SSLContext, user: str) -> Iterator[Client]:
    with member(port, user, tls=context) as one:
        yield one


def facts(one: Client, until: type) -> list[object]:
    """What comes, up to the first of this type."""
    found: list[object] = [one.next()]
    while not isinstance(found[-1], until):
        found.append(one.next())
    return found


class HalfClosing:
    """A TLS client that reads on after it has said that it sends no more."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._until_done(self._tls.do_handshake)

    def _until_done(self, step: Callable[[], object]) -> None:
        while True:
            try:
                step()
                return
            except ssl.SSLWantReadError:
                self._sock.sendall(self._out.read())
                self._in.write(self._sock.recv(65_536))

    def send_all(self, data: bytes) -> None:
        """Send this, and the end of the stream right behind it."""
        self._tls.write(data)
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._sock.sendall(self._out.read())

    def rest(self) -> bytes:
        """All that comes to the end of the stream."""
        while data := self._sock.recv(65_536):
            self._in.write(data)
        found = b""
        with suppress(ssl.SSLZeroReturnError, ssl.SSLWantReadError):
            while data := self._tls.read(65_536):
                found += data
        return found


@pytest.mark.proves("EP-10.3-3", "EP-10.3-4")
def test_over_tls_what_came_before_the_end_of_the_stream_counts_and_is_answered(
    authority: Authority, tmp_path: Path
) -> None:
    context = authority.client()
    numbers = range(2, 3002)  # more than one turn allows
    settings = ["--tls-cert", str(authority.issue()), "--heartbeat", "0"]
    with (
        running(tmp_path, *settings) as server,
        tls_member(server.port, context, "bob") as bob,
        socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as plain,
    ):
        ann = HalfClosing(plain, context)
        ann.send_all(login("ann") + b"".join(message(str(n), n) for n in numbers))
        answers = [frame.seq for frame in Frames().receive(ann.rest())]

        joined, *messages, left = facts(bob, Left)
        assert isinstance(joined, Joined) and isinstance(left, Left)
        assert [m.content for m in messages if isinstance(m, Message)] == [str(n) for n in numbers]
        assert len(answers) > 256 and answers == [1, *numbers][: len(answers)]
        assert " ERROR " not in server.log and " WARNING " not in server.log


def test_over_tls_all_arrives_before_the_error_at_a_client_that_goes_on_sending(
    authority: Authority, tmp_path: Path
) -> None:
    context = authority.client()
    settings = ["--tls-cert", str(authority.issue()), "--heartbeat", "0"]
    settings += ["--close-bytes", "10000000"]
    with (
        running(tmp_path, *settings) as server,
        tls_member(server.port, context, "slow") as slow,
        tls_member(server.port, context, "ann") as ann,
    ):
        for _ in range(500):
            ann.ask(Message(content=CONTENT))

        slow.sock.sendall(b"\xff" * 16)
        slow.sock.sendall(bytes(500_000))

        assert isinstance(slow.next(), Joined)
        assert all(isinstance(slow.next(), Message) for _ in range(500))
        with pytest.raises(PeerError) as caught:
            slow.next()
        assert caught.value.code == ErrorCode.FRAME_TOO_LARGE
        assert " ERROR " not in server.log and " WARNING " not in server.log


def test_over_tls_a_connection_that_is_not_closed_is_ended_in_time(
    authority: Authority, tmp_path: Path
) -> None:
    settings = ["--tls-cert", str(authority.issue()), "--close-timeout", "0.1"]
    with (
        running(tmp_path, *settings) as server,
        client(server.port, authority.client()) as one,
    ):
        one.ask(Login(user="ann"))
        one.sock.sendall(logout(2))

        assert one.sock.recv(65_536)  # the Ack
        assert one.sock.recv(65_536) == b""


def test_a_truncated_tls_stream_is_a_loss(authority: Authority, tmp_path: Path) -> None:
    context = authority.client()
    settings = ["--tls-cert", str(authority.issue())]
    with running(tmp_path, *settings) as server, tls_member(server.port, context, "bob") as bob:
        with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as plain:
            sock = context.wrap_socket(plain, server_hostname="localhost")
            sock.sendall(login("ann") + message("one", 2))
            assert sock.recv(65_536)
            os.close(sock.detach())  # without a close_notify
        _, said_, left = facts(bob, Left)

        assert isinstance(said_, Message)
        assert isinstance(left, Left) and left.reason == 1
        assert "Traceback" not in server.log
