"""The tables of exit codes in the pages, from `refserver.exit_codes`.

Rule: each code and its meaning stand in the package alone.

Layer: above `catalogue_figures`, beside the other generators.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tools import catalogue_figures
from tools.pages import ROOT, Blocks, redrawn, table

from refserver.exit_codes import CLIENT_COMMANDS, TEST_COMMANDS, WATCH_COMMANDS, Exit

PAGES: Mapping[Path, tuple[Mapping[Exit, str], Blocks]] = {
    ROOT / "docs" / "conformance.md": (TEST_COMMANDS, catalogue_figures.BLOCKS),
    ROOT / "docs" / "shell.md": (CLIENT_COMMANDS, {}),
    ROOT / "docs" / "watching.md": (WATCH_COMMANDS, {}),
}
"""The codes of each page, and its other blocks."""


def drawn(meanings: Mapping[Exit, str], body: str) -> str:
    """The table of a command's exit codes."""
    rows = [(str(int(code)), text.replace("|", r"\|")) for code, text in meanings.items()]
    return table(("exit code", "meaning"), rows)


def files() -> Mapping[Path, str]:
    """Each page, with their blocks drawn anew."""
    return {
        path: redrawn(
            path.read_text(encoding="utf-8"), {"exit codes": partial(drawn, meanings), **others}
        )
        for path, (meanings, others) in PAGES.items()
    }
