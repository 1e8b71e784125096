"""Edges between the modules: what no table of frames shows, each found by reading.

Rule: one test for each edge, through public names alone.
"""

from __future__ import annotations

import pytest

from eventcodec import (
    Ack,
    ClientConnection,
    Joined,
    LocalError,
    Login,
    Logout,
    Message,
    Ping,
    Welcome,
    encode,
)


def members_client() -> tuple[ClientConnection, bytes]:
    """A client that said Login and Logout, and what the server answers to both."""
    conn = ClientConnection()
    conn.send(Login(user="ann"))
    conn.send(Logout())
    welcome = Welcome(user="ann", ticket=1, position=0, max_frame=65_536, heartbeat=0)
    return conn, encode(welcome.with_seq(1)) + encode(Ack(position=1, seq=2))


# ---------------------------------------------------------------- the client's end


def test_after_the_clean_end_no_iterator_gives_more_not_even_an_older_one() -> None:
    conn, replies = members_client()
    first = conn.receive(replies)
    fact = conn.receive(encode(Joined(user="bob", seq=2)))
    garbage = conn.receive(bytes(4))
    end = conn.receive(b"")

    given = list(first)

    assert len(given) == 2
    assert conn.ended
    assert [*fact, *garbage, *end] == []


def test_what_may_be_sent_follows_from_what_is_on_its_way() -> None:
    conn = ClientConnection()
    conn.send(Login(user="ann"))
    conn.send(Message(content="x"))
    conn.send(Logout())
    with pytest.raises(LocalError):
        conn.send(Ping())
    refusal = bytes.fromhex("0000000f 0105 0000 0000000000000001 000d 00")

    list(conn.receive(refusal))
    with pytest.raises(LocalError):
        conn.send(Ping())
    for seq in (2, 3):
        list(conn.receive(refusal[:15] + bytes([seq]) + refusal[16:]))

    assert isinstance(conn.send(Login(user="bob")), Login)
    assert isinstance(conn.send(Message(content="x")), Message)
