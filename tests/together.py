"""Many small cases as one test, which names each case that fails.

pytest itself needs 1.2 to 2 ms of processor time for each test that is run side by side. Most cases
need less. docs/decisions/0013-the-test-loop.md says which cases are together.

Rule: nothing here imports the packages, so that the codec's tests run where the
server is absent.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import pytest

__all__ = ["together"]

Test = Callable[..., None]
FAILURES = (Exception, BaseExceptionGroup, pytest.fail.Exception)
"""How a case fails. pytest's own failure is no Exception; a group comes from a second decorator."""


def name_of(value: Any) -> str:
    """Bytes in hex; what has an id or a name, by that; anything else by its repr."""
    if isinstance(value, bytes):
        return value.hex()
    for attribute in ("id", "name", "__name__"):
        name = getattr(value, attribute, None)
        if isinstance(name, str):
            return name
    return f"{value!r:.80}"


def together(
    names: str, cases: Iterable[Any], ids: Iterable[str] | None = None
) -> Callable[[Test], Test]:
    """As `pytest.mark.parametrize`, but in one test: it runs every case, then fails if one did.

    The error has the names of all cases that failed, and their tracebacks. They share the fixtures.
    """
    of = [name.strip() for name in names.split(",")]
    table = [(case,) if len(of) == 1 else tuple(case) for case in cases]
    named = ["-".join(map(name_of, values)) for values in table] if ids is None else [*ids]
    assert table, "a table without a case would prove nothing"

    def of_all(test: Test) -> Test:
        @wraps(test)
        def every_case(**fixtures: Any) -> None:
            failed: list[str] = []
            errors: list[BaseException] = []
            for number, (name, values) in enumerate(zip(named, table, strict=True), 1):
                try:
                    test(**dict(zip(of, values, strict=True)), **fixtures)
                except FAILURES as error:
                    error.add_note(f"case {number}: {name}")
                    failed.append(name)
                    errors.append(error)
            if errors:
                told = f"{len(failed)} of {len(table)} cases failed: {', '.join(failed)}"
                raise BaseExceptionGroup(told, errors)

        signature = inspect.signature(test)
        left = [each for name, each in signature.parameters.items() if name not in of]
        every_case.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return every_case

    return of_all
