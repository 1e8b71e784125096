"""The figures of the catalogue of cases in docs/conformance.md.

Rule: how many cases there are, and what a run of them says, is counted from the catalogue.

Layer: above `pages`, beside the other generators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tools.pages import Blocks, table

from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.check import CAPABILITIES

USUAL = {name for name, (is_on, _) in CAPABILITIES.items() if is_on} | {"any-name"}
"""What is declared about a server of which nothing is said."""


def told(more: Iterable[str], tail: str) -> str:
    """The last line of a run in which everything passed that could be run."""
    declared = USUAL | set(more)
    results: Counter[bool] = Counter()
    for case in SERVER_CASES:
        results[set(case.capabilities) <= declared] += len(case.segmentations)
    return (
        f"refserver: {results[True]} passed, {results[False]} unsupported "
        f"({len(SERVER_CASES)} cases, {results.total()} results, {tail})"
    )


def first_run(body: str) -> str:
    return f"""
```console
$ pip install ./packages/eventcodec ./packages/refserver           # in a clone
$ refserver serve 3000 --quiet &  # or your own server
listening on localhost:3000
$ refserver check localhost:3000
{told((), "10.4 s, seed 1734556339")}
```

"""


def longer_run(body: str) -> str:
    able = ("heartbeat", "login-timeout", "evicts", "shutdown")
    return f"""
```console
$ refserver serve 3002 --quiet --heartbeat 1 &
listening on localhost:3002
$ refserver check :3002 --can heartbeat --can login-timeout --can evicts --pid $!
{told(able, "…")}
```

"""


def sections(body: str) -> str:
    """How many cases each section has."""
    counted = Counter(case.section for case in SERVER_CASES)
    names = dict.fromkeys(case.section for case in SERVER_CASES)
    first: dict[str, str] = {}
    for case in SERVER_CASES:
        first.setdefault(case.section, case.id.rpartition("-")[0])
    rows = [(name, f"`{first[name]}-*`", str(counted[name])) for name in names]
    return table(("section", "ids", "cases"), [*rows, ("all", "", str(len(SERVER_CASES)))])


BLOCKS: Blocks = {"first run": first_run, "longer run": longer_run, "sections": sections}
