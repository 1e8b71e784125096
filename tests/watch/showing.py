"""A live page in this process, for tests: what it shows, they feed."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from refserver.watch.board import Board
from refserver.watch.conversation import Item
from refserver.watch.findings import Notes
from refserver.watch.judge import Judge
from refserver.watch.live import page

TIMEOUT = 600.0


class Fed:
    """A board with its judge, as the watcher has them."""

    def __init__(self, *, contents: bool = True, secrets: bool = False) -> None:
        notes = Notes(lambda finding: self.board.found(finding))
        self.board = Board(notes, b"key", contents=contents, secrets=secrets)
        self.judge = Judge(notes, on_frame=self.board.frame)

    def take(self, *items: Item) -> None:
        for item in items:
            with self.board.lock:
                self.board.take(item)
                self.judge.take(item)


@dataclass
class Shown:
    """The page: where it is, and what came of it in the process that forwards."""

    fed: Fed
    link: str
    port: int
    asked: list[list[str]] = field(default_factory=list)
    """The rules that were on, after each change."""
    cookie: str = ""
    form: str = ""

    def get(self, path: str, **headers: str) -> tuple[int, bytes, HTTPResponse]:
        return self.request("GET", path, None, headers)

    def post(self, path: str, said: object, **headers: str) -> tuple[int, dict[str, Any]]:
        """What the page's own script would send, but for these headers."""
        ours = {"Origin": f"http://127.0.0.1:{self.port}", "X-Token": self.form} | headers
        code, data, _ = self.request("POST", path, json.dumps(said).encode(), ours)
        return code, json.loads(data) if data[:1] == b"{" else {}

    def request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes, HTTPResponse]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        ours = {"Cookie": self.cookie} if self.cookie else {}
        sent = {name.replace("_", "-"): value for name, value in (ours | headers).items()}
        sent = {name: value for name, value in sent.items() if value}
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response.status, data, response

    def enter(self) -> None:
        """Exchange the link for the cookie, as a browser does."""
        code, data, response = self.get(self.link.removeprefix(f"http://127.0.0.1:{self.port}"))
        assert code == 200
        self.cookie = response.headers["Set-Cookie"].partition(";")[0]
        self.form = data.decode().partition('name="form-token" content="')[2].partition('"')[0]

    def changes(self, query: str = "") -> dict[str, Any]:
        code, data, _ = self.get(f"/changes?{query}")
        assert code == 200, data
        told: dict[str, Any] = json.loads(data)
        return told


@contextmanager
def shown(
    *,
    place: tuple[str, int] = ("127.0.0.1", 9),
    rules: Sequence[str] | None = (),
    contents: bool = True,
    secrets: bool = False,
    enter: bool = True,
) -> Iterator[Shown]:
    """A page in a thread; frames by hand go to `place`."""
    fed = Fed(contents=contents, secrets=secrets)
    listening = socket.create_server(("127.0.0.1", 0))
    ours, theirs = socket.socketpair()
    links: list[str] = []
    ready = threading.Event()

    def has(link: str) -> None:
        links.append(link)
        ready.set()

    with (
        ours,
        theirs,
        listening,
        page(
            fed.board,
            listening,
            theirs,
            source="proxy to localhost:3000",
            started=0.0,
            rules=rules,
            masked=not secrets,
            ready=has,
        ),
    ):
        ours.sendall(json.dumps({"host": place[0], "port": place[1], "secure": False}).encode())
        ours.sendall(b"\n")
        assert ready.wait(TIMEOUT)
        found = Shown(fed, links[0], listening.getsockname()[1])

        def hear() -> None:
            with ours.makefile() as lines:
                for line in lines:
                    found.asked.append(json.loads(line)["rules"])

        threading.Thread(target=hear, daemon=True).start()
        if enter:
            found.enter()
        try:
            yield found
        finally:
            ours.shutdown(socket.SHUT_RDWR)
