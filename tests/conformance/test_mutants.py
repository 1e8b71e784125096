"""Every mutant is noticed, by exactly the cases that the record names."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TypeGuard

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from tests.conformance.mutating import cases_for, failing
from tests.conformance.serving import serving
from tests.support.redis import needs_redis, redis_server
from tools import matrix

import refserver.mutants
from refserver.cli import main
from refserver.conformance.model import Verdict
from refserver.mutants import MUTANTS, Mutant

pytestmark = pytest.mark.once

KILLS = matrix.recorded()
SHARING = [mutant for mutant in MUTANTS.values() if mutant.servers > 1]


@pytest.fixture(autouse=True)
def expect_silence() -> Iterator[None]:
    """What a broken server logs is not the test's."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_there_are_forty_mutants_at_least_and_each_is_recorded() -> None:
    assert len(MUTANTS) >= 40
    assert list(KILLS) == list(MUTANTS)


def test_each_mutant_is_noticed() -> None:
    assert [name for name, cases in KILLS.items() if not cases] == []


def test_each_case_is_proved_by_a_mutant_or_says_why_not() -> None:
    assert matrix.unproven(KILLS) == list(matrix.UNPROVEN)


RACING = ("end-overtakes", "entries-told-late")
"""Their wrong shows only where something else comes soon: no machine promises that."""


def needed(mutant: Mutant) -> list[pytest.MarkDecorator]:
    """Skips a mutant of the WebSocket listener, or of two servers, where these cannot be."""
    marks = []
    if "websocket" in mutant.needs and find_spec("websockets") is None:
        marks.append(pytest.mark.skip(reason="the extra ws is not installed"))
    if mutant in SHARING:
        marks.append(needs_redis)
        if find_spec("redis") is None:
            marks.append(pytest.mark.skip(reason="the extra redis is not installed"))
    return marks


def noticed() -> Iterator[pytest.ParameterSet]:
    """Each mutant with the steadiest case that notices it, marked slow where that must wait."""
    for name, mutant in MUTANTS.items():
        case = matrix.steadiest(KILLS[name])[0]
        slow = case.startswith(matrix.WAITING) or name in RACING
        marks = [pytest.mark.slow] * slow + needed(mutant)
        yield pytest.param(mutant, case, marks=marks, id=name)


@pytest.mark.parametrize(("mutant", "case"), list(noticed()))
def test_a_mutant_is_noticed_by_one_of_its_cases(mutant: Mutant, case: str) -> None:
    assert failing(mutant, [case]) == {case}


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutant",
    [pytest.param(mutant, id=name, marks=needed(mutant)) for name, mutant in MUTANTS.items()],
)
def test_a_mutant_is_noticed_by_exactly_its_cases(mutant: Mutant) -> None:
    either = matrix.EITHER.get(mutant.name, frozenset())
    found, recorded = failing(mutant, cases_for(mutant)), set(KILLS[mutant.name])

    assert found - either == recorded - either != set()


MODULES = sorted(Path(refserver.mutants.__path__[0]).glob("*.py"))
PUBLIC = ("_replace", "_asdict", "_fields")
"""Names that NamedTuple documents, with an underscore only to keep apart from fields."""


def private_names(module: ast.Module) -> Iterator[str]:
    """The private names of other objects that a module uses, also as text."""

    def is_private(name: object) -> TypeGuard[str]:
        return (
            isinstance(name, str)
            and name.startswith("_")
            and name.isidentifier()
            and not (name.startswith("__") or name in PUBLIC or name == "_")
        )

    own = {
        id(node)
        for defined in ast.walk(module)
        if isinstance(defined, ast.ClassDef)
        for node in ast.walk(defined)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"
    }
    for node in ast.walk(module):
        match node:
            case ast.Attribute(attr=name) if is_private(name) and id(node) not in own:
                yield ast.unparse(node)
            case ast.Constant(value=name) if is_private(name):
                yield name
            case ast.alias(name=name) if is_private(name):
                yield name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_mutant_touches_no_private_name_of_another_object(path: Path) -> None:
    assert list(private_names(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "line",
    ["self._out[-1] = b''", "log._ends.clear()", "getattr(log, '_ends')", "from x import _y"],
)
def test_a_private_name_is_seen_wherever_it_stands(line: str) -> None:
    assert list(private_names(ast.parse(line))) != []


def test_a_mutant_is_served_and_noticed_from_the_command_line() -> None:
    with serving("--mutant", "version-zero-accepted") as served:
        results = served.run("VER-01", "VER-02")

    assert [result.verdict for result in results] == [Verdict.PASSED, Verdict.FAILED]


@needs_redis
def test_a_mutant_of_two_servers_is_noticed_from_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    with redis_server(tmp_path) as engine:
        options = ("--log", engine.url, "--mutant", "name-of-one-server")
        with serving(*options) as here, serving(*options) as there:
            places = [f"127.0.0.1:{served.port}" for served in (here, there)]
            noticed = CliRunner().invoke(main, ["check", *places, "LOGIN-08"])
            unnoticed = CliRunner().invoke(main, ["check", *places, "REPLY-04"])

    assert (noticed.exit_code, unnoticed.exit_code) == (1, 0)


def test_a_mutant_of_two_servers_does_not_serve_alone() -> None:
    done = CliRunner().invoke(main, ["serve", "--mutant", SHARING[0].name])

    assert done.exit_code == 2
    assert "in a room of two servers only: give --log" in done.stderr


def test_a_mutant_that_does_not_exist_is_a_usage_error() -> None:
    done = CliRunner().invoke(main, ["serve", "--mutant", "version-zero"])

    assert done.exit_code == 2
    assert "did you mean 'version-zero-accepted'?" in done.stderr


def test_a_shell_completes_the_name_of_a_mutant() -> None:
    completion = ShellComplete(main, {}, "refserver", "_REFSERVER_COMPLETE")

    found = completion.get_completions(["serve", "--mutant"], "stop-")

    names = [name for name in MUTANTS if name.startswith("stop-")]
    assert [each.value for each in found] == names != []
