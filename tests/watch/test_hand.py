"""Frames by hand: every event that a client sends, and any bytes, to one place."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from tests.support.raw import LOGIN, LOGOUT, PONG, frame, message, ping, short

from refserver.watch import hand
from refserver.watch.hand import Hand, HandError, composed

TICKET = 2**63 + 5


@pytest.mark.parametrize(
    ("said", "data"),
    [
        (
            {
                "event": "Login",
                "user": "ann",
                "credential": "sesame",
                "ticket": hex(TICKET),
                "position": "7",
                "seq": "3",
            },
            frame(
                LOGIN,
                3,
                short("ann") + b"\0\6sesame" + TICKET.to_bytes(8) + (7).to_bytes(8),
            ),
        ),
        ({"event": "Login"}, frame(LOGIN, 1, bytes(19))),
        ({"event": "Message", "content": "grüße", "seq": "2"}, message("grüße", 2)),
        (
            {"event": "Application event", "type": "0x81", "content": "x"},
            frame(0x81, 1, b"\0x"),
        ),
        ({"event": "Ping", "seq": "9"}, ping(9)),
        ({"event": "Pong", "seq": "9"}, frame(PONG, 9)),
        ({"event": "Logout", "seq": "9"}, frame(LOGOUT, 9)),
        ({"hex": "00 00\n000b"}, b"\0\0\0\x0b"),
    ],
)
def test_a_form_is_a_frame(said: dict[str, Any], data: bytes) -> None:
    assert composed(said) == data


def test_before_the_place_listens_nothing_is_sent() -> None:
    with pytest.raises(HandError, match="it does not listen yet"):
        asyncio.run(Hand().send(0, b"x"))


def test_connections_are_bounded_and_all_are_closed_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hand, "MOST_OPEN", 2)

    async def run(port: int) -> None:
        ours = Hand()
        ours.place = "127.0.0.1", port, False
        assert [await ours.send(0, b"a"), await ours.send(0, b"b")] == [1, 2]
        with pytest.raises(HandError, match="2 connections are open: close one"):
            await ours.send(0, b"c")
        ours.close(7)
        assert ours.connections == [1, 2]
        await ours.close_all()
        assert ours.connections == []

    with socket.create_server(("127.0.0.1", 0)) as server:
        asyncio.run(run(server.getsockname()[1]))


def test_a_connection_that_the_server_ends_or_resets_is_gone() -> None:
    async def run(server: socket.socket) -> None:
        ours = Hand()
        ours.place = "127.0.0.1", server.getsockname()[1], False
        for linger in (b"", b"\1\0\0\0\0\0\0\0"):
            number = await ours.send(0, b"a")
            conn, _ = server.accept()
            if linger:
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            conn.close()
            while ours.connections:
                await asyncio.sleep(0)
            with pytest.raises(HandError, match="this connection has ended"):
                await ours.send(number, b"b")

    with socket.create_server(("127.0.0.1", 0)) as server:
        asyncio.run(run(server))
