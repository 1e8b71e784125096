"""The small clients in docs/clients: built, tested like any client, and in a real room.

A client whose language is not installed is skipped, and says so.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.serving import serving
from tests.once import once
from tests.refserver.clients import member
from tests.support import unread
from tests.support.warm import started

from eventcodec import (
    ApplicationEvent,
    Joined,
    Left,
    Logout,
    Message,
    Ping,
    Welcome,
    encode,
)
from refserver.conformance.attempt import Setting
from refserver.conformance.model import Case, Result, Verdict
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.conformance.peer.process import Process, Program
from refserver.conformance.peer.run import CAPABILITIES, LOOPBACK, ClientDriver
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.streams import Wrap
from refserver.conformance.suite import Plan, run_suite
from refserver.readiness import READ, ready, source

pytestmark = pytest.mark.once

FOLDER = Path(__file__).parents[2] / "docs" / "clients"
WARM = Path(__file__).with_name("warm.mjs")
BUILD = 600.0
TIMEOUT = 120.0
"""Seconds until what must come is missed; where it comes they cost nothing."""
AT_ONCE = 8
DECLARED = frozenset(CAPABILITIES)


@dataclass(frozen=True, slots=True)
class Language:
    """A client, and what runs or builds it."""

    file: str
    tool: str
    build: tuple[str, ...] = ()


LANGUAGES = {
    "javascript": Language("client.mjs", "node"),
    "rust": Language("client.rs", "rustc", ("--edition", "2021", "-O", "-D", "warnings")),
    "c": Language("client.c", "cc", ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")),
    "python": Language("client.py", sys.executable),
}


def command_of(name: str, factory: pytest.TempPathFactory) -> list[str]:
    """The words that start the client of a language whose tool is here, built if it has to be."""
    language = LANGUAGES[name]
    tool = shutil.which(language.tool)
    if tool is None:
        pytest.skip(f"{language.tool} is not installed")
    source = str(FOLDER / language.file)
    if not language.build:
        return [tool, source]
    build = [tool, *language.build, "-o"]
    program = once(
        factory,
        f"client-{name}",
        lambda path: subprocess.run([*build, path, source], check=True, timeout=BUILD),
    )
    return [str(program)]


@pytest.fixture(params=LANGUAGES, scope="module")
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return command_of(request.param, tmp_path_factory)


def test_every_case_passes(client: list[str]) -> None:
    every_case_passes(client, Segmentation.RANDOM)


@pytest.mark.slow
def test_every_case_passes_cut_otherwise(client: list[str]) -> None:
    every_case_passes(client, Segmentation.WHOLE)
    every_case_passes(client, Segmentation.BYTEWISE)


def every_case_passes(client: list[str], segmentation: Segmentation) -> None:
    passes_every_case([*client, "{host}", "{port}"], segmentation)


class WarmPython(Process):
    """A client in Python: it has eventcodec loaded when it starts."""

    def __init__(self, words: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        client: Any = started(words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        self._popen = client
        assert self._popen.stdout is not None and self._popen.stderr is not None
        Program.__init__(self, source(self._popen.stdout), source(self._popen.stderr))


class WarmScript(Program):
    """A client in JavaScript: a worker in a node that runs. Its stderr is that node's."""

    def __init__(self, port: int, script: str, words: Sequence[str]) -> None:
        node = ("127.0.0.1", port)
        out: Any = socket.create_connection(node, timeout=TIMEOUT)
        self._told = socket.create_connection(node, timeout=TIMEOUT)
        asked = {"out": out.getsockname()[1], "script": script, "words": words}
        self._told.sendall(json.dumps(asked).encode())
        self._code: int | None = None
        super().__init__(source(out))

    def _ended(self, deadline: float) -> int | None:
        wait = max(0.0, deadline - time.monotonic())
        if self._code is None and ready({self._told.fileno(): READ}, wait):
            self._code = int(self._told.recv(20))
        return self._code

    def end(self) -> None:
        self._told.close()
        self._out.close()


@contextmanager
def warm(command: Sequence[str]) -> Iterator[Callable[[Sequence[str]], Program]]:
    """How a client starts that is run by an interpreter; every other starts by its command."""
    match command:
        case [sys.executable, *_]:
            yield WarmPython
        case [node, script, *_] if script.endswith(".mjs"):
            pipe = subprocess.PIPE
            with subprocess.Popen([node, WARM], stdin=pipe, stdout=pipe) as process:
                assert process.stdout is not None
                port = int(process.stdout.readline())
                yield lambda words: WarmScript(port, script, words[2:])
        case _:
            yield Process


def passes_every_case(
    command: list[str],
    segmentation: Segmentation = Segmentation.RANDOM,
    wrap: Wrap | None = None,
) -> None:
    declared = DECLARED if wrap is None else DECLARED | {"websocket"}
    cases = [case for case in CLIENT_CASES if declared.issuperset(case.capabilities)]
    setting = Setting(address=LOOPBACK, timeout=TIMEOUT, capabilities=declared, wrap=wrap)

    def results_of(case: Case) -> list[Result]:
        plan = Plan(cases=[case], segmentations=[segmentation], capabilities=declared)
        return run_suite(plan, driver)

    # A client waits before it connects again: others are asked meanwhile.
    with warm(command) as start, ThreadPoolExecutor(AT_ONCE) as pool:
        driver = ClientDriver(command, setting, seed=7, start=start)
        results = [result for each in pool.map(results_of, cases) for result in each]

    others = [each for each in results if each.verdict is not Verdict.PASSED]
    assert {each.case: each.actual for each in others} == {}
    assert [each.case for each in results] == [case.id for case in cases]


def test_a_real_room_takes_it_in(client: list[str]) -> None:
    orders = ("say Grüße \U0001d11e", "event 128 00ff", "ping", "logout", "say too late")
    said: list[object] = []
    with serving() as server, member(server.port, "kit") as kit:
        command = [*client, "127.0.0.1", str(server.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            while not isinstance(kit.next(), Joined):
                pass
            kit.send(*(Message(content=order) for order in orders))
            while not isinstance(event := kit.next(), Left):
                said += [event] if isinstance(event, Message | ApplicationEvent) else []
            out, _ = process.communicate(timeout=600)
        kit.ask(Logout())

    message, application = said
    assert isinstance(message, Message) and message.content == "Grüße \U0001d11e"
    assert isinstance(application, ApplicationEvent) and application.data == b"\x00\xff"
    assert event.reason == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines if line["event"] not in ("Message", "Refused")] == [
        "Welcome",
        "Ack",
        "Ack",
        "Pong",
        "Ack",
        "End",
    ]
    assert lines[-1]["how"] == "clean"
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory in /proc")
def test_it_holds_little_for_a_server_that_pings_and_does_not_read(client: list[str]) -> None:
    """Those in JavaScript and Rust kept a Pong for each of a million Pings, while they read on."""
    most = unread.MOST_OF_NODE if client[-1].endswith(".mjs") else unread.MOST

    assert unread.growth([*client, "127.0.0.1", "{port}"]) <= most


UNREAD = """
let sent = 0;
const links = [];
globalThis.WebSocket = class {
  readyState = 1; bufferedAmount = 0; protocol = "event-protocol.1"; isClosed = false;
  constructor() { links.push(this); queueMicrotask(() => this.onopen?.({})); }
  send(data) { this.bufferedAmount += data.byteLength; }
  close() { this.isClosed = true; }
};
const { Session } = await import(process.argv[1]);
new Session("ws://localhost:1/", { user: "ann" });
await new Promise((resolve) => setTimeout(resolve));
const [link] = links;
const bytes = (hex) => hex.match(/../g).map((each) => parseInt(each, 16));
link.onmessage({ data: Uint8Array.from(bytes(process.argv[2])).buffer });
const ping = bytes(process.argv[3]);
const data = Uint8Array.from({ length: 65_536 }, (_, at) => ping[at % 16]).buffer;
for (; !link.isClosed && sent < 16 << 20; sent += 65_536) link.onmessage({ data });
console.log(JSON.stringify({ isClosed: link.isClosed, unsent: link.bufferedAmount }));
process.exit();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_page_leaves_a_server_that_pings_and_does_not_read() -> None:
    """A page cannot read more slowly: it would keep a Pong for each Ping."""
    welcome = Welcome(
        user="ann", ticket=7, position=0, max_frame=65_536, heartbeat=0, server="", seq=1
    )
    frames = [encode(welcome), encode(Ping(seq=2))]
    command = ["node", "--input-type=module", "-e", UNREAD, str(FOLDER / "session.mjs")]

    done = subprocess.run(
        [*command, *(each.hex() for each in frames)], capture_output=True, text=True, timeout=600
    )

    assert done.stderr == ""
    left = json.loads(done.stdout)
    assert left["isClosed"] and 1 << 20 < left["unsent"] < 2 << 20


@pytest.mark.parametrize("file", sorted(each.file for each in LANGUAGES.values()))
def test_a_small_client_is_small(file: str) -> None:
    assert len((FOLDER / file).read_text(encoding="utf-8").splitlines()) < 230
