"""A release can be repeated: the same commit gives the same bytes, and says what is in it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIST = Path(os.environ["EVENT_PROTOCOL_DIST"])
SUMS = "SHA256SUMS"


def release(*arguments: str | Path) -> None:
    """Build from another folder, with another umask, in another time zone."""
    subprocess.run(
        [sys.executable, "-m", "tools.release", *map(str, arguments)],
        cwd="/",
        env={**os.environ, "TZ": "Asia/Tokyo", "PYTHONPATH": str(ROOT)},
        umask=0o077,
        stderr=subprocess.PIPE,
        check=True,
    )


def listed(dist: Path) -> dict[str, str]:
    lines = (dist / SUMS).read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def test_the_sums_are_those_of_the_files() -> None:
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in DIST.iterdir()
        if path.name != SUMS
    }

    assert listed(DIST) == found


def test_a_second_build_gives_the_same_bytes(tmp_path: Path) -> None:
    release(tmp_path)

    assert listed(tmp_path) == listed(DIST)


def test_the_sources_have_one_time_and_no_owner() -> None:
    for path in DIST.glob("*.tar.gz"):
        with tarfile.open(path) as archive:
            members = archive.getmembers()
        assert len({member.mtime for member in members}) == 1
        assert {(member.uid, member.uname, member.mode) for member in members} == {(0, "", 0o644)}


def needed(package: str, extra: str) -> set[str]:
    """The package and what it needs itself, by their normal names."""
    text = (ROOT / "packages" / package / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    more = project["optional-dependencies"][extra] if extra else []
    return {package} | {each.partition(">")[0] for each in project["dependencies"] + more}


@pytest.mark.parametrize(("package", "extra"), [("eventcodec", ""), ("refserver", "metrics")])
def test_the_bill_of_materials_names_what_the_package_needs(
    package: str, extra: str, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv")
    python = str(tmp_path / "venv/bin/python")
    (wheel,) = DIST.glob(f"{package}-*-none-any.whl")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    subprocess.run([*install, "--find-links", str(DIST), wanted], check=True)

    release(tmp_path / "dist", "--sbom", package, python)

    bom = json.loads((tmp_path / "dist" / f"{package}.cdx.json").read_text())
    listed_there = {
        each["name"].lower().replace("_", "-"): each["version"] for each in bom["components"]
    }
    assert bom["metadata"]["component"]["name"] == package
    assert needed(package, extra) <= set(listed_there) | {package}
    assert (package == "refserver") == ("click" in listed_there)
    assert all(listed_there.values())
    assert list(listed(tmp_path / "dist")) == [f"{package}.cdx.json"]
