"""The examples in docstrings are true: each one is run."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventcodec
import refserver


def modules() -> Iterator[str]:
    """Every module of both packages but those that run when they are imported."""
    for package in (eventcodec, refserver):
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield found.name


@pytest.mark.parametrize("name", list(modules()))
def test_the_examples_of_a_module_are_true(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))

    assert outcome.failed == 0


def test_there_are_examples_in_both_packages() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {
        name.partition(".")[0]
        for name in modules()
        if any(each.examples for each in finder.find(importlib.import_module(name)))
    }

    assert found == {"eventcodec", "refserver"}


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


def test_a_class_of_many_methods_or_attributes_says_why() -> None:
    """More than twenty methods, or more than fifteen attributes."""
    silent = [
        f"{file}: {node.name}"
        for file, node in classes()
        if len(methods(node)) > 20 or len(attributes(node)) > 15
        if "more than" not in " ".join((ast.get_docstring(node) or "").split())
    ]

    assert silent == []
