"""The workspace itself: what stands at its root, and what must be the same everywhere."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["eventcodec", "refserver"]


def test_installing_the_root_fails_and_names_the_right_command() -> None:
    command = [sys.executable, "-c", "import workspace_root"]

    done = subprocess.run(command, cwd=ROOT / "tools", capture_output=True, text=True)

    assert done.returncode != 0
    assert "pip install ./packages/eventcodec ./packages/refserver" in done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_carries_the_licence_of_the_workspace(package: str) -> None:
    own = (ROOT / "packages" / package / "LICENSE").read_text(encoding="utf-8")

    assert own == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_every_test_folder_has_a_run() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    ordinary = set(settings["tool"]["pytest"]["ini_options"]["testpaths"])
    folders = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*.py")}

    unrun = [f for f in folders if not any(f == o or f.startswith(f"{o}/") for o in ordinary)]

    assert unrun == ["tests/packaging"]
