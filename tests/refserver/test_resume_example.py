"""docs/examples/resume.py says each line exactly once, wherever its connections are cut."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.refserver.cutting import cutter, heard
from tests.refserver.running import PATIENCE, member
from tests.support.server import Running, running

from eventcodec import ClientSession, Fate, Message

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "resume.py"
LINES = ["one", "two", "two", "three", "", "grüße", *(str(n) for n in range(30))]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("resume_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def at_once(seconds: float) -> None:
    """Instead of waiting."""


@pytest.mark.proves("EP-6.4-10", "EP-6.5-1")
@pytest.mark.parametrize("silent", [False, True], ids=["lost", "taken over"])
@pytest.mark.parametrize("upstream", [True, False], ids=["to the server", "from the server"])
def test_each_line_is_said_once_and_in_order_wherever_the_connection_is_cut(
    server: Running, example: ModuleType, upstream: bool, silent: bool
) -> None:
    with member(server.port, f"bob {upstream} {silent}") as bob:
        for first in range(1, 900, 13):
            user = f"ann {upstream} {silent} {first}"

            with cutter(server, [first, 300, first], upstream=upstream, silent=silent) as port:
                bad = example.say_all(ClientSession(user), LINES, "127.0.0.1", port, at_once)

            assert heard(bob, user) == LINES
            assert bad == []


@pytest.mark.parametrize("upstream", [True, False], ids=["to the server", "from the server"])
def test_three_hundred_cuts_lose_nothing_and_double_nothing(
    server: Running, example: ModuleType, upstream: bool
) -> None:
    cuts = [20 + 17 * n % 400 for n in range(300)]
    user = f"cut {upstream}"
    with member(server.port, f"ears {upstream}") as bob:
        with cutter(server, cuts, upstream=upstream, silent=False) as port:
            bad = example.say_all(ClientSession(user), LINES * 20, "127.0.0.1", port, at_once)

        assert heard(bob, user) == LINES * 20
        assert bad == []


def test_what_nobody_can_know_stops_it(server: Running, example: ModuleType) -> None:
    lost = ClientSession("late")
    lost.say(Message(content="old"))
    kept = lost.snapshot() | {"ticket": "1", "position": "7", "in_doubt": 1, "tried": 1}
    session = ClientSession.restore(kept)

    with pytest.raises(example.Stopped):
        example.say_all(session, ["new"], "127.0.0.1", server.port, at_once)

    assert [event.content for _, event in session.unsettled] == ["new"]  # type: ignore[attr-defined]


def test_it_comes_and_goes_without_lines(server: Running, example: ModuleType) -> None:
    with member(server.port, "other listener") as bob:
        assert not example.say_all(ClientSession("silent"), [], "127.0.0.1", server.port, at_once)
        assert heard(bob, "silent") == []


@pytest.mark.proves("EP-9.3-3")
def test_a_client_that_is_not_let_in_does_not_come_again(
    tmp_path: Path, example: ModuleType
) -> None:
    (tmp_path / "tokens").write_text("")
    with (
        running(tmp_path, "--tokens", str(tmp_path / "tokens")) as server,
        pytest.raises(example.Stopped, match="unauthorized"),
    ):
        example.say_all(ClientSession("ann"), ["hello"], "127.0.0.1", server.port, at_once)


def test_a_line_that_the_server_does_not_take_is_told_and_the_others_are_said(
    server: Running, example: ModuleType
) -> None:
    with member(server.port, "third listener") as bob:
        session = ClientSession("long")
        lines = ["short", "x" * 70_000, "also short"]
        [outcome] = example.say_all(session, lines, "127.0.0.1", server.port, at_once)
        assert heard(bob, "long") == ["short", "also short"]

    assert outcome.fate is Fate.TOO_LONG


def test_it_runs_as_a_program(server: Running) -> None:
    with member(server.port, "audience") as bob:
        done = subprocess.run(
            [sys.executable, "-W", "error", EXAMPLE, "program", "127.0.0.1", str(server.port)],
            input="hello\ngrüße\n",
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE,
        )

        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert heard(bob, "program") == ["hello", "grüße"]
