"""Draw docs/conformance-matrix.md, and that for clients: which cases notice which mutant.

Rule: `kills.json` and `client_kills.json` in tests/conformance are the record, and the
tests hold the kit to it; the pages are made from it.

Layer: outside the packages, above both.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.pages import ROOT

from refserver.conformance.cases import SERVER_CASES
from refserver.conformance.model import Case
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.mutants import MUTANTS, Mutant

RECORD = ROOT / "tests/conformance/kills.json"
PAGE = ROOT / "docs/conformance-matrix.md"
CLIENT_RECORD = ROOT / "tests/conformance/client_kills.json"
CLIENT_PAGE = ROOT / "docs/conformance-matrix-clients.md"

UNPROVEN: dict[str, str] = {}
"""Cases that no mutant makes fail each time, and why not."""

WAITING = ("ALIVE", "CLOCK", "SLOW", "STOP")
"""Sections whose cases let time pass."""
MEETING = ("CONC", "PAGE-09")
"""What these cases read can depend on which of two clients is served first."""

EITHER: Mapping[str, frozenset[str]] = {
    "name-given-twice": frozenset({"CONC-03"}),
    "marker-before-own-joined": frozenset({"PAGE-09"}),
    "strangers-read": frozenset({"CONC-10", "TAKE-06"}),
    # These cases send the last byte by itself. Whether it comes by itself, the kernel decides.
    "pieces-lost": frozenset(case.id for case in SERVER_CASES if case.id.startswith("CONC")),
    # Seen on a machine whose processes wait for each other for tenths of a second.
    "name-taken-later": frozenset({"NUM-06"}),
    "marker-first": frozenset({"PAGE-08"}),
    "entries-told-late": frozenset({"MSG-12"}),
}
"""Mutants with cases that notice them only if one of two clients is served first, or late. Both are
right: a case that forced the order would ask for less."""

AT_ONCE = 6
"""Clients that are run side by side."""

Kills = Mapping[str, list[str]]


def recorded(record: Path = RECORD) -> dict[str, list[str]]:
    """The cases that fail against each mutant, as they were recorded."""
    kills: dict[str, list[str]] = json.loads(record.read_text(encoding="utf-8"))
    return kills


def steadiest(cases: Sequence[str]) -> list[str]:
    """The cases, with those last whose outcome depends on time or on who is served first."""
    return sorted(cases, key=lambda case: (case.startswith(WAITING), case.startswith(MEETING)))


def unproven(kills: Kills) -> list[str]:
    """The cases that no mutant makes fail, in the catalogue's order."""
    killing = {
        case for name, cases in kills.items() for case in {*cases} - EITHER.get(name, frozenset())
    }
    return [case.id for case in SERVER_CASES if case.id not in killing]


def page(kills: Kills) -> str:
    """The page."""
    return "\n".join(_lines(kills)) + "\n"


def client_page(kills: Kills) -> str:
    """The page about clients."""
    return "\n".join(_client_lines(kills)) + "\n"


def _lines(kills: Kills) -> Iterator[str]:
    yield "# Mutants and the cases that notice them"
    yield ""
    yield "Drawn by `python -m tools` from recorded runs; do not edit."
    yield ""
    yield "With this page you see that the cases for servers can fail. Each of the"
    yield f"{len(kills)} mutants is a server with one error: `refserver serve --mutant NAME`."
    yield "Exactly the cases in its row fail."
    yield ""
    yield from _left_out()
    yield ""
    yield from _noticed(kills, [each for each in MUTANTS.values() if each.servers == 1])
    yield "## In a room on two servers"
    yield ""
    yield "These are wrong only where two servers share a room. Start two of them with the same"
    yield "`--log redis://…`, and ask both: `refserver check A B`."
    yield ""
    yield from _noticed(kills, [each for each in MUTANTS.values() if each.servers > 1])
    yield from _by_case(SERVER_CASES, kills, "mutant")


def _noticed(kills: Kills, mutants: Sequence[Mutant]) -> Iterator[str]:
    """A table of these mutants."""
    yield "| mutant | what it does | noticed by |"
    yield "|---|---|---|"
    for mutant in mutants:
        yield f"| `{mutant.name}` | {mutant.wrong} | {', '.join(kills[mutant.name])} |"
    yield ""


def _left_out() -> Iterator[str]:
    """What the record does not say: which sections were not run against which mutants."""
    from tests.conformance.mutating import COSTLY

    yield "Some sections wait for a clock, move many MiB or end the server. They run only against"
    yield "these mutants; the results against the other mutants are not recorded:"
    yield ""
    yield "| section | run against |"
    yield "|---|---|"
    for section, concerns in COSTLY.items():
        names = [f"`{mutant.name}`" for mutant in MUTANTS.values() if concerns(mutant)]
        yield f"| {section} | {', '.join(names)} |"
    yield ""
    yield "A mutant of the section websocket listens for WebSocket, and runs against the cases that"
    yield "need it."


def _client_lines(kills: Kills) -> Iterator[str]:
    yield "# Faults of clients and the cases that notice them"
    yield ""
    yield "Drawn by `python -m tools` from the record of the tests; do not edit."
    yield ""
    yield "With this page you see that the cases for clients can fail. The kit's own tests have a"
    yield f"client with {len(kills)} faults, and switch them on one by one. Exactly the cases in"
    yield "the row of a fault fail. A case that builds on a failed case is inconclusive and is"
    yield "not listed."
    yield ""
    yield "| fault | noticed by |"
    yield "|---|---|"
    for name, cases in kills.items():
        yield f"| `{name}` | {', '.join(cases)} |"
    yield ""
    yield from _by_case(CLIENT_CASES, kills, "fault")


def _by_case(cases: Sequence[Case], kills: Kills, wrong: str) -> Iterator[str]:
    yield "## By case"
    yield ""
    yield f"| case | what is asked | noticed {wrong}s |"
    yield "|---|---|---|"
    proved = 0
    for case in cases:
        names = ", ".join(f"`{name}`" for name in kills if case.id in kills[name])
        yield f"| {case.id} | {case.title} | {names or UNPROVEN.get(case.id, 'none yet')} |"
        proved += bool(names)
    yield ""
    yield f"{proved} of {len(cases)} cases are proved by a {wrong}."


def record(names: Collection[str]) -> None:
    """Run these mutants, or every one, against all cases."""
    from tests.conformance.mutating import cases_for, failing

    logging.disable(logging.CRITICAL)
    kills = recorded()
    for name in names or MUTANTS:
        kills[name] = sorted(failing(MUTANTS[name], cases_for(MUTANTS[name])))
        print(name, *kills[name], flush=True)
    _write(RECORD, {name: kills[name] for name in MUTANTS})


def record_faults(names: Collection[str]) -> None:
    """Run the clients with these faults, or with all that are recorded, against all cases."""
    from tests.conformance.test_peer_mutants import failing

    kills = recorded(CLIENT_RECORD)
    faults = list(names or kills)
    with ThreadPoolExecutor(AT_ONCE) as pool:  # they wait most of the time
        runs = pool.map(lambda fault: failing(fault, CLIENT_CASES), faults)
        for fault, found in zip(faults, runs, strict=True):
            kills[fault] = [case.id for case in CLIENT_CASES if case.id in found]
            print(fault, *kills[fault], flush=True)
    _write(CLIENT_RECORD, dict(sorted(kills.items())))


def _write(record: Path, kills: Kills) -> None:
    text = ",\n".join(f" {json.dumps(name)}: {json.dumps(ids)}" for name, ids in kills.items())
    record.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def files() -> dict[Path, str]:
    return {PAGE: page(recorded()), CLIENT_PAGE: client_page(recorded(CLIENT_RECORD))}
