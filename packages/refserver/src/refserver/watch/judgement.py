"""What a judge found, as data: for people, for machines, for CI.

Rule: everything that a report says stands in `judgement`, and a schema describes it. The other
forms only show it.

Layer: above `judge`, below the commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..characters import escape
from ..conformance.statements import statements, visibility
from ..version import VERSION
from ..wording import counted
from .causes import usual_cause
from .conversation import Did, Side
from .coverage import coverage
from .findings import Finding, Notes
from .judge import Judge

__all__ = ["FORMAT", "finding_lines", "judgement", "summary_lines"]

FORMAT = "event-protocol-judgement/1"
SHOWN = 30
"""Kinds of observations in the summary."""
SHOWN_CONNECTIONS = 5
"""Connections that the summary names for each of them."""
SEEN = ("connection", "session", "room", "times")
"""Where the judge looks."""


def judgement(judge: Judge, sources: list[str], did: list[Did] | None = None) -> dict[str, Any]:
    """All that was found, as JSON takes it."""
    notes, where = judge.notes, visibility()
    exercised = coverage(notes)
    return {
        "format": FORMAT,
        "kit": VERSION,
        "sources": sources,
        "connections": judge.connections,
        "frames": judge.frames,
        "bytes": judge.bytes,
        "not_judged": judge.unjudged,
        "findings": [
            finding.to_json()
            | {
                "requirement": statements()[finding.statement],
                "cause": usual_cause(finding.statement, finding.side),
            }
            for finding in notes.findings
        ],
        "more": [
            {"statement": statement, "side": str(side), "count": count}
            for (statement, side), count in sorted(notes.more.items())
        ],
        "observations": [seen.to_json() for seen in notes.observations],
        "did": [
            {
                "connection": each.connection,
                "at": each.at,
                "side": str(each.side),
                "what": each.what,
            }
            for each in did or ()
        ],
        "coverage": {
            number: {"visible": where[number], "exercised": exercised[number]}
            for number in statements()
        },
    }


def finding_lines(finding: Finding) -> Iterator[str]:
    """A finding for a terminal."""
    place = f"frame {finding.frame}, byte {finding.offset}" if finding.frame else "its end"
    yield (
        f"{finding.statement}  the {finding.side} of connection {finding.connection} "
        f"broke it at {place} ({finding.at:.3f} s)"
    )
    yield f"    {statements()[finding.statement]}"
    yield f"    required: {escape(finding.required)}"
    yield f"    came:     {escape(finding.came)}"
    if cause := usual_cause(finding.statement, finding.side):
        yield f"    usually:  {cause}"


def summary_lines(judge: Judge) -> Iterator[str]:
    """What came of it all, for a terminal."""
    notes = judge.notes
    for (statement, side), count in sorted(notes.more.items()):
        yield f"{statement}  {count} more like it, by the {side}"
    observations: dict[str, list[int]] = {}
    for each in notes.observations:
        observations.setdefault(each.what, []).append(each.connection)
    for what in sorted(observations, key=lambda what: -len(observations[what]))[:SHOWN]:
        yield f"observed: {escape(what)} ({_on(observations[what])})"
    where = visibility()
    can = [number for number in where if where[number] in SEEN]
    exercised = coverage(notes)
    seen = sum(exercised[number] > 0 for number in can)
    yield (
        f"{counted(judge.connections, 'connection')}, {counted(judge.frames, 'frame')}, "
        + counted(judge.bytes, "byte")
        + (f", {counted(judge.unjudged, 'byte')} not judged" if judge.unjudged else "")
    )
    yield (
        f"{counted(seen, 'statement')} exercised, {len(can) - seen} not exercised, "
        f"{len(where) - len(can)} cannot be seen"
    )
    found = len(notes.findings) + sum(notes.more.values())
    yield counted(found, "finding") if found else "no findings"
    if not found and judge.frames:
        if unused := [what for what, happened in _situations(notes) if not happened]:
            yield f"what did not happen: {', '.join(unused)}"
        yield "only what happened was judged: `proxy --provoke`, `peer` and `check` do the rest"


def _on(connections: Sequence[int]) -> str:
    """How often something was observed, and where."""
    different = list(dict.fromkeys(connections))
    times = f"{len(connections)} times, " if len(connections) > 1 else ""
    noun = "connection" if len(different) == 1 else "connections"
    shown = ", ".join(str(each) for each in different[:SHOWN_CONNECTIONS])
    more = len(different) - SHOWN_CONNECTIONS
    return f"{times}on {noun} {shown}" + (f" and {more} more" if more > 0 else "")


def _situations(notes: Notes) -> Iterator[tuple[str, bool]]:
    """What a client can do, or meet, and whether it did."""
    good = notes.good
    client, server = Side.CLIENT, Side.SERVER
    yield "the client says a Message", good[client, 0x02] > 0
    yield (
        "it sends an application event",
        any(side is client and type >= 0x80 for side, type in good),
    )
    yield "it logs out", good[client, 0x03] > 0
    yield "it answers a Ping", good[client, 0x07] > 0
    yield "it resumes a session", notes.exercised["EP-6.4-2"] > 0
    yield "others speak", good[server, 0x02] > 0
    yield "a request is refused", good[server, 0x05] > 0
