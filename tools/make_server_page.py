"""Draw the tables of docs/server.md from the code; `--check` only compares.

Rule: an option's default and reason, and what a figure means, are written where the
code has them and nowhere else.

Layer: outside the packages, above `refserver`.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.generate_docs import BLOCK, table

from refserver.cli import option_names
from refserver.config import Config
from refserver.metrics import FIGURES

PAGE = Path(__file__).parent.parent / "docs" / "server.md"


def amount(field: dataclasses.Field[Any]) -> str:
    """An option's default, as one reads it."""
    value = field.default
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in ("", None):
        return "–"
    return f"{value:,}" if field.metadata["unit"] == "BYTES" else f"{value}".removesuffix(".0")


def bounds(field: dataclasses.Field[Any]) -> str:
    """` (64 to 128)`, where there are bounds that one could meet."""
    least, most = field.metadata.get("least"), field.metadata.get("most")
    if most is not None:
        return f" ({least:,} to {most:,})"
    return f" (at least {least:,})" if least else ""


def options() -> str:
    """A table for each group of options."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for field in dataclasses.fields(Config):
        about = field.metadata
        name = option_names(field)[0]
        if field.default is True:
            name = f"{name}`, `--no-{name[2:]}"
        row = (f"`{name}`", amount(field), about["help"] + bounds(field), about["reason"])
        groups.setdefault(about["group"], []).append(row)
    head = ("option", "default", "what", "why")
    return "".join(f"\n### {group}\n{table(head, rows)}" for group, rows in groups.items())


def figures() -> str:
    """The table of what can be watched."""
    rows = [
        (f"`{figure.name}`", figure.kind, figure.label or "–", figure.meaning) for figure in FIGURES
    ]
    return table(("figure", "kind", "label", "what"), rows)


BLOCKS: dict[str, Callable[[], str]] = {"figures": figures, "options": options}


def generate(text: str) -> str:
    """The page with its tables drawn anew."""
    return BLOCK.sub(lambda match: match[1] + BLOCKS[match["name"]]() + match[4], text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    check = parser.parse_args(arguments).check
    old = PAGE.read_text(encoding="utf-8")
    new = generate(old)
    if not check:
        PAGE.write_text(new, encoding="utf-8")
    elif old != new:
        print("docs/server.md is stale: run python -m tools.make_server_page", file=sys.stderr)
    return int(check and old != new)


if __name__ == "__main__":
    sys.exit(main())
