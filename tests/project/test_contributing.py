"""CONTRIBUTING names files and functions of the code; each of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.together import together

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
REFSERVER = ROOT / "packages/refserver/src/refserver"

FUNCTIONS = sorted(set(re.findall(r"`((?:server|session)/\w+\.py)(?::([\w.]+))?`", PAGE)))


def definitions(body: list[ast.stmt], prefix: str = "") -> set[str]:
    """The names of the functions, classes and methods in this code."""
    names = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(prefix + node.name)
            names |= definitions(node.body, f"{prefix}{node.name}.")
    return names


def test_the_page_shows_both_ways_by_name() -> None:
    assert len(FUNCTIONS) > 20


@together("file, function", FUNCTIONS)
def test_each_function_on_the_way_exists(file: str, function: str) -> None:
    path = REFSERVER / file
    assert path.exists()
    assert not function or function in definitions(ast.parse(path.read_text("utf-8")).body)


@together("path", sorted(set(re.findall(r"pytest (tests/[\w/.]+)", PAGE))))
def test_each_command_names_tests_that_exist(path: str) -> None:
    assert (ROOT / path).exists()
