"""A process that starts warm is, for its test, one that `subprocess.Popen` starts."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import warm
from tests.support.warm import SCRIPT, ran, started

from refserver.exit_codes import Exit

Start = Callable[..., subprocess.Popen[str]]
TETHERED = [sys.executable, "-P", "-m", "refserver.tethered", "serve", "--port", "0", "--quiet"]
PIPE = subprocess.PIPE
ENDS_AT_ONCE = f"""
import os, signal, subprocess
from tests.support.warm import started
server = started({TETHERED}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
assert server.stdout.readline().startswith("listening")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address on which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture(params=[subprocess.Popen, started], ids=["Popen", "warm"])
def start(request: pytest.FixtureRequest) -> Start:
    chosen: Start = request.param
    return chosen


needs_warm = pytest.mark.skipif(not warm.POSSIBLE, reason="processes start warm on Linux only")


@needs_warm
@pytest.mark.parametrize("command", [TETHERED[:-1], [SCRIPT], [sys.executable, "-m", "refserver"]])
def test_commands_of_refserver_start_warm(command: list[str]) -> None:
    with started([*command, "--version"], stdout=subprocess.DEVNULL) as process:
        assert isinstance(process, warm.Warm)


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-c", "pass"],
        [sys.executable, "-X", "dev", "-m", "refserver", "--version"],
        [sys.executable, "-m", "eventcodec", "--help"],
    ],
)
def test_other_commands_start_by_themselves(command: list[str]) -> None:
    with started(command, stdout=subprocess.DEVNULL) as process:
        assert isinstance(process, subprocess.Popen)


@needs_warm
def test_a_file_starts_warm_with_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("import sys; print(__name__, sys.argv); sys.exit(7)")
    words = [str(tmp_path / "file.py"), "a", "b"]

    with started([sys.executable, *words], stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.read() == f"__main__ {words}\n"

    assert process.returncode == 7
    assert isinstance(process, warm.Warm)


ENDS = {
    "nothing": "print('done')",
    "a number": "sys.exit(300)",
    "a text": "sys.exit('sorry')",
    "an error": "raise ValueError('wrong')",
    "an interrupt": "raise KeyboardInterrupt",
    "a thread that goes on": """
def go_on():
    threading.main_thread().join()
    print("behind the end of the main thread")
atexit.register(print, "last")
threading.Thread(target=go_on).start()
""",
    "a function at exit": "atexit.register(print, 'last'); print('first')",
    "an error at exit": "atexit.register(int, 'x')",
    "an error in a finalizer": "C = type('C', (), {'__del__': lambda self: 1 / 0}); C().me = C()",
    "an error in a cycle": """
class C:
    def __del__(self): 1 / 0
def main():
    one = C()
    one.me = one
    sys.exit(main_code)
main_code = 3
main()
""",
    "a coroutine that nobody awaits": """
async def late(): pass
def main():
    kept = [late()]
    kept.append(kept)
main()
""",
    "a stdout that takes nothing": "print('x'); os.close(1)",
    "no stdout": "print('x'); sys.stdout.close(); sys.stdout = None",
}
"""How a program can end."""


@pytest.mark.parametrize("way", ENDS)
def test_it_ends_as_a_process_of_its_own(way: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import atexit, os, sys, threading\n{ENDS[way]}")
    command = [sys.executable, str(program)]

    warm_one = ran(command, input="line\n", capture_output=True, text=True)

    by_itself = subprocess.run(command, input="line\n", capture_output=True, text=True)
    assert (warm_one.returncode, warm_one.stdout) == (by_itself.returncode, by_itself.stdout)
    assert reason(warm_one.stderr) == reason(by_itself.stderr)


def reason(complaint: str) -> str:
    """What Python says last, without the place: other frames stand above those of the program."""
    named = re.findall(r"\w+(?:Error|Warning): (?!Enable tracemalloc).*", complaint)
    return [*complaint.splitlines(), *named][-1] if complaint else ""


def test_arguments_streams_and_the_exit_code(start: Start) -> None:
    with start([SCRIPT, "docs", "nothing"], stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == ""
        assert "nothing" in process.stderr.read()
    assert process.returncode == 2


def test_bytes_and_one_stream_for_both(start: Start) -> None:
    process: Any = start([SCRIPT, "docs", "nothing"], stdout=PIPE, stderr=subprocess.STDOUT)
    with process:
        assert process.stdout.read().startswith(b"refserver: ")


def test_environment_and_folder(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "COLUMNS": "80"}
    with (tmp_path / "line").open("wb") as line:
        command = [SCRIPT, "token", "ann", "--token-file", "here"]
        with start(command, stdout=line, env=environment):
            pass
    assert (tmp_path / "line").read_text().endswith("  ann\n")
    assert (tmp_path / "here").exists()

    with start([SCRIPT], stderr=PIPE, text=True, env={**environment, "REFSERVER_X": "1"}) as wrong:
        assert wrong.stderr is not None
        assert "REFSERVER_X" in wrong.stderr.read()


def test_stdin_and_a_wait_that_is_too_short(start: Start) -> None:
    with start(TETHERED, stdin=PIPE, stdout=PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline().startswith("listening on ")
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(0.01)
        assert server.poll() is None
        server.stdin.close()
        assert server.wait() == server.poll() == 0
        server.terminate()  # which no other process with this number gets


def test_signals_and_the_number_of_a_process_that_has_ended(start: Start) -> None:
    with start(
        [SCRIPT, "--port", "0"], stdout=PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("listening on ")
        os.kill(server.pid, signal.SIGKILL)
        assert server.stdout.read() == ""
        os.kill(server.pid, 0)  # it stays until somebody has waited
    assert server.returncode == -signal.SIGKILL


@pytest.mark.skipif(not warm.POSSIBLE, reason="Linux tells the limits of a process")
def test_the_limit_of_descriptors(start: Start) -> None:
    """Of this moment, not of when the first process started warm."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (usual - 1, most))
    try:
        with start(TETHERED, stdin=PIPE, stdout=PIPE, text=True) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            assert server.stdout.readline().startswith("listening on ")
            limits = Path(f"/proc/{server.pid}/limits").read_text()
            server.stdin.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))

    assert re.search(rf"Max open files +{usual - 1} ", limits)


def test_communicate_and_a_group_of_its_own(start: Start, nowhere: str) -> None:
    command = [SCRIPT, "send", nowhere, "-"]
    with start(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, process_group=0) as send:
        assert os.getpgid(send.pid) == send.pid
        out, err = send.communicate("hello\n")

    assert (send.returncode, out) == (Exit.UNREACHABLE, "")
    assert "cannot connect" in err


@pytest.mark.parametrize("text", [True, False])
def test_a_command_that_is_run_to_its_end(text: bool, nowhere: str) -> None:
    command = [SCRIPT, "send", nowhere, "-"]
    given = "hello\n" if text else b"hello\n"
    done = ran(command, input=given, capture_output=True, text=text)

    by_itself = subprocess.run(command, input=given, capture_output=True, text=text)
    assert vars(done) == vars(by_itself)


def test_where_no_process_can_be_forked_each_starts_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(warm, "POSSIBLE", False)
    with started([SCRIPT, "--version"], stdout=PIPE, text=True) as process:
        assert isinstance(process, subprocess.Popen)


def test_nothing_is_left_of_a_test_process_that_is_killed() -> None:
    """All that it has started hold its stderr, which is read here to the end."""
    command = [sys.executable, "-c", ENDS_AT_ONCE]
    killed = subprocess.run(command, capture_output=True, timeout=600)

    assert (killed.returncode, killed.stderr) == (-signal.SIGKILL, b"")
