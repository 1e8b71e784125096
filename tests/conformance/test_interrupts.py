"""How a run ends before its time: told, written, and with nothing left running."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.warm import started

from refserver.conformance import raw
from refserver.conformance.interrupts import SIGNALS, held, interruptible
from refserver.conformance.reports import machine
from refserver.conformance.suite import INTERRUPTED
from refserver.exit_codes import Exit

REFSERVER = [sys.executable, "-m", "refserver"]
EACH = pytest.mark.parametrize("number", SIGNALS)


@EACH
def test_a_signal_is_a_keyboard_interrupt(number: int) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(number)


@EACH
def test_what_must_be_done_to_its_end_is_done_first(number: int) -> None:
    done = []

    with pytest.raises(KeyboardInterrupt), interruptible():
        with held():
            with held():
                signal.raise_signal(number)
            done.append("the inner")
        done.append("not this")

    assert done == ["the inner"]


def test_afterwards_all_is_as_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    with interruptible():
        pass

    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@EACH
def test_a_client_under_test_ends_with_the_kit_and_the_report_is_written(
    number: int, tmp_path: Path
) -> None:
    pid, report = tmp_path / "pid", tmp_path / "report.json"
    os.mkfifo(pid)
    client = f"sleep 600 & echo $! > {pid}; wait # {{port}}"
    command = [*REFSERVER, "peer", "--json", str(report), "--timeout", "600"]
    command += ["--", "sh", "-c", client]
    with started(command, stdout=subprocess.PIPE, text=True) as kit:
        child = os.pidfd_open(int(pid.read_text()))
        kit.send_signal(number)
        out, _ = kit.communicate()

    with os.fdopen(child):
        assert select.select([child], [], [], 60)[0]
    assert kit.returncode == Exit.INTERRUPTED
    assert INTERRUPTED in out
    assert {result.reason for result in machine.read(report).results} >= {INTERRUPTED}


@EACH
@pytest.mark.measured_processes
def test_a_run_against_a_server_is_told_and_written(number: int, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [*REFSERVER, "check", f":{port}", "--json", str(report), "--timeout", "600"]
        with started(command, stdout=subprocess.PIPE, text=True) as kit:
            reached, _ = listener.accept()
            reached.close()
            first, _ = listener.accept()
            with first:
                first.sendall(raw.welcome(1, "ann", 1, 0))
                while first.recv(1 << 16):
                    pass
            case, _ = listener.accept()
            with case:
                kit.send_signal(number)
                out, _ = kit.communicate()

    assert kit.returncode == Exit.INTERRUPTED
    assert INTERRUPTED in out
    assert machine.read(report).results[0].reason == INTERRUPTED
