"""One address against all others: its share of the connections, its logins, its guesses.

Rule: loopback, which is exempt, is made an address like any other, and the clock stands
still: who waits, waits exactly so long, and who is answered without it did not wait.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.raw import (
    FRAME_TOO_LARGE,
    JOINED,
    SERVER_FULL,
    UNAUTHORIZED,
    ErrorReply,
    error_of,
    login,
)
from tests.support.stopped import Host, hosting

from refserver.server import admission
from refserver.server.auth import Tokens

ELSEWHERE = "127.0.0.2"


@pytest.fixture(autouse=True)
def nobody_is_exempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "is_loopback", lambda address: False)


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """An authenticator that accepts bob's token and eve's."""
    file = tmp_path / "tokens.txt"
    pairs = [(b"sesame", "bob"), (b"mellon", "eve")]
    file.write_text("".join(f"{hashlib.sha256(key).hexdigest()} {user}\n" for key, user in pairs))
    return Tokens(file)


# ---------------------------------------------------------------- connections


async def test_an_address_gets_its_share_of_the_connections_and_others_get_in() -> None:
    async with hosting(connections=8, address_share=0.25) as host:
        ann, _ = await host.member("ann"), await host.member("bob")

        third = await host.client()
        await third.send(login("cat"))
        assert error_of(await third.frame()) == ErrorReply(0, SERVER_FULL)
        eve = await host.client(address=ELSEWHERE)
        await eve.join("eve")

        ann.close()
        await host.pass_time()
        await host.member("dan")


# ---------------------------------------------------------------- logins


class Guess(NamedTuple):
    """How long a guess took, when it was answered, and what it was told."""

    lasted: float
    at: float
    end: ErrorReply


async def guess(host: Host, token: bytes, few: asyncio.Semaphore) -> Guess:
    async with few:
        client = await host.client()
        asked = host.loop.now
        await client.send(login("bob", credential=token))
        end = await client.last()
        client.close()
        return Guess(host.loop.now - asked, host.loop.now, end)


@pytest.mark.proves("EP-6.3-4", "EP-6.3-5")
@pytest.mark.parametrize(
    "count", [100, pytest.param(1_000, marks=pytest.mark.slow)], ids=["short", "full"]
)
@pytest.mark.unmeasured
async def test_whoever_guesses_is_slowed_and_nobody_else_is(tokens: Tokens, count: int) -> None:
    rate, step = 20, 0.05
    async with hosting(tokens, logins=rate, heartbeat=0) as host:
        bob = await host.client()
        await bob.join(credential=b"sesame")
        eve = await host.client(address=ELSEWHERE)
        few, began = asyncio.Semaphore(64), host.loop.now
        guesses = [asyncio.create_task(guess(host, b"%d" % n, few)) for n in range(count)]
        await host.pass_time()

        assert (await eve.join(credential=b"mellon")).user == "eve"
        assert [fact.type for fact in await bob.sync()] == [JOINED]
        while not all(each.done() for each in guesses):
            await host.pass_time(step)
            assert await bob.sync() == []

        answered = sorted((each.result() for each in guesses), key=lambda each: each.at)
        assert {each.end for each in answered} == {ErrorReply(0, UNAUTHORIZED)}
        assert min(each.lasted for each in answered) >= 0.1
        for number, each in enumerate(answered, start=1):
            assert number <= rate + rate * (each.at - began)
        assert answered[-1].at - began <= count / rate + 1


@pytest.mark.proves("EP-6.3-3")
@pytest.mark.parametrize(
    ("token", "code"),
    [
        (b"", UNAUTHORIZED),
        (b"\0", UNAUTHORIZED),
        (b"sesame\0", UNAUTHORIZED),
        ("s\u00e9same".encode(), UNAUTHORIZED),
        (b"\xff" * 4_000, UNAUTHORIZED),
        (b"x" * 10_240, FRAME_TOO_LARGE),
    ],
    ids=["empty", "NUL", "NUL behind", "not ASCII", "not UTF-8, long", "10 KiB"],
)
async def test_a_token_of_any_bytes_gets_the_documented_code(
    tokens: Tokens, token: bytes, code: int
) -> None:
    async with hosting(tokens) as host:
        bob = await host.client()
        await bob.join(credential=b"sesame")
        stranger = await host.client()

        await stranger.send(login("bob", credential=token))
        await host.pass_time()
        await host.pass_time(0.1)

        assert await stranger.last() == ErrorReply(0, code)
        assert await bob.sync() == []
