"""The public face: one list of names, all documented, none that drags construct along."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import eventcodec
from eventcodec import wire

PAGE = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text(encoding="utf-8")


def public(module: ModuleType) -> set[str]:
    return {name for name in vars(module) if not name.startswith("_")}


def submodules(module: ModuleType) -> set[str]:
    return {name for name, value in vars(module).items() if isinstance(value, ModuleType)}


def test_all_lists_each_name_once() -> None:
    assert len(eventcodec.__all__) == len(set(eventcodec.__all__))


def test_what_eventcodec_offers_is_what_it_lists() -> None:
    assert public(eventcodec) - submodules(eventcodec) == set(eventcodec.__all__) - {"wire"}
    assert eventcodec.wire is wire


def test_the_api_page_documents_exactly_the_public_names() -> None:
    directive = re.compile(r"^\.\. (?:auto(?!module)\w+|data):: eventcodec\.(\w+)$", re.MULTILINE)
    documented = directive.findall(PAGE)

    assert sorted(documented) == sorted({*eventcodec.__all__} - {"wire"})


def test_the_api_page_documents_exactly_the_field_types() -> None:
    documented = re.findall(r"^\.\. auto\w+:: eventcodec\.wire\.(\w+)$", PAGE, re.MULTILINE)

    assert sorted(documented) == sorted({*wire.__all__} - {"Wire"})


@pytest.mark.parametrize("module", ["refserver.client", "refserver.client.blocking"])
def test_the_api_page_documents_the_ready_clients(module: str) -> None:
    documented = re.findall(rf"^\.\. auto\w+:: {re.escape(module)}\.(\w+)$", PAGE, re.MULTILINE)
    offered = importlib.import_module(module).__all__

    assert sorted(documented) == sorted({*offered} - {"MAX_BACKLOG"})


def test_the_examples_of_the_ready_clients_run(port: int) -> None:
    ready, blocking = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)

    first, second = (
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code.replace("3000", str(port))],
            capture_output=True,
            text=True,
            timeout=60,
        )
        for code in (ready, blocking)
    )

    assert (first.returncode, first.stderr) == (0, "")
    told = [line for line in first.stdout.splitlines() if line.startswith("acknowledged")]
    assert told == ["acknowledged 1", "acknowledged 2", "acknowledged 3"]
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout.splitlines()[0] == "['acknowledged', 'acknowledged']"


def functions() -> list[tuple[str, FunctionType]]:
    """Every public function, and every public method of a public class, with its name."""
    found: list[tuple[str, FunctionType]] = []
    for name in eventcodec.__all__:
        value = getattr(eventcodec, name)
        if inspect.isfunction(value):
            found.append((name, value))
        elif inspect.isclass(value):
            found += [
                (f"{name}.{method}", function)
                for method, function in inspect.getmembers(value, inspect.isfunction)
                if not method.startswith("_") or method == "__init__"
            ]
    return found


@pytest.mark.parametrize("function", [pytest.param(f, id=name) for name, f in functions()])
def test_no_construct_type_stands_in_a_signature(function: FunctionType) -> None:
    hints = typing.get_type_hints(function)

    assert not [name for name, hint in hints.items() if "construct" in repr(hint)]
