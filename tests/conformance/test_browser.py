"""docs/clients/client.html in a real browser, and its session as a client like any other."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from tests.conformance.test_foreign_clients import PATIENCE, passes_every_case
from tests.refserver.clients import Client, member
from tests.refserver.cutting import Cutter, said_by
from tests.support.server import running

from eventcodec import Left, LeftReason, Message, Reply

sync = pytest.importorskip("websockets.sync.client", reason="the extra ws is not installed")

pytestmark = pytest.mark.once

FOLDER = Path(__file__).parents[2] / "docs" / "clients"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
NODE = shutil.which("node")
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
LINES = ["one", "two", "two", "", "grüße \U0001d11e", *(f"line {n}" for n in range(40))]


def has_websocket() -> bool:
    """Whether node knows WebSocket: from version 22, and 20 when it is asked."""
    if NODE is None:
        return False
    asked = [NODE, "--experimental-websocket", "-e", "process.exit(globalThis.WebSocket ? 0 : 1)"]
    return subprocess.run(asked, capture_output=True).returncode == 0


@pytest.mark.proves("EP-16.2-1", "EP-16.4-1", "EP-16.1-2")
@pytest.mark.slow
@pytest.mark.skipif(not has_websocket(), reason="no node with WebSocket is installed")
def test_its_session_passes_every_case_for_clients_over_websocket() -> None:
    from refserver.conformance.websocket import accepted

    peer = Path(__file__).with_name("session_peer.mjs")
    options = ("--experimental-websocket", "--no-warnings")
    command = [str(NODE), *options, str(peer), "ws://{host}:{port}/"]

    passes_every_case(command, wrap=accepted)


class Held(SimpleHTTPRequestHandler):
    """The files of docs/clients; `/wait` is answered when the test says so."""

    released = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/wait":
            self.released.wait(PATIENCE)
            self.path = "/client.html"
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Page:
    """A page of the browser, driven over the DevTools protocol."""

    def __init__(self, ws: Any) -> None:
        self._ws = ws
        self._ids = itertools.count(1)

    def start(self, script: str) -> int:
        """Run a script; its value is not awaited."""
        number = next(self._ids)
        parameters = {"expression": script, "awaitPromise": True, "returnByValue": True}
        asked = {"id": number, "method": "Runtime.evaluate", "params": parameters}
        self._ws.send(json.dumps(asked))
        return number

    def value(self, number: int) -> Any:
        while True:
            reply = json.loads(self._ws.recv(timeout=PATIENCE))
            if reply.get("id") == number:
                assert "exceptionDetails" not in reply["result"], reply
                return reply["result"]["result"].get("value")

    def run(self, script: str) -> Any:
        """The value of a script, its promise awaited."""
        return self.value(self.start(script))

    def until(self, condition: str) -> None:
        """Wait in the page until something holds."""
        self.run(
            f"new Promise((done) => {{ const look = () => ({condition}) ? done() : "
            "setTimeout(look, 20); look(); })"
        )

    @property
    def lines(self) -> list[str]:
        lines: list[str] = self.run(
            "[...document.querySelectorAll('.message')].map((each) => each.textContent)"
        )
        return lines


class Browser:
    """Chromium without a window."""

    def __init__(self, port: int, files: int, open_while_it_runs: ExitStack) -> None:
        self.origin = f"http://localhost:{files}"
        self._devtools = f"127.0.0.1:{port}"
        self._stack = open_while_it_runs
        with urlopen(f"http://{self._devtools}/json/version", timeout=PATIENCE) as said:
            self._ws = self._connected(json.load(said)["webSocketDebuggerUrl"])

    def _connected(self, url: str) -> Any:
        return self._stack.enter_context(sync.connect(url, max_size=None))

    def open(self, server: int, user: str) -> Page:
        """client.html, when it is online as this user."""
        query = urlencode({"server": f"ws://localhost:{server}/", "user": user})
        asked = {"url": f"{self.origin}/client.html?{query}"}
        self._ws.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": asked}))
        while "result" not in (reply := json.loads(self._ws.recv(timeout=PATIENCE))):
            pass
        target = reply["result"]["targetId"]
        page = Page(self._connected(f"ws://{self._devtools}/devtools/page/{target}"))
        page.until("globalThis.session?.state === 'online'")
        return page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    profile = tmp_path_factory.mktemp("profile")
    handler = partial(Held, directory=str(FOLDER))
    with ThreadingHTTPServer(("localhost", 0), handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options += [f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        with subprocess.Popen([str(BROWSER), *options], stderr=subprocess.DEVNULL) as process:
            try:
                with ExitStack() as stack:
                    yield Browser(devtools_of(profile, process), files.server_port, stack)
            finally:
                process.terminate()
                files.shutdown()


def devtools_of(profile: Path, process: subprocess.Popen[bytes]) -> int:
    """The port of the DevTools protocol, when the browser has written it."""
    written = profile / "DevToolsActivePort"
    deadline = time.monotonic() + 2 * PATIENCE
    while not (written.exists() and written.read_text().count("\n")):
        assert process.poll() is None and time.monotonic() < deadline, "the browser did not start"
        process_tick()
    return int(written.read_text().splitlines()[0])


def process_tick() -> None:
    threading.Event().wait(0.05)


@contextmanager
def served(browser: Browser, folder: Path, *options: str) -> Iterator[tuple[int, int]]:
    """A server for the browser's pages: its port, and that for WebSocket."""
    words = ["--ws", "0", "--ws-origins", browser.origin, *options]
    with running(folder, *words) as server:
        yield server.port, server.ws_port


@in_a_browser
@pytest.mark.proves("EP-16.1-1", "EP-16.3-3", "EP-6.5-1")
def test_two_pages_talk_survive_cuts_and_say_everything_exactly_once(
    browser: Browser, tmp_path: Path
) -> None:
    with served(browser, tmp_path) as (port, ws_port), member(port, "listener") as listener:
        cuts = [700 + 97 * n for n in range(5)]
        proxy = Cutter(ws_port, cuts, upstream=True, silent=False)
        try:
            ann, bob = browser.open(proxy.port, "ann"), browser.open(ws_port, "bob")
            positions = ann.run(
                f"Promise.all({json.dumps(LINES)}.map((line) => session.say(line)))"
                ".then((all) => all.map(String))"
            )
            while proxy.cut < len(cuts):
                ann.run("session.say('more')")
            bob.run("session.say('and you?')")
            ann.until("document.body.textContent.includes('bob: and you?')")
            bob.until(f"document.querySelectorAll('.message').length >= {len(LINES)}")

            said = said_by(listener, "ann")
            assert [line.removeprefix("ann: ") for line in bob.lines if "ann: " in line] == said
            assert ann.lines == ["bob: and you?"]
        finally:
            proxy.close()

    assert said[: len(LINES)] == LINES
    assert {*said[len(LINES) :]} <= {"more"}
    assert positions == sorted(positions, key=int) and len({*positions}) == len(LINES)
    assert proxy.cut == len(cuts)


@in_a_browser
def test_a_page_shows_what_peers_say_as_text_and_leaves_by_its_button(
    browser: Browser, tmp_path: Path
) -> None:
    with served(browser, tmp_path) as (port, ws_port), member(port, "mallory") as mallory:
        ann = browser.open(ws_port, "ann")
        mallory.ask(Message(content="<img src=x onerror=alert(1)>\u202egnirts\x1b[31m"))
        ann.until("document.querySelector('.message')")

        assert ann.lines == ["mallory: <img src=x onerror=alert(1)>\\u{202e}gnirts\\u{1b}[31m"]
        assert ann.run("document.querySelectorAll('img').length") == 0
        ann.run("document.getElementById('content').value = 'typed'")
        ann.run("document.getElementById('form').requestSubmit()")
        ann.until("document.querySelector('.own')")
        ann.run("document.getElementById('leave').click()")
        ann.until("document.getElementById('status').textContent === 'left'")
        assert said_by(mallory, "ann") == ["typed"]


@in_a_browser
@pytest.mark.proves("EP-16.2-10")
def test_a_page_sends_no_credential_in_the_clear(browser: Browser, tmp_path: Path) -> None:
    with served(browser, tmp_path) as (_, ws_port):
        page = browser.open(ws_port, "ann")
        tried = (
            "import('./session.mjs').then(({ Session }) => new Promise((done) => "
            "new Session('ws://example.org:3001/', { credential: () => new Uint8Array(3), "
            "onStatus: done }))).then(({ state, reason }) => `${state}: ${reason}`)"
        )

        assert page.run(tried) == "paused: a credential goes over wss only"


@in_a_browser
@pytest.mark.proves("EP-7.2-3")
def test_a_page_that_falls_behind_is_evicted_and_says_that_history_is_gone(
    browser: Browser, tmp_path: Path
) -> None:
    few = ("--log-bytes", "65536", "--write-timeout", "60", "--heartbeat", "0")
    with served(browser, tmp_path, *few) as (port, ws_port), member(port, "bob") as bob:
        Held.released.clear()
        page = browser.open(ws_port, "ann")
        # A request that is not asynchronous stops the page's only thread.
        waiting = page.start(
            "{ const r = new XMLHttpRequest(); r.open('GET', '/wait', false); r.send(); }"
        )
        evicted = evict(bob, "ann")
        Held.released.set()
        page.value(waiting)

        assert evicted
        page.until("document.getElementById('status').textContent.startsWith('paused')")
        assert page.run("document.getElementById('status').textContent") == "paused: history gone"
        page.run("document.getElementById('go-on').click()")
        page.until("session.state === 'online'")


def evict(author: Client, user: str, most: int = 1_000) -> bool:
    """Say long messages until this user is evicted, or very many have been said."""
    for _ in range(most):
        sent = author.conn.send(Message(content="x" * 60_000))
        author.sock.sendall(author.conn.data_to_send())
        while not (isinstance(event := author.next(), Reply) and event.request == sent):
            if isinstance(event, Left) and event.user == user:
                return event.why is LeftReason.EVICTED
    return False
