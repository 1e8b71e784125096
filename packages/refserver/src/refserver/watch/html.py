"""What was found as one page for a browser: nothing to load, light and dark.

Rule: the template draws, and escapes all that a peer wrote.

Layer: above `judgement` and `timeline`, below the commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ..characters import escape
from ..conformance.statements import VISIBLE
from ..wording import counted
from .timeline import Row

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["as_html"]


def as_html(said: dict[str, Any], rows: Sequence[Row], left_out: int) -> str:
    """The page; `left_out` lines are missing behind `rows`."""
    found = said["findings"]
    count = len(found) + sum(more["count"] for more in said["more"])
    return _template().render(
        said=said,
        sources=", ".join(said["sources"]),
        count=count,
        rows=rows,
        left_out=left_out,
        bad={(each["connection"], each["side"], each["frame"]) for each in found},
        visible=VISIBLE,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("refserver.watch", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["plain"] = escape
    environment.filters["counted"] = counted
    return environment.get_template("page.html.j2")
