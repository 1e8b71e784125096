"""Reports as JSON, to be kept, merged and read by scripts.

Rule: what is written fits `report.schema.json`, which is shipped beside it, and reads
back as the same report.

Layer: among the reports.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from ..model import Report

__all__ = ["read", "write"]


def write(report: Report, path: Path) -> None:
    """Write the report as JSON."""
    text = json.dumps(report.to_json(), indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> Report:
    """The report in a file. Raises ValueError where there is none of this kit's."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if not text.strip():
            raise ValueError("is empty")
        report = Report.from_json(json.loads(text))
        for run in report.runs:
            datetime.fromisoformat(run.started)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError("is not JSON") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a report of this kit: {error!r}") from error
    return report
