"""Draw the tables of docs/sessions.md from the code.

Rule: which step leads where, and what pauses a session, is written where the code has it; the
last column of a table is the page's own word.

Layer: outside the packages, above `eventcodec`.
"""

from __future__ import annotations

from pathlib import Path

from tools.pages import ROOT, Blocks, kept, redrawn, table

from eventcodec import ErrorCode, Fate, Pause, SessionState
from eventcodec.lifecycle import LAST_ERRORS, REFUSED_LOGINS, TRANSITIONS, Step

PAGE = ROOT / "docs/sessions.md"

NOTHING = "–"


def outcomes(body: str) -> str:
    return table(("outcome", "meaning"), [(fate.value, kept(body, fate.value)) for fate in Fate])


def after(pause: Pause) -> str:
    """The errors that pause a session so."""
    last = [ErrorCode(code).name for code, why in LAST_ERRORS.items() if why is pause]
    replies = [ErrorCode(code).name for code, why in REFUSED_LOGINS.items() if why is pause]
    told = [f"{', '.join(last)} with seq 0"] * bool(last)
    told += [f"{', '.join(replies)} in reply to the `Login`"] * bool(replies)
    return "; ".join(told) or NOTHING


def pauses(body: str) -> str:
    rows = [(pause.value, after(pause), kept(body, pause.value)) for pause in Pause]
    return table(("pause", "after", "what you can do"), rows)


def states(body: str) -> str:
    """A row for each step, a column for each state that it can be taken in."""
    columns = [state for state in SessionState if state is not SessionState.CLOSED]
    rows = []
    for step in Step:
        ways = (TRANSITIONS.get((state, step)) for state in columns)
        rows.append((step.value, *(NOTHING if way is None else way.value for way in ways)))
    return table(("step", *(state.value for state in columns)), rows)


BLOCKS: Blocks = {
    "session-outcomes": outcomes,
    "session-pauses": pauses,
    "session-states": states,
}


def files() -> dict[Path, str]:
    """The page, with its tables as the code has them."""
    return {PAGE: redrawn(PAGE.read_text(encoding="utf-8"), BLOCKS)}
