"""The page of `proxy` and of `serve --watch`: two processes, and a person in front of one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.raw import ACK, MESSAGE, PONG, Client, frame, login, message, ping, short

pytest.importorskip("starlette", reason="the extra page is not installed")
pytest.importorskip("uvicorn", reason="the extra page is not installed")

from tests.support.server import launched
from tests.support.warm import started
from tests.watch.showing import Fed, Shown

pytestmark = pytest.mark.measured_processes

REFSERVER = [sys.executable, "-m", "refserver"]


@contextmanager
def paged(*words: str) -> Iterator[tuple[int, Shown, subprocess.Popen[str]]]:
    """A command with a page: the port of its first line, and the page that its link opens."""
    command = [*REFSERVER, *words, "--page", "0"]
    with started(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline().split()
            port = int(next(word for word in first if ":" in word).rpartition(":")[2])
            link = process.stdout.readline().removeprefix("page: ").strip()
            page = Shown(Fed(), link, urlsplit(link).port or 0)
            page.enter()
            yield port, page, process
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            process.wait(600)


def shown_when(page: Shown, holds: str) -> None:
    """Ask until a row has this in it; the test's time limit ends what never has."""
    while not any(holds in row["text"] for row in page.changes()["rows"]):
        pass


def test_a_proxy_shows_what_passes_and_is_disturbed_from_the_page() -> None:
    with (
        launched("--quiet") as server,
        paged("proxy", "127.0.0.1:0", "--to", f"127.0.0.1:{server.port}") as (port, page, _),
    ):
        with Client(port) as ann:
            ann.send(login("ann"), frame(MESSAGE, 2, short("ann") + b"hello"))
            shown_when(page, "Error seq 2")
        assert [each["statement"] for each in page.changes()["findings"]] == ["EP-3.3-2"]
        assert page.post("/rules", {"text": "drop client.Ping"})[0] == 200
        while True:
            with Client(port) as bob:  # the rule counts for connections that begin after it
                bob.send(ping(1), message("x", 2))
                if bob.frame().type != PONG:
                    break
        shown_when(page, "the proxy dropped frame 1, Ping seq 1")
        code, told = page.post("/send", {"event": "Login", "user": "zoe"})
        assert code == 200, told
        shown_when(page, "Welcome seq 1 (user 'zoe'")


def test_a_watched_server_shows_its_members_and_ends_with_its_page(tmp_path: Path) -> None:
    record = str(tmp_path / "talk.jsonl")
    with paged("serve", "0", "--quiet", "--watch", "--record", record) as (port, page, process):
        with Client(port) as ann:
            ann.send(login("ann"), message("hello", 2))
            ann.until(ACK)
        shown_when(page, "content 'hello'")
        about = json.loads(page.get("/about")[1])
        assert (about["proxy"], about["masked"]) == (False, True)

    assert process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        page.get("/")


def test_over_tls_a_frame_by_hand_arrives_too(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    certificate = tmp_path / "cert.pem"
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(certificate)
    options = ("--tls-cert", str(certificate))
    with paged("serve", "0", "--quiet", "--watch", *options) as (_, page, _):
        code, told = page.post("/send", {"event": "Login", "user": "zoe"})
        assert code == 200, told
        shown_when(page, "Welcome seq 1 (user 'zoe'")


def test_a_port_that_is_taken_and_an_extra_that_is_missing_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from click import UsageError

    from refserver.watch import options

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*REFSERVER, "proxy", "0", "--to", "localhost:1", "--page", str(port)]
        done = subprocess.run(command, capture_output=True, text=True)
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"--page needs starlette: install refserver\[page\]"):
        options.page_socket(0)

    assert done.returncode == 2
    assert f"--page {port}: Address already in use" in done.stderr
