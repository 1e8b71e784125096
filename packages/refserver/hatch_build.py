"""Put the pages of `docs/` into the package, for `refserver docs`.

Rule: the pages have one source. In the repository it is `docs/`; a source distribution takes it
along, and the wheel is built from either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LEFT_OUT = {"_build", "_static", "__pycache__", "conf.py"}
"""What is not for a reader."""


class Pages(BuildHookInterface[Any]):
    """The hook of both targets. An editable install reads the pages of its repository."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name each page, and its place in what is built."""
        if version == "editable":
            return
        here = Path(self.root)
        docs = next(filter(_has_pages, (here / "docs", here.parent.parent / "docs")), None)
        if docs is None:
            raise FileNotFoundError(f"no docs/index.md beside {here} or two folders above it")
        top = Path("docs" if self.target_name == "sdist" else "refserver/docs")
        for path in sorted(docs.rglob("*")):
            name = path.relative_to(docs)
            if path.is_file() and LEFT_OUT.isdisjoint(name.parts):
                build_data["force_include"][str(path)] = (top / name).as_posix()


def _has_pages(docs: Path) -> bool:
    return (docs / "index.md").is_file()
