"""The commands: what they print, what they write, and exit codes that cannot lie."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from tests.conformance.samples import a_report, a_result
from tests.conformance.serving import Served, serving
from tests.refserver.conftest import Authority
from tests.support.ports import unused_port
from tests.support.server import running

from refserver.cli import main
from refserver.conformance import check
from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.check_command import check_command
from refserver.conformance.model import Verdict
from refserver.conformance.options import Aside, repeated
from refserver.conformance.peer.commands import peer_command
from refserver.conformance.reports import machine
from refserver.conformance.suite import CaseFailed, Outcome
from refserver.exit_codes import Exit
from refserver.server.token_file import new_token

WHOLE = ("--segmentation", "whole", "--seed", "7")
PATIENT = ("--timeout", "20")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def run_check(server: Served, *words: str) -> Result:
    return run("check", f"localhost:{server.port}", *words, *WHOLE, *PATIENT)


def broken(monkeypatch: pytest.MonkeyPatch, outcome: Exception) -> None:
    """Every attempt ends like this."""

    def attempt(self: object, case: object, segmentation: object) -> Outcome:
        if isinstance(outcome, CaseFailed):
            return Outcome(failure=outcome)
        raise outcome

    monkeypatch.setattr(check.ServerDriver, "attempt", attempt)


def test_what_passes_is_0(server: Served) -> None:
    done = run_check(server, "FRAME-01", "LOGIN-01")

    assert done.exit_code == Exit.DONE
    assert "2 passed" in done.stdout


def test_what_fails_is_1(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, CaseFailed(["a Pong"], "nothing"))

    done = run_check(server, "FRAME-01")

    assert done.exit_code == Exit.FAILED
    again = f"refserver check localhost:{server.port} FRAME-01 --segmentation whole --seed 7"
    again += " --timeout 20.0"
    assert again in done.stdout


def options_with_a_say() -> Iterator[pytest.ParameterSet]:
    """Each option of the commands that test but those that are declared to be aside."""
    for command in (check_command, peer_command):
        for option in command.params:
            if isinstance(option, click.Option) and not isinstance(option, Aside):
                yield pytest.param(command, option, id=f"{command.name} {option.opts[0]}")


@pytest.mark.parametrize(("command", "option"), list(options_with_a_say()))
def test_each_option_that_changes_a_verdict_is_repeated(
    command: click.Command, option: click.Option
) -> None:
    values = {"choice": "resume", "whole number": "7", "number": "7.5", "text": "true"}
    said = [option.opts[0]]
    if not option.is_flag:
        said.append(values.get(option.type.name, __file__))
    ctx = command.make_context("it", list(said))

    with ctx:
        assert repeated(ctx) == tuple(said)


def test_what_was_not_asked_for_is_not_repeated() -> None:
    ctx = check_command.make_context("check", [":3000", "FRAME-01", "--name", "mine", "-v"])

    with ctx:
        assert repeated(ctx) == ()


def test_the_rerun_line_of_a_client_has_its_options_before_its_command(tmp_path: Path) -> None:
    words = ["--timeout", "0.5", "--json", str(tmp_path / "r"), "--", "true", "{port}"]

    run("peer", "PEER-LOGIN-01", *WHOLE, *words)

    (result,) = machine.read(tmp_path / "r").results
    assert result.rerun.endswith("--seed 7 --timeout 0.5 -- true '{port}'")


@pytest.mark.parametrize("pairs", ["ann", ":secret", "ann:", "ann:secret bob:"])
def test_a_pair_without_a_name_or_a_credential_is_2(
    pairs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRS", pairs)

    done = run("check", ":3000", "--credential-env", "PAIRS")

    assert done.exit_code == Exit.USAGE
    assert "PAIRS has no name:credential" in done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["check"], "which server? HOST:PORT comes first"),
        (["check", "FRAME-07"], "which server? HOST:PORT comes first"),
        (["check", "localhost:0"], "a port is 1 to 65535"),
        (["check", "http://localhost:3000"], "leave out http://"),
        (["check", ":3000", "FRAME-7"], "no case 'FRAME-7'; did you mean 'FRAME-07'?"),
        (["check", ":3000", "XYZ*"], "no case 'XYZ*'; --list has them all"),
        (["check", "--list", "FRAME-7"], "did you mean 'FRAME-07'?"),
        (["check", ":3000", "--section", "2.1"], "there are 'login', "),
        (["check", ":3000", "--timeout", "0"], "0.0 is not in the range"),
        (["check", ":3000", "--can", "flying"], "'flying' is not one of"),
        (["check", ":3000", "--can", "presence", "--cannot", "presence"], "--can and --cannot"),
        (["check", ":3000", "--credential-env", "NOT_SET_ANYWHERE"], "has no name:credential"),
        (["check", ":3000", "--pid", str(os.getpid()), "--stop-command", "true"], "one of them"),
        (["check", ":3000", "--pid", str(2**22 + 1)], "--pid: process 4194305: No such process"),
        (["check", ":3000", "--stop-command", "nosuchcmd foo"], "no program 'nosuchcmd'"),
        (["check", ":3000", "--expected-failures", "/nowhere"], "does not exist"),
        (["peer", "PEER-FRAME-01", "--doctor", "--", "true", "{host}", "{port}"], "takes no ID"),
        (["report"], "Missing command"),
        (["report", "merge", __file__], "is not JSON"),
        (["report", "merge", os.devnull], "is empty"),
        (["explain", "VER-99"], "did you mean 'VER-"),
        (["explain", "xyzzy"], "see check --list and peer --list"),
    ],
)
def test_what_makes_no_sense_is_2_and_says_why(words: list[str], reason: str) -> None:
    done = run(*words)

    assert done.exit_code == Exit.USAGE
    assert done.stdout == ""
    assert reason in done.stderr


def test_too_few_credentials_are_no_fault_of_the_server(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRS", "ann:sesame")

    done = run_check(server, "LOGIN-01", "MSG-02", "--credential-env", "PAIRS", "-v")

    assert done.exit_code == Exit.DONE
    assert "1 passed, 1 unsupported" in done.stdout
    assert "needs 2 name:credential pairs, 1 given" in done.stdout


def test_a_server_that_asks_for_credentials_is_told_from_a_wrong_one(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(new_token("ann")[1] + "\n")
    with running(tmp_path, "--tokens", str(tmp_path / "tokens")) as guarded:
        done = run("check", f":{guarded.port}", "LOGIN-01", *WHOLE, *PATIENT)

    assert done.exit_code == Exit.FAILED
    assert "asks for credentials: --credential-env" in done.stderr


def test_a_server_is_tested_over_tls_but_for_half_closed_connections(
    tmp_path: Path, authority: Authority
) -> None:
    cert = str(authority.issue())
    with running(tmp_path, "--tls-cert", cert, "--close-timeout", "0.1") as secure:
        ids = ["LOGIN-01", "FRAME-01", "FRAG-0*", "CLOSE-01", "FRAME-07"]
        words = [f":{secure.port}", *ids, *WHOLE, *PATIENT]

        trusted = run("check", *words, "--ca", str(authority.file), "-v")
        stranger = run("check", *words, "--tls")
        plain = run("check", f":{secure.port}", "LOGIN-01", *WHOLE, *PATIENT)

    assert trusted.exit_code == Exit.DONE
    assert "needs half-closed connections" in trusted.stdout
    assert f"--ca {authority.file}" in trusted.stdout
    assert (stranger.exit_code, "cannot connect" in stranger.stderr) == (Exit.UNREACHABLE, True)
    assert (plain.exit_code, "may speak TLS: --tls" in plain.stderr) == (Exit.FAILED, True)


def test_what_ran_before_a_ctrl_c_is_told_and_written(
    server: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    attempts = iter([None, CaseFailed(["a Pong"], "nothing"), CaseFailed(["a Pong"], "nothing")])

    def attempt(self: object, case: object, segmentation: object) -> Outcome:
        for failure in attempts:
            return Outcome(failure=failure)
        raise KeyboardInterrupt

    monkeypatch.setattr(check.ServerDriver, "attempt", attempt)

    done = run_check(server, "FRAME-0*", "--json", str(tmp_path / "report.json"))

    assert done.exit_code == 130
    assert "1 passed, " in done.stdout and "1 failed" in done.stdout
    assert "INCONCLUSIVE interrupted: FRAME-03" in done.stdout
    assert machine.read(tmp_path / "report.json").results[1].verdict is Verdict.FAILED


def test_where_no_case_ran_is_3(server: Served) -> None:
    done = run_check(server, "ALIVE-01")

    assert done.exit_code == Exit.NO_CASE_RAN
    assert "no case ran" in done.stdout


def test_where_nobody_answers_is_4() -> None:
    done = run("check", f"127.0.0.1:{unused_port()}", *WHOLE)

    assert done.exit_code == Exit.UNREACHABLE
    assert "cannot reach" in done.stderr


def test_a_name_that_has_no_address_is_4(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    done = run("check", "nowhere.example:3000", *WHOLE)

    assert done.exit_code == Exit.UNREACHABLE
    assert done.stderr == "refserver: cannot reach nowhere.example: Name or service not known\n"


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"\xff", "is not UTF-8")])
@pytest.mark.parametrize("option", ["--expected-failures", "--known-flaky"])
def test_a_list_of_cases_that_cannot_be_read_is_a_usage_error(
    option: str, content: bytes | None, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "cases.txt"
    if content is not None:
        path.write_bytes(content)

    done = run("check", ":1", option, str(path))

    assert done.exit_code == Exit.USAGE
    assert f"cannot read {path}: {why}" in done.stderr or f"{path}' does not exist" in done.stderr


def test_after_the_first_silence_nothing_more_is_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        done = run("check", f":{mute.getsockname()[1]}", *WHOLE, "--timeout", "0.05")

    assert done.exit_code == Exit.FAILED
    assert "nothing came in time" in done.stdout
    assert "1 failed" in done.stdout
    assert "INCONCLUSIVE no frame came to a Login: nothing came in time" in done.stdout
    assert "the port may speak TLS: --tls" in done.stderr


@pytest.mark.parametrize("at_once", [True, False])
def test_an_http_server_is_called_one(at_once: bool) -> None:
    """It answers at once, or when it sees that the request ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=http_server, args=(listener, at_once))
        thread.start()
        at = f":{listener.getsockname()[1]}"

        for timeout in ("0.05", "1", "20"):  # until it can answer in time here
            done = run("check", at, "LOGIN-*", *WHOLE, "--timeout", timeout)
            if "HTTP" in done.stderr:
                break

        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert done.exit_code == Exit.FAILED
    assert "an HTTP response: this is the port of an HTTP server" in done.stderr
    assert "1 failed" in done.stdout


def http_server(listener: socket.socket, at_once: bool) -> None:
    """Answer each connection with an error, until nobody listens."""
    with suppress(OSError):
        while True:
            sock, _ = listener.accept()
            with sock:
                while sock.recv(1 << 16) and not at_once:
                    pass
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_the_kits_own_failure_is_5(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, ZeroDivisionError())

    done = run_check(server, "FRAME-01")

    assert done.exit_code == Exit.BROKEN
    assert "ZeroDivisionError" in done.stdout


def test_an_expected_failure_that_passes_is_1(server: Served, tmp_path: Path) -> None:
    (tmp_path / "known").write_text("FRAME-01 # not any more\n")

    done = run_check(server, "FRAME-01", "--expected-failures", str(tmp_path / "known"))

    assert done.exit_code == Exit.FAILED
    assert "take it off" in done.stdout


def test_the_list_has_every_case() -> None:
    done = run("check", "--list")

    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [c.id for c in SERVER_CASES]


def test_the_list_has_what_is_asked_for_and_each_section() -> None:
    done = run("check", "--list", "FRAME-0*")

    assert {line[:6] for line in done.stdout.splitlines()} == {"FRAME-"}
    assert "FRAME-01  [framing] a length of 0" in done.stdout


def test_every_report_is_written(server: Served, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("r.json", "r.xml", "r.html", "r.md")]
    options = ["--json", files[0], "--junit", files[1], "--html", files[2], "--markdown", files[3]]

    done = run_check(server, "FRAME-0*", *map(str, options))

    assert done.exit_code == Exit.DONE
    assert [file.name for file in files if file.stat().st_size < 50] == []
    report = machine.read(files[0])
    assert report.runs[0].implementation == "refserver"
    assert report.runs[0].seed == 7


def test_a_report_that_cannot_be_written_is_2(server: Served) -> None:
    done = run_check(server, "FRAME-01", "--json", "/nowhere/at/all.json")

    assert done.exit_code == Exit.USAGE


def test_no_ticket_stands_in_a_report(server: Served, tmp_path: Path) -> None:
    run_check(server, "RESUME-01", "--json", str(tmp_path / "r.json"))

    (run_,) = json.loads((tmp_path / "r.json").read_text())["runs"]
    frames = [step["data"] for result in run_["results"] for step in result["steps"]]
    welcomes = [data for data in frames if data[8:12] == "0108"]
    assert welcomes
    assert all("2a" * 8 in data for data in welcomes)


def test_merged_reports_stand_side_by_side(tmp_path: Path) -> None:
    for name, verdict in (("one", Verdict.PASSED), ("two", Verdict.FAILED)):
        machine.write(a_report(a_result(verdict), name=name), tmp_path / name)

    out = tmp_path / "both.html"
    done = run("report", "merge", str(tmp_path / "one"), str(tmp_path / "two"), "--html", str(out))

    assert done.exit_code == Exit.FAILED
    assert "one" in done.stdout and "two" in done.stdout
    assert out.stat().st_size > 200


def test_merged_runs_of_one_name_are_numbered(tmp_path: Path) -> None:
    machine.write(a_report(a_result(Verdict.PASSED), name="mine"), tmp_path / "one")

    done = run("report", "merge", *[str(tmp_path / "one")] * 3)

    names = [line.partition(":")[0] for line in done.stdout.splitlines() if " passed" in line]
    assert names == ["mine", "mine (2)", "mine (3)"]


def test_what_is_no_report_is_not_merged(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("{}")

    done = run("report", "merge", str(tmp_path / "one"))

    assert done.exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("FRAME-07", "EP-2.1-6 A frame that is not whole at the end of the stream"),
        ("frame-07", "usually: what is left in the buffer"),
        ("FRAME-01", "00 00 00 00                 length 0"),
        ("FRAME-07", "ann: shut down the sending side"),
        ("PEER-HEAD-01", "02                          version 2"),
        ("FRAG-03", "00 00 00 00 09              seq (continued) 9"),
        ("PEER-FRAME-02", "(continued)"),
        ("EP-4.2-1", "case   REPLY-01"),
        ("EP-9.9-9", None),
        ("13", "13 USER_TAKEN: somebody has this name; answers a request"),
        ("13", "with seq 0 it ends the connection (EP-6.4-10)"),
        ("HISTORY_GONE", "RESUME-09"),
        ("1", "00 01"),
        ("99", None),
        ("EP-10.4-2", "PEER-CLOSE-06"),
        ("EP-12-3", "no case of the kit is about it"),
        ("EP-2.3-3", "vectors: python -m eventcodec vectors check"),
        ("STOP-01", "needs  check, --pid or --stop-command"),
        ("PEER-RESUME-01", "needs  peer --can resume"),
    ],
)
def test_an_id_a_statement_or_a_code_is_explained(what: str, said: str | None) -> None:
    done = run("explain", what)

    if said is None:
        assert done.exit_code == Exit.USAGE
    else:
        assert done.exit_code == 0
        assert said in done.stdout


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("check :3000 frame-0", "FRAME-07"),
        ("check --section cl", "close and half-close"),
        ("peer PEER-FR", "PEER-FRAME-02"),
        ("peer --section fr", "framing"),
        ("explain frag-0", "FRAG-03"),
        ("explain EP-4.2-", "EP-4.2-1"),
        ("explain his", "HISTORY_GONE"),
    ],
)
def test_a_shell_completes_what_the_kit_knows(line: str, completed: str) -> None:
    *words, begun = line.split()

    found = ShellComplete(main, {}, "kit", "_KIT").get_completions(words, begun)

    assert completed in [each.value for each in found]
    assert all(each.value.upper().startswith(begun.upper()) for each in found)
