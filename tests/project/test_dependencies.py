"""Every dependency is there for a reason that is written down."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/decisions/dependencies.md").read_text(encoding="utf-8")
PAGE = TEXT.partition("## Looked at, and not taken")[0]


def load(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


def declared() -> set[str]:
    requirements: list[str] = []
    for group in load("pyproject.toml")["dependency-groups"].values():
        requirements += [entry for entry in group if isinstance(entry, str)]
    for package in ("eventcodec", "refserver"):
        metadata = load(f"packages/{package}/pyproject.toml")
        requirements += metadata["build-system"]["requires"]
        requirements += metadata["project"]["dependencies"]
        for extra in metadata["project"].get("optional-dependencies", {}).values():
            requirements += extra
    names = {re.match(r"[\w.-]+", requirement)[0] for requirement in requirements}  # type: ignore[index]
    return names - {"eventcodec", "refserver"}


def explained() -> set[str]:
    rows = re.findall(r"^\| ([\w, -]+) \|", PAGE, re.MULTILINE)
    return {name for row in rows for name in row.split(", ")} - {"package", "---"}


def test_the_page_lists_exactly_the_dependencies() -> None:
    assert explained() == declared()


def test_eventcodec_needs_construct_and_nothing_else() -> None:
    requirements = load("packages/eventcodec/pyproject.toml")["project"]["dependencies"]

    assert requirements == ["construct>=2.10.70,<2.11"]
