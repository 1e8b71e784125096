"""Every promise of docs/guarantees.md names a test that there is.

Rule: a promise without a test that can fail is not made.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| promise |")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_promise_names_its_test(row: list[str]) -> None:
    _, named, _ = row

    found = re.fullmatch(r"`(.+\.py)::(\w+)`", named)

    assert found is not None
    tree = ast.parse((ROOT / "tests" / found[1]).read_bytes())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert found[2] in {node.name for node in tree.body if isinstance(node, functions)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_figure_is_a_number_or_there_is_none(row: list[str]) -> None:
    figure = row[-1]

    assert figure == "–" or re.search(r"\d", figure)


def test_there_are_promises() -> None:
    assert len(ROWS) > 20
