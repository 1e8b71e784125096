"""What goes wrong with one client, or in its name, costs no other client anything."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.raw import PING, Frame, error_of, message, ping, said
from tests.support.stopped import Host, HostedClient, hosting

from eventcodec import ErrorCode
from eventcodec.limits import LENGTH_SIZE
from refserver.server.config import Config
from refserver.server.connection import BUFFER, Connection
from refserver.session.session import HELD, Session

SECRET = "sesame"


class Bug(Exception):
    """What no client should ever see."""


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The bugs that were written to the log."""
    found: list[str] = []
    monkeypatch.setattr(
        "refserver.server.connection.failure", lambda error: found.append(type(error).__name__)
    )
    yield found


def broken(name: str, user: str) -> Callable[..., Any]:
    """A method of Session that fails for this member, and is as it was for all others."""
    original = getattr(Session, name)

    def method(self: Session, *arguments: Any) -> Any:
        if self.member is not None and self.member.user == user:
            raise Bug(SECRET)
        return original(self, *arguments)

    return method


def fail() -> None:
    raise Bug(SECRET)


def user_of(connection: Connection) -> str:
    member = connection.session.member
    return "" if member is None else member.user


def broken_due(original: property) -> Callable[[Session], float]:
    """The deadline of a session, that cannot be asked of eve."""

    def due(self: Session) -> float:
        if self.member is not None and self.member.user == "eve":
            raise Bug(SECRET)
        due: float = original.fget(self)  # type: ignore[misc]
        return due

    return due


async def others_go_on(host: Host, ann: HostedClient, bob: HostedClient) -> None:
    await ann.sync()
    await bob.sync()
    await ann.send(message("still there?", 900))
    await ann.frame()
    assert said(await bob.frame()) == ("ann", b"still there?")
    assert host.loop.unhandled == []


async def test_a_bug_while_a_request_is_judged_ends_this_connection_with_internal(
    monkeypatch: pytest.MonkeyPatch, noted: list[str]
) -> None:
    async with hosting() as host:
        ann, bob, eve = [await host.member(name) for name in ("ann", "bob", "eve")]
        monkeypatch.setattr(Session, "work", broken("work", "eve"))

        await eve.send(ping(1))

        *_, last = await eve.rest()
        assert error_of(last) == (0, ErrorCode.INTERNAL)
        assert SECRET.encode() not in last.body
        assert noted == ["Bug"]
        await others_go_on(host, ann, bob)


async def test_a_bug_while_something_is_written_ends_this_connection(
    monkeypatch: pytest.MonkeyPatch, noted: list[str]
) -> None:
    async with hosting() as host:
        ann, eve, bob = [await host.member(name) for name in ("ann", "eve", "bob")]
        [session] = [each.session for each in host.server.connections if user_of(each) == "eve"]
        monkeypatch.setattr(session.outbox, "next_chunk", fail)

        await eve.send(ping(1))

        with pytest.raises((EOFError, ConnectionError)):
            while True:
                await eve.frame()
        assert noted == ["Bug", "Bug"]
        await others_go_on(host, ann, bob)


@pytest.mark.parametrize("where", ["goodbye", "due"])
async def test_a_bug_on_the_way_to_the_end_ends_this_connection(
    where: str, monkeypatch: pytest.MonkeyPatch, noted: list[str]
) -> None:
    async with hosting() as host:
        ann, eve, bob = [await host.member(name) for name in ("ann", "eve", "bob")]
        monkeypatch.setattr(Session, "work", broken("work", "eve"))
        original = getattr(Session, where)
        bug = broken(where, "eve") if where == "goodbye" else property(broken_due(original))
        monkeypatch.setattr(Session, where, bug)

        await eve.send(ping(1))

        with pytest.raises((EOFError, ConnectionError)):
            while True:
                await eve.frame()
        assert noted[:2] == ["Bug", "Bug"]
        await others_go_on(host, ann, bob)


async def test_a_bug_at_a_deadline_stops_nobody_elses_clock(
    monkeypatch: pytest.MonkeyPatch, noted: list[str]
) -> None:
    async with hosting(heartbeat=20) as host:
        eve, ann, bob = [await host.member(name) for name in ("eve", "ann", "bob")]
        monkeypatch.setattr(Session, "tick", broken("tick", "eve"))

        await host.pass_time(20)

        assert (await eve.last()).code == ErrorCode.INTERNAL
        for one in (ann, bob):
            assert Frame(PING, 1) in await one.sync()
        assert noted == ["Bug"]
        await others_go_on(host, ann, bob)


async def test_a_reset_in_the_middle_of_an_ending_harms_nobody(noted: list[str]) -> None:
    async with hosting() as host:
        ann, bob = await host.member("ann"), await host.member("bob")
        for _ in range(50):
            eve = await host.member("eve")
            await eve.send(b"\0" * 16)  # no frame: the server says so and ends it
            eve.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            eve.sock.close()
            await host.pass_time()

        await others_go_on(host, ann, bob)
        assert noted == []


@pytest.mark.proves("EP-7.2-2")
async def test_input_is_not_read_faster_than_it_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    original = Connection.buffer_updated

    def watched(self: Connection, nbytes: int) -> None:
        nonlocal most
        original(self, nbytes)
        most = max(most, self.session.conn.held)

    monkeypatch.setattr(Connection, "buffer_updated", watched)
    count = 60_000
    data = b"".join(message("", number) for number in range(2, count + 2))
    async with hosting() as host:
        ann = await host.member("ann")

        sending = host.loop.create_task(ann.send(data, ping(1)))
        frames = await ann.frames(count + 1)
        await sending

    assert len(data) > 8 * HELD
    assert [frame.seq for frame in frames] == [*range(2, count + 2), 1]
    assert most < LENGTH_SIZE + Config().max_frame + BUFFER
