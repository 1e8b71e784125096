"""A count and its noun agree in every text that the packages write."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))
NEVER_1 = {
    "commands.py: {vector.known_after} bytes",
    "commands.py: {sizes} bytes",
    "connection.py: {size} bytes",
    "framing.py: {length} bytes,",
    "session.py: {kept.length} bytes",
    "wire.py: {size} bytes,",
    "shutdown.py: {len(known)} messages",
    "websocket.py: {most} bytes",
    "websocket.py: {len(data)} bytes",
    "files.py: {most} bytes",
    "capture.py: {kept} bytes",
    "capture.py: {size} bytes",
    "reading.py: {frame.length + 4} bytes",
}
"""Numbers that are more than a limit, a limit, or a size that is at least a header's."""


def nouns(calls: Iterable[ast.Call]) -> set[str]:
    """The plurals of what is counted anywhere."""
    found = set()
    for call in calls:
        if getattr(call.func, "id", "") == "counted":
            words = [each.value for each in call.args if isinstance(each, ast.Constant)]
            if words:
                many = str(words[-1])
                found.add((many if len(words) > 1 else f"{many}s").split()[-1])
    return found


def uncounted(texts: Iterable[ast.JoinedStr], plurals: set[str]) -> Iterator[str]:
    """Texts with a number in front of a plural, whatever the number is."""
    for text in texts:
        for value, behind in zip(text.values, text.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(behind, ast.Constant):
                continue
            written = ast.unparse(value.value)
            words = str(behind.value).split()
            is_next = str(behind.value)[:1] == " "
            if is_next and words and words[0].strip(".,;:)'") in plurals and not written.isupper():
                yield f"{{{written}}} {words[0]}"


@pytest.mark.once
def test_no_text_has_a_plural_behind_a_number_that_can_be_1() -> None:
    calls: list[ast.Call] = []
    texts: dict[Path, list[ast.JoinedStr]] = {path: [] for path in SOURCES}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                calls.append(node)
            elif isinstance(node, ast.JoinedStr):
                texts[path].append(node)
    plurals = nouns(calls)

    found = [f"{path.name}: {text}" for path in SOURCES for text in uncounted(texts[path], plurals)]

    assert {"bytes", "frames", "connections", "entries"} <= plurals
    assert set(found) == NEVER_1
