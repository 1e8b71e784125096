"""Write the lowest versions that the metadata allows, as a requirements file.

    python -m tools.lowest FILE

Rule: nothing is written twice. The bounds of both packages and of the group `test` become
`==`, so that the tests of the `lowest` environment prove them.

Layer: outside the packages.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OWN = ("eventcodec", "refserver")
GROUP = "test"


def lowest() -> list[str]:
    """What users and tests need, each in its lowest version."""
    pins = {_pinned(each) for each in [*_of_packages(), *_of_group(GROUP)]}
    return sorted(pin for pin in pins if not pin.startswith(OWN))


def _of_packages() -> Iterator[str]:
    for name in OWN:
        project = _read(f"packages/{name}/pyproject.toml")["project"]
        yield from project["dependencies"]
        for extra in project.get("optional-dependencies", {}).values():
            yield from extra


def _of_group(name: str) -> Iterator[str]:
    for entry in _read("pyproject.toml")["dependency-groups"][name]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from _of_group(entry["include-group"])


def _pinned(requirement: str) -> str:
    """The requirement with its lower bound as its version.

    >>> _pinned("construct>=2.10.70,<2.11")
    'construct==2.10.70'
    """
    found = re.fullmatch(r"([\w.-]+)>=([\d.]+)(?:,<[\d.]+)?", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} has no lower bound")
    return f"{found[1]}=={found[2]}"


def _read(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("\n".join(lowest()) + "\n", encoding="utf-8")
