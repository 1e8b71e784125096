"""What docs/sessions.md shows runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs/sessions.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "refserver" not in block])
def test_a_block_runs_by_itself(block: str) -> None:
    exec(compile(block, "docs/sessions.md", "exec"), {})


def test_the_page_has_blocks() -> None:
    assert len(BLOCKS) >= 2
