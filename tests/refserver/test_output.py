"""A console whose reader has left."""

from __future__ import annotations

import io

import pytest

from refserver.output import Console


class Left(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_has_left_is_an_error_and_not_an_exit() -> None:
    with pytest.raises(BrokenPipeError):
        Console(file=Left()).print("hello")
