"""Chromium without a window, driven over the DevTools protocol.

Rule: a test waits for what the page shows, never for a time.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

__all__ = ["BROWSER", "Browser", "Page", "browsing"]

PATIENCE = 600.0
"""Seconds until what does not come fails its test."""
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


class Page:
    """A page of the browser."""

    def __init__(self, ws: Any) -> None:
        self._ws = ws
        self._ids = itertools.count(1)

    def start(self, script: str) -> int:
        """Run a script; its value is not awaited."""
        parameters = {"expression": script, "awaitPromise": True, "returnByValue": True}
        return self._ask("Runtime.evaluate", parameters)

    def _ask(self, method: str, parameters: dict[str, Any]) -> int:
        number = next(self._ids)
        self._ws.send(json.dumps({"id": number, "method": method, "params": parameters}))
        return number

    def _reply(self, number: int) -> Any:
        while True:
            reply = json.loads(self._ws.recv(timeout=PATIENCE))
            if reply.get("id") == number:
                assert "error" not in reply, reply
                return reply["result"]

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a command of the DevTools protocol."""
        return self._reply(self._ask(method, parameters))

    def value(self, number: int) -> Any:
        """What a script that was started came to."""
        result = self._reply(number)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def run(self, script: str) -> Any:
        """The value of a script, its promise awaited."""
        return self.value(self.start(script))

    @property
    def is_loaded(self) -> bool:
        """Whether it shows what it was opened for; before, a script has no place to run in."""
        return self._holds("document.readyState === 'complete' && location.href !== 'about:blank'")

    def _holds(self, condition: str) -> bool:
        """Whether this is true; while the page changes, nothing is."""
        try:
            return bool(self.run(condition))
        except AssertionError:
            return False

    def reload(self) -> None:
        """Load it again, and wait until it is there."""
        self.run("window.isOld = true; void location.reload()")
        while not self._holds("!window.isOld && document.readyState === 'complete'"):
            threading.Event().wait(0.05)

    def until(self, condition: str) -> None:
        """Wait in the page until something holds."""
        self.run(
            f"new Promise((done) => {{ const look = () => ({condition}) ? done() : "
            "setTimeout(look, 20); look(); })"
        )

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that a selector names."""
        wanted = json.dumps(selector)
        found: list[str] = self.run(
            f"[...document.querySelectorAll({wanted})].map((each) => each.textContent)"
        )
        return found

    def press(self, *keys: str) -> None:
        """Press keys, as a person does; a key of one character writes it."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            code = {"windowsVirtualKeyCode": CODES.get(key, 0)}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **code, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    def resize(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """Show it at this size, in light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Write a PNG of what it shows."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


CODES = {"Tab": 9, "Enter": 13, "ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39}
CODES |= {" ": 32, "End": 35, "Home": 36}


class Browser:
    """Opens pages."""

    def __init__(self, port: int, open_while_it_runs: ExitStack) -> None:
        self._devtools = f"127.0.0.1:{port}"
        self._stack = open_while_it_runs
        self._targets: list[str] = []
        with urlopen(f"http://{self._devtools}/json/version", timeout=PATIENCE) as said:
            self._ws = self._connected(json.load(said)["webSocketDebuggerUrl"])

    def _connected(self, url: str) -> Any:
        from websockets.sync import client

        return self._stack.enter_context(client.connect(url, max_size=None))

    def _call(self, method: str, **parameters: Any) -> Any:
        self._ws.send(json.dumps({"id": 1, "method": method, "params": parameters}))
        while "result" not in (reply := json.loads(self._ws.recv(timeout=PATIENCE))):
            pass
        return reply["result"]

    def close_pages(self) -> None:
        """Close what was opened.

        A page whose server has ended would go on asking its port, which another test may get.
        """
        for target in self._targets:
            self._call("Target.closeTarget", targetId=target)
        self._targets.clear()

    def open(self, url: str) -> Page:
        """A page at this address, as soon as it is there."""
        target = self._call("Target.createTarget", url=url)["targetId"]
        self._targets.append(target)
        page = Page(self._connected(f"ws://{self._devtools}/devtools/page/{target}"))
        while not page.is_loaded:
            threading.Event().wait(0.05)
        return page


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own."""
    options = [*OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
    with subprocess.Popen([str(BROWSER), *options], stderr=subprocess.DEVNULL) as process:
        try:
            with ExitStack() as stack:
                yield Browser(_devtools_of(profile, process), stack)
        finally:
            process.terminate()


def _devtools_of(profile: Path, process: subprocess.Popen[bytes]) -> int:
    """The port of the DevTools protocol, when the browser has written it."""
    written = profile / "DevToolsActivePort"
    deadline = time.monotonic() + 2 * PATIENCE
    while not (written.exists() and written.read_text().count("\n")):
        assert process.poll() is None and time.monotonic() < deadline, "the browser did not start"
        threading.Event().wait(0.05)
    return int(written.read_text().splitlines()[0])
