"""Commands that run at the same time: each is waited for, and one that fails is a failure."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest
from tools.at_once import main


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


FINE = python("print('fine')")
WRONG = python("import sys; print('wrong', file=sys.stderr); sys.exit(3)")


@pytest.mark.parametrize(
    ("commands", "code", "printed"),
    [
        ([FINE, FINE], 0, f"$ {FINE}\nfine\n$ {FINE}\nfine\n"),
        ([WRONG, FINE], 1, f"$ {WRONG}\nwrong\n$ {FINE}\nfine\nfailed: {WRONG}\n"),
        ([FINE, WRONG], 1, f"$ {FINE}\nfine\n$ {WRONG}\nwrong\nfailed: {WRONG}\n"),
    ],
)
def test_each_is_shown_and_a_failure_fails(
    commands: list[str], code: int, printed: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (main(commands), capfd.readouterr().out) == (code, printed)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_they_run_at_the_same_time(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    # Each opens its end when the other one opens the other.
    assert main([python(f"open({str(pipe)!r})"), python(f"open({str(pipe)!r}, 'w')")]) == 0
