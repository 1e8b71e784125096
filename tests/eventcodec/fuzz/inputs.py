"""The inputs of the fuzzer as text: what reached something new, and what once failed.

Rule: a line is one input in hex; a line that begins with `#` says what it is about.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus.txt")
REGRESSIONS = Path(__file__).with_name("regressions.txt")


def load(file: Path) -> list[bytes]:
    """The inputs in a file."""
    lines = file.read_text("ascii").splitlines()
    return [bytes.fromhex(line) for line in lines if not line.startswith("#")]


def save(file: Path, inputs: Iterable[bytes]) -> None:
    """Replace the inputs in a file, and keep what stands above them."""
    head = [line for line in file.read_text("ascii").splitlines() if line.startswith("#")]
    lines = [*head, *sorted(data.hex() for data in inputs)]
    file.write_text("\n".join(lines) + "\n", "ascii")
