"""Headers of the PROXY protocol, written by an encoder of their own."""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.refserver.clients import Client, client
from tests.refserver.conftest import Authority
from tests.support.raw import (
    FRAME_TOO_LARGE,
    SERVER_FULL,
    WELCOME,
    ErrorReply,
    login,
    welcomed,
)
from tests.support.server import running
from tests.support.stopped import hosting

from eventcodec import Login, Welcome
from refserver.server.config import Config, ConfigError
from refserver.server.measuring import values_of
from refserver.server.proxy_protocol import MOST_BINARY, MOST_LINE, Header, Malformed, parse

TCP, UDP = 1, 2
INET, INET6, LOCAL_SOCKET = 0x10, 0x20, 0x30


def line(source: str, target: str = "192.0.2.99", family: str = "TCP4", port: int = 4711) -> bytes:
    """A header of version 1."""
    return f"PROXY {family} {source} {target} {port} 3000\r\n".encode()


def binary(
    family: int, addresses: bytes, extensions: bytes = b"", command: int = 1, version: int = 2
) -> bytes:
    """A header of version 2."""
    signature = bytes.fromhex("0d0a0d0a000d0a515549540a")
    body = addresses + extensions
    return signature + bytes([version << 4 | command, family]) + struct.pack(">H", len(body)) + body


def addresses(source: str, target: str) -> bytes:
    both = [ipaddress.ip_address(each).packed for each in (source, target)]
    return b"".join(both) + struct.pack(">HH", 4711, 3000)


def inet(source: str, extensions: bytes = b"", command: int = 1) -> bytes:
    return binary(INET | TCP, addresses(source, "192.0.2.99"), extensions, command)


def inet6(source: str) -> bytes:
    return binary(INET6 | TCP, addresses(source, "2001:db8::99"))


# ---------------------------------------------------------------- parse

SOURCES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def headers_of(source: ipaddress.IPv4Address | ipaddress.IPv6Address) -> st.SearchStrategy[bytes]:
    text = str(source)
    is_4 = source.version == 4
    version_1 = line(text, "192.0.2.99" if is_4 else "2001:db8::99", "TCP4" if is_4 else "TCP6")
    extensions = st.binary(max_size=1_000)
    target = "192.0.2.99" if is_4 else "2001:db8::99"
    version_2 = extensions.map(
        lambda more: binary((INET if is_4 else INET6) | TCP, addresses(text, target), more)
    )
    return st.one_of(st.just(version_1), version_2)


@given(SOURCES, st.data(), st.binary(max_size=200))
def test_a_header_gives_its_source_and_no_byte_behind_it_counts(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject, behind: bytes
) -> None:
    header = data.draw(headers_of(source))
    mapped = source.ipv4_mapped if isinstance(source, ipaddress.IPv6Address) else None

    assert parse(header + behind) == Header(len(header), str(mapped or source))
    for cut in {0, 1, 6, 12, 13, 16, len(header) // 2, len(header) - 1}:
        assert parse(header[:cut]) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_the_beginning_of_one_or_malformed(data: bytes) -> None:
    for begun in (data, b"PROXY " + data, binary(INET | TCP, b"")[:12] + data):
        try:
            header = parse(begun)
        except Malformed:
            continue
        assert header is None or header.size <= len(begun)
        assert header is not None or len(begun) < MOST_BINARY


NOT_NAMED = [
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN 1 2 3 four \xff\r\n",
    inet("192.0.2.1", command=0),  # LOCAL
    binary(0, b"", command=0),
    binary(0, b"", b"\x04\x00\x01x"),
    binary(INET, addresses("192.0.2.1", "192.0.2.9")),  # of no known transport
    binary(LOCAL_SOCKET | TCP, bytes(216)),
]


@pytest.mark.parametrize("header", NOT_NAMED)
def test_a_header_without_a_clients_address_is_taken_and_names_nobody(header: bytes) -> None:
    assert parse(header + b"behind") == Header(len(header), "")


MALFORMED = [
    b"GET / HTTP/1.1\r\n",
    b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"\x00\x00\x00\x0c\x01\x06",
    b"PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
    b"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
    b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY UNKNOWN " + b"x" * MOST_LINE,
    b"PROXY " + b"1" * (MOST_LINE - 6),
    binary(INET | TCP, addresses("1.2.3.4", "1.2.3.4"), version=1),
    binary(INET | TCP, addresses("1.2.3.4", "1.2.3.4"), version=3),
    binary(INET | TCP, addresses("1.2.3.4", "1.2.3.4"), command=2),
    binary(INET | UDP, addresses("1.2.3.4", "1.2.3.4")),
    binary(INET | 3, addresses("1.2.3.4", "1.2.3.4")),
    binary(0x40 | TCP, bytes(216)),
    binary(INET | TCP, addresses("1.2.3.4", "1.2.3.4")[:-1]),
    binary(INET6 | TCP, addresses("::1", "::1")[:-1]),
    binary(LOCAL_SOCKET | TCP, bytes(215)),
    binary(INET | TCP, addresses("1.2.3.4", "1.2.3.4"), bytes(MOST_BINARY)),
]


@pytest.mark.parametrize("header", MALFORMED, ids=lambda header: ascii(header[:30]))
def test_anything_else_is_malformed(header: bytes) -> None:
    with pytest.raises(Malformed):
        parse(header)


def test_a_length_that_is_too_great_is_refused_before_its_bytes_come() -> None:
    with pytest.raises(Malformed, match="too long"):
        parse(binary(INET | TCP, bytes(65_535))[:16])


@pytest.mark.parametrize(
    "listed", ["proxy.example.org", "127.0.0.1/8", "127.0.0.1,,::1", "::1%lo/64"]
)
def test_what_is_no_list_of_addresses_is_refused(listed: str) -> None:
    with pytest.raises(ConfigError, match=r"^--proxy-protocol: "):
        Config(proxy_protocol=listed)


# ---------------------------------------------------------------- in a server

FROM_PROXY = {"proxy_protocol": "127.0.0.2,[::1]"}


@pytest.mark.parametrize("header", [line("198.51.100.7"), inet("198.51.100.7", b"\x04\0\1x")])
async def test_an_address_behind_the_proxy_has_its_own_share(header: bytes) -> None:
    async with hosting(connections=8, address_share=0.25, **FROM_PROXY) as host:
        for _ in range(2):
            client = await host.client(address="127.0.0.2")
            await client.send(header, login())
            assert (await client.frame()).type == WELCOME
        third = await host.client(address="127.0.0.2")
        await third.send(header)
        other = await host.client(address="127.0.0.2")
        await other.send(inet("198.51.100.8"))

        assert (await third.last()).code == SERVER_FULL
        assert await other.join("bob")


@pytest.mark.parametrize("size", [1, 7])
async def test_a_header_in_pieces_is_read_and_not_a_byte_beyond(size: int) -> None:
    async with hosting(**FROM_PROXY) as host:
        client = await host.client(address="127.0.0.2")
        data = inet6("2001:db8::1") + login("ann")
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
            await host.pass_time()

        assert welcomed(await client.frame()).user == "ann"


@pytest.mark.parametrize("data", [b"", b"PROXY TCP4 192.0.2.1", inet("192.0.2.1")[:20]])
async def test_who_does_not_send_the_whole_header_in_time_is_closed(data: bytes) -> None:
    async with hosting(login_timeout=5.0, **FROM_PROXY) as host:
        client = await host.client(address="127.0.0.2")
        await client.send(data)
        await host.pass_time(4.9)
        assert host.server._headers[0]._waiting

        await host.pass_time(0.2)

        assert await client.rest() == []
        assert values_of(host.server)["connections_accepted"] == 0


@pytest.mark.parametrize("data", [login("ann"), b"PROXY TCP4 x\r\n", b"\x16\x03\x01\x02\x00"])
async def test_a_proxy_without_a_header_is_never_taken_for_its_client(data: bytes) -> None:
    async with hosting(**FROM_PROXY) as host:
        client = await host.client(address="127.0.0.2")
        await client.send(data)

        with pytest.raises((EOFError, ConnectionResetError)):
            await client.frame()
        assert values_of(host.server)["connections_accepted"] == 0


async def test_who_is_no_listed_proxy_speaks_for_itself_and_cannot_send_a_header() -> None:
    async with hosting(**FROM_PROXY) as host:
        ann = await host.client(address="127.0.0.3")
        assert await ann.join("ann")
        eve = await host.client(address="127.0.0.3")
        await eve.send(line("198.51.100.7"))

        assert await eve.last() == ErrorReply(0, FRAME_TOO_LARGE)


async def test_the_one_that_waits_longest_for_its_header_goes_first() -> None:
    async with hosting(unauthenticated=2, **FROM_PROXY) as host:
        waiting = [await host.client(address="127.0.0.2") for _ in range(3)]
        await host.pass_time()

        assert await waiting[0].rest() == []
        for each in waiting[1:]:
            await each.send(line("198.51.100.7"), login())
            assert (await each.frame()).type == WELCOME


async def test_a_server_that_stops_ends_those_that_wait() -> None:
    async with hosting(**FROM_PROXY) as host:
        client = await host.client(address="127.0.0.2")
        await host.pass_time()
        host.server.stop()

        assert await client.rest() == []


def test_the_log_has_the_clients_address(tmp_path: Path) -> None:
    with running(tmp_path, "--proxy-protocol", "127.0.0.1") as server:
        with client(server.port) as ann:
            ann.sock.sendall(line("198.51.100.7"))
            assert isinstance(ann.ask(Login(user="ann")), Welcome)
        server.stop()

    assert re.search(r'login user="ann" peer="198\.51\.100\.7"', server.log)


def test_the_header_stands_before_tls(authority: Authority, tmp_path: Path) -> None:
    certificate = str(authority.issue())
    with running(tmp_path, "--proxy-protocol", "127.0.0.1", "--tls-cert", certificate) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            plain.sendall(inet("198.51.100.7"))
            with authority.client().wrap_socket(plain, server_hostname="localhost") as sock:
                assert isinstance(Client(sock).ask(Login(user="ann")), Welcome)
        server.stop()

    assert 'peer="198.51.100.7"' in server.log
