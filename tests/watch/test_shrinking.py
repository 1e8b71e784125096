"""What is left of a recording was tried as it is, and cannot lose a part."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from tests.support.raw import frame, short
from tests.support.server import launched
from tests.watch.test_commands import recording

from refserver.cli import main
from refserver.watch import shrink_command
from refserver.watch.conversation import Bytes, Ended, Item, Opened, Side
from refserver.watch.findings import Finding
from refserver.watch.judge import judged
from refserver.watch.shrinking import Script, scripted, shrunk, summary
from refserver.watch.sources import items_of

CLIENT, SERVER = Side.CLIENT, Side.SERVER
LOGIN = frame(1, 1, short("ann") + bytes(18))
WELCOME = frame(
    8, 1, short("ann") + bytes([9] * 8) + (2).to_bytes(8, "big") + b"\0\1\0\0\0\x14" + short("")
)


def said(number: int, seq: int, content: str) -> list[Item]:
    position = (seq + 1).to_bytes(8, "big")
    return [
        Bytes(seq, number, CLIENT, frame(2, seq, b"\0" + content.encode())),
        Bytes(seq, number, SERVER, frame(4, seq, position)),
    ]


def talk(number: int, *contents: str) -> list[Item]:
    items: list[Item] = [
        Opened(0.0, number),
        Bytes(0.1, number, CLIENT, LOGIN),
        Bytes(0.2, number, SERVER, WELCOME),
    ]
    for seq, content in enumerate(contents, 2):
        items += said(number, seq, content)
    return [*items, Ended(99.0, number, CLIENT)]


def sent(items: Iterable[Item]) -> bytes:
    return b"".join(written(items, CLIENT))


def written(items: Iterable[Item], side: Side) -> list[bytes]:
    return [each.data for each in items if isinstance(each, Bytes) and each.side is side]


def says(*needed: str) -> Callable[[Script], bool]:
    """Whether all of these stand in what clients send."""
    return lambda script: all(each.encode() in sent(script.items()) for each in needed)


def test_what_is_not_needed_goes() -> None:
    script = scripted([*talk(1, "one", "two", "three"), *talk(2, "four", "five")])

    left = shrunk(script, says("two", "five"))

    assert left.connections == [1, 2]
    assert sent(left.items()) == frame(2, 3, b"\0two") + frame(2, 3, b"\0five")
    assert not any(isinstance(item, Ended) for item in left.items())


def test_a_reply_goes_with_its_request_and_no_other() -> None:
    script = scripted(talk(1, "one", "two"))

    (left,) = [
        script.without([step])
        for step in script.steps
        if step.kind == "send" and b"one" in step.data
    ]

    replies = [
        each.data for each in left.items() if isinstance(each, Bytes) and each.side is SERVER
    ]
    assert replies == [WELCOME, frame(4, 3, (4).to_bytes(8, "big"))]


def test_a_content_is_cut_where_a_character_begins() -> None:
    script = scripted(talk(1, "grüße, und vieles mehr"))

    left = shrunk(script, says("grü"))

    assert sent(left.items()) == frame(2, 2, b"\0" + "grü".encode())


def test_breaks_between_writes_go_unless_they_are_needed() -> None:
    pieces = [Bytes(0.1, 1, CLIENT, LOGIN[n : n + 1]) for n in range(len(LOGIN))]
    script = scripted([Opened(0.0, 1), *pieces])

    whole = shrunk(script, lambda script: sent(script.items()) == LOGIN)
    apart = shrunk(
        script,
        lambda script: LOGIN[3:4] in written(script.items(), CLIENT),
    )

    assert written(whole.items(), CLIENT) == [LOGIN]
    assert len(written(apart.items(), CLIENT)) == len(LOGIN)


def test_what_is_no_frame_is_one_part() -> None:
    script = scripted(
        [
            Opened(0.0, 1),
            Bytes(0.1, 1, CLIENT, frame(6, 1) + b"\0\0\0\x02rest"),
            Bytes(0.2, 1, CLIENT, b" of it"),
            Ended(0.3, 1, CLIENT),
        ]
    )

    left = shrunk(script, says("rest of it"))

    assert sent(left.items()) == b"\0\0\0\x02rest of it"


def test_a_frame_that_the_end_cuts_stays_cut() -> None:
    items: list[Item] = [
        Opened(0.0, 1),
        Bytes(0.1, 1, CLIENT, LOGIN[:9]),
        Ended(0.2, 1, CLIENT),
    ]

    assert sent(scripted(items).items()) == LOGIN[:9]
    assert sent(scripted(items[:2]).items()) == LOGIN[:9]


SIZES = st.lists(st.integers(1, 30), max_size=40)


@given(SIZES, SIZES)
def test_a_script_is_the_recording_however_it_was_cut(client: list[int], server: list[int]) -> None:
    whole = talk(1, "one", "two")
    streams = {side: b"".join(written(whole, side)) for side in Side}
    items: list[Item] = [Opened(0.0, 1)]
    for side, sizes in ((CLIENT, client), (SERVER, server)):
        rest = streams[side]
        for size in sizes:
            items.append(Bytes(0.1, 1, side, rest[:size]))
            rest = rest[size:]
        items.append(Bytes(0.1, 1, side, rest))

    script = scripted(item for item in items if not isinstance(item, Bytes) or item.data)

    assert sent(script.items()) == streams[CLIENT]
    assert written(script.items(), CLIENT) == [each for each in written(items, CLIENT) if each]
    assert script.frames == 3


@given(st.sets(st.integers(0, 11), max_size=4))
def test_no_part_of_what_is_left_can_go(needed: set[int]) -> None:
    """Whatever frames are needed: they are left, and nothing else."""
    contents = [f"<{n}>" for n in range(12)]
    script = scripted([*talk(1, *contents[:6]), *talk(2, *contents[6:])])
    holds = says(*(contents[n] for n in needed))

    left = shrunk(script, holds)

    assert left.frames == len(needed)
    for step in left.steps:
        if step.kind == "send":
            assert not holds(left.without([step]))


# ----------------------------------------------------------------- the command


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["shrink", *map(str, words)])


SERVE = shlex.join([sys.executable, "-m", "refserver", "serve", "{port}", "--quiet"])
MUTANT = f"{SERVE} --mutant ack-without-position"


@contextmanager
def served(command: Iterable[str]) -> Iterator[int]:
    """In place of `shrink_command.started`: a server of the same options, which starts warm."""
    start = shlex.split(SERVE)
    words = list(command)
    assert words[: len(start)] == start
    with launched("--quiet", *words[len(start) :]) as server:
        yield server.port


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that needs many servers starts them warm. The others show that any command is run."""
    monkeypatch.setattr(shrink_command, "started", served)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    return recording(tmp_path / "talk.jsonl", [*talk(1, "one", "two"), *talk(2)])


@pytest.mark.unmeasured
@pytest.mark.usefixtures("warm")
def test_a_recording_becomes_a_login_and_a_message_for_a_server_that_acks_wrongly(
    long: Path,
) -> None:
    done = run(long, "--while", MUTANT)

    assert done.exit_code == 0, done.output
    assert "EP-3.5-2, broken by the server: 2 connections, 4 frames" in done.output
    assert "1 connection, 2 frames, 55 bytes; nothing more of it can be left out" in done.output
    left = list(items_of(long.with_name("talk.short.jsonl")))
    assert [each.statement for each in judged(left).notes.findings] == ["EP-3.5-2"]
    assert long.with_name("talk.short.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_server_that_does_nothing_wrong_is_told(long: Path) -> None:
    done = run(long, "--while", SERVE)

    assert done.exit_code == 3
    assert "there is no finding" in done.output
    assert not long.with_name("talk.short.jsonl").exists()


@pytest.mark.measured_processes
def test_another_finding_than_the_asked_one_does_not_count(long: Path) -> None:
    done = run(long, "--while", MUTANT, "--finding", "EP-5.2-1:server")

    assert done.exit_code == 3
    assert "the server does not do it: EP-5.2-1:server" in done.output


def test_what_comes_too_seldom_does_not_count(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = count()
    found = Finding("EP-3.5-2", SERVER, 1, 2, 0, 0.0, "", "")
    monkeypatch.setattr(
        shrink_command.Tries, "run", lambda tries, script: [] if next(seen) % 2 else [found]
    )
    twice = run(long, "--while", MUTANT, "--runs", "2")
    once = run(long, "--while", MUTANT, "--runs", "2", "--hits", "1", "-o", long.parent / "x")

    assert "it came once, and not 2 times in 2" in twice.output
    assert "x: 1 connection, 0 frames, 0 bytes; nothing more" in once.output


@pytest.mark.usefixtures("warm")
def test_at_the_limit_the_best_so_far_is_there(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count(step=10)
    monkeypatch.setattr("time.monotonic", lambda: float(next(ticks)))
    done = run(long, "--while", MUTANT, "--limit", "60")

    assert "after 60 s, more of it may be left out" in done.output
    assert long.with_name("talk.short.jsonl").exists()


@pytest.mark.usefixtures("warm")
def test_a_limit_that_is_over_at_once_leaves_the_whole_recording(
    long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first tries count in full: a server that starts slowly is not a limit that is over."""
    ticks = count(step=10)
    monkeypatch.setattr("time.monotonic", lambda: float(next(ticks)))
    done = run(long, "--while", MUTANT, "--limit", "1")

    assert done.exit_code == 0, done.output
    assert "after 1 s, more of it may be left out (2 tries)" in done.output
    assert long.with_name("talk.short.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--while", "true"], "needs {port}"),
        (["--while", "no-such-command {port}"], "no-such-command: No such file"),
        (["--while", "sh -c 'echo broken; exit 3' {port}"], "the server ended with 3: broken"),
        (["--while", MUTANT, "--finding", "EP-5.2-1:peer"], "it is written EP-5.2-1"),
    ],
)
def test_what_cannot_be_run_is_explained(long: Path, words: list[str], reason: str) -> None:
    done = run(long, *words)

    assert done.exit_code == 2
    assert reason in done.output


def test_a_size_is_told_in_words() -> None:
    assert summary(scripted(talk(1, "one"))) == f"1 connection, 2 frames, {len(LOGIN) + 20} bytes"
