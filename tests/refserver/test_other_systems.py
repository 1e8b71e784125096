"""The codec, the clients and the kit use nothing that only Linux or only POSIX has.

Each runs here in a Python that lacks it. The server needs POSIX; it runs without what only
Linux has.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.server import running

from refserver.client.blocking import connect
from refserver.launcher import launched

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = str(ROOT / "tests/support/without.py")
CLIENT = [sys.executable, str(ROOT / "docs/clients/client.py"), "{host}", "{port}"]
ANSWER = [sys.executable, "-m", "eventcodec", "vectors", "answer"]
ENOUGH = ["PEER-FACT-01", "PEER-FACT-02", "PEER-RESUME-02", "--segmentation", "random"]
"""A client ends as it should, finds a fault, and connects again; all cases start it alike."""
SYSTEMS = ["macos", "windows"]

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server.port


def run(system: str, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """A command of ours in a Python that has only what this system has."""
    return subprocess.run(
        [sys.executable, WITHOUT, system, "-m", *command],
        input=given,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_what_is_taken_away_is_missed(tmp_path: Path) -> None:
    (tmp_path / "wants.py").write_text("import fcntl, select; select.poll()")
    command = [sys.executable, WITHOUT, "windows", "-m", "wants"]

    done = subprocess.run(
        command,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert "fcntl" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    "command",
    [
        ["eventcodec", "selftest"],
        ["eventcodec", "vectors", "check", "--only", "length.*", "--", *ANSWER],
        ["refserver", "--help"],
        ["refserver", "explain", "VER-02"],
        ["refserver", "token", "ann"],
        ["refserver", "peer", "--doctor", "--", *CLIENT],
        ["refserver", "peer", *ENOUGH, "--can", "resume", "--", *CLIENT],
    ],
    ids=lambda command: "-".join(word for word in command[:3] if word[0] != "-"),
)
def test_a_command_runs_elsewhere(system: str, command: list[str]) -> None:
    done = run(system, *command)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_kit_tests_a_server_from_elsewhere(system: str, port: int) -> None:
    done = run(system, "refserver", "check", f":{port}", "LOGIN-*", "FRAG-*", "PAGE-01")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_client_commands_talk_from_elsewhere(system: str, port: int) -> None:
    # What the command reads from its stdin comes through a pipe.
    with connect("localhost", port, user="bob") as bob:
        done = run(system, "refserver", "send", f":{port}", "--as", "ann", "-", given="a\nb\n")
        received = [getattr(next(bob), "content", "") for _ in range(4)]

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2
    assert received == ["", "a", "b", ""]


@pytest.mark.parametrize("module", ["blocking", "aio"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_ready_clients_talk_from_elsewhere(
    system: str, module: str, port: int, tmp_path: Path
) -> None:
    is_async = module == "aio"
    program = f"""
        import asyncio
        from refserver.client.{module} import connect
        {"async " if is_async else ""}def main():
            {"async " if is_async else ""}with connect("localhost", {port}, user="cid") as room:
                print({"await " if is_async else ""}room.say("hello"))
        {"asyncio.run(main())" if is_async else "main()"}
    """
    (tmp_path / "program.py").write_text(program.replace("\n        ", "\n"))

    done = subprocess.run(
        [sys.executable, WITHOUT, system, "-m", "program"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().isdigit()


def test_the_server_runs_without_what_only_linux_has(tmp_path: Path) -> None:
    # The command that runs the server gets its command line: python, its options, the module.
    under = ["sh", "-c", f'python=$1; shift 2; exec "$python" {WITHOUT} macos "$@"', "sh"]
    with launched("--quiet", under=under) as server:
        slow = ["SLOW-01", "SLOW-02", "SLOW-03"]  # the server waits for a member that does not read
        done = run("macos", "refserver", "check", f":{server.port}", "LOGIN-*", *slow)

        assert done.returncode == 0, done.stdout + done.stderr
        assert server.stop() == 0
