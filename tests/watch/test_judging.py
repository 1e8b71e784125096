"""The process that judges never holds up the one that tells it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from refserver.watch import feed, judging
from refserver.watch.conversation import Bytes, Opened, Side
from refserver.watch.judging import Judging
from refserver.watch.reports import Files
from refserver.watch.watcher import Wishes

MUCH = 4 << 20
"""More bytes than a pipe holds."""


def begun() -> tuple[Judging, int]:
    """A judge, and its process."""
    judge = Judging(Wishes(source="test", started=0.0, files=Files()))
    return judge, judge._process.pid


async def tell(judge: Judging, size: int) -> None:
    judge.take(Opened(0.0, 1))
    for _ in range(size // 65_536):
        judge.take(Bytes(0.1, 1, Side.CLIENT, bytes(65_536)))
    await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)


def test_what_the_pipe_does_not_take_is_told_as_soon_as_it_takes_more() -> None:
    judge, pid = begun()

    async def run() -> None:
        os.kill(pid, signal.SIGSTOP)
        await tell(judge, MUCH)
        assert judge._feed.is_waiting
        os.kill(pid, signal.SIGCONT)
        await until(lambda: not judge._feed.is_waiting)

    asyncio.run(run())

    assert judge.finish() == 1  # these bytes are no frames


def test_a_judge_that_stands_still_is_given_up_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judging, "TIMEOUT", 0.01)
    judge, pid = begun()
    os.kill(pid, signal.SIGSTOP)
    asyncio.run(tell(judge, MUCH))

    assert judge.finish() == -signal.SIGKILL
    assert "the judge does not go on" in capsys.readouterr().err


def test_what_was_dropped_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(feed, "MOST", 1 << 20)
    judge, pid = begun()
    os.kill(pid, signal.SIGSTOP)
    asyncio.run(tell(judge, MUCH))
    os.kill(pid, signal.SIGCONT)
    judge.finish()

    assert "bytes passed unjudged: too fast" in capsys.readouterr().err


def test_a_judge_that_has_ended_holds_nobody_up() -> None:
    judge, pid = begun()
    os.kill(pid, signal.SIGKILL)
    judge._process.wait()
    asyncio.run(tell(judge, MUCH))

    assert judge.finish() == -signal.SIGKILL
