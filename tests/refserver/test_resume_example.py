"""The shortest clients, through connections that are cut: docs/examples/resume.py, the README's."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.refserver.clients import TIMEOUT, member
from tests.refserver.cutting import Cutter, cutter, said_by
from tests.support.server import Running, running

from eventcodec import LocalProtocolError
from refserver.client import PausedError, connect

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "resume.py"
LINES = ["one", "two", "two", "three", "", "grüße", *(str(n) for n in range(30))]
CUTS = [20 + 17 * n % 400 for n in range(300)]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once; how long they wait is tested with the session."""
    monkeypatch.setattr("eventcodec.session.SHORTEST_WAIT", 0.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Without a heartbeat: a listener reads when all was said, however long that takes."""
    with running(tmp_path_factory.mktemp("server"), "--heartbeat", "0") as server:
        yield server


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("resume_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def say_all(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example, with these lines as its stdin."""

    def run(lines: list[str], user: str, port: int) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        example.main(user, "127.0.0.1", str(port))

    return run


def test_it_has_ten_lines() -> None:
    docstring, *lines = EXAMPLE.read_text(encoding="utf-8").splitlines()

    assert docstring.startswith('"""') and docstring.endswith('"""')
    assert len([line for line in lines if line.strip()]) <= 10


@pytest.mark.proves("EP-6.4-10", "EP-6.5-1")
@pytest.mark.parametrize("silent", [False, True], ids=["lost", "taken over"])
@pytest.mark.parametrize("upstream", [True, False], ids=["to the server", "from the server"])
def test_each_line_is_said_once_and_in_order_wherever_the_connection_is_cut(
    server: Running, say_all: Any, upstream: bool, silent: bool
) -> None:
    with member(server.port, f"bob {upstream} {silent}") as bob:
        for first in range(1, 900, 29):
            user = f"ann {upstream} {silent} {first}"

            with cutter(server, [first, 300, first], upstream=upstream, silent=silent) as port:
                say_all(LINES, user, port)

            assert said_by(bob, user) == LINES


@pytest.mark.parametrize("upstream", [True, False], ids=["to the server", "from the server"])
def test_three_hundred_cuts_lose_nothing_and_double_nothing(
    server: Running, say_all: Any, upstream: bool
) -> None:
    user = f"cut {upstream}"
    with member(server.port, f"ears {upstream}") as bob:
        proxy = Cutter(server.port, CUTS, upstream=upstream, silent=False)
        try:
            say_all(LINES * 80, user, proxy.port)
        finally:
            proxy.close()

        assert proxy.cut == 300
        assert said_by(bob, user) == LINES * 80


def test_a_client_from_the_readme_survives_three_hundred_cuts(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its two changes are what a user changes: the port, and what is said."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, code = re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    hello = '        print(await room.say("hello"))  # the position of the message in the log\n'
    listening = code[code.index("        async for") : code.index("\n\nasyncio.run")]
    assert code.count("3000") == code.count(hello) == 1
    told: list[int] = []

    with member(server.port, "reader") as bob:
        proxy = Cutter(server.port, CUTS, upstream=True, silent=False)
        code = code.replace("3000", str(proxy.port)).replace(listening, "")
        code = code.replace(
            hello, "        for line in LINES:\n            told.append(await room.say(line))\n"
        )
        try:
            exec(code, {"LINES": LINES * 80, "told": told, "asyncio": asyncio, "connect": connect})
        finally:
            proxy.close()

        assert proxy.cut == 300
        assert said_by(bob, "ann") == LINES * 80
    assert told == sorted({*told}) and len(told) == len(LINES) * 80


def test_it_comes_and_goes_without_lines(server: Running, say_all: Any) -> None:
    with member(server.port, "other listener") as bob:
        say_all([], "silent", server.port)

        assert said_by(bob, "silent") == []


@pytest.mark.proves("EP-9.3-3")
def test_a_client_that_is_not_let_in_does_not_come_again(tmp_path: Path, say_all: Any) -> None:
    (tmp_path / "tokens").write_text("")
    with (
        running(tmp_path, "--tokens", str(tmp_path / "tokens")) as server,
        pytest.raises(PausedError, match="unauthorized"),
    ):
        say_all(["hello"], "ann", server.port)


def test_a_line_that_the_server_does_not_take_is_told(server: Running, say_all: Any) -> None:
    with member(server.port, "third listener") as bob:
        with pytest.raises(LocalProtocolError, match="65536 is the most"):
            say_all(["short", "x" * 70_000], "long", server.port)

        assert said_by(bob, "long") == ["short"]


def test_it_runs_as_a_program(server: Running) -> None:
    with member(server.port, "audience") as bob:
        done = subprocess.run(
            [sys.executable, "-W", "error", EXAMPLE, "program", "127.0.0.1", str(server.port)],
            input="hello\ngrüße\n",
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT,
        )

        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert said_by(bob, "program") == ["hello", "grüße"]
