"""The tables of docs/protocol.md say what the code says.

Rule: here the generator is shown each kind of fault; `test_generated` compares the page itself.
"""

from __future__ import annotations

import pytest
from tools import specification
from tools.pages import Missing

pytestmark = pytest.mark.once

TEXT = specification.SPECIFICATION.read_text(encoding="utf-8")


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

    assert specification.generate(TEXT.replace(old, new)) == TEXT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| the last position that the client has read; 0 in a fresh login |", "| |"),
        ("<!-- generated: limits -->", "<!-- generated: limit -->"),
        ("<!-- generated: limits -->", ""),
    ],
)
def test_what_nobody_wrote_is_not_made_up(old: str, new: str) -> None:
    assert TEXT.count(old) == 1

    with pytest.raises(Missing):
        specification.generate(TEXT.replace(old, new))
