"""The figures: true, cheap, for Prometheus and for people, and on loopback only."""

from __future__ import annotations

import re
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from tests.refserver.clients import TIMEOUT, member, refused
from tests.refserver.conftest import Authority
from tests.support.raw import login, message, ping
from tests.support.server import running
from tests.support.stopped import hosting

from eventcodec import Error, Logout, Message, Ping
from refserver.cli import main
from refserver.client.status import fetch
from refserver.server import process as service
from refserver.server.config import ConfigError
from refserver.server.measuring import values_of, watch_loop
from refserver.server.metrics import METRICS, PREFIX
from refserver.server.metrics_http import ASKERS, REQUEST, MetricsServer

# ---------------------------------------------------------------- true


async def test_the_figures_are_what_has_happened() -> None:
    async with hosting(connections=3) as host:
        ann = await host.member("ann")
        bob = await host.member("bob")
        stranger = await host.client()
        await stranger.send(login("ann"))
        await stranger.frame()
        await ann.send(message("hi", 2), ping(3))
        await ann.sync()
        await bob.sync()
        for _ in range(2):  # one newcomer takes the place of another
            await host.client()
            await host.pass_time()

        figures = values_of(host.server)

        assert figures["connections"] == {"handshake": 0, "new": 1, "member": 2, "closing": 2}
        assert figures["connections_accepted"] == 5
        assert figures["connections_turned_away"] == 0
        assert figures["logins"] == 2
        assert figures["errors"] == {"USER_TAKEN": 1, "SERVER_FULL": 2}
        assert figures["evictions"] == {}
        assert figures["log_entries"] == 3  # two Joined, one Message
        assert figures["backlog_entries"] == figures["backlog_most"] == 0


def test_events_and_bytes_are_counted_both_ways(tmp_path: Path) -> None:
    with (
        running(tmp_path, "--metrics", "0") as server,
        member(server.port, "ann") as ann,
        member(server.port, "bob") as bob,
    ):
        for _ in range(10):
            ann.send(Message(content="x" * 100))
        ann.ask(Ping())
        bob.ask(Ping())
        sent = fetch(server.metrics)
        ann.ask(Logout())
        bob.ask(Ping())
        figures = fetch(server.metrics)
        while figures == sent:  # the same page is given for a moment
            figures = fetch(server.metrics)

    # Two logins, ten messages, two pings; then a Logout and a ping.
    assert (sent["events_received"][""], figures["events_received"][""]) == (14, 16)
    # ann: Welcome, bob's Joined, 10 Acks, Pong; bob: Welcome, 10 Messages, Pong.
    # Then ann's Ack, bob's Left and Pong; the figures of those who are gone are kept.
    assert (sent["events_sent"][""], figures["events_sent"][""]) == (25, 28)
    assert sent["bytes_received"][""] == 2 * 38 + 10 * 117 + 2 * 16
    assert sent["bytes_sent"][""] == sum(
        [
            2 * (16 + 4 + 8 + 8 + 4 + 2 + 10),  # Welcome
            20 + 10 * 24 + 16,  # Joined, Acks, Pong
            10 * 120 + 16,  # Messages, Pong
        ]
    )


@pytest.mark.parametrize(("log_bytes", "ran_out"), [(65_536, "log"), (16 << 20, "time")])
async def test_an_eviction_is_counted_by_what_ran_out(log_bytes: int, ran_out: str) -> None:
    async with hosting(log_bytes=log_bytes, write_timeout=10.0) as host:
        ann = await host.member("ann")
        for name in ("slow", "slower"):
            await host.member(name, receive_buffer=4096)
        for number in range(2, 200):
            await ann.send(message("x" * 40_000, number))
            await ann.sync()
        for _ in range(3):  # a kernel that moves bytes late begins the time anew
            await host.pass_time(10.0)

        assert values_of(host.server)["evictions"] == {ran_out: 2}
        assert values_of(host.server)["errors"] == {"SLOW_CONSUMER": 2}


async def test_the_lag_of_the_loop_is_the_worst_of_the_last_seconds() -> None:
    async with hosting() as host:
        watch_loop(host.server, host.loop.now)
        await host.pass_time(1.0)
        assert values_of(host.server)["loop_lag_seconds"] == 0.0

        await host.pass_time(0.75)
        await host.stand_still(0.5)
        assert values_of(host.server)["loop_lag_seconds"] == 0.25

        for _ in range(15):
            await host.pass_time(1.0)
        assert values_of(host.server)["loop_lag_seconds"] == 0.0


async def test_the_lag_is_measured_from_when_the_figures_are_served() -> None:
    async with hosting() as host:
        metrics_server = service.expose(host.server, 0)
        await host.pass_time(0.75)
        await host.stand_still(0.5)
        metrics_server.close()

        assert values_of(host.server)["loop_lag_seconds"] == 0.25


@pytest.mark.measured_processes
def test_who_asks_nothing_is_no_error_when_the_server_stops(tmp_path: Path) -> None:
    with (
        running(tmp_path, "--metrics", "0") as server,
        socket.create_connection(("127.0.0.1", server.metrics)),
    ):
        fetch(server.metrics)

        assert server.stop() == 0


def test_who_is_silent_in_a_handshake_is_counted_as_such(
    authority: Authority, tmp_path: Path
) -> None:
    certificate = str(authority.issue())
    with (
        running(tmp_path, "--metrics", "0", "--tls-cert", certificate) as server,
        socket.create_connection(("127.0.0.1", server.port)),
    ):
        connections = fetch(server.metrics)["connections"]

    assert connections == {"handshake": 1, "new": 0, "member": 0, "closing": 0}


async def test_the_server_knows_every_figure_and_no_other() -> None:
    async with hosting() as host:
        values = values_of(host.server)

    assert set(values) == {metric.name for metric in METRICS}
    assert {name for name, value in values.items() if not isinstance(value, (int, float))} == {
        metric.name for metric in METRICS if metric.label
    }


# ---------------------------------------------------------------- for Prometheus


def values() -> dict[str, Any]:
    return {f.name: {"a": 1.0} if f.label else 2.0 for f in METRICS}


def test_the_page_is_what_prometheus_reads() -> None:
    head, _, body = (
        MetricsServer(values).answer(b"GET /metrics HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    )

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    families = {f.name: f for f in text_string_to_metric_families(body.decode())}
    for metric in METRICS:
        family = families[PREFIX + metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        (sample,) = family.samples
        assert sample.labels == ({metric.label: "a"} if metric.label else {})
    assert any(name.startswith("process_") for name in families)


HOST = b"Host: localhost:9100"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ([b"GET / HTTP/1.1", HOST], b"404"),
        ([b"GET /metrics?name[]=up HTTP/1.1", HOST], b"200"),
        ([b"GET /metrics HTTP/1.0"], b"200"),
        ([b"GET /healthz HTTP/1.1", b"hOSt:127.0.0.1"], b"200"),
        ([b"GET /healthz HTTP/1.1", b"Host: [::1]:9100"], b"200"),
        ([b"GET /metrics HTTP/1.1"], b"400"),
        ([b"GET /metrics HTTP/1.1", HOST, HOST], b"400"),
        ([b"GET /metrics HTTP/1.1", b"Host: evil.example:9100"], b"421"),
        ([b"GET /metrics HTTP/1.1", b"Host: localhost.evil.example"], b"421"),
        ([b"GET /metrics HTTP/1.0", b"Host: evil.example"], b"421"),
        ([b"POST /metrics HTTP/1.1", HOST], b"405"),
        ([b"\x00\xff"], b"400"),
    ],
)
def test_anything_else_is_refused(head: list[bytes], status: bytes) -> None:
    answer = MetricsServer(values).answer(b"\r\n".join([*head, b"", b""]))

    assert answer.split(b" ")[1] == status


@pytest.mark.parametrize("path", [b"/metrics", b"/healthz", b"/nothing"])
def test_a_head_is_what_a_get_would_begin_with(path: bytes) -> None:
    metrics_server = MetricsServer(values)

    whole = metrics_server.answer(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = metrics_server.answer(b"HEAD " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert head.endswith(b"\r\n\r\n")
    assert whole.startswith(head) and len(whole) > len(head)


@pytest.mark.parametrize(("is_draining", "status"), [(False, b"200"), (True, b"503")])
def test_the_health_of_a_server_that_drains_is_503(is_draining: bool, status: bytes) -> None:
    answer = MetricsServer(values, lambda: is_draining).answer(b"GET /healthz HTTP/1.0\r\n\r\n")

    assert answer.split(b" ")[1] == status


def test_the_figures_are_read_once_however_many_ask_in_a_moment() -> None:
    reads: list[float] = []
    now = 100.0

    def read() -> dict[str, Any]:
        reads.append(now)
        return values()

    metrics_server = MetricsServer(read, now=lambda: now)
    for now in (100.0, 100.1, 100.2, 100.25, 100.3, 101.0):  # noqa: B007
        metrics_server.answer(b"GET /metrics HTTP/1.0\r\n\r\n")

    assert reads == [100.0, 100.25, 101.0]


def ask(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
        sock.sendall(data)
        answer = b""
        try:
            while chunk := sock.recv(65_536):
                answer += chunk
        except ConnectionResetError:
            pass
        return answer


@pytest.mark.measured_processes
def test_who_asks_strangely_gets_nothing_and_harms_nobody(tmp_path: Path) -> None:
    with running(tmp_path, "--metrics", "0") as server, member(server.port, "ann") as ann:
        port = server.metrics
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall(b"GET /met")

        assert ask(port, b"x" * (2 * REQUEST)) == b""
        assert ask(port, b"GET /metrics HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(ASKERS)]
        assert ask(port, b"GET /metrics HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert silent[0].recv(1) == b""  # the oldest had to go
        for sock in silent:
            sock.close()

        assert not isinstance(ann.ask(Ping()), Error)
        assert " ERROR " not in server.log


def test_the_figures_are_given_on_one_address_of_loopback_alone(tmp_path: Path) -> None:
    with running(tmp_path, "--metrics", "0") as server:
        port = server.metrics

        with socket.socket() as sock:
            assert sock.connect_ex(("127.0.0.2", port)) != 0  # stands for all other addresses
        assert fetch(port)["logins"] == {"": 0}


def test_the_figures_are_still_there_while_the_server_drains(tmp_path: Path) -> None:
    with running(tmp_path, "--metrics", "0", "--close-timeout", "60", "--drain", "60") as server:
        port = server.metrics
        with member(server.port, "ann"):
            server.process.terminate()
            server.until_logged(" stopping ")

            assert fetch(port)["errors"] == {"SHUTTING_DOWN": 1}
            assert ask(port, b"GET /healthz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 503")


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, stderr = refused("--port", "0", "--metrics", str(port))

    assert code == 2
    assert stderr.startswith(
        f"refserver: cannot listen on 127.0.0.1:{port} for --metrics: something listens there"
    )
    assert stderr.count("\n") == 1


class Absent:
    """Finds no prometheus-client, as where it is not installed."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name.startswith("prometheus_client"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def without_prometheus_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    ours = ("refserver.server.metrics_http", "refserver.client.status")
    for name in list(sys.modules):
        if name.startswith("prometheus_client") or name in ours:
            monkeypatch.delitem(sys.modules, name)


async def test_without_the_extra_the_option_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_prometheus_client(monkeypatch)

    async with hosting() as host:
        with pytest.raises(ConfigError, match=r"refserver\[metrics\]"):
            service.expose(host.server, 0)


# ---------------------------------------------------------------- for people


def status(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(main, ["status", *arguments], env=environment)


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_status_shows_the_main_metrics(tmp_path: Path, way: str) -> None:
    with running(tmp_path, "--metrics", "0") as server, member(server.port, "ann"):
        port = str(server.metrics)
        done = status(port) if way == "argument" else status(REFSERVER_METRICS=port)

    assert done.exit_code == 0
    rows = [line.split("\t") for line in done.output.splitlines()]
    assert ["connections member", "1"] in [row[:2] for row in rows]
    assert ["logins", "1", "successful logins and resumes"] in rows


def test_status_without_a_server_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        done = status(str(bound.getsockname()[1]))

    assert done.exit_code == 1
    assert done.output.endswith(": Connection refused\n") and done.output.count("\n") == 1


@pytest.mark.proves("EP-12-6")
def test_status_shows_nothing_of_what_something_else_says(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        done = status(str(server.port))

    assert done.exit_code == 1
    assert re.fullmatch(r"[\x20-\x7e]+\n", done.output)
    assert "what answers there is no refserver's metrics" in done.output


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 404 Not Found\r\n\r\nrefserver_up 1\n",
        b"HTTP/1.0 200 OK\r\n\r\nup 1\n",
        b"HTTP/1.0 200 OK\r\n\r\nnot {of this format\n",
        b"HTTP/1.0 200 OK\r\n\r\n\xff\x1b[31m\n",
        b"",
    ],
    ids=["an error", "metrics of something else", "another format", "no text", "nothing"],
)
def test_status_tells_another_endpoint_from_the_metrics_of_refserver(answer: bytes) -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=serve, args=(listener,))
        answering.start()
        port = listener.getsockname()[1]
        done = status(str(port))
        answering.join()

    told = f"no metrics from 127.0.0.1:{port}: what answers there is no refserver's metrics\n"
    assert (done.exit_code, done.output) == (1, f"refserver: {told}")


def test_a_prometheus_client_that_is_too_old_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("prometheus_client.parser.text_string_to_metric_families")
    monkeypatch.delitem(sys.modules, "refserver.client.status", raising=False)

    done = status("9100")

    assert done.exit_code == 2
    assert "cannot use the prometheus-client that is installed: cannot import name" in done.output


def test_status_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without_prometheus_client(monkeypatch)

    done = status("9100")

    assert done.exit_code == 2
    assert "refserver[metrics]" in done.output
