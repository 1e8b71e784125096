"""Who finds room: counted at accept, strangers go before members, and nobody waits for them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.refserver.clients import TIMEOUT, Client, client, member
from tests.refserver.conftest import Authority
from tests.support.server import Running, running

from eventcodec import Ack, ConnectionLostError, ErrorCode, Logout, PeerError, Ping, Pong


def end_of(one: Client) -> int | None:
    """The code that ends this connection, None where it ends without one."""
    try:
        while True:
            one.next()
    except PeerError as error:
        return error.code
    except (ConnectionLostError, ConnectionError):
        return None


@contextmanager
def strangers(server: Running, count: int) -> Iterator[list[Client]]:
    """Connections that are accepted, in this order, and say nothing more."""
    with ExitStack() as stack:
        some = []
        for _ in range(count):
            some.append(stack.enter_context(client(server.port)))
            assert isinstance(some[-1].ask(Ping()), Pong)
        yield some


def test_beyond_the_most_the_next_one_is_told_that_the_server_is_full(tmp_path: Path) -> None:
    with (
        running(tmp_path, "--connections", "2") as server,
        member(server.port, "ann") as ann,
        member(server.port, "bob"),
        client(server.port) as third,
    ):
        assert end_of(third) == ErrorCode.SERVER_FULL
        assert isinstance(ann.ask(Ping()), Pong)


def test_a_place_that_is_left_is_free_at_once(tmp_path: Path) -> None:
    with running(tmp_path, "--connections", "1") as server:
        for _ in range(20):
            with member(server.port, "ann") as ann:
                assert isinstance(ann.ask(Logout()), Ack)


def test_strangers_do_not_keep_a_member_out(tmp_path: Path) -> None:
    with (
        running(tmp_path, "--connections", "3") as server,
        strangers(server, 3) as (first, second, third),
        member(server.port, "ann"),
    ):
        assert end_of(first) == ErrorCode.SERVER_FULL
        assert isinstance(second.ask(Ping()), Pong)
        assert isinstance(third.ask(Ping()), Pong)


def test_of_too_many_strangers_the_oldest_goes(tmp_path: Path) -> None:
    with (
        running(tmp_path, "--unauthenticated", "2") as server,
        member(server.port, "ann") as ann,
        strangers(server, 3) as (first, second, third),
    ):
        assert end_of(first) == ErrorCode.SERVER_FULL
        for one in (ann, second, third):
            assert isinstance(one.ask(Ping()), Pong)


def test_one_that_has_logged_in_is_no_stranger(tmp_path: Path) -> None:
    with running(tmp_path, "--unauthenticated", "1") as server, ExitStack() as stack:
        members = [stack.enter_context(member(server.port, f"user {n}")) for n in range(8)]

        for one in members:
            assert isinstance(one.ask(Ping()), Pong)


@pytest.mark.parametrize("closing", ["0", "1"])
def test_beyond_those_that_may_be_told_the_others_are_cut_off(tmp_path: Path, closing: str) -> None:
    with (
        running(tmp_path, "--connections", "1", "--closing", closing) as server,
        member(server.port, "ann") as ann,
        ExitStack() as stack,
    ):
        turned_away = [stack.enter_context(client(server.port)) for _ in range(4)]

        ends = [end_of(one) for one in turned_away]

        assert ends.count(ErrorCode.SERVER_FULL) == int(closing)
        assert ends.count(None) == 4 - int(closing)
        assert isinstance(ann.ask(Ping()), Pong)


def silent(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)


def is_cut_off(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "limit",
    [
        ["--unauthenticated", "4"],
        ["--connections", "4"],
        ["--unauthenticated", "4", "--closing", "0"],
    ],
)
def test_peers_that_are_silent_in_the_handshake_count_as_strangers(
    authority: Authority, tmp_path: Path, limit: list[str]
) -> None:
    settings = ["--tls-cert", str(authority.issue()), "--login-timeout", "30", *limit]

    with running(tmp_path, *settings) as server, ExitStack() as stack:
        peers = [stack.enter_context(silent(server)) for _ in range(12)]
        with member(server.port, "ann", tls=authority.client()) as ann:
            assert all(is_cut_off(peer) for peer in peers[:8])
            assert isinstance(ann.ask(Ping()), Pong)
        assert "Traceback" not in server.log


@pytest.mark.measured_processes
def test_a_handshake_that_ends_early_gives_its_place_back(
    authority: Authority, tmp_path: Path
) -> None:
    settings = ["--tls-cert", str(authority.issue()), "--connections", "2"]

    with running(tmp_path, *settings) as server:
        with member(server.port, "ann", tls=authority.client()):
            for _ in range(8):
                silent(server).close()
            with member(server.port, "bob", tls=authority.client()):
                pass
        assert "Traceback" not in server.log
