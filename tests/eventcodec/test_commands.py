"""The command line: what is printed where, and exit codes that cannot lie."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from eventcodec import (
    IMPLEMENTATION,
    ErrorCode,
    Login,
    Message,
    Ping,
    commands,
    encode,
    selftest,
    vectors,
)
from eventcodec.commands import main
from eventcodec.tables import STANDARD_EVENTS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "packages/eventcodec/README.md"
HELLO = encode(Message(content="hello", seq=7))
LINE = b'{"event": "Message", "seq": "7", "sender": "", "content": "hello"}\n'
LOGIN = encode(Login(user="ann", credential=b"s3cret", ticket=77, seq=1))
READER = [sys.executable, str(Path(__file__).with_name("plain_reader.py"))]
VALID = vectors.load().valid


class Done(NamedTuple):
    code: int
    out: bytes
    err: str


Run = Callable[..., Done]


class Keyboard(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command here: its exit code, what it wrote, what it complained of."""

    def run(*argv: str, stdin: bytes = b"", terminal: bool = False, typed: bool = False) -> Done:
        source = (Keyboard if typed else io.TextIOWrapper)(io.BytesIO(stdin))
        monkeypatch.setattr(sys, "stdin", source)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        try:
            code: object = main(argv)
        except SystemExit as end:
            code = end.code
        out, err = capsysbinary.readouterr()
        assert isinstance(code, int)
        return Done(code, out, err.decode())

    return run


# --- dissect, decode, encode -----------------------------------------------------


def test_dissect_shows_a_good_frame_and_exits_with_0(run: Run, tmp_path: Path) -> None:
    (tmp_path / "frame").write_bytes(HELLO)

    given = [
        run("dissect", "--hex", HELLO.hex(" ")),
        run("dissect", str(tmp_path / "frame")),
        run("dissect", "-", stdin=HELLO),
        run("dissect", stdin=HELLO),
    ]

    assert given == [given[0]] * 4
    assert (given[0].code, given[0].err) == (0, "")
    assert b"'hello'" in given[0].out


def test_dissect_exits_with_1_at_a_fault_or_a_cut_frame(run: Run) -> None:
    for data in (HELLO[:-1], b"GET / HTTP/1.1\r\n\r\n"):
        done = run("dissect", stdin=data)

        assert done.code == 1
        assert b"\nerror: " in done.out


def test_dissect_takes_the_limit_that_it_is_given(run: Run) -> None:
    assert run("dissect", "--max-frame", "17", "--hex", HELLO.hex()).code == 1
    assert run("dissect", "--max-frame", "18", "--hex", HELLO.hex()).code == 0


@pytest.mark.proves("EP-12-1")
def test_dissect_shows_a_secret_only_to_who_asks(run: Run) -> None:
    secret = b"s3cret".hex(" ").encode()

    assert secret not in run("dissect", stdin=LOGIN).out
    assert secret in run("dissect", "--secrets", stdin=LOGIN).out


def test_decode_and_encode_are_each_other_s_reverse(run: Run) -> None:
    stream = b"".join(vector.frame for vector in VALID)

    lines = run("decode", stdin=stream)
    frames = run("encode", stdin=lines.out)

    assert [json.loads(line) for line in lines.out.splitlines()] == [
        dict(vector.event) for vector in VALID
    ]
    assert frames == (0, stream, "")


def test_encode_writes_hex_and_leaves_empty_lines_out(run: Run) -> None:
    done = run("encode", "--hex", stdin=LINE + b"\n  \n" + LINE)

    assert done == (0, f"{HELLO.hex()}\n".encode() * 2, "")


def test_decode_gives_the_good_events_and_then_the_fault(run: Run) -> None:
    done = run("decode", "--hex", HELLO.hex() + "00000000")

    assert (done.code, done.out) == (1, LINE)
    assert done.err.startswith("eventcodec: MALFORMED: length at byte 22: 0, ")


def test_decode_complains_of_a_frame_that_is_cut(run: Run) -> None:
    done = run("decode", stdin=HELLO + HELLO[:5])

    assert (done.code, done.out) == (1, LINE)
    assert done.err == "eventcodec: the stream ended inside a frame\n"


def test_decode_reads_frames_as_long_as_it_is_told(run: Run) -> None:
    long = encode(Message(content="m" * 70_000, seq=1))

    assert run("decode", stdin=long).code == 1
    assert run("decode", "--max-frame", "100000", stdin=long).code == 0


@pytest.mark.proves("EP-12-1")
def test_decode_tells_a_terminal_no_secret_unless_asked(run: Run) -> None:
    whole = json.loads(run("decode", stdin=LOGIN).out)
    shown = json.loads(run("decode", stdin=LOGIN, terminal=True).out)

    assert (whole["credential"], whole["ticket"]) == (b"s3cret".hex(), "77")
    assert (shown["credential"], shown["ticket"]) == ("(6 bytes hidden)", "(8 bytes hidden)")
    assert run("decode", "--secrets", stdin=LOGIN, terminal=True) == run("decode", stdin=LOGIN)


def test_encode_names_the_line_and_the_field_at_fault(run: Run) -> None:
    done = run("encode", "--hex", stdin=LINE + b'{"event": "Ping"}\n' + LINE)

    assert (done.code, done.out) == (1, f"{HELLO.hex()}\n".encode())
    assert done.err == "eventcodec: line 2: seq: is missing\n"


@pytest.mark.parametrize(
    "line",
    [b'{"event": "Ping", "seq": "1", "\\u001b[31m": 1}', b'{"event": "\x1b[31m', b"\xff\xfe"],
)
def test_a_complaint_is_one_line_of_plain_text(run: Run, line: bytes) -> None:
    done = run("encode", stdin=line)

    assert done.code == 1
    assert re.fullmatch(r"eventcodec: line 1: [ -~]+\n", done.err)


def test_encode_writes_no_frames_to_a_terminal(run: Run) -> None:
    done = run("encode", stdin=LINE, terminal=True)

    assert (done.code, done.out) == (2, b"")
    assert run("encode", "--hex", stdin=LINE, terminal=True).code == 0


# --- usage -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["unknown"],
        ["dissect", "--hex", "0"],
        ["dissect", "--hex", "00", "file"],
        ["dissect", "--max-frame", "11"],
        ["dissect", "--max-frame", "many"],
        ["decode", "/no/such/file"],
        ["decode", "/"],
        ["vectors"],
        ["vectors", "show", "no.such.vector"],
        ["vectors", "export", "/dev/null/folder"],
        ["vectors", "check"],
        ["vectors", "check", "--"],
        ["vectors", "check", "--timeout", "0", "--", "true"],
        ["vectors", "check", "--timeout", "soon", "--", "true"],
        ["vectors", "check", "--receiver", "codec", "--", "true"],
        ["vectors", "check", "--", "/no/such/program"],
        ["selftest", "--seed", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_says_why_in_its_last_line(run: Run, argv: list[str]) -> None:
    done = run(*argv)

    assert (done.code, done.out) == (2, b"")
    assert re.match(r"(python -m )?eventcodec[a-z ]*: ", done.err.splitlines()[-1])
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "argv", [["--help"], ["dissect", "--help"], ["vectors", "check", "--help"]], ids=" ".join
)
def test_help_is_plain_text_of_100_columns(run: Run, argv: list[str]) -> None:
    done = run(*argv)

    assert done.code == 0
    assert all(len(line) <= 100 for line in done.out.decode("ascii").splitlines())


def test_the_examples_of_the_help_are_right(run: Run) -> None:
    answers = run("vectors", "check", "--help").out.decode()
    [question] = re.findall(r'\{"id": "ping", .*?\}', answers, re.DOTALL)
    encoding = re.findall(r'\{"id": "ping#encode".*\}\}', answers)
    given = re.findall(r'^  (\{"(?:event|bytes)".*?\})', answers, re.MULTILINE)

    done = run(
        "vectors", "answer", stdin="\n".join([question.replace("\n", ""), *encoding]).encode()
    )

    assert done.out.decode().splitlines() == given


def test_a_fault_of_our_own_exits_with_5_and_not_with_1(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Iterator[object]:
        raise KeyError("vectors")

    monkeypatch.setattr(vectors, "load", broken)

    for argv in (["vectors", "check", "--", "true"], ["vectors", "list"], ["selftest"]):
        done = run(*argv)

        assert done.code == 5
        assert "KeyError" in done.err


FULL = "eventcodec: reading or writing failed: No space left on device\n"
needs_full = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="there is no device that is always full"
)


@needs_full
@pytest.mark.parametrize(
    "words", ["describe", "vectors list", "dissect --hex 00", "selftest", "vectors export {}"]
)
@pytest.mark.parametrize("unbuffered", [False, True])
def test_an_output_that_takes_nothing_is_5_and_one_line(
    tmp_path: Path,
    words: str,
    unbuffered: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """stdout is made as Python makes it, and closed as it does at its exit."""
    with Path("/dev/full").open("wb", buffering=0) as raw:
        under: Any = raw if unbuffered else io.BufferedWriter(raw)
        stdout = io.TextIOWrapper(under, write_through=unbuffered)
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(selftest, "CHECKS", selftest.CHECKS[-1:])  # the shortest

        code = main(words.format(tmp_path).split())

        stdout.close()
    assert code == 5
    assert capsys.readouterr().err == FULL


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.measured_processes
def test_a_process_whose_output_takes_nothing_ends_with_5_and_one_line(unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "eventcodec", "describe"],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=600,
        )

    assert (done.returncode, done.stderr) == (5, FULL)


def test_an_interrupt_ends_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seed: int) -> Iterator[object]:
        raise KeyboardInterrupt

    monkeypatch.setattr(selftest, "run", interrupted)

    assert run("selftest") == (130, b"", "")


# --- vectors ---------------------------------------------------------------------


def test_list_names_every_vector_once(run: Run) -> None:
    every = vectors.load()

    done = run("vectors", "list")

    ids = [line.split()[0] for line in done.out.decode("ascii").splitlines()]
    assert ids == [
        *(vector.id for vector in every.valid),
        *(vector.id for vector in every.invalid),
        *(vector.id for vector in every.prefixes),
    ]
    assert len(set(ids)) == len(ids)


def test_list_of_nothing_exits_with_3(run: Run) -> None:
    assert run("vectors", "list", "--only", "no.such*") == (3, b"", "")
    assert run("vectors", "list", "--only", "length.11*").out.startswith(b"length.11  ")


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("length.swapped", "is: error 2 FRAME_TOO_LARGE, due after 4 bytes"),
        ("login.request.ordinary", 'is: {"event": "Login", "seq": "7", '),
        ("prefix.login.request.ordinary", "is: incomplete, cut to 0 to 37 bytes"),
    ],
)
def test_show_tells_all_of_one_vector(run: Run, id: str, says: str) -> None:
    lines = run("vectors", "show", id).out.decode("ascii").splitlines()

    assert lines[0].startswith(f"{id}: ")
    assert lines[1].startswith("proves: ")
    assert any(line.startswith(says) for line in lines)
    assert any(line.startswith("frame 1 at byte 0: ") for line in lines)


def test_export_writes_the_files_as_they_are_shipped(run: Run, tmp_path: Path) -> None:
    done = run("vectors", "export", str(tmp_path / "new" / "folder"))

    shipped = {path.name: path for path in Path(vectors.__file__).parent.glob("*.[jm]*")}
    written = {path.name: path for path in (tmp_path / "new" / "folder").iterdir()}
    assert done.code == 0
    assert written.keys() == shipped.keys() >= {"valid.json", "schema.json", "README.md"}
    assert all(written[name].read_bytes() == path.read_bytes() for name, path in shipped.items())


def test_check_exits_with_0_only_if_every_answer_is_right(run: Run) -> None:
    some = ["--only", "l*"]

    good = run("vectors", "check", *some, "--", *READER)
    bad = run("vectors", "check", *some, "--", *READER, "late")
    odd = run("vectors", "check", *some, "--", *READER, "fails_at_the_end")

    assert (good.code, bad.code, odd.code) == (0, 1, 1)
    assert good.out.endswith(b"\npassed\n")
    assert bad.out.endswith(b"\nfailed\n")


def test_check_exits_with_3_if_nothing_was_answered_or_asked(run: Run) -> None:
    for argv in (["--", sys.executable, "-c", ""], ["--only", "no.such*", "--", *READER]):
        done = run("vectors", "check", *argv)

        assert done.code == 3
        assert done.out.startswith(b"no case ran: ")


def test_check_gives_the_program_its_options(run: Run) -> None:
    echo = "import sys; print(sys.argv[1:])"

    done = run(
        "vectors", "check", "--only", "length.0", "--", sys.executable, "-c", echo, "--x", "--"
    )

    assert b"['--x', '--']" in done.out


def test_check_asks_the_ends_of_a_connection_and_writers_where_told(run: Run) -> None:
    ours = ["--", sys.executable, "-m", "eventcodec", "vectors", "answer"]
    plain = ["--only", "state.*", *ours]

    assert run("vectors", "check", *plain).code == 3
    for more in (["--receiver", "server"], ["--receiver", "client"]):
        assert run("vectors", "check", *more, *plain).code == 0
    writer = run("vectors", "check", "--encode", "--only", "*#encode", *ours)
    assert writer.code == 0
    assert f"encode    {len(VALID)}" in writer.out.decode()


def test_the_help_of_check_says_what_a_state_is_as_the_vectors_do(run: Run) -> None:
    readme = files("eventcodec.vectors").joinpath("README.md").read_text("utf-8")
    setups = re.findall(r"^\* (\*\*(?:server|client), .*?)(?=^\* |^$)", readme, re.M | re.S)

    told = run("vectors", "check", "--help").out.decode()

    assert len(setups) == 4
    for setup in setups:
        assert " ".join(re.sub(r"[*`]", "", setup).split()) in " ".join(told.split())


def test_check_reports_as_json(run: Run) -> None:
    done = run("vectors", "check", "--json", "--only", "length.0", "--", *READER, "late")

    assert (done.code, json.loads(done.out)["passed"]) == (0, True)


def test_answer_complains_of_what_is_no_question(run: Run) -> None:
    question = b'{"bytes": "", "receiver": "codec", "state": null, "limit": 65791}\n'

    for line in (b"{}", b"[", b"\xff", b"[]"):
        done = run("vectors", "answer", stdin=question + line)

        assert (done.code, done.out) == (1, b'{"incomplete": true}\n')
        assert done.err.startswith("eventcodec: line 2: ")


# --- selftest, describe ----------------------------------------------------------


def test_selftest_exits_with_1_and_shows_what_failed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [selftest.Result("good", 3, ()), selftest.Result("bad", 2, ("this one",))]
    monkeypatch.setattr(selftest, "run", lambda seed: iter(results))

    done = run("selftest", "--seed", "5")

    assert (done.code, done.err) == (1, "")
    assert done.out.decode().splitlines() == [
        "ok          3  good",
        "FAILED      2  bad",
        "         this one",
        f"seed 5, {IMPLEMENTATION}: this installation is broken",
    ]


def test_describe_has_every_field_every_limit_and_every_code(run: Run) -> None:
    text = run("describe").out.decode("ascii")

    sections = {title: rest for title, *rest in map(str.splitlines, text.split("\n\n"))}
    for kind in STANDARD_EVENTS:
        fields = [line.split()[0] for line in sections[f"{kind.type:#04x} {kind.__name__}"]]
        assert fields == [part.name for part in kind.parts]
    for code in ErrorCode:
        number = f"{code:d}{'[*]' * code.fatal}"
        assert re.search(rf"^ +{number} +{code.name} ", text, re.MULTILINE)
    assert "MAX_FRAME_CEILING         16777216" in text
    assert re.findall(r"^  (\d+) +(\w+)", text, re.MULTILINE)[:5] == [
        ("0", "length"),
        ("4", "version"),
        ("5", "type"),
        ("6", "reserved"),
        ("8", "seq"),
    ]


def test_describe_knows_the_events_of_an_application(run: Run) -> None:
    done = run("describe", "--as", "markdown", "--events", "tests.eventcodec.declared")

    assert done.code == 0
    assert re.findall(r"`0x\w+`? .*Moved|Moved", done.out.decode())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--events", "json"], "--events needs --as wireshark, kaitai or markdown"),
        (["--as", "kaitai", "--events", "json"], "json declares no application event"),
        (["--as", "kaitai", "--events", "no_such"], "--events no_such: No module named 'no_such'"),
    ],
)
def test_describe_says_what_is_wrong_with_a_module_of_events(
    run: Run, words: list[str], why: str
) -> None:
    done = run("describe", *words)

    assert done.code != 0 and done.out == b""
    assert done.err.splitlines()[-1].endswith(why)


# --- as a process ----------------------------------------------------------------


@pytest.mark.once
def test_the_readme_shows_what_is_printed() -> None:
    shown = re.findall(r"^```console\n(.*?)^```$", README.read_text("utf-8"), re.S | re.M)
    sessions = [each for block in shown for each in re.split(r"^\$ ", block, flags=re.M)[1:]]
    assert len(sessions) == 6

    for session in sessions:
        command, expected = session.split("\n", 1)
        expected = expected.replace(", native:", f", {IMPLEMENTATION}:")
        command = re.sub(r"\bpython\b", shlex.quote(sys.executable), command)
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=600)

        assert (done.stdout, done.stderr) == (expected, "")


@pytest.mark.measured_processes
def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    command = [sys.executable, "-m", "eventcodec", "vectors", "list"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()

    _, err = process.communicate(timeout=600)

    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_check_that_is_ended_tells_what_was_answered_and_leaves_nothing_running(
    number: int, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pid")
    client = "read question; echo '{}'; echo $$ > \"$1\"; sleep 600"
    command = [sys.executable, "-m", "eventcodec", "vectors", "check", "--only", "length.*"]
    command += ["--json", "--", "sh", "-c", client, "sh", str(tmp_path / "pid")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        program = os.pidfd_open(int((tmp_path / "pid").read_text()))
        process.send_signal(number)
        out, _ = process.communicate(timeout=600)

    with os.fdopen(program):
        assert select.select([program], [], [], 60)[0]
    report = json.loads(out)
    assert (process.returncode, report["end"], report["answered"]) == (130, "interrupted", 1)


def test_decode_writes_each_event_when_its_last_byte_is_in() -> None:
    command = [sys.executable, "-m", "eventcodec", "decode"]
    ping = encode(Ping(seq=1))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for _ in range(2):
            process.stdin.write(ping)
            process.stdin.flush()

            assert process.stdout.readline() == b'{"event": "Ping", "seq": "1"}\n'
        process.stdin.close()

    assert process.returncode == 0


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("eventcodec", {"argparse", "json", "random", "subprocess", "tempfile"}),
        ("eventcodec.commands", {"random", "subprocess", "tempfile"}),
    ],
)
def test_nothing_is_imported_that_is_not_needed(module: str, absent: set[str]) -> None:
    """The command line costs those nothing who only import the package.

    construct itself imports subprocess on Python 3.14: its debugger brings asyncio there.
    """
    code = (
        f"import sys, construct; before = {{*sys.modules}}; import {module}; "
        f"print(sorted({absent!r} & ({{*sys.modules}} - before)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)

    assert done.stdout == "[]\n"


def test_the_module_of_commands_offers_one_name() -> None:
    assert commands.__all__ == ["main"]


def test_it_tells_its_version(run: Run) -> None:
    done = run("--version")

    assert (done.code, done.out) == (0, f"eventcodec {version('eventcodec')}\n".encode())


def test_it_says_that_it_reads_from_a_terminal(run: Run) -> None:
    done = run("dissect", stdin=HELLO, typed=True)

    assert done.code == 0
    assert "Ctrl-D" in done.err
