"""docs/clients/client.html in a real browser, and its session as a client like any other."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.conformance.test_foreign_clients import TIMEOUT, passes_every_case
from tests.refserver.clients import Client, member
from tests.refserver.cutting import Cutter, said_by
from tests.support.browser import BROWSER, Browser, Page, browsing
from tests.support.server import running

from eventcodec import Left, LeftReason, Message, Reply

sync = pytest.importorskip("websockets.sync.client", reason="the extra ws is not installed")

pytestmark = pytest.mark.once

FOLDER = Path(__file__).parents[2] / "docs" / "clients"
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
def test_its_session_passes_every_case_for_clients_over_websocket() -> None:
    if not has_websocket():
        pytest.skip("no node with WebSocket is installed")
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
            self.released.wait(TIMEOUT)
            self.path = "/client.html"
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Clients:
    """client.html in the browser."""

    def __init__(self, browser: Browser, files: int) -> None:
        self.origin = f"http://localhost:{files}"
        self._browser = browser

    def close_pages(self) -> None:
        self._browser.close_pages()

    def open(self, server: int, user: str) -> Page:
        """client.html, when it is online as this user."""
        query = urlencode({"server": f"ws://localhost:{server}/", "user": user})
        page = self._browser.open(f"{self.origin}/client.html?{query}")
        page.until("globalThis.session?.state === 'online'")
        return page


def lines_of(page: Page) -> list[str]:
    """The messages that a page shows."""
    return page.texts(".message")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    handler = partial(Held, directory=str(FOLDER))
    with ThreadingHTTPServer(("localhost", 0), handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        with browsing(tmp_path_factory.mktemp("profile")) as chromium:
            yield Clients(chromium, files.server_port)
        files.shutdown()


@contextmanager
def served(browser: Clients, folder: Path, *options: str) -> Iterator[tuple[int, int]]:
    """A server for the browser's pages: its port, and that for WebSocket."""
    words = ["--ws", "0", "--ws-origins", browser.origin, *options]
    with running(folder, *words) as server:
        try:
            yield server.port, server.ws_port
        finally:
            browser.close_pages()


@in_a_browser
@pytest.mark.proves("EP-16.1-1", "EP-16.3-3", "EP-6.5-1")
@pytest.mark.parametrize("upstream", [True, False])
def test_two_pages_talk_survive_cuts_and_say_everything_exactly_once(
    browser: Clients, tmp_path: Path, upstream: bool
) -> None:
    """Cut upstream, requests are lost; downstream, the server has them and the page no Ack."""
    with served(browser, tmp_path) as (port, ws_port), member(port, "listener") as listener:
        cuts = [700 + 97 * n for n in range(5)] if upstream else [330, 900, 3_500, 400, 600]
        proxy = Cutter(ws_port, cuts, upstream=upstream, silent=False)
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
            assert [line.removeprefix("ann: ") for line in lines_of(bob) if "ann: " in line] == said
            assert lines_of(ann) == ["bob: and you?"]
        finally:
            proxy.close()

    assert said[: len(LINES)] == LINES
    assert {*said[len(LINES) :]} <= {"more"}
    assert positions == sorted(positions, key=int) and len({*positions}) == len(LINES)
    assert proxy.cut == len(cuts)


@in_a_browser
def test_a_page_shows_what_peers_say_as_text_and_leaves_by_its_button(
    browser: Clients, tmp_path: Path
) -> None:
    with served(browser, tmp_path) as (port, ws_port), member(port, "mallory") as mallory:
        ann = browser.open(ws_port, "ann")
        mallory.ask(Message(content="<img src=x onerror=alert(1)>\u202egnirts\x1b[31m"))
        ann.until("document.querySelector('.message')")

        assert lines_of(ann) == ["mallory: <img src=x onerror=alert(1)>\\u{202e}gnirts\\u{1b}[31m"]
        assert ann.run("document.querySelectorAll('img').length") == 0
        ann.run("document.getElementById('content').value = 'typed'")
        ann.run("document.getElementById('form').requestSubmit()")
        ann.until("document.querySelector('.own')")
        ann.run("document.getElementById('leave').click()")
        ann.until("document.getElementById('status').textContent === 'left'")
        assert said_by(mallory, "ann") == ["typed"]


@in_a_browser
@pytest.mark.proves("EP-16.2-10")
def test_a_page_sends_no_credential_in_the_clear(browser: Clients, tmp_path: Path) -> None:
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
    browser: Clients, tmp_path: Path
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
