"""What an earlier version had and this one has not stands in docs/upgrading.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.project.surface import surface

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parents[1] / "docs/upgrading.md").read_text(encoding="utf-8")
TODAY = surface()


def gone(earlier: dict[str, list[str]]) -> list[str]:
    """The names and options that are no more. Of a class that is gone, only its own name."""
    found = [name.rpartition(".")[2] for name in earlier if name not in TODAY]
    for name, parts in earlier.items():
        found += set(parts) - set(TODAY.get(name, parts))
    return sorted(set(found))


def section(version: str) -> list[str]:
    """The left cells of the tables in the section that begins at this version."""
    text = PAGE.partition(f"## From {version} ")[2].partition("\n## ")[0]
    return [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]


VERSIONS = {path.stem.removeprefix("surface-"): path for path in HERE.glob("surface-*.json")}
GONE = [
    pytest.param(version, name, id=f"{version} {name}")
    for version, path in sorted(VERSIONS.items())
    for name in gone(json.loads(path.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("version", "name"), GONE)
def test_the_page_says_what_replaces_each_name_and_option(version: str, name: str) -> None:
    whole = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")

    assert [cell for cell in section(version) if whole.search(cell)]


def test_what_0_1_had_is_known_with_its_options() -> None:
    names = {name for param in GONE for name in [param.values[1]]}

    assert {"EventError", "judged", "limits", "--newcomers", "--stalled"} <= names


def test_this_version_has_commands_names_members_and_arguments() -> None:
    assert "--port" in TODAY["refserver serve"]
    assert "--max-frame" in TODAY["python -m eventcodec decode"]
    assert {"send", "max_frame"} <= set(TODAY["eventcodec.ClientConnection"])
