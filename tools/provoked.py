"""Record what `refserver proxy --provoke` shows of each fault of a client, and list it.

Rule: `tests/watch/provoked.json` is the record, and the tests hold the proxy and the judge to it.

Layer: outside the packages, above both.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import NotRequired, TypedDict

from tools import matrix
from tools.pages import ROOT

from refserver.watch.provoking import PROVOCATIONS, as_options

RECORD = ROOT / "tests/watch/provoked.json"
OVER_WEBSOCKET = "ws-"


class Shown(TypedDict):
    """What the client met, and what was found or, if nothing was, observed."""

    rules: list[str]
    statements: NotRequired[list[str]]
    observed: NotRequired[str]


Record = dict[str, Shown]


def recorded() -> Record:
    """What shows, by the fault; those of which nothing shows are not in it."""
    record: Record = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def faults() -> list[str]:
    """The faults of a client over TCP, which a proxy can read."""
    kills = matrix.recorded(matrix.CLIENT_RECORD)
    return [fault for fault in kills if not fault.startswith(OVER_WEBSOCKET)]


def shown(fault: str) -> Shown | None:
    """The first provocation at which something is found; else the first with an observation."""
    from tests.watch.provoked import seen

    observed: Shown | None = None
    for rules in ((), *PROVOCATIONS):
        found = seen(fault, rules)
        if found.statements:
            return {"rules": list(rules), "statements": found.statements}
        if found.observations and observed is None:
            observed = {"rules": list(rules), "observed": found.observations[0]}
    return observed


def record(names: Collection[str]) -> None:
    """Run the clients with these faults, or with all, and write what shows."""
    found = recorded() if RECORD.exists() else {}
    for fault in faults():
        if names and fault not in names:
            continue
        found.pop(fault, None)
        if (now := shown(fault)) is not None:
            found[fault] = now
        print(fault, found.get(fault, "nothing shows"), flush=True)
    kept = {fault: found[fault] for fault in faults() if fault in found}
    text = ",\n".join(f" {json.dumps(fault)}: {json.dumps(each)}" for fault, each in kept.items())
    RECORD.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def lines(reasons: Mapping[str, str]) -> Iterator[str]:
    """The part of the page about it. `reasons` says why the judge alone finds nothing."""
    kills = matrix.recorded(matrix.CLIENT_RECORD)
    shows = recorded()
    found = {fault: each for fault, each in shows.items() if "statements" in each}
    observed = {fault: each for fault, each in shows.items() if "observed" in each}
    yield "## Clients that are provoked"
    yield ""
    yield "Each client with a fault, in an ordinary program, talked with a right server through"
    yield "what `refserver proxy --provoke` is made of, once for each provocation. Of"
    yield f"{len(kills)} faults {len(found)} are found. {len(observed)} more are observed: with a"
    yield "line that begins with *observed*, which no right client causes here."
    yield ""
    yield "| fault | what the proxy did | broken statements, or what was observed |"
    yield "|---|---|---|"
    for fault, each in (found | observed).items():
        did = f"`{as_options(tuple(each['rules']))}`" if each["rules"] else "only forwarded"
        yield f"| `{fault}` | {did} | {', '.join(each.get('statements', [])) or each['observed']} |"
    yield ""
    yield "Nothing shows of these. The last column has the command that finds each of them; without"
    yield "`peer`, nobody does who only sees what passes."
    yield ""
    yield "| fault | why nothing shows | what finds it |"
    yield "|---|---|---|"
    for fault, cases in kills.items():
        if fault not in shows:
            ws = "--ws " if fault.startswith(OVER_WEBSOCKET) else ""
            case = matrix.steadiest(cases)[0]
            reason = reasons.get(fault, "no provocation brings it about")
            yield f"| `{fault}` | {reason} | `refserver peer {ws}{case}` |"
    yield ""
