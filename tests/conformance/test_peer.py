"""Testing clients: the contract's lines, the command and its exit codes."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import xmlschema
from click.testing import CliRunner, Result
from tests.conformance import faulty_client

from refserver.cli import main
from refserver.conformance import raw
from refserver.conformance.peer import doctor, script
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.conformance.peer.lines import differs, line_of, parsed
from refserver.conformance.peer.process import Process
from refserver.conformance.raw import Frame
from refserver.conformance.reports import console
from refserver.conformance.suite import CaseFailed, NotReached
from refserver.exit_codes import Exit

CLIENT = [sys.executable, "-S", "-E", str(Path(faulty_client.__file__)), "{host}", "{port}"]
WHOLE = ("--segmentation", "whole", "--seed", "7")
PATIENT = ("--timeout", "20.0")
"""Where what is awaited comes: it costs nothing there."""


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["peer", *PATIENT, *words])


def python(program: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", program, "{host}", "{port}"]


# ---------------------------------------------------------------- the lines


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (
            raw.welcome(1, "ann", 9, 40, 4096, 20, "x"),
            {
                "event": "Welcome",
                "seq": "1",
                "user": "ann",
                "position": "40",
                "max_frame": 4096,
                "heartbeat": 20,
                "server": "x",
            },
        ),
        (
            raw.message(41, "hi", "bob"),
            {"event": "Message", "seq": "41", "sender": "bob", "content": "hi"},
        ),
        (raw.left(42, "bob", 77), {"event": "Left", "seq": "42", "user": "bob", "reason": 1}),
        (raw.joined(42, "bob"), {"event": "Joined", "seq": "42", "user": "bob"}),
        (
            raw.application(43, 200, b"\0\xff", "bob"),
            {
                "event": "ApplicationEvent",
                "seq": "43",
                "type": 200,
                "sender": "bob",
                "data": "00ff",
            },
        ),
        (raw.ack(2, 44), {"event": "Ack", "seq": "2", "position": "44"}),
        (raw.error(2, 13, "for people"), {"event": "Error", "seq": "2", "code": 13}),
        (raw.pong(3), {"event": "Pong", "seq": "3"}),
        (raw.frame(11, 5, b"\xca\xfe"), {"event": "Unknown", "type": 11, "body": "cafe"}),
    ],
)
def test_a_frame_has_one_line(frame: bytes, line: dict[str, object]) -> None:
    assert line_of(Frame(frame)) == line


def test_a_line_may_say_more_but_nothing_else() -> None:
    wanted = {"event": "Ack", "position": "44"}

    assert not differs({"event": "Ack", "position": "44", "more": 1}, wanted)
    assert not differs({"event": "Ack", "position": 44}, wanted)
    assert differs({"event": "Ack", "position": "45"}, wanted)
    assert differs({"event": "Ack", "position": True}, {"position": "True"})
    assert differs({"event": "Ack"}, wanted)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"event": 1}', b"\xff", b"[" * 9999])
def test_what_is_no_line_of_the_contract_is_told(line: bytes) -> None:
    with pytest.raises(CaseFailed, match="JSON"):
        parsed(line)


# ---------------------------------------------------------------- the process


def lines_of(process: Process) -> list[bytes]:
    return list(iter(process.next_line, None))


def test_a_line_comes_when_its_end_has_come() -> None:
    process = Process(python("print('a\\nb', end='', flush=True); input()"))
    try:
        assert process.wait(time.monotonic() + 600) is False
        assert lines_of(process) == [b"a"]
    finally:
        process.end()


@pytest.mark.parametrize("flood", ["yes", "yes >&2", "cat /dev/zero >&2"])
def test_no_flood_of_output_moves_a_deadline(flood: str) -> None:
    process = Process(["sh", "-c", flood])
    try:
        assert process.exit_code(time.monotonic() + 0.05) is None
        assert len(process.errors) <= 4096
    finally:
        process.end()


@pytest.mark.parametrize("flood", ["yes", "cat /dev/zero"])
def test_a_flood_on_stdout_is_the_clients_fault(flood: str) -> None:
    process = Process(["sh", "-c", flood])
    try:
        with pytest.raises(CaseFailed, match="64 MiB on stdout"):
            process.exit_code(time.monotonic() + 600)
    finally:
        process.end()


@pytest.mark.parametrize("flood", ["yes # {port}", "yes >&2 # {port}", "cat /dev/zero # {port}"])
def test_a_client_that_only_floods_fails(flood: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "START", 0.2)

    done = run("PEER-LOGIN-01", *WHOLE, "--timeout", "0.05", "--", "sh", "-c", flood)

    assert done.exit_code == Exit.FAILED
    assert "the client connects" in done.stdout or "64 MiB" in done.stdout


def test_a_process_that_floods_its_output_does_not_block() -> None:
    process = Process(python("import sys\nfor n in range(30000): print(n)\nsys.stderr.write('e')"))
    try:
        assert process.exit_code(time.monotonic() + 600) == 0
        assert lines_of(process)[-1] == b"29999"
        assert process.errors == b"e"
    finally:
        process.end()


def test_the_last_line_needs_no_line_end() -> None:
    process = Process(python("import sys; sys.stdout.write('a\\nb')"))
    try:
        assert process.exit_code(time.monotonic() + 600) == 0
        assert lines_of(process) == [b"a", b"b"]
    finally:
        process.end()


def test_what_it_started_ends_with_it() -> None:
    process = Process(
        python(
            "import subprocess\n"
            "child = subprocess.Popen(['sleep', '600'])\n"
            "print(child.pid, flush=True)\n"
            "child.wait()\n"
        )
    )
    while (line := process.next_line()) is None:
        assert process.wait(time.monotonic() + 600) is not None
    child = os.pidfd_open(int(line))

    process.end()

    with os.fdopen(child):
        ended, _, _ = select.select([child], [], [], 30)
    assert ended


def test_a_command_that_is_not_there_is_not_reached() -> None:
    with pytest.raises(NotReached, match="No such file"):
        Process(["/nowhere/client", "{port}"])


# ---------------------------------------------------------------- the command


def test_what_passes_is_0(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ["PEER-LOGIN-*", "PEER-RESUME-01", "--can", "resume", "--name", "mine"]

    done = run(*words, *WHOLE, "--json", str(report), "--", *CLIENT)

    assert done.exit_code == Exit.DONE, done.output
    assert "mine: 9 passed" in done.stdout
    told = json.loads(report.read_text())
    assert told["runs"][0]["subject"] == "client"


def test_who_tests_a_command_that_prints_nothing_is_sent_to_the_doctor() -> None:
    silent = run("PEER-LOGIN-01", *WHOLE, "--timeout", "0.3", "--", "true", "{port}")
    wrong = run("PEER-FACT-04", *WHOLE, "--", *CLIENT, "doubles-pass")

    assert "refserver peer --doctor -- true '{port}'" in silent.stderr
    assert wrong.stderr == ""


def test_what_fails_is_1_and_says_how_to_run_it_again() -> None:
    done = run("PEER-FACT-04", *WHOLE, "--", *CLIENT, "doubles-pass")

    assert done.exit_code == Exit.FAILED
    again = ["refserver", "peer", "PEER-FACT-04", *WHOLE, *PATIENT, "--", *CLIENT, "doubles-pass"]
    assert shlex.join(again) in done.stdout
    assert "the client ends the connection" in done.stdout
    assert "EP-5.2-6" in done.stdout


def test_a_client_that_resumes_after_a_fault_is_told_so() -> None:
    done = run("PEER-RESUME-05", "--can", "resume", *WHOLE, "--", *CLIENT, "resumes-a-fault")

    assert done.exit_code == Exit.FAILED
    assert "it connected again after its end (fault); only a loss resumes" in done.stdout


def test_what_is_not_declared_is_unsupported_and_alone_it_is_3() -> None:
    done = run("PEER-RESUME-01", *WHOLE, "--", *CLIENT)

    assert done.exit_code == Exit.NO_CASE_RAN
    assert "1 unsupported" in done.stdout


def test_an_expected_failure_is_as_expected_until_it_passes(tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text("PEER-FACT-04\n")
    words = ["PEER-FACT-04", *WHOLE, "--expected-failures", str(known), "--", *CLIENT]

    assert run(*words, "doubles-pass").exit_code == Exit.DONE
    assert run(*words).exit_code == Exit.FAILED


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["PEER-LOGIN-01"],
        ["PEER-LOGIN-01", "--"],
        ["PEER-NONE-01", "--", *CLIENT],
        ["FRAME-01", "--", *CLIENT],
        ["--section", "nothing", "--", *CLIENT],
        ["--", "client", "without", "an", "address"],
        ["--doctor", "--", "client", "without", "an", "address"],
    ],
)
def test_what_makes_no_sense_is_2(words: list[str]) -> None:
    assert run(*words).exit_code == Exit.USAGE


@pytest.mark.parametrize("words", [["--"], ["--doctor", "--"]])
def test_a_command_that_cannot_be_started_is_4(words: list[str]) -> None:
    nowhere = run(*words, "/nowhere/client", "{port}")
    assert nowhere.exit_code == Exit.UNREACHABLE
    assert "cannot start /nowhere/client" in nowhere.output


def test_options_behind_the_dashes_are_the_clients() -> None:
    done = run("PEER-LOGIN-01", *WHOLE, "--", *CLIENT, "--help")

    assert done.exit_code == Exit.DONE
    assert "1 passed" in done.stdout


def test_the_cases_can_be_listed_without_a_client() -> None:
    done = run("--list", "--level", "should")

    assert done.exit_code == 0
    assert "PEER-SAY-06" in done.stdout and "PEER-SAY-01" not in done.stdout


@pytest.mark.parametrize(
    ("program", "actual"),
    [
        ("print('hello')", "ended with status 0"),
        ("import sys; sys.exit('it does not work')", "status 1; its stderr ends: 'it does not"),
        ("import os; os.kill(os.getpid(), 9)", "status -9"),
    ],
)
def test_a_command_that_does_not_even_connect_says_why(program: str, actual: str) -> None:
    done = run("PEER-LOGIN-01", *WHOLE, "--", *python(program))

    assert done.exit_code == Exit.FAILED
    assert actual in done.stdout


def test_a_case_is_explained_like_those_for_servers() -> None:
    done = CliRunner().invoke(main, ["explain", "peer-resume-05"])

    assert done.exit_code == 0
    assert "EP-6.4-16" in done.stdout
    assert "refserver peer PEER-RESUME-05" in done.stdout
    assert "needs  peer --can resume" in done.stdout


# ---------------------------------------------------------------- the doctor


def test_the_doctor_is_content_with_a_right_command() -> None:
    done = run("--doctor", "--can", "resume", "--", *CLIENT)

    assert done.exit_code == Exit.DONE, done.output
    assert done.stdout.count(" ok ") == len(doctor.STEPS)


def test_the_doctor_orders_only_what_is_declared() -> None:
    done = run("--doctor", "--", *CLIENT)

    assert done.exit_code == Exit.DONE, done.output
    assert "order: logout" in done.stdout
    assert "order: resume" not in done.stdout


LOGIN = "b'\\0\\0\\0\\x22\\1\\1\\0\\0' + bytes(7) + b'\\1\\3ann' + bytes(18)"
CONNECTED = "import socket, sys\nsock = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"


@pytest.mark.parametrize(
    ("program", "step"),
    [
        ("pass", "the command connects"),
        (CONNECTED, "it logs in as ann"),
        (CONNECTED + f"sock.sendall({LOGIN}); sock.recv(999)", "it tells the Welcome on stdout"),
        (
            CONNECTED + f"sock.sendall({LOGIN}); sock.recv(999); print('Welcome!', flush=True)",
            "it tells the Welcome on stdout",
        ),
    ],
)
def test_the_doctor_names_the_first_step_that_fails_and_what_to_do(program: str, step: str) -> None:
    done = run("--doctor", "--timeout", "5", "--", *python(program))

    assert done.exit_code == Exit.FAILED
    assert f"FAILED  {step}" in done.stdout
    assert done.stdout.splitlines()[-1].strip().startswith("What to do: ")


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        ("left-untold", ""),
        ("short-login", "it logs in as ann"),
        ("strips-text", ""),
        ("trims", ""),
        ("data-has-length", "it follows an order: event"),
        ("logout-is-loss", "it tells how its connection ended"),
        ("resume-from-0", "it follows an order: resume"),
        ("waits-for-eof", ""),
    ],
)
def test_the_doctor_looks_at_the_contract_and_not_at_the_protocol(fault: str, step: str) -> None:
    done = run("--doctor", "--can", "resume", "--", *CLIENT, fault)

    failed = re.findall(r"FAILED  (.*)", done.stdout)
    assert failed == ([step] if step else [])


def test_no_client_is_left_behind(tmp_path: Path) -> None:
    born = tmp_path / "pid"
    note = f"import os, pathlib; pathlib.Path({str(born)!r}).write_text(str(os.getpid())); "
    silent = python(note + CONNECTED + "import time; time.sleep(1200)")  # longer than a test may

    run("PEER-LOGIN-01", *WHOLE, "--timeout", "0.3", "--", *silent)

    with pytest.raises(ProcessLookupError):
        os.kill(int(born.read_text()), 0)


@pytest.mark.parametrize(("fault", "code"), [("", Exit.DONE), ("own-name", Exit.FAILED)])
def test_junit_of_a_client_is_valid(tmp_path: Path, fault: str, code: Exit) -> None:
    written = tmp_path / "junit.xml"
    schema = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))

    done = run("PEER-LOGIN-*", *WHOLE, "--junit", str(written), "--", *CLIENT, fault)

    assert done.exit_code == code, done.output
    schema.validate(ET.parse(written))
    ids = [case.id for case in CLIENT_CASES if case.id.startswith("PEER-LOGIN")]
    told = [case.attrib["name"].split()[0] for case in ET.parse(written).iter("testcase")]
    assert told == ids


def test_reports_are_written_though_nobody_reads_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `refserver peer ... | head` does."""
    written = tmp_path / "report.json"

    def closed(*args: object, **options: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(console, "show", closed)
    run("PEER-LOGIN-01", *WHOLE, "--json", str(written), "--", *CLIENT)

    assert written.exists()
