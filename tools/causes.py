"""The usual causes of breaches, for the judge, from the cases of the kit.

Rule: a cause stands at a case alone. The judge gets a copy, because to load the cases takes longer
than to judge a conversation.

Layer: beside the other generators.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.pages import ROOT

from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.model import Case
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.conformance.statements import statements

SHIPPED = ROOT / "packages/refserver/src/refserver/watch/causes.json"


def usual(cases: Iterable[Case]) -> Mapping[str, str]:
    """The usual cause of a breach of each statement that one of these cases proves."""
    found: dict[str, str] = {}
    # A case that proves little is the one that is about it.
    for case in sorted(cases, key=lambda case: len(case.proves)):
        for statement in case.proves:
            found.setdefault(statement, case.cause)
    return {statement: found[statement] for statement in statements() if statement in found}


def files() -> Mapping[Path, str]:
    """The file, with the causes by the side that breaks the statement."""
    causes = {"client": usual(CLIENT_CASES), "server": usual(SERVER_CASES)}
    return {SHIPPED: json.dumps(causes, indent=1, ensure_ascii=False) + "\n"}
