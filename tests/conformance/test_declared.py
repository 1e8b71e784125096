"""What is said on the command line about a server: who may log in, and what stops it.

The cases behind these options need a server that asks for credentials, or one that may
end: real processes on both sides. These tests are marked `once`; the others need none.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.conformance.mutating import serving_here
from tests.conformance.serving import DECLARED, Served
from tests.refserver.clients import REFSERVER
from tests.support.server import Running, running
from tests.support.warm import ran

from refserver.cli import main
from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.check_command import stopping
from refserver.conformance.model import Verdict
from refserver.exit_codes import Exit
from refserver.server.auth import AllowAll
from refserver.server.config import Config
from refserver.server.token_file import new_token

STOPS = [case.id for case in SERVER_CASES if case.section == "shutdown"]
GUARDED = [case.id for case in SERVER_CASES if "credentials" in case.capabilities]
USERS = ("ann", "bob", "cyd", "dan")
VARIABLE = "MEMBERS_OF_THE_KIT"


class Checked:
    """What `refserver check` made of a server."""

    def __init__(self, server: Running, folder: Path, *words: str, environment: str = "") -> None:
        report = folder / "report.json"
        command = [str(REFSERVER), "check", f"localhost:{server.port}", "--timeout", "20"]
        command += ["--segmentation", "whole", "--json", str(report), *words]
        self.done = ran(
            command,
            capture_output=True,
            text=True,
            env={**os.environ, VARIABLE: environment},
        )
        self.report = report.read_text()
        results: list[dict[str, Any]] = json.loads(self.report)["runs"][0]["results"]
        self.verdicts = {each["case"]: each["verdict"] for each in results}


@contextmanager
def guarded(folder: Path) -> Iterator[tuple[Running, str]]:
    """A server with four users; and who they are, as the kit is told."""
    made = {user: new_token(user) for user in USERS}
    tokens = folder / "tokens"
    tokens.write_text("".join(f"{line}\n" for _, line in made.values()))
    with running(folder, "--tokens", str(tokens)) as server:
        yield server, " ".join(f"{user}:{secret}" for user, (secret, _) in made.items())


@pytest.mark.once
def test_with_credentials_every_case_about_them_is_run_and_passes(tmp_path: Path) -> None:
    words = ("LOGIN-*", *GUARDED, "--credential-env", VARIABLE)
    with guarded(tmp_path) as (server, members):
        checked = Checked(server, tmp_path, *words, environment=members)

    assert checked.done.returncode == Exit.DONE, checked.done.stdout
    assert {checked.verdicts[id] for id in GUARDED} == {"passed"}
    assert set(Counter(checked.verdicts.values())) == {"passed", "unsupported"}


@pytest.mark.once
def test_no_credential_stands_in_what_the_kit_writes(tmp_path: Path) -> None:
    with guarded(tmp_path) as (server, members):
        checked = Checked(
            server, tmp_path, "LOGIN-01", "--credential-env", VARIABLE, environment=members
        )

    written = checked.report + checked.done.stdout + checked.done.stderr
    secrets = [pair.partition(":")[2] for pair in members.split()]
    assert not any(each in written or each.encode().hex() in written for each in secrets)


@pytest.mark.once
def test_a_credential_that_is_not_good_fails(tmp_path: Path) -> None:
    with guarded(tmp_path) as (server, _):
        checked = Checked(
            server, tmp_path, "LOGIN-01", "--credential-env", VARIABLE, environment="ann:wrong"
        )

    assert checked.done.returncode == Exit.FAILED
    assert checked.verdicts == {"LOGIN-01": "failed"}


def terminating(pid: int) -> str:
    """A command that ends this process; a machine may have no program `kill`."""
    return shlex.join([sys.executable, "-c", f"import os; os.kill({pid}, {signal.SIGTERM:d})"])


@pytest.mark.once
@pytest.mark.parametrize("option", ["--pid", "--stop-command"])
def test_a_server_that_may_be_stopped_is_stopped_at_last(option: str, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        how = str(server.pid) if option == "--pid" else terminating(server.pid)

        checked = Checked(server, tmp_path, "STOP-*", "FRAME-01", option, how)

        assert server.wait() == 0
    assert checked.done.returncode == Exit.DONE, checked.done.stdout
    assert list(checked.verdicts) == ["FRAME-01", *STOPS]
    assert set(checked.verdicts.values()) == {"passed"}


@pytest.mark.once
def test_the_one_shutdown_is_evidence_of_each_case_about_it(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        checked = Checked(server, tmp_path, "STOP-*", "--pid", str(server.pid))

    results = json.loads(checked.report)["runs"][0]["results"]
    assert len({json.dumps(result["steps"]) for result in results}) == 1
    assert len(results[0]["steps"]) > 1


@pytest.mark.once
def test_a_stop_command_that_stops_nothing_fails(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        checked = Checked(server, tmp_path, "STOP-01", "--stop-command", "true", "--timeout", "0.3")

    assert checked.done.returncode == Exit.FAILED
    assert checked.verdicts == {"STOP-01": "failed"}


@pytest.mark.once
def test_a_stop_command_that_fails_is_no_fault_of_the_server(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        checked = Checked(server, tmp_path, "STOP-01", "--stop-command", "false")

    assert checked.verdicts == {"STOP-01": "inconclusive"}
    assert checked.done.returncode == Exit.FAILED
    assert "the stop command ended with code 1" in checked.done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "no-such-program now",
        "",
        "'unbalanced",
        "true; true",
        "true && true",
        "kill $PID",
        "kill `cat pid`",
        "true > file",
    ],
)
def test_a_stop_command_that_is_no_program_is_a_usage_error(command: str) -> None:
    done = CliRunner().invoke(main, ["check", ":1", "STOP-01", "--stop-command", command])

    assert done.exit_code == Exit.USAGE
    assert "--stop-command: " in done.stderr


@pytest.mark.once
def test_without_the_options_their_cases_are_unsupported(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        checked = Checked(server, tmp_path, "LOGIN-24", "STOP-01")

    assert checked.done.returncode == Exit.NO_CASE_RAN
    assert set(checked.verdicts.values()) == {"unsupported"}


def test_what_is_declared_twice_or_of_nobody_is_a_usage_error() -> None:
    wrong = {
        ("--pid", str(os.getpid()), "--stop-command", "true"): "--pid or --stop-command",
        ("--pid", str(2**30)): f"--pid: process {2**30}: No such process",
        ("--can", "presence", "--cannot", "presence"): "--can and --cannot presence",
        ("--credential-env", "NOTHING_HERE"): "NOTHING_HERE has no name:credential",
        ("ws://localhost:2",): "all servers of a room are reached in the same way",
    }

    told = {words: CliRunner().invoke(main, ["check", ":1", *words]) for words in wrong}

    assert {words: done.exit_code for words, done in told.items()} == dict.fromkeys(wrong, 2)
    assert [words for words in wrong if wrong[words] not in told[words].stderr] == []


def test_what_a_stop_command_does_wrong_is_told(tmp_path: Path) -> None:
    no_program = tmp_path / "stop"
    no_program.write_bytes(b"\0")
    no_program.chmod(0o755)
    fails = stopping(None, shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))
    cannot = stopping(None, str(no_program))
    works = stopping(None, shlex.join([sys.executable, "-c", ""]))
    assert fails is not None and cannot is not None and works is not None

    assert fails() == "the stop command ended with code 3"
    assert "Exec format error" in cannot()
    assert works() == ""


def test_a_server_that_cannot_be_told_to_stop_is_not_judged() -> None:
    with serving_here(Config(port=0), AllowAll()) as here:
        served = Served(here.ports[0], lambda: "the stop command ended with code 3")
        results = served.run("STOP-*", can=DECLARED | {"shutdown"})

    assert {each.verdict for each in results} == {Verdict.INCONCLUSIVE}
    assert {each.reason for each in results} == {
        "the server was not told to stop: the stop command ended with code 3"
    }
