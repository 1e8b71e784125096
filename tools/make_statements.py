"""Write the specification's numbered sentences into the conformance kit.

Rule: docs/protocol.md is the source; the kit ships a copy that a test compares.

    python -m tools.make_statements

Layer: outside the packages; needs neither of them.
"""

from __future__ import annotations

import json

from tools.manifest import ROOT, SPECIFICATION, statements

TARGET = ROOT / "packages/refserver/src/refserver/conformance/statements.json"


def rendered() -> str:
    known = statements((ROOT / SPECIFICATION).read_text(encoding="utf-8"))
    return json.dumps(known, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(rendered(), encoding="utf-8")
