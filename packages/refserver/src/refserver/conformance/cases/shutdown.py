"""A server that stops in good order. Section 10.2.

Its one shutdown is watched once; each case looks at what was seen.
"""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..catalogue import ONCE, Section
from ..talk import Talk

section = Section("shutdown", "STOP", needs=("LOGIN-01", "MSG-02"))


@section.case(
    1,
    "a server that stops sends everything, then SHUTTING_DOWN to each connection, then ends",
    "EP-10.2-2",
    "EP-5.3-2",
    "EP-5.4-6",
    "EP-8.2-3",
    "EP-8.2-5",
    cause="sockets are closed at once, or departures are entered because of the stop",
    capabilities=("shutdown",),
    segmentations=ONCE,
    last=True,
)
def stops(t: Talk) -> None:
    ann, bob, stranger = t.member("ann"), t.member("bob"), t.connect("stranger")
    stranger.settle()
    for n in range(20):
        ann.said(t.text(f"line {n}"))
    assert t.setting.stop is not None, "the capability is declared with the means"
    wrong = t.setting.stop()
    t.check(not wrong, "a server that is told to stop", wrong)
    bob.expect(*(e.message(ann.user, t.text(f"line {n}")) for n in range(20)))
    for conn in (ann, bob, stranger):
        conn.ends(raw.SHUTTING_DOWN)
        left = [f for f in conn.seen if f.type == raw.LEFT and t.is_ours(f)]
        t.check(not left, "no Left because of the stop", "a Left")
