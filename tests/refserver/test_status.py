"""`refserver status`: the metrics of a server for people, and what answers there instead."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from rich.console import Console

pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")

from refserver.client import status
from refserver.client.network import CommandError
from refserver.server.metrics import METRICS, PREFIX


@contextmanager
def serving(code: int, text: str) -> Iterator[int]:
    """The port of a web server that always answers this."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def page(value: str) -> str:
    """All metrics that have no label, each with this value."""
    names = (f"{PREFIX}{metric.name}" for metric in METRICS if not metric.label)
    return "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name in names)


def test_the_metrics_are_drawn_as_a_table() -> None:
    with serving(
        200, page("1234") + f'# TYPE {PREFIX}other gauge\n{PREFIX}other{{a="b"}} 1\n'
    ) as at:
        rows = list(status.rows(status.fetch(at)))
        console = Console(record=True, width=200, file=io.StringIO())
        console.print(status.table(status.fetch(at)))

    assert {value for _, value, _ in rows} == {"1,234"}
    drawn = console.export_text()
    assert rows and all(name in drawn for name, _, _ in rows)


def test_a_value_that_is_no_integer_has_six_digits() -> None:
    with serving(200, page("0.25")) as at:
        assert {value for _, value, _ in status.rows(status.fetch(at))} == {"0.250000"}


@pytest.mark.parametrize(
    ("code", "text"), [(404, ""), (200, "hello"), (200, f"{PREFIX}members 1\n"), (200, "\x00{")]
)
def test_what_is_no_refserver_is_named_as_such(code: int, text: str) -> None:
    with serving(code, text) as at, pytest.raises(CommandError, match="no refserver's metrics"):
        status.fetch(at)


def test_nobody_there_is_said() -> None:
    with serving(200, "") as at:
        pass

    with pytest.raises(CommandError, match="no metrics from"):
        status.fetch(at)
