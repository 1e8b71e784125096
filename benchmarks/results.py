"""Where a run's result goes: the scratch folder, or the published page.

Rule: only `--publish` changes a file under version control.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import markdown

ROOT = Path(__file__).parent.parent
SCRATCH = ROOT / "benchmarks" / "build" / "results"
PUBLISHED = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "plots"

Result = dict[str, Any]


def load(kind: str, folder: Path = PUBLISHED) -> Result:
    """A stored result."""
    result: Result = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
    return result


def store(
    kind: str,
    result: Result,
    blocks: dict[str, str],
    draw: Callable[[Path], None],
    *,
    publish: bool,
) -> Path:
    """Write the JSON, the Markdown and the plots; the folder of the first two."""
    folder, plots = (PUBLISHED, PLOTS) if publish else (SCRATCH, SCRATCH)
    for each in (folder, plots):
        each.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (folder / f"{kind}.json").write_text(text + "\n", encoding="utf-8")
    (folder / f"{kind}.md").write_text("\n".join(blocks.values()), encoding="utf-8")
    draw(plots)
    if publish:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(markdown.put(page, blocks), encoding="utf-8")
    return folder
