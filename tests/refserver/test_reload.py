"""A reload at SIGHUP, as seen by the clients that are served meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from tests.support.stopped import Host, hosting

from refserver.server.auth import SLICE, Tokens

LARGE = 50_000


def lines(prefix: str, count: int) -> str:
    """A token file with so many users, each with the token `PREFIX NUMBER`."""
    digests = (hashlib.sha256(f"{prefix} {n}".encode()).hexdigest() for n in range(count))
    return "".join(f"{digest} user-{n}\n" for n, digest in enumerate(digests))


async def turns_until_let_in(host: Host, credential: bytes) -> int:
    """Turns of the loop until the token is good."""
    turns = 0
    while host.server.auth.authenticate("", credential, "") is None:
        await asyncio.sleep(0)
        turns += 1
    return turns


@pytest.mark.unmeasured
async def test_fifty_thousand_tokens_are_read_between_turns_and_others_are_served(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text(lines("old", 1))
    async with hosting(Tokens(path)) as host:
        ann = await host.client()
        await ann.join(credential=b"old 0")
        path.write_text(lines("new", LARGE))

        host.server.reloading.start()
        await ann.sync()

        assert host.server.auth.authenticate("", b"old 0", "") is not None
        assert await turns_until_let_in(host, b"new 49999") > LARGE / SLICE / 2


async def test_a_second_reload_during_the_first_reads_the_newest_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text(lines("old", 1))
    async with hosting(Tokens(path)) as host:
        path.write_text(lines("first", LARGE))
        host.server.reloading.start()
        await asyncio.sleep(0)
        path.write_text(lines("second", 1))
        host.server.reloading.start()

        await turns_until_let_in(host, b"second 0")
        await host.pass_time()

        assert host.server.auth.authenticate("", b"first 0", "") is None
        assert host.server.auth.authenticate("", b"second 0", "") is not None


async def test_a_server_that_stops_during_a_reload_is_not_held_up(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text(lines("old", 1))
    async with hosting(Tokens(path)) as host:
        path.write_text(lines("new", LARGE))
        host.server.reloading.start()
        await asyncio.sleep(0)

        host.server.stop()

        await host.server.ended.wait()
