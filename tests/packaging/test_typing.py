"""A user's project type-checks against the installed wheels, with no stubs beside them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1] / "typing_client"


def mypy(file: str) -> set[int]:
    """The lines of `file` that mypy complains of."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        f"--cache-dir={os.devnull}",
        file,
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), done.stderr
    return {int(line) for line in re.findall(rf"^{file}:(\d+): error:", done.stdout, re.M)}


def pyright(file: str) -> set[int]:
    """The lines of `file` that pyright complains of."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(
        [*command, "--project", "."], cwd=PROJECT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {
        diagnostic["range"]["start"]["line"] + 1
        for diagnostic in found
        if Path(diagnostic["file"]).name == file and diagnostic["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [mypy, pyright])
class TestAUsersProject:
    def test_type_checks_strictly(self, checker: type) -> None:
        assert checker("client.py") == set()

    def test_has_its_mistakes_found_and_nothing_else(self, checker: type) -> None:
        lines = (PROJECT / "mistakes.py").read_text(encoding="utf-8").splitlines()
        wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}

        assert checker("mistakes.py") == wrong


def test_no_stubs_for_construct_are_installed_here() -> None:
    assert importlib.util.find_spec("construct-stubs") is None
