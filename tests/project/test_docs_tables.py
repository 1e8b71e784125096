"""The tables of docs/protocol.md say what the code says.

Rule: the generator is the judge; here it is run, and shown to see each kind of fault.
"""

from __future__ import annotations

import pytest
from tools import generate_docs

TEXT = generate_docs.SPECIFICATION.read_text(encoding="utf-8")


def test_the_tables_are_as_the_code_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    different = generate_docs.main(["--check"])

    assert capsys.readouterr().out == ""
    assert different == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| 0x0A | `Left` | – | fact |", "| 0x0A | `Left` | request | fact |"),
        ("| reason | `u8` |", "| reason | `u16` |"),
        ("| 13 | USER_TAKEN | no |", "| 13 | USER_TAKEN | yes |"),
        ("| `Logout` | LOGIN_REQUIRED |", "| `Logout` | `Ack` |"),
        ("| `MAX_FRAME` | 65,536 |", "| `MAX_FRAME` | 65,535 |"),
    ],
)
def test_a_table_that_differs_is_put_right(old: str, new: str) -> None:
    assert TEXT.count(old) == 1

    assert generate_docs.generate(TEXT.replace(old, new)) == TEXT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| the last position that the client has seen; 0 in a fresh login |", "| |"),
        ("<!-- generated: limits -->", "<!-- generated: limit -->"),
        ("<!-- generated: limits -->", ""),
    ],
)
def test_what_nobody_wrote_is_not_made_up(old: str, new: str) -> None:
    assert TEXT.count(old) == 1

    with pytest.raises(generate_docs.Missing):
        generate_docs.generate(TEXT.replace(old, new))
