"""The live page: what passes, on a page for a browser of this machine.

Rule: only the person who was given the link sees it. Every request is to come from this page, in
a browser that has exchanged the link for a cookie; nothing is loaded from elsewhere, and what a
peer wrote is text.

Layer: above `board` and `hand`, below `watcher`. Needs starlette and uvicorn, which the extra
`page` installs.
"""

from __future__ import annotations

import asyncio
import hmac
import io
import json
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..characters import escape
from .board import Board, Wanted, catalogue
from .capture import CaptureWriter
from .conversation import Side
from .disturbing import VERBS, RuleError, parsed
from .hand import Hand, HandError, composed
from .recording import Recorder

__all__ = ["Live", "page"]

ASSETS = {"page.css": "text/css", "page.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MOST_BODY = 3 << 20
"""Bytes of a request's body: a frame in hexadecimal, and some more."""
MOST_RULE = 200
"""Characters of a rule."""
MOST_RULES = 200
"""Rules, so that all together are a short line for the process that forwards."""
HERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
"""How a place is reached that listens on these."""
STOPPING = 5.0
"""Seconds in which requests that run may end."""
LOST = "This link was used, or is another one. Start again for a new link."
Handler = Callable[[Request], Awaitable[Response]]


class Live:
    """The application. `started` is time 0 of the board, in seconds since 1970.

    `rules` are those of the proxy, all of them on, or None where nothing can be disturbed;
    `switch` gets those that are on, after each change.
    """

    def __init__(
        self,
        board: Board,
        port: int,
        *,
        source: str,
        started: float,
        rules: Sequence[str] | None,
        switch: Callable[[list[str]], None],
        masked: bool = True,
    ) -> None:
        self.hand = Hand()
        self.token = secrets.token_urlsafe(24)
        """Good for one exchange."""
        self._cookie = secrets.token_urlsafe(24)
        self._form = secrets.token_urlsafe(24)
        self._name = f"refserver-{port}"
        self._board = board
        self._source = source
        self._started = started
        self._masked = masked
        self._rules = None if rules is None else {text: True for text in rules}
        self._switch = switch
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.app = Starlette(
            routes=[
                Route("/", self._guarded(self._page, first=True)),
                Route("/page.css", self._guarded(self._asset)),
                Route("/page.js", self._guarded(self._asset)),
                Route("/about", self._guarded(self._about)),
                Route("/changes", self._guarded(self._changes)),
                Route("/frame/{id}", self._guarded(self._frame)),
                Route("/frame-of", self._guarded(self._frame_of)),
                Route("/recording", self._guarded(self._recording)),
                Route("/capture", self._guarded(self._capture)),
                Route("/rules", self._guarded(self._change_rules), methods=["POST"]),
                Route("/send", self._guarded(self._send), methods=["POST"]),
                Route("/close", self._guarded(self._close), methods=["POST"]),
            ],
            exception_handlers={HTTPException: _refused},
            lifespan=self._lifespan,
        )
        self.app.router.redirect_slashes = False

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        await self.hand.close_all()

    # ------------------------------------------------------------- who may ask

    def _guarded(self, handler: Handler, *, first: bool = False) -> Handler:
        async def guarded(request: Request) -> Response:
            if reason := self._error_of(request, first=first):
                response: Response = PlainTextResponse(reason + "\n", 403)
            else:
                response = await handler(request)
            response.headers.update(HEADERS)
            return response

        return guarded

    def _error_of(self, request: Request, *, first: bool) -> str:
        """Why this request is refused, or an empty text."""
        headers = request.headers
        if headers.get("host") not in self._hosts or len(headers.getlist("host")) != 1:
            return "Host is not allowed here."  # another name that was pointed at this machine
        site = headers.get("sec-fetch-site", "none")
        # A link is opened from anywhere; what it leads to is asked for by this page alone.
        if not first and site not in ("same-origin", "none"):
            return "Another page has asked for this."
        origin = headers.get("origin")
        if origin is not None and origin.removeprefix("http://") != headers["host"]:
            return "Origin is not allowed here."
        if request.method == "POST":
            if origin is None or not _same(headers.get("x-token", ""), self._form):
                return "This did not come from the page."
            return "" if self._is_known(request) else LOST
        if self._is_known(request) or (first and self._is_exchanged(request)):
            return ""
        return LOST

    def _is_known(self, request: Request) -> bool:
        return _same(request.cookies.get(self._name, ""), self._cookie)

    def _is_exchanged(self, request: Request) -> bool:
        """Whether the token of the link is right; it is good once."""
        if not self.token or not _same(request.query_params.get("token", ""), self.token):
            return False
        self.token = ""
        return True

    # ------------------------------------------------------------- what is read

    async def _page(self, request: Request) -> Response:
        text = _asset("page.html").replace("{{form}}", self._form)
        response = HTMLResponse(text)
        response.set_cookie(self._name, self._cookie, httponly=True, samesite="strict")
        return response

    async def _asset(self, request: Request) -> Response:
        name = request.url.path[1:]
        return Response(_asset(name), media_type=ASSETS[name])

    async def _about(self, request: Request) -> Response:
        return JSONResponse(
            {
                "source": self._source,
                "masked": self._masked,
                "proxy": self._rules is not None,
                "verbs": VERBS,
                "statements": catalogue(),
                "rules": self._told_rules(),
            }
        )

    def _told_rules(self) -> list[dict[str, Any]]:
        return [{"text": text, "on": on} for text, on in (self._rules or {}).items()]

    async def _changes(self, request: Request) -> Response:
        query = request.query_params
        try:
            wanted = Wanted(
                after=int(query.get("after", "0")),
                connection=int(query.get("connection") or 0),
                side=Side(query["side"]) if query.get("side") else None,
                text=query.get("text", "")[:200],
                findings=query.get("findings") == "1",
            )
            found = max(0, int(query.get("found", "0")))
        except ValueError:
            return PlainTextResponse("no such filter\n", 400)
        told = await asyncio.to_thread(self._board.changes, wanted, found)
        return JSONResponse(told | {"hand": self.hand.connections})

    async def _frame(self, request: Request) -> Response:
        try:
            id = int(request.path_params["id"])
        except ValueError:
            return PlainTextResponse("no such frame\n", 400)
        return _or_gone(await asyncio.to_thread(self._board.dissected, id))

    async def _frame_of(self, request: Request) -> Response:
        query = request.query_params
        try:
            key = int(query["connection"]), Side(query["side"]), int(query["frame"])
        except (KeyError, ValueError):
            return PlainTextResponse("no such frame\n", 400)
        id = await asyncio.to_thread(self._board.row_of, *key)
        return _or_gone(None if id is None else {"id": id})

    async def _recording(self, request: Request) -> Response:
        file = io.BytesIO()
        moment = datetime.fromtimestamp(self._started, UTC)
        recorder = Recorder(file, moment, masked=self._masked)
        for item in self._board.items():
            recorder.take(item)
        return _download(file.getvalue(), "talk.jsonl")

    async def _capture(self, request: Request) -> Response:
        file = io.BytesIO()
        writer = CaptureWriter(file, started=self._started)
        for item in self._board.items():
            writer.take(item)
        return _download(file.getvalue(), "talk.pcap")

    # ------------------------------------------------------------- what is done

    async def _change_rules(self, request: Request) -> Response:
        asked = await _body(request)
        if self._rules is None or asked is None:
            return JSONResponse({"error": "nothing is disturbed here"}, 400)
        text = str(asked.get("text", "")).strip()
        if "on" not in asked:
            try:
                text = self._added(text)
            except RuleError as error:
                return JSONResponse({"error": str(error)}, 400)
        elif text not in self._rules:
            return JSONResponse({"error": "no such rule"}, 400)
        self._rules[text] = bool(asked.get("on", True))
        self._switch([text for text, on in self._rules.items() if on])
        return JSONResponse({"rules": self._told_rules()})

    def _added(self, text: str) -> str:
        """The text of a new rule. Raises RuleError, also for one that would be too much."""
        if len(text) > MOST_RULE or not text.isascii():
            raise RuleError(f"a rule has at most {MOST_RULE} characters, all of ASCII")
        verb, _, value = text.partition(" ")
        text = parsed(verb, value.strip()).text
        rules = self._rules or {}
        if text not in rules and len(rules) >= MOST_RULES:
            raise RuleError(f"there are {MOST_RULES} rules already")
        return text

    async def _send(self, request: Request) -> Response:
        asked = await _body(request)
        try:
            if asked is None:
                raise HandError("this is no form")
            data = composed(asked)
            connection = await self.hand.send(int(asked.get("connection") or 0), data)
        except (OverflowError, TypeError, ValueError) as error:
            return JSONResponse({"error": escape(str(error))}, 400)
        shown = data[:64].hex(" ") + (" …" if len(data) > 64 else "")
        return JSONResponse({"connection": connection, "sent": len(data), "bytes": shown})

    async def _close(self, request: Request) -> Response:
        asked = await _body(request)
        if asked is None or not isinstance(asked.get("connection"), int):
            return JSONResponse({"error": "no such connection"}, 400)
        self.hand.close(asked["connection"])
        return JSONResponse({})


async def _refused(request: Request, error: Exception) -> Response:
    """The answer where nothing is, or where something is asked for in another way."""
    assert isinstance(error, HTTPException)
    headers = {**HEADERS, **(error.headers or {})}
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers)


def _same(said: str, known: str) -> bool:
    return hmac.compare_digest(said.encode(), known.encode())


def _asset(name: str) -> str:
    return files("refserver.watch").joinpath("live", name).read_text(encoding="utf-8")


def _or_gone(told: dict[str, Any] | None) -> Response:
    if told is None:
        return JSONResponse({"error": "this frame is not kept any more"}, 404)
    return JSONResponse(told)


def _download(data: bytes, name: str) -> Response:
    response = Response(data, media_type="application/octet-stream")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


async def _body(request: Request) -> dict[str, Any] | None:
    """The object that was sent; None for what is none."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BODY:
            return None
    with suppress(ValueError, RecursionError):
        said = json.loads(data)
        if isinstance(said, dict):
            return said
    return None


# ----------------------------------------------------------------- the server of the page


class _Quiet(uvicorn.Server):
    """A server in a thread: signals are the process's affair."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def page(
    board: Board,
    listening: socket.socket,
    control: socket.socket,
    *,
    source: str,
    started: float,
    rules: Sequence[str] | None,
    masked: bool,
    ready: Callable[[str], None],
) -> Iterator[None]:
    """Serve the page while the block runs. `ready` gets its link, when the watched place listens.

    `control` leads to the process that forwards: it says where it listens, and gets the rules.
    """

    def switch(on: list[str]) -> None:
        control.sendall(json.dumps({"rules": on}).encode() + b"\n")

    port: int = listening.getsockname()[1]
    live = Live(
        board,
        port,
        source=source,
        started=started,
        rules=rules,
        switch=switch,
        masked=masked,
    )
    config = uvicorn.Config(
        live.app,
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=int(STOPPING),
    )
    server = _Quiet(config)

    def hear() -> None:
        with control.makefile() as lines, suppress(OSError):
            for line in lines:
                said = json.loads(line)
                host: str = said["host"]
                live.hand.place = HERE.get(host, host), said["port"], said["secure"]
                ready(f"http://127.0.0.1:{port}/?token={live.token}")

    threads = [
        threading.Thread(target=server.run, args=([listening],), daemon=True),
        threading.Thread(target=hear, daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        threads[0].join(2 * STOPPING)
