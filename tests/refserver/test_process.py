"""The process: where it listens, how it ends, and what strangers can do to it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.refserver.clients import REFSERVER
from tests.support.raw import (
    ACK,
    APPLICATION,
    BAD_USER,
    HISTORY_GONE,
    JOINED,
    LEFT,
    SHUTTING_DOWN,
    Bystander,
    Client,
    ErrorReply,
    acked,
    error_of,
    frame,
    login,
    logout,
    member,
    message,
    said,
)
from tests.support.server import Running, running

MARKER = b"a secret that must not be seen"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_goodbyes_and_code_0(tmp_path: Path, number: int) -> None:
    with running(tmp_path, dev=True) as server, member(server.port, "ann") as ann:
        server.signal(number)

        assert [error_of(frame) for frame in ann.rest()] == [ErrorReply(0, SHUTTING_DOWN)]
        ann.sock.close()
        assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_come_while_it_ends_change_nothing(tmp_path: Path, number: int) -> None:
    with running(tmp_path, dev=True) as server:
        code = None
        while code is None:
            server.signal(number)
            with suppress(subprocess.TimeoutExpired):
                code = server.process.wait(timeout=0.001)

        assert code == 0


@pytest.mark.measured_processes
def test_a_second_signal_loses_nothing_that_drains_and_a_third_ends_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells systemd of each signal when it has come, and so the test."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    never, count = "600", 800  # longer than the test waits; more than the kernel holds
    limits = ("--drain", never, "--close-timeout", never, "--write-timeout", never)
    waiting = (*limits, "--heartbeat", "0")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(600)
        with (
            running(tmp_path, *waiting, dev=True) as server,
            member(server.port, "bob", receive_buffer=4_096) as bob,
            member(server.port, "ann") as ann,
        ):
            ann.send(*(message(bytes(10_000), seq) for seq in range(2, count + 2)))
            ann.frames(count)
            assert systemd.recv(100) == b"READY=1"

            for number in (signal.SIGTERM, signal.SIGINT):
                server.signal(number)
                assert systemd.recv(100) == b"STOPPING=1"
            _, *facts, last = bob.rest()

            assert [said(fact) for fact in facts] == [("ann", bytes(10_000))] * count
            assert error_of(last) == ErrorReply(0, SHUTTING_DOWN)
            assert server.process.poll() is None
            server.signal(signal.SIGTERM)
            assert server.wait() == 0


def test_as_the_readme_starts_it_its_first_line_says_where_it_listens() -> None:
    with subprocess.Popen(
        [REFSERVER, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.terminate()

    assert re.fullmatch(r"listening on localhost:\d+\n", first)
    assert process.returncode == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_localhost_is_both_loopback_addresses_on_one_port(server: Running, host: str) -> None:
    if host == "::1" and not os.path.exists("/proc/net/if_inet6"):
        host = "127.0.0.1"

    with socket.create_connection((host, server.port), timeout=600) as sock:
        sock.sendall(frame(0x06, 1))
        assert sock.recv(100) == frame(0x07, 1)


@pytest.mark.proves("EP-5.1-1", "EP-5.2-1", "EP-5.2-3", "EP-5.3-2", "EP-3.5-2", "EP-7.2-3")
def test_several_clients_read_the_same_room(server: Running) -> None:
    with (
        Bystander(server.port, "bob") as bob,
        Bystander(server.port, "eve") as eve,
        Client(server.port) as ann,
    ):
        place = ann.join("ann").position
        contents = [b"%d" % n for n in range(50)]
        ann.send(*(message(content, seq) for seq, content in enumerate(contents, 2)), logout(99))

        assert [acked(reply) for reply in ann.rest()] == list(range(place + 1, place + 52))
        for other in (bob, eve):
            facts = other.until_left("ann")
            assert [said(f) for f in facts if f.type == 0x02] == [("ann", c) for c in contents]


@pytest.mark.proves("EP-7.2-3", "EP-5.4-8")
def test_strangers_that_vanish_reset_or_send_noise_disturb_nobody(checked: Running) -> None:
    with Bystander(checked.port, "bob") as bob:
        for data in (b"", b"\0", HTTP, os.urandom(4_096), login("x")[:-1], bytes(100_000)):
            for leave in (Client.reset, lambda client: client.sock.close()):
                client = Client(checked.port)
                client.send(data)
                leave(client)
        assert bob.facts() == []


HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


FORGING = ["a\nb", "\x1b[31m", "a\0", "a\u202eb", "a\u2028b", "\ufeffa", "e\u0301"]


@pytest.mark.proves("EP-12-6", "EP-6.2-6")
def test_a_name_that_could_forge_a_log_is_refused_and_logged_in_one_line(tmp_path: Path) -> None:
    """On a server of its own: of the refusals of one second, few are logged."""
    with running(tmp_path) as server:
        for name in FORGING:
            with Client(server.port) as stranger:
                stranger.send(login(name))
                assert error_of(stranger.frame()) == ErrorReply(1, BAD_USER)
        refused = [line for line in server.records if " refused " in line]

    for line, name in zip(refused, FORGING, strict=True):
        assert f'user={json.dumps(name)} code="BAD_USER"' in line
        assert line.isascii() and line.isprintable()


@pytest.mark.proves("EP-12-1", "EP-12-5")
def test_credentials_and_tickets_reach_no_other_connection_and_no_log(server: Running) -> None:
    with Bystander(server.port, "bob") as bob, Client(server.port) as ann:
        ann.send(login("ann", credential=MARKER))
        ticket = int.from_bytes(ann.frame().body[4:12], "big")
        ann.send(message("hi", 2))
        assert ann.frame().type == ACK
        ann.reset()
        bob.until_left("ann")

        log = "\n".join(server.records)
        for secret in (MARKER, ticket.to_bytes(8, "big")):
            assert secret not in bob.received
        for text in (MARKER.decode(), str(ticket), f"{ticket:x}", MARKER.hex()):
            assert text not in log


@pytest.mark.proves("EP-6.4-5", "EP-6.4-8")
def test_a_ticket_from_before_a_restart_is_like_one_that_never_was(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with running(folders[0]) as first, Client(first.port) as ann:
        ticket = ann.join("ann").ticket
    with running(folders[1]) as second, Client(second.port) as again:
        again.send(login("ann", ticket=ticket, position=1), login("ann", ticket=1, position=1))

        old, unknown = again.frames(2)

    assert error_of(old) == ErrorReply(1, HISTORY_GONE)
    assert old == unknown


@pytest.mark.proves("EP-7.2-3", "EP-4.2-13", "EP-2.1-6")
@pytest.mark.parametrize("ends", ["end", "reset"])
def test_a_session_that_is_cut_anywhere_changes_nothing_for_others(
    checked: Running, ends: str
) -> None:
    session = login("ann") + message("hi", 2) + frame(APPLICATION, 3, b"\0x") + logout(4)
    with Bystander(checked.port, "bob") as bob:
        for size in range(len(session)):
            with Client(checked.port) as ann:
                ann.send(session[:size])
                if ends == "end":
                    ann.end()
                    ann.rest()
                else:
                    ann.reset()
        with Client(checked.port) as last:
            last.join("last")
        facts = bob.until_left("last")

    comings = [fact.body[:4] for fact in facts if fact.type == JOINED]
    goings = [fact.body[:4] for fact in facts if fact.type == LEFT]
    assert comings == goings
    assert ends == "reset" or len(comings) == len(session) - len(login("ann")) + 1
    assert {said(fact)[1] for fact in facts if fact.type not in (JOINED, LEFT)} <= {b"hi", b"x"}


def test_a_signal_behind_the_end_does_not_end_it_otherwise() -> None:
    """A SIGHUP that came while the interpreter ended was an exit by signal."""
    script = """
import os, signal
from refserver.server import process as service
from refserver.server.config import Config

service.tell = lambda state: state == "READY=1" and os.kill(os.getpid(), signal.SIGTERM)
service.run(Config(port=0))
for number in (*service.STOPPING, signal.SIGHUP):
    os.kill(os.getpid(), number)
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=600)

    assert done.returncode == 0, done.stderr
