"""Lines go out whole, nothing waits for who reads them, and what was dropped is counted."""

from __future__ import annotations

import asyncio
import logging
import os
import pty
import signal
import socket
import subprocess
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.refserver.clients import REFSERVER, TIMEOUT, member
from tests.support.warm import started

from eventcodec import Ping, Pong
from refserver.server import stderr
from refserver.server.logs import LOG, OneLine, ToWriter, log_event
from refserver.server.stderr import LineWriter

Pair = tuple[int, int]  # to read from, to write to


def a_pipe() -> Pair:
    return os.pipe()


def a_terminal() -> Pair:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    return ours, theirs


def a_socket() -> Pair:
    one, other = socket.socketpair()
    return one.detach(), other.detach()


PAIRS = [a_pipe, a_terminal, a_socket]


@contextmanager
def writing_to(descriptor: int) -> Iterator[LineWriter]:
    writer = LineWriter(descriptor)
    try:
        yield writer
    finally:
        writer.close()


@contextmanager
def opened(make: Callable[[], Pair]) -> Iterator[Pair]:
    pair = make()
    try:
        yield pair
    finally:
        for descriptor in pair:
            with suppress(OSError):
                os.close(descriptor)


def read_what_is_there(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    data = b""
    with suppress(BlockingIOError):
        while chunk := os.read(descriptor, 65_536):
            data += chunk
    return data


def line(number: int) -> bytes:
    return b"%06d %s\n" % (number, b"x" * 1_000)


@pytest.mark.parametrize("make", PAIRS)
def test_who_reads_nothing_is_not_waited_for_and_what_was_dropped_is_counted(
    make: Callable[[], Pair],
) -> None:
    with opened(make) as (reader, descriptor), writing_to(descriptor) as writer:
        taken = [number for number in range(2_000) if writer.write(line(number))]
        assert 0 < len(taken) < 2_000
        assert writer.is_blocked

        said = read_what_is_there(reader)
        while not writer.flush():
            said += read_what_is_there(reader)
        said += read_what_is_there(reader)

        assert said == b"".join(map(line, taken))
        assert writer.take_dropped() == 2_000 - len(taken)
        assert writer.take_dropped() == 0


@pytest.mark.parametrize("make", PAIRS)
def test_others_who_share_the_descriptor_write_to_it_as_before(make: Callable[[], Pair]) -> None:
    with opened(make) as (_, descriptor), writing_to(descriptor) as writer:
        writer.write(b"hello\n")

        assert os.get_blocking(descriptor)


def test_without_a_second_descriptor_a_full_pipe_is_still_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stderr, "DESCRIPTORS", "/nowhere")
    with opened(a_pipe) as (reader, descriptor), writing_to(descriptor) as writer:
        taken = [number for number in range(200) if writer.write(line(number))]

        assert 0 < len(taken) < 200
        said = read_what_is_there(reader)
        writer.flush()
        assert said + read_what_is_there(reader) == b"".join(map(line, taken))


@given(st.lists(st.integers(0, 3_000)), st.lists(st.integers(0, 9_000)))
def test_lines_go_out_whole_and_in_order_however_little_is_taken_at_a_time(
    sizes: list[int], takes: list[int]
) -> None:
    said = b""
    room = iter([*takes, *[10_000] * len(sizes)])

    def take_some(data: bytes) -> int:
        nonlocal said
        taken = min(len(data), next(room, 10_000))
        if not taken:
            raise BlockingIOError
        said += data[:taken]
        return taken

    with open(os.devnull, "wb") as nowhere, writing_to(nowhere.fileno()) as writer:
        writer._write = take_some
        lines = [b"%d %s\n" % (number, b"x" * size) for number, size in enumerate(sizes)]

        taken = [each for each in lines if writer.write(each)]
        while not writer.flush():
            pass

        assert said == b"".join(taken)
        assert writer.dropped == len(lines) - len(taken)


def test_a_reader_that_is_gone_and_a_full_disk_cost_lines_and_nothing_else() -> None:
    with opened(a_pipe) as (reader, descriptor), writing_to(descriptor) as writer:
        os.close(reader)

        writer.write(b"one\n")
        writer.write(b"two\n")

        assert (writer.dropped, writer.is_blocked) == (1, False)

    with open("/dev/full", "wb") as full, writing_to(full.fileno()) as writer:
        writer.write(b"one\n")
        assert not writer.flush()


def test_a_file_that_others_write_to_is_not_opened_a_second_time(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        file.write(b"before\n")
        file.flush()
        with writing_to(file.fileno()) as writer:
            writer.write(b"ours\n")
        file.write(b"behind\n")

    assert (tmp_path / "log").read_bytes() == b"before\nours\nbehind\n"


# ---------------------------------------------------------------- in the log


@contextmanager
def logging_to(descriptor: int) -> Iterator[None]:
    before = LOG.handlers[:], LOG.propagate, LOG.level
    handler = ToWriter(LineWriter(descriptor))
    handler.setFormatter(OneLine())
    LOG.handlers[:], LOG.propagate = [handler], False
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        handler.close()
        LOG.handlers[:], LOG.propagate = before[:2]
        LOG.setLevel(before[2])


async def test_once_the_reader_reads_on_the_log_says_how_many_were_dropped() -> None:
    with opened(a_pipe) as (reader, descriptor), logging_to(descriptor):
        for number in range(2_000):
            log_event("login", user="x" * 200, position=number)
        said = read_what_is_there(reader)

        while b" log dropped=" not in said:  # nothing more is logged
            await asyncio.sleep(0)
            said += read_what_is_there(reader)

    *logins, last = said.decode().splitlines()
    assert last.endswith(f" WARNING log dropped={2_000 - len(logins)}")
    assert [each.rpartition("=")[2] for each in logins] == [str(n) for n in range(len(logins))]


def test_without_a_loop_the_next_record_says_how_many_were_dropped() -> None:
    with opened(a_pipe) as (reader, descriptor), logging_to(descriptor):
        for _ in range(2_000):
            log_event("login", user="x" * 200)
        said = read_what_is_there(reader)
        log_event("left")
        said += read_what_is_there(reader)

    assert b" WARNING log dropped=" in said.splitlines()[-2]
    assert said.splitlines()[-1].endswith(b" INFO left")


# ---------------------------------------------------------------- of a real process


def fill(descriptor: int) -> None:
    """Write until nothing more is taken."""
    os.set_blocking(descriptor, False)
    with suppress(BlockingIOError):
        while os.write(descriptor, b"x" * 512):
            pass
    with suppress(BlockingIOError):
        while os.write(descriptor, b"x"):
            pass
    os.set_blocking(descriptor, True)


@pytest.mark.parametrize("make", PAIRS)
def test_a_server_whose_stderr_nobody_reads_serves_and_stops(make: Callable[[], Pair]) -> None:
    with opened(make) as (reader, descriptor):
        fill(descriptor)
        with started(
            [REFSERVER, "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=descriptor,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                port = int(process.stdout.readline().rpartition(":")[2])
                said = b""
                while b" log dropped=" not in said:
                    fill(descriptor)  # again: a terminal moves bytes on by itself
                    for name in ("ann", "bob"):
                        with member(port, name) as one:
                            assert isinstance(one.ask(Ping()), Pong)
                    said += read_what_is_there(reader)
                fill(descriptor)
                process.send_signal(signal.SIGTERM)

                assert process.wait(TIMEOUT) == 0
            finally:
                process.kill()
        with suppress(OSError):
            said += read_what_is_there(reader)
    assert b"Traceback" not in said


@pytest.mark.parametrize("is_read", [True, False], ids=["read at last", "never read"])
@pytest.mark.parametrize("make", PAIRS)
def test_a_server_whose_first_line_nobody_reads_serves_and_stops(
    make: Callable[[], Pair], is_read: bool, tmp_path: Path
) -> None:
    address = str(tmp_path / "notify")
    with (
        opened(make) as (reader, descriptor),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
    ):
        fill(descriptor)
        systemd.bind(address)
        systemd.settimeout(TIMEOUT)
        with started(
            [REFSERVER, "serve", "--port", "0", "--quiet"],
            stdout=descriptor,
            env={**os.environ, "NOTIFY_SOCKET": address},
        ) as process:
            try:
                assert systemd.recv(100) == b"READY=1"
                said = b""
                while is_read and not said.endswith(b"\n"):
                    said += os.read(reader, 65_536)
                if is_read:
                    port = int(said.rpartition(b"listening on localhost:")[2])
                    with member(port, "ann") as ann:
                        assert isinstance(ann.ask(Ping()), Pong)
                process.send_signal(signal.SIGTERM)

                assert process.wait(TIMEOUT) == 0
            finally:
                process.kill()
