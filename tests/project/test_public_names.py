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
from refserver.client import aio, blocking

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


EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SESSION = (
    "ClientSession CaughtUp Closed Fate Gap Offline Online Outcome Pause Paused SessionFullError "
    "SessionState"
)
FIXTURES = "refserver refserver_session refserver_factory scripted_peer faulty_server"


FEW = """from hypothesis import settings
settings.register_profile("few", max_examples=10, deadline=None)
settings.load_profile("few")
"""


def run(code: str, tmp_path: Path, port: int) -> str:
    """What an example prints; one with tests is run by pytest."""
    file = tmp_path / "test_example.py"
    file.write_text(code.replace("3000", str(port)), encoding="utf-8")
    (tmp_path / "conftest.py").write_text(FEW, encoding="utf-8")
    by_pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"]
    how = by_pytest if "\ndef test_" in code else ["-W", "error"]
    done = subprocess.run(
        [sys.executable, *how, str(file)], capture_output=True, text=True, timeout=600, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


SAID = [
    [
        "'ann is in the room'",
        "ann 10.1",
        "requests without an outcome: 1",
        "'offline until",
        "request 1 is entry 1",
        "Reply(",
        "'entries after 1 are lost'",
        "'closed, clean: True'",
    ],
    ["4 passed"],
    ["acknowledged 1\n", "acknowledged 2\n", "acknowledged 3\n"],
    ["cid online"],
    ["['acknowledged', 'acknowledged']"],
    ["['acknowledged', 'acknowledged'] Pong", "dan online"],
    ["5 passed"],
]
"""Something that each example prints, in order."""


@pytest.mark.once
@pytest.mark.parametrize("number", range(len(SAID)))
def test_each_example_of_the_api_page_runs(number: int, tmp_path: Path, port: int) -> None:
    assert len(EXAMPLES) == len(SAID)

    told = run(EXAMPLES[number], tmp_path, port)

    assert [said for said in SAID[number] if said not in told] == []


@pytest.mark.parametrize(
    "name",
    [
        *SESSION.split(),
        *FIXTURES.split(),
        *(
            name
            for module in ("refserver.client", "refserver.client.blocking", "eventcodec.strategies")
            for name in importlib.import_module(module).__all__
        ),
    ],
)
def test_each_name_of_clients_and_their_tests_stands_in_an_example(name: str) -> None:
    assert [code for code in EXAMPLES if re.search(rf"\b{name}\b", code)]


@pytest.mark.parametrize("owner", ["ClientSession", "Room", "blocking.Room"])
def test_each_method_of_a_session_and_a_room_stands_in_an_example(owner: str) -> None:
    kinds = {
        "ClientSession": eventcodec.ClientSession,
        "Room": aio.Room,
        "blocking.Room": blocking.Room,
    }
    elsewhere = {"snapshot", "restore"}  # on docs/sessions.md, which runs too
    members = {name for name in vars(kinds[owner]) if not name.startswith("_")} - elsewhere

    assert [
        name for name in sorted(members) if not re.search(rf"\.{name}\b", "".join(EXAMPLES))
    ] == []


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
