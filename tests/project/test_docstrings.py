"""The examples in docstrings are true: each one is run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

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
