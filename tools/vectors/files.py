"""The conformance vectors that ship with eventcodec.

Rule: the same vectors, the same bytes, on every machine and every day; made without eventcodec.

Layer: above the other modules of this folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.pages import ROOT
from tools.vectors.form import PREFIX_STATEMENTS, Vector, statements
from tools.vectors.invalid import single_faults
from tools.vectors.precedence import double_faults
from tools.vectors.valid import all_valid

HOME = ROOT / "packages/eventcodec/src/eventcodec/vectors"

PREFIX_RULE = (
    "Cut the frame of the valid vector `of` behind each number of bytes in `cuts`: it is "
    "incomplete, so the reader waits; it finds no event and no error."
)


def unpacked_size(data: Any) -> int:
    if isinstance(data, str):
        return len(data) // 2
    return sum(
        unpacked_size(part) if isinstance(part, str) else len(part["repeat"]) // 2 * part["times"]
        for part in data
    )


def prefix_of(vector: Vector) -> Vector:
    size = unpacked_size(vector["bytes"])
    return {"id": f"prefix.{vector['id']}", "of": vector["id"], "cuts": cuts(size)}


def cuts(size: int) -> list[list[int]]:
    """Every one in a frame of usual size; a long one only near its ends."""
    return [[0, size - 1]] if size <= 1_024 else [[0, 300], [size - 20, size - 1]]


def compact(value: Vector) -> str:
    return json.dumps(value, separators=(",", ":"))


def file(kind: str, vectors: list[Vector], **head: Any) -> str:
    """One vector a line: small, and a change shows as the vector that changed."""
    start = compact({"format": 1, "protocol": 1, "kind": kind, **head})[:-1]
    lines = ",\n".join(map(compact, vectors))
    return f'{start},"vectors":[\n{lines}\n]}}\n'


def files() -> dict[Path, str]:
    """Each file and what must stand in it."""
    frames = all_valid()
    prefixes = [prefix_of(vector) for vector in frames]
    return {
        HOME / "valid.json": file("valid", frames),
        HOME / "invalid.json": file("invalid", [*single_faults(), *double_faults()]),
        HOME / "prefixes.json": file(
            "prefixes", prefixes, description=PREFIX_RULE, proves=statements(PREFIX_STATEMENTS)
        ),
    }
