"""Cases that are together in one test: none is left out, and each that fails is named."""

from __future__ import annotations

import inspect

import pytest
from tests.together import together


def test_a_case_that_fails_does_not_keep_another_from_running() -> None:
    ran: list[tuple[int, str]] = []

    @together("number, text", [(1, "a"), (2, "b"), (3, "c")])
    def cases(number: int, text: str, fixture: list[tuple[int, str]]) -> None:
        fixture.append((number, text))
        assert number != 1
        if number == 3:
            pytest.fail("the third")

    with pytest.raises(BaseExceptionGroup, match="2 of 3 cases failed: 1-'a', 3-'c'") as caught:
        cases(fixture=ran)

    assert ran == [(1, "a"), (2, "b"), (3, "c")]
    assert [error.__notes__ for error in caught.value.exceptions] == [
        ["case 1: 1-'a'"],
        ["case 3: 3-'c'"],
    ]


def test_of_two_tables_every_pair_runs_and_is_named() -> None:
    @together("sign", [int.__neg__, int.__pos__])
    @together("data", [b"\x01", b"\x02"])
    def cases(data: bytes, sign: type) -> None:
        assert (data, sign) != (b"\x02", int.__pos__)
        if data == b"\x01":
            pytest.fail("the first byte")

    with pytest.raises(BaseExceptionGroup, match="2 of 2 cases failed: __neg__, __pos__") as caught:
        cases()

    assert [str(each) for each in caught.value.exceptions] == [
        "1 of 2 cases failed: 01 (1 sub-exception)",
        "2 of 2 cases failed: 01, 02 (2 sub-exceptions)",
    ]


def test_pytest_sees_the_markers_and_the_fixtures_that_are_left() -> None:
    @pytest.mark.unmeasured
    @together("n", range(3))
    @pytest.mark.once
    def test_of_some(n: int, tmp_path: object) -> None:
        """Not run."""

    assert [*inspect.signature(test_of_some).parameters] == ["tmp_path"]
    assert {mark.name for mark in test_of_some.pytestmark} == {"once", "unmeasured"}  # type: ignore[attr-defined]


def test_a_table_without_a_case_is_an_error() -> None:
    with pytest.raises(AssertionError, match="would prove nothing"):
        together("n", [])
