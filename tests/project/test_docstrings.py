"""The examples in docstrings are true: each one is run."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventcodec
import refserver


def modules() -> Iterator[str]:
    """Every module of both packages with an example."""
    for package in (eventcodec, refserver):
        [root] = package.__path__
        for file in sorted(Path(root).rglob("*.py")):
            if ">>>" in file.read_text(encoding="utf-8"):
                parts = file.relative_to(root).with_suffix("").parts
                yield ".".join((package.__name__, *parts)).removesuffix(".__init__")


@pytest.mark.parametrize("name", list(modules()))
def test_the_examples_of_a_module_are_true(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))

    assert outcome.attempted
    assert outcome.failed == 0


def test_there_are_examples_in_both_packages() -> None:
    assert {name.partition(".")[0] for name in modules()} == {"eventcodec", "refserver"}


ROOMS = [
    pytest.param(file, id=f"{room}/{file.name}")
    for room in ("server", "session")
    for file in sorted((Path(refserver.__path__[0]) / room).glob("*.py"))
    if file.name != "__init__.py"
]


@pytest.mark.once
@pytest.mark.parametrize("file", ROOMS)
def test_a_module_of_the_server_has_one_rule_that_needs_no_and(file: Path) -> None:
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    rules = [" ".join(part.split()) for part in doc.split("\n\n") if part.startswith("Rule: ")]

    assert len(rules) == 1
    assert re.fullmatch(r"Rule: [^.;]+\.", rules[0]), "it is one sentence"
    assert not re.search(r"\band\b", rules[0])


@pytest.mark.once
@pytest.mark.parametrize("file", ROOMS)
def test_only_a_connection_touches_its_transport(file: Path) -> None:
    """As the rule of `connection` says. `metrics_http` has connections of its own."""
    touched = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("transport", "_transport")
    ]

    assert not touched or file.stem in ("connection", "tapped", "websocket", "metrics_http")


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class of both packages that is no enum, with its file."""
    for package in (eventcodec, refserver):
        for file in sorted(Path(package.__path__[0]).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and "Enum" not in bases(node):
                    yield file.name, node


def bases(node: ast.ClassDef) -> str:
    return " ".join(map(ast.unparse, node.bases))


def attributes(node: ast.ClassDef) -> set[str]:
    """What is assigned on `self`, or declared in the body."""
    declared = {part.target for part in node.body if isinstance(part, ast.AnnAssign)}
    assigned = {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and isinstance(part.ctx, ast.Store)
        and ast.unparse(part.value) == "self"
    }
    return assigned | {target.id for target in declared if isinstance(target, ast.Name)}


def methods(node: ast.ClassDef) -> set[str]:
    return {
        part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def too_many(node: ast.ClassDef) -> list[str]:
    """The limits that a class is above."""
    counts = {
        "twenty methods": len(methods(node)) > 20,
        "fifteen attributes": len(attributes(node)) > 15,
    }
    return [limit for limit, is_above in counts.items() if is_above]


def excused(node: ast.ClassDef) -> list[str]:
    """The limits that its docstring says it is above, if it also says why."""
    text = " ".join((ast.get_docstring(node) or "").split())
    found = re.search(r"more than ((?:twenty methods|fifteen attributes| and )+)[:,] \w+", text)
    return found[1].split(" and ") if found else []


@pytest.mark.once
def test_a_class_of_many_methods_or_attributes_says_so_and_why() -> None:
    """A class that is not, or not any more, does not say it."""
    wrong = [
        f"{file}: {node.name} is above {too_many(node)}, and says {excused(node)}"
        for file, node in classes()
        if too_many(node) != excused(node)
    ]

    assert wrong == []
