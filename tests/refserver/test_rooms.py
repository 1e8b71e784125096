"""The ready clients, for asyncio and without it: they say, listen and survive losses."""

from __future__ import annotations

import asyncio
import gc
import itertools
import socket
import warnings
from pathlib import Path

import pytest
from tests.refserver.clients import member
from tests.refserver.conftest import Authority
from tests.refserver.cutting import Cutter, cutter, said_by
from tests.support.ports import unused_port
from tests.support.server import Running, running

from eventcodec import (
    ApplicationEvent,
    CaughtUp,
    Closed,
    Event,
    Fate,
    Joined,
    Left,
    LeftReason,
    LocalProtocolError,
    Message,
    Offline,
    Online,
    Outcome,
    Pause,
    Reply,
    SessionState,
)
from refserver.client import (
    BacklogError,
    NotSaidError,
    PausedError,
    PlaintextError,
    aio,
    blocking,
    connect,
)
from refserver.client.exceptions import check_credential

CUTS = [20 + 17 * n % 150 for n in range(150)]
"""Each number of bytes from 20 to 169 once."""
LINES = ["one", "two", "two", "three", "", "grüße"] * 125


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once; how long they wait is tested with the session."""
    monkeypatch.setattr("eventcodec.session.SHORTEST_WAIT", 0.0)


_names = itertools.count()


def a_name() -> str:
    return f"ann{next(_names)}"


# ---------------------------------------------------------------- exactly once


@pytest.mark.unmeasured
@pytest.mark.parametrize("upstream", [True, False], ids=["to the server", "from the server"])
def test_an_asyncio_client_says_everything_once_through_a_hundred_and_fifty_cuts(
    server: Running, upstream: bool
) -> None:
    user = a_name()

    async def main(port: int) -> list[int]:
        async with connect("127.0.0.1", port, user=user, listen=False) as room:
            futures = [await room.put(line) for line in LINES]
            return [(await future).position for future in futures]

    with member(server.port, a_name()) as bob:
        proxy = Cutter(server.port, CUTS, upstream=upstream, silent=False)
        try:
            positions = asyncio.run(main(proxy.port))
        finally:
            proxy.close()
        assert said_by(bob, user) == LINES

    assert proxy.cut == len(CUTS)
    assert positions == sorted(set(positions))


@pytest.mark.unmeasured
@pytest.mark.parametrize("upstream", [True, False], ids=["to the server", "from the server"])
def test_a_blocking_client_says_everything_once_through_a_hundred_and_fifty_cuts(
    server: Running, upstream: bool
) -> None:
    user = a_name()
    with member(server.port, a_name()) as bob:
        proxy = Cutter(server.port, CUTS, upstream=upstream, silent=False)
        try:
            with blocking.connect("127.0.0.1", proxy.port, user=user, listen=False) as room:
                numbers = [room.put(line) for line in LINES]
                positions = [room.outcome(number).position for number in numbers]
        finally:
            proxy.close()
        assert said_by(bob, user) == LINES

    assert proxy.cut == len(CUTS)
    assert positions == sorted(set(positions))


# ---------------------------------------------------------------- saying and listening


def test_an_asyncio_client_says_and_listens(server: Running) -> None:
    ann = a_name()
    told: list[object] = []

    async def main() -> list[Event]:
        event = ApplicationEvent(type=0x80, data=b"\0")
        async with connect("127.0.0.1", server.port, user=ann, on_status=told.append) as room:
            assert (room.user, room.state) == (ann, SessionState.ONLINE)
            async with connect("127.0.0.1", server.port, user=ann + " too") as other:
                first = await room.say("hello")
                assert await other.say(event) == first + 1
                assert room.position >= first
                received = [await anext(room), await anext(room)]
                assert (await anext(other)) == Message(seq=first, sender=ann, content="hello")
            return [*received, await anext(room)]

    joined, said, left = asyncio.run(main())

    assert isinstance(joined, Joined) and joined.user == ann + " too"
    assert isinstance(said, ApplicationEvent) and said.sender == ann + " too"
    assert isinstance(left, Left) and left.why == LeftReason.LEFT
    assert [type(status) for status in told] == [Online, Closed]
    assert told[-1] == Closed(is_clean=True)


def test_a_blocking_client_says_and_listens(server: Running) -> None:
    ann = a_name()
    told: list[object] = []
    with (
        blocking.connect("127.0.0.1", server.port, user=ann, on_status=told.append) as room,
        blocking.connect("127.0.0.1", server.port, user=ann + " too") as other,
    ):
        assert (room.user, room.state) == (ann, SessionState.ONLINE)
        first = room.say("hello")
        assert other.say("hi") == first + 1
        joined, said = next(room), next(room)
        assert next(other) == Message(seq=first, sender=ann, content="hello")

    assert isinstance(joined, Joined)
    assert said == Message(seq=first + 1, sender=ann + " too", content="hi")
    assert told[-1] == Closed(is_clean=True)
    assert list(room) == []


def test_a_loop_of_ones_own_gives_what_is_taken_and_collects_the_answers(server: Running) -> None:
    room = blocking.connect("127.0.0.1", server.port, user=a_name(), listen=False)
    with pytest.raises(LocalProtocolError, match="no Ping"):
        room.ping()
    waiting = [f"{number:05}" + "x" * 60_000 for number in range(40)]
    fates: list[Fate] = []
    was_full = False
    with room:
        while waiting or len(fates) < 40:
            while waiting and (number := room.offer(waiting[0])) is not None:
                assert number == 41 - len(waiting)
                del waiting[0]
            was_full |= bool(waiting)
            room.wait()
            fates += [each.fate for each in room.answers() if isinstance(each, Outcome)]
        room.ping()
        while not (pongs := room.answers()):
            room.wait()

    assert was_full and fates == [Fate.ACKNOWLEDGED] * 40
    assert [type(each) for each in pongs] == [Reply]
    assert room.answers() == []


def test_iterating_ends_when_the_room_is_left(server: Running) -> None:
    async def main() -> list[Event]:
        async with connect("127.0.0.1", server.port, user=a_name()) as room:
            pass
        return [fact async for fact in room]

    assert asyncio.run(main()) == []


def test_a_resumed_client_reads_on_without_a_gap(server: Running) -> None:
    told: list[object] = []

    async def main(port: int) -> list[int]:
        async with connect("127.0.0.1", port, user=a_name(), on_status=told.append) as room:
            start = room.position
            with member(server.port, a_name()) as bob:
                for _ in range(50):
                    bob.ask(Message(content="x" * 100))
                seen = [(await anext(room)).seq for _ in range(51)]
            assert seen[0] == start + 1
            return seen

    with cutter(server, [700, 900, 1_500], upstream=False, silent=False) as port:
        seen = asyncio.run(main(port))

    # Its own Left and Joined stand between; what it was given rises.
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert {Offline, CaughtUp} <= {type(status) for status in told}


# ---------------------------------------------------------------- facts that nobody takes


def test_facts_that_nobody_takes_stop_the_reading_and_are_all_there_later(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "MAX_BACKLOG", 20)
    said = [str(number) for number in range(500)]

    async def main() -> list[str]:
        async with (
            connect("127.0.0.1", server.port, user=a_name()) as room,
            connect("127.0.0.1", server.port, user=a_name(), listen=False) as other,
        ):
            for line in said:
                await other.say(line * 100)
            with pytest.raises(BacklogError):
                await room.say("lost in the crowd")
            facts = [await anext(room) for _ in range(501)]
            assert await room.say("said again") > 500
            return [fact.content for fact in facts if isinstance(fact, Message)]

    assert asyncio.run(main()) == [line * 100 for line in said]


def test_a_blocking_client_refuses_to_keep_facts_without_end(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "MAX_BACKLOG", 20)
    with (
        blocking.connect("127.0.0.1", server.port, user=a_name()) as room,
        blocking.connect("127.0.0.1", server.port, user=a_name(), listen=False) as other,
    ):
        for line in range(30):
            other.say(str(line))
        with pytest.raises(BacklogError):
            while True:
                room.say("lost in the crowd")
        assert len([next(room) for _ in range(31)]) == 31
        room.say("said again")


# ---------------------------------------------------------------- pauses and refusals


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    port = unused_port()

    async def main() -> None:
        async with connect("127.0.0.1", port):
            pass

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(main())
    with pytest.raises(ConnectionRefusedError), blocking.connect("127.0.0.1", port):
        pass


def test_a_credential_that_is_not_accepted_is_told_and_each_attempt_asks_for_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "tokens").write_text("")
    asked: list[str] = []

    def credential() -> bytes:
        asked.append("")
        return b"sesame"

    async def a_coroutine() -> bytes:
        return credential()

    async def main(port: int) -> None:
        for each in (credential, a_coroutine, b"sesame"):
            with pytest.raises(PausedError) as caught:
                async with connect("127.0.0.1", port, user="ann", credential=each):
                    pass
            assert caught.value.paused.reason is Pause.UNAUTHORIZED

    with running(tmp_path, "--tokens", str(tmp_path / "tokens")) as server:
        asyncio.run(main(server.port))
        with (
            pytest.raises(PausedError, match="unauthorized"),
            blocking.connect("127.0.0.1", server.port, credential=credential),
        ):
            pass

    assert len(asked) == 3


def test_a_credential_that_cannot_be_read_leaves_no_connection_open() -> None:
    def locked() -> bytes:
        raise OSError("the keyring is locked")

    async def main(listener: socket.socket) -> bytes:
        accepting = asyncio.create_task(asyncio.get_running_loop().sock_accept(listener))
        with pytest.raises(OSError, match="keyring"):
            async with connect(*listener.getsockname(), user="ann", credential=locked):
                pass
        with (await accepting)[0] as peer:
            async with asyncio.timeout(3):
                return await asyncio.get_running_loop().sock_recv(peer, 1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        assert asyncio.run(main(listener)) == b""


def test_a_session_that_is_taken_over_waits_and_is_taken_back(server: Running) -> None:
    ann = a_name()

    async def main() -> None:
        async with connect("127.0.0.1", server.port, user=ann) as room:
            session = room._session
            kept = session.snapshot()
            thief = aio.Room(
                type(session).restore(kept),
                "127.0.0.1",
                server.port,
                credential=b"",
                tls=False,
                listen=False,
                on_status=lambda status: None,
            )
            async with thief:
                await thief.say("mine now")
                with pytest.raises(PausedError) as caught:
                    while True:
                        await anext(room)
                assert caught.value.paused.reason is Pause.TAKEN_OVER
                with pytest.raises(PausedError):
                    await room.say("waits")
                room.go_on()
                said = await room.say("mine again")
                assert said
            facts = [await anext(room) for _ in range(3)]
            assert "mine now" in [getattr(fact, "content", "") for fact in facts]

    asyncio.run(main())


def test_what_cannot_be_said_is_refused_before_it_is_sent(server: Running) -> None:
    async def main() -> None:
        async with connect("127.0.0.1", server.port, user=a_name()) as room:
            with pytest.raises(LocalProtocolError):
                await room.say("x" * 100_000)

    asyncio.run(main())
    with (
        blocking.connect("127.0.0.1", server.port, user=a_name()) as room,
        pytest.raises(LocalProtocolError),
    ):
        room.say("x" * 100_000)


def test_after_an_error_the_room_is_left_at_once_and_what_waits_has_its_outcome(
    server: Running,
) -> None:
    async def main() -> asyncio.Future[object]:
        with pytest.raises(ZeroDivisionError):
            async with connect("127.0.0.1", server.port, user=a_name()) as room:
                future = await room.put("hello")
                raise ZeroDivisionError
        return future  # type: ignore[return-value]

    outcome = asyncio.run(main()).result()

    assert outcome.fate is Fate.UNKNOWN  # type: ignore[attr-defined]
    assert str(NotSaidError(outcome)) == "request 1: unknown"  # type: ignore[arg-type]


# ---------------------------------------------------------------- TLS and credentials


def test_both_clients_talk_over_tls(authority: Authority, tmp_path: Path) -> None:
    context = authority.client()

    async def main(port: int) -> int:
        async with connect("localhost", port, user="ann", tls=context) as room:
            return await room.say("x" * 60_000)

    with running(tmp_path, "--tls-cert", str(authority.issue())) as server:
        first = asyncio.run(main(server.port))
        with blocking.connect("localhost", server.port, user="ann", tls=context) as room:
            positions = [room.say("x" * 60_000) for _ in range(20)]

    assert first == 2 and positions == list(range(5, 25))


def test_a_loop_that_ends_behind_a_room_over_tls_leaves_no_transport(
    authority: Authority, tmp_path: Path
) -> None:
    """Whoever leaves does not wait for the server's close_notify, and neither does the loop."""

    async def main(port: int) -> None:
        async with connect("localhost", port, user="ann", tls=authority.client()):
            raise ZeroDivisionError

    with (
        running(tmp_path, "--tls-cert", str(authority.issue())) as server,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        with pytest.raises(ZeroDivisionError):
            asyncio.run(main(server.port))
        gc.collect()

    assert [str(each.message) for each in warned] == []


@pytest.mark.proves("EP-6.3-1")
@pytest.mark.parametrize(
    ("credential", "address", "is_tls", "may_go"),
    [
        (b"", "192.0.2.1", False, True),
        (b"x", "127.0.0.1", False, True),
        (b"x", "::1", False, True),
        (b"x", "192.0.2.1", True, True),
        (b"x", "192.0.2.1", False, False),
        (b"x", "fe80::1%eth0", False, False),
    ],
)
def test_a_credential_goes_out_over_tls_or_to_loopback_only(
    credential: bytes, address: str, is_tls: bool, may_go: bool
) -> None:
    if may_go:
        check_credential(credential, address, is_tls=is_tls)
    else:
        with pytest.raises(PlaintextError):
            check_credential(credential, address, is_tls=is_tls)


@pytest.mark.proves("EP-6.3-1")
def test_a_client_keeps_a_credential_that_may_not_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(credential: bytes, address: str, *, is_tls: bool) -> None:
        raise PlaintextError

    monkeypatch.setattr(aio, "check_credential", never)
    monkeypatch.setattr(blocking, "check_credential", never)

    async def enter(port: int) -> None:
        async with connect("127.0.0.1", port, credential=b"sesame"):
            pass

    def enter_blocking(port: int) -> None:
        with blocking.connect("127.0.0.1", port, credential=b"sesame"):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        for enters in (lambda port: asyncio.run(enter(port)), enter_blocking):
            with pytest.raises(PlaintextError):
                enters(listener.getsockname()[1])
            with listener.accept()[0] as peer:
                assert peer.recv(65_536) == b""
