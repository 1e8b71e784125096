"""Draw the tables of docs/server.md and docs/cluster.md from the code.

Rule: an option's default and reason, a user's limits, and the meaning of a metric stand in the
code and nowhere else.

Layer: outside the packages, above `refserver`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.pages import ROOT, Blocks, redrawn, table

from refserver.serve_command import option_names
from refserver.server.admission import USER_LIMITS
from refserver.server.config import Config
from refserver.server.metrics import METRICS, SHARED_METRICS, Metric

PAGE = ROOT / "docs/server.md"
SHARED_PAGE = ROOT / "docs/cluster.md"


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


def options(body: str) -> str:
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


def metrics(of: Sequence[Metric]) -> str:
    """The table of these metrics."""
    rows = [(f"`{each.name}`", each.kind, each.label or "–", each.meaning) for each in of]
    return table(("metric", "kind", "label", "meaning"), rows)


def user_limits(body: str) -> str:
    """The table of what one user may hold or cost."""
    rows = [(limit.what, limit.most, limit.beyond) for limit in USER_LIMITS]
    return table(("one user has", "at most", "more than that"), rows)


PAGES: dict[Path, Blocks] = {
    PAGE: {
        "metrics": lambda body: metrics(METRICS),
        "options": options,
        "user-limits": user_limits,
    },
    SHARED_PAGE: {"metrics": lambda body: metrics(SHARED_METRICS)},
}


def generate(page: Path, text: str) -> str:
    """This text of the page, with its tables drawn anew."""
    return redrawn(text, PAGES[page])


def files() -> dict[Path, str]:
    return {page: generate(page, page.read_text(encoding="utf-8")) for page in PAGES}
