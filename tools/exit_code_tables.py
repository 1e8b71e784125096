"""The tables of exit codes in the pages, from `refserver.exit_codes`.

Rule: each code and its meaning stand in the package alone.

Layer: above `pages`, beside the other generators.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tools.pages import ROOT, redrawn, table

from refserver.exit_codes import CLIENT_COMMANDS, TEST_COMMANDS, Exit

PAGES = {
    ROOT / "docs" / "conformance.md": TEST_COMMANDS,
    ROOT / "docs" / "shell.md": CLIENT_COMMANDS,
}


def drawn(meanings: Mapping[Exit, str], body: str) -> str:
    """The table of a command's exit codes."""
    rows = [(str(int(code)), text.replace("|", r"\|")) for code, text in meanings.items()]
    return table(("exit code", "meaning"), rows)


def files() -> Mapping[Path, str]:
    """Both pages, with their table drawn anew."""
    return {
        path: redrawn(path.read_text(encoding="utf-8"), {"exit codes": partial(drawn, meanings)})
        for path, meanings in PAGES.items()
    }
