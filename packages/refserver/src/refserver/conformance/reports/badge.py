"""A report as a badge: an SVG of one line, for the README of an implementation.

Rule: it says how many cases passed of those that ran, and never more than the report says.

Layer: among the reports.
"""

from __future__ import annotations

from functools import partial
from html import escape as escape_html
from pathlib import Path

from ...wording import counted
from ..model import Report, Verdict
from ..suite import exit_code, worst

__all__ = ["rendered", "said", "write"]

LABEL = "Event Protocol 1"
GREEN, YELLOW, RED, GREY = "#2e7d32", "#b7791f", "#c62828", "#616161"
CHARACTER, MARGIN, HEIGHT = 6.6, 7, 20
"""Pixels; `textLength` fits the text into its field, whatever font the reader has."""
escape = partial(escape_html, quote=False)  # xml.sax.saxutils has it too, and imports urllib


def write(report: Report, path: Path) -> None:
    """Write the report as SVG."""
    path.write_text(rendered(report), encoding="utf-8")


def said(report: Report) -> tuple[str, str]:
    """What the badge says, and its colour.

    A case counts once, by its worst segmentation. It is green only if all that ran passed.
    """
    verdicts: dict[str, list[Verdict]] = {}
    for result in report.results:
        verdicts.setdefault(result.case, []).append(result.verdict)
    ran = [worst(found) for found in verdicts.values() if any(verdict.ran for verdict in found)]
    passed = ran.count(Verdict.PASSED)
    if not ran or Verdict.ERROR in ran:
        return "not tested", GREY
    cases = counted(len(ran), "case")
    text = f"{cases} passed" if passed == len(ran) else f"{passed} of {cases} passed"
    if exit_code(report.results):
        return text, RED
    return text, GREEN if passed == len(ran) else YELLOW


def rendered(report: Report) -> str:
    """The report as SVG, of one size for one text."""
    text, colour = said(report)
    left, right = _width(LABEL), _width(text)
    whole = left + right
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{HEIGHT}" role="img" '
        f'aria-label="{escape(LABEL)}: {escape(text)}">\n'
        f"<title>{escape(LABEL)}: {escape(text)}</title>\n"
        f'<rect width="{whole}" height="{HEIGHT}" rx="3" fill="#444"/>\n'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right - 3}z" '
        f'fill="{colour}"/>\n'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">\n'
        f"{_text(LABEL, MARGIN, left)}{_text(text, left + MARGIN, right)}</g>\n</svg>\n"
    )


def _width(text: str) -> int:
    return round(len(text) * CHARACTER) + 2 * MARGIN


def _text(text: str, x: int, width: int) -> str:
    length = width - 2 * MARGIN
    return f'<text x="{x}" y="14" textLength="{length}">{escape(text)}</text>\n'
