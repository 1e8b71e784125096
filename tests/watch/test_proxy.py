"""The proxy passes on bytes and ends as they come, tells them first, and waits for nobody."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import pytest
import trustme

from refserver.watch.conversation import Bytes, Ended, How, Item, Missing, Opened, Side
from refserver.watch.disturbing import Disturber, Rule, parsed
from refserver.watch.feed import MOST, Feed, items_fed
from refserver.watch.proxy import BUFFER, Proxy

CLIENT, SERVER = Side.CLIENT, Side.SERVER
MUCH = 64 << 20
"""Bytes: far more than the sockets between two programs hold, 6 MiB as measured."""
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Between:
    """A proxy in front of a server of the test's own."""

    proxy: Proxy
    port: int = 0
    told: list[Item] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(
        self, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = "localhost" if tls is not None else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=tls, server_hostname=name
        )
        self.writers.append(writer)
        return reader, writer

    def said(self, side: Side) -> bytes:
        return b"".join(
            each.data for each in self.told if isinstance(each, Bytes) and each.side is side
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        """Give the loop turns until it holds; the test's time limit ends what never does."""
        while not holds():
            await asyncio.sleep(0)


@asynccontextmanager
async def between(
    serve: Serve,
    *,
    server_tls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    tls_to: ssl.SSLContext | None = None,
    most: int = 1_000,
    rules: Sequence[Rule] = (),
) -> AsyncIterator[Between]:
    server = await asyncio.start_server(
        serve, "localhost", 0, family=socket.AF_INET, ssl=server_tls
    )
    ticks = count()
    told: list[Item] = []
    proxy = Proxy(
        ("localhost", server.sockets[0].getsockname()[1]),
        told.append,
        lambda: float(next(ticks)),
        tls=tls,
        tls_to=tls_to,
        most=most,
        disturb=lambda number: Disturber(rules, Random(number)) if rules else None,
    )
    found = Between(proxy, told=told)
    found.port = await proxy.start("127.0.0.1", 0)
    try:
        yield found
    finally:
        for writer in found.writers:
            writer.close()
        await proxy.stop()
        server.close()
        await server.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, in capitals, and a word behind its end."""
    try:
        while data := await reader.read(1000):
            writer.write(data.upper())
            await writer.drain()
        writer.write(b"END")
    finally:
        writer.close()


def test_bytes_pass_both_ways_and_an_end_passes_while_the_other_way_goes_on() -> None:
    async def run() -> None:
        async with between(echo) as it:
            reader, writer = await it.connect()
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"HELLO"
            writer.write_eof()
            assert await reader.read() == b"END"
            writer.close()
            await it.until(lambda: len(it.told) >= 5 and isinstance(it.told[-1], Ended))

            assert isinstance(it.told[0], Opened) and it.told[0].secure is False
            assert (it.said(CLIENT), it.said(SERVER)) == (b"hello", b"HELLOEND")
            ends = [(each.side, each.how) for each in it.told if isinstance(each, Ended)]
            assert ends == [(CLIENT, How.FIN), (SERVER, How.FIN)]
            assert [item.at for item in it.told] == sorted(item.at for item in it.told)

    asyncio.run(run())


async def goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that ends its stream first."""
    writer.write(b"END")
    writer.write_eof()
    await reader.read()
    writer.close()


@pytest.mark.parametrize("rules", [(), (parsed("latency", "0"),), (parsed("latency", "0.01"),)])
@pytest.mark.parametrize("serve", [echo, goodbye])
@pytest.mark.parametrize("half_closes", [True, False])
def test_a_connection_that_both_have_ended_is_closed(
    serve: Serve, half_closes: bool, rules: Sequence[Rule]
) -> None:
    """Each has two descriptors; a proxy that kept them had none left after some hundreds."""

    async def run() -> None:
        async with between(serve, rules=rules) as it:
            for _ in range(3):
                reader, writer = await it.connect()
                if half_closes:
                    writer.write_eof()
                    assert await reader.read() == b"END"
                writer.close()
            await it.until(lambda: it.proxy.connections == 3 and not it.proxy.open)

    asyncio.run(run())


def test_much_passes_unchanged() -> None:
    async def run() -> None:
        async with between(echo) as it:
            reader, writer = await it.connect()
            data = os.urandom(5 * BUFFER)
            writer.write(data)
            writer.write_eof()
            assert await reader.read() == data.upper() + b"END"
            assert it.said(CLIENT) == data

    asyncio.run(run())


def test_a_reset_passes_on() -> None:
    seen: list[BaseException] = []

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except ConnectionResetError as error:
            seen.append(error)
        finally:
            writer.close()

    async def run() -> None:
        async with between(waits) as it:
            _, writer = await it.connect()
            writer.write(b"x")
            await it.until(lambda: it.said(CLIENT) == b"x")
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            await it.until(lambda: bool(seen))

            ends = [each for each in it.told if isinstance(each, Ended)]
            assert (ends[0].side, ends[0].how) == (CLIENT, How.RESET)

    asyncio.run(run())


def test_a_server_that_is_not_there_resets_the_client() -> None:
    async def run() -> None:
        told: list[Item] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            proxy = Proxy(free.getsockname(), told.append, lambda: 0.0)
            port = await proxy.start("127.0.0.1", 0)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            await proxy.stop()
        assert isinstance(told[0], Opened)
        assert isinstance(told[1], Ended) and told[1].side is SERVER

    asyncio.run(run())


def test_who_does_not_read_stops_the_other_and_not_the_memory() -> None:
    done = asyncio.Event

    async def run() -> None:
        release = done()

        async def stalled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await release.wait()
            writer.transport.abort()

        async with between(stalled) as it:
            _, writer = await it.connect()
            before = -1
            writer.write(bytes(MUCH))
            while len(it.said(CLIENT)) != before:  # until nothing moves for many turns
                before = len(it.said(CLIENT))
                for _ in range(2_000):
                    await asyncio.sleep(0)
            assert before < MUCH // 2
            release.set()
            writer.transport.abort()

    asyncio.run(run())


def test_a_connection_more_than_there_is_room_for_is_closed_and_the_others_go_on() -> None:
    async def run() -> list[Item]:
        async with between(echo, most=1) as proxy:
            reader, writer = await proxy.connect()
            await proxy.until(lambda: bool(proxy.told))
            another, _ = await proxy.connect()
            assert await another.read(1) == b""
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"HELLO"
            return proxy.told

    told = asyncio.run(run())

    assert {item.connection for item in told} == {1}


def test_it_speaks_tls_with_both() -> None:
    ca = trustme.CA()
    cert = ca.issue_cert("localhost")

    async def run() -> None:
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert.configure_cert(served)
        trusting = ssl.create_default_context()
        ca.configure_trust(trusting)

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readexactly(2)).upper())
            writer.close()

        async with between(once, server_tls=served, tls=served, tls_to=trusting) as it:
            reader, writer = await it.connect(trusting)
            writer.write(b"hi")
            assert await reader.read() == b"HI"
            writer.close()
            assert (it.said(CLIENT), it.said(SERVER)) == (b"hi", b"HI")
            assert isinstance(it.told[0], Opened) and it.told[0].secure is True

    asyncio.run(run())


# ----------------------------------------------------------------- the feed


def fed(path: Path) -> list[Item]:
    with path.open("rb") as file:
        return list(items_fed(file))


def test_a_feed_gives_each_item_back(tmp_path: Path) -> None:
    from tests.watch.talks import ALL_KINDS

    path = tmp_path / "feed"
    with path.open("wb") as file:
        feed = Feed(os.dup(file.fileno()))
        for item in ALL_KINDS:
            feed.take(item)
        feed.write()
        os.close(feed.fd)

    assert fed(path) == ALL_KINDS


def test_what_a_slow_judge_is_not_given_is_a_gap_of_that_size(tmp_path: Path) -> None:
    read, write = os.pipe()
    feed = Feed(write)
    feed.take(Opened(0.0, 1))
    data = bytes(1 << 20)
    for at in range(MOST // len(data) + 3):
        feed.take(Bytes(float(at), 1, CLIENT, data))
        feed.write()  # the pipe takes its 64 KiB, and nobody reads
    path = tmp_path / "feed"
    with path.open("wb") as file:
        os.dup2(file.fileno(), write)  # now everything can be written
        os.set_blocking(write, True)
        feed.write()
        feed.take(Bytes(99.0, 1, CLIENT, b"behind"))
        feed.write()
    start = os.read(read, 1 << 20)
    os.close(read)
    os.close(write)
    path.write_bytes(start + path.read_bytes())

    items = fed(path)

    gaps = [each for each in items if isinstance(each, Missing)]
    assert [each.size for each in gaps] == [feed.dropped] and feed.dropped >= len(data)
    assert items[-1] == Bytes(99.0, 1, CLIENT, b"behind")


def test_a_judge_that_has_ended_stops_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    feed = Feed(write)
    for _ in range(3):
        feed.take(Opened(0.0, 1))
        feed.write()

    assert not feed.is_waiting
    os.close(write)
