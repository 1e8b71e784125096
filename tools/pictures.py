"""The pictures of the pages: the layout of each frame, and the states of a client.

Rule: what a picture says stands in a table of eventcodec; only its place is decided here.

Layer: beside the other generators.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from tools.pages import ROOT

from eventcodec import State
from eventcodec.describe.layout import Field, Layout, protocol
from eventcodec.tables import KINDS, RULES, SENDABLE, STANDARD_EVENTS, Role

FOLDER = ROOT / "docs" / "pictures"
HEADER = (("length", 4), ("version", 1), ("type", 1), ("reserved", 2), ("seq", 8))
BYTE, ROW, LEFT = 22, 34, 120
WIDE = 180
"""Pixels of a field whose size is not fixed."""
INK, PAPER, LINE, TINT = "#1b1f24", "#ffffff", "#57606a", "#ddeeff"


def files() -> Mapping[Path, str]:
    """Each picture, as SVG."""
    return {FOLDER / "frames.svg": frames(), FOLDER / "states.svg": states()}


def svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """A picture with a paper of its own, so that it can be read on a dark page too."""
    style = f"text{{font:13px system-ui,sans-serif;fill:{INK}}}.b{{font-weight:600}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" role="img">\n<title>{escape(title)}</title>\n<style>{style}</style>\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def text(x: int, y: int, words: str, anchor: str = "start", kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{attribute}>{escape(words)}</text>'


def box(x: int, y: int, width: int, height: int, fill: str = PAPER) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}" stroke="{LINE}"/>'
    )


# ---------------------------------------------------------------- frames


def width_of(field: Field) -> tuple[int, str]:
    """How wide a field is drawn, and what stands in it."""
    if field.kind in ("text", "bytes", "opaque"):
        count = f"{field.size}-byte length + " if field.size else ""
        rest = "UTF-8" if field.kind == "text" else "bytes"
        return WIDE, f"{field.name}: {count}{rest}"
    return max(BYTE * field.size, 8 * len(field.name) + 12), field.name


def frames() -> str:
    """A row for the header of every frame, and one for the body of each event."""
    known: list[Layout] = [each for each in protocol().events if each.type is not None]
    top = ROW
    parts = [text(10, top + 22, "every frame", kind="b")]
    x = LEFT
    for name, size in HEADER:
        width = max(BYTE * size, 8 * len(name) + 12)
        parts += [text(x + width // 2, top - 8, str(size), "middle"), box(x, top, width, 28, TINT)]
        parts += [text(x + width // 2, top + 19, name, "middle")]
        x += width
    parts += [box(x, top, WIDE, 28), text(x + WIDE // 2, top + 19, "body", "middle")]
    right = x + WIDE
    for number, layout in enumerate(known):
        y = top + ROW * (number + 2)
        parts += [text(10, y + 19, f"0x{layout.type:02x} {layout.name}", kind="b")]
        x = LEFT
        for field in layout.fields:
            width, words = width_of(field)
            width = max(width, 7 * len(words) + 12)
            parts += [box(x, y, width, 28), text(x + width // 2, y + 19, words, "middle")]
            x += width
        if not layout.fields:
            parts += [text(x, y + 19, "no body")]
        right = max(right, x)
    return svg(right + 20, top + ROW * (len(known) + 2) + 10, "The layout of each frame", parts)


# ---------------------------------------------------------------- states


NAMES = {event.type: event.__name__ for event in STANDARD_EVENTS}
WAYS = {
    State.NEW: "its Login is sent",
    State.MEMBER: "its Logout is sent",
    State.LEAVING: "the last reply, or the end",
}
"""What brings a client out of a state."""


def kind(number: int) -> str:
    """The name of a row of the tables."""
    return NAMES.get(number, "application event" if number else "unknown type")


def states() -> str:
    """The states of a client in their order, with what it may send and receive in each."""
    width, gap = 190, 150
    received = {
        state: [kind(number) for number in KINDS if row[number] is None]
        for (role, state), row in RULES.items()
        if role is Role.CLIENT
    }
    sent = {state: [kind(n) for n in KINDS if n in SENDABLE[state]] for state in State}
    height = 60 + 18 * max(len(sent[s]) + len(received[s]) + 3 for s in State)
    parts: list[str] = []
    for number, state in enumerate(State):
        x, y = 20 + number * (width + gap), 50
        parts += [box(x, 20, width, 34, TINT), text(x + width // 2, 42, state.value, "middle", "b")]
        for head, names in (("sends", sent[state]), ("receives", received[state])):
            y += 28
            parts += [text(x, y, head, kind="b")]
            for name in names or ["nothing"]:
                y += 18
                parts += [text(x + 12, y, name)]
        if state in WAYS:
            end = x + width + gap
            parts += [
                f'<path d="M{x + width} 37H{end - 8}" stroke="{LINE}" fill="none"/>',
                f'<path d="M{end - 10} 32l10 5l-10 5z" fill="{LINE}"/>',
            ]
            words = WAYS[state].split(", ")
            parts += [
                text(x + width + gap // 2, 28 if not n else 54, each, "middle")
                for n, each in enumerate(words)
            ]
    return svg(4 * width + 3 * gap + 40, height, "The states of a client", parts)
