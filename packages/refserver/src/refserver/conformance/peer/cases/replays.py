"""One table: this was in doubt, that is in the replay, so this is sent again. Section 6.5.

Rule: a row is one world. A client that was lost with requests in doubt resumes, reads the
replay, and sends again exactly what was not accepted. Where more happens, it is a case of its
section's module.

Layer: above the sections, below the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ... import raw
from ...catalogue import Row
from ...raw import Frame
from ..losses import comes_in_again, let_in_again, loses_unanswered, sends_again, told_to_resume
from ..peer import Peer
from .once import COMPOSED, DECOMPOSED

__all__ = ["REPLAYS", "Replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay(Row):
    """One row. After the facts of `replay` come the client's own `Left` and `Joined`."""

    asks: tuple[str, ...]
    """The orders whose requests are in doubt."""
    replay: Callable[[Peer], Sequence[Frame]] = lambda t: ()
    """What the log has of them, or of others."""
    again: tuple[bytes, ...]
    """What was not accepted: contents, or data of application events."""
    user: str = "ann"
    """The name that the client is granted."""

    def run(self, t: Peer) -> None:
        """Lose the client, let it resume, and await what it sends again."""
        told_to_resume(t, user=self.user)
        loses_unanswered(t, *self.asks)
        pong = let_in_again(t, user=self.user)
        t.tell(*self.replay(t))
        comes_in_again(t, self.user)
        sends_again(t, pong, *self.again)


REPLAYS = (
    Replay(
        "PEER-RESUME-04",
        "sends again what was not accepted, and nothing that was",
        ("EP-6.5-3",),
        cause="everything without an Ack is sent again, or nothing",
        asks=("say one", "say two"),
        replay=lambda t: [t.message("ann", "one")],
        again=(b"two",),
        needs=("PEER-RESUME-02", "PEER-RESUME-03"),
    ),
    Replay(
        "PEER-RESUME-12",
        "does not take for accepted what another member has said in the same words",
        ("EP-6.5-3", "EP-10.3-2"),
        cause="the replay is compared by content alone",
        asks=("say one",),
        replay=lambda t: [t.message("bob", "one")],
        again=(b"one",),
        needs=("PEER-RESUME-04",),
    ),
    Replay(
        "PEER-RESUME-13",
        "does not take a message for accepted where an event of another type has its bytes",
        ("EP-6.5-3", "EP-10.3-2"),
        cause="the replay is compared by sender and bytes alone",
        asks=("say one",),
        replay=lambda t: [t.application(200, "ann", b"one")],
        again=(b"one",),
        needs=("PEER-RESUME-04", "PEER-APP-03"),
    ),
    Replay(
        "PEER-ONCE-02",
        "sends again messages and application events, in their order",
        ("EP-6.5-11", "EP-6.5-16"),
        cause="only messages are kept, each kind has its own list, or a list is emptied from "
        "its end",
        asks=("say one", "event 200 00ff", "say three", "event 201 04"),
        again=(b"one", b"\x00\xff", b"three", b"\x04"),
        needs=("PEER-SAY-03",),
    ),
    Replay(
        "PEER-ONCE-03",
        "takes a fact that is its second request, and not its first, for somebody else's",
        ("EP-6.5-9", "EP-6.5-16"),
        cause="a fact is looked for in all that is in doubt",
        asks=("say one", "say two"),
        replay=lambda t: [t.message("ann", "two")],
        again=(b"one", b"two"),
    ),
    Replay(
        "PEER-ONCE-04",
        "looks at no fact after one under its name that it has not said",
        ("EP-6.5-9", "EP-6.5-14"),
        cause="a fact under its own name that fits nothing is ignored",
        asks=("say one",),
        replay=lambda t: [t.message("ann", "one more"), t.message("ann", "one")],
        again=(b"one",),
    ),
    Replay(
        "PEER-ONCE-05",
        "does not take a longer content for its own that begins as its own",
        ("EP-6.5-8", "EP-6.5-9"),
        cause="contents are compared in the length of the shorter one",
        asks=("say one",),
        replay=lambda t: [t.message("ann", "one more")],
        again=(b"one",),
    ),
    Replay(
        "PEER-ONCE-06",
        "looks at no fact after a Left of its own name: its connection had ended",
        ("EP-6.5-10", "EP-6.5-14"),
        cause="another session's words under the same name are treated as its own",
        asks=("say ok",),
        replay=lambda t: [t.left("ann", raw.LOST_REASON), t.joined("ann"), t.message("ann", "ok")],
        again=(b"ok",),
    ),
    Replay(
        "PEER-ONCE-12",
        "knows its facts by the name that it was granted",
        ("EP-3.8-4", "EP-6.5-8"),
        cause="facts are compared with the requested name",
        asks=("say one", "say two"),
        replay=lambda t: [t.message("ann", "two"), t.message("ann 2", "one")],
        again=(b"two",),
        user="ann 2",
    ),
    Replay(
        "PEER-ONCE-13",
        "takes no fact for its own whose name only looks like its own",
        ("EP-2.3-6", "EP-6.5-8"),
        cause="names are compared without regard to case, or in a normal form",
        asks=("say one",),
        replay=lambda t: [
            t.message(DECOMPOSED, "one"),
            t.message(COMPOSED.lower(), "one"),
            t.message(COMPOSED + "\0", "one"),
            t.message("", "one"),
        ],
        again=(b"one",),
        user=COMPOSED,
    ),
    Replay(
        "PEER-ONCE-14",
        "does not take a content for its own that only looks like its own",
        ("EP-2.3-6", "EP-6.5-9"),
        cause="contents are compared in a normal form",
        asks=(f"say {COMPOSED}",),
        replay=lambda t: [t.message("ann", DECOMPOSED)],
        again=(COMPOSED.encode(),),
    ),
    Replay(
        "PEER-ONCE-15",
        "does not take data for its own that is other bytes, neither of them UTF-8",
        ("EP-3.11-4", "EP-6.5-9"),
        cause="data is compared as text, in which every bad byte is U+FFFD",
        asks=("event 200 ff",),
        replay=lambda t: [t.application(200, "ann", b"\xfe")],
        again=(b"\xff",),
        needs=("PEER-SAY-03",),
    ),
    Replay(
        "PEER-ONCE-16",
        "does not take an application event for its own that has another type",
        ("EP-6.5-9",),
        cause="all application events are one kind",
        asks=("event 200 01",),
        replay=lambda t: [t.application(201, "ann", b"\x01")],
        again=(b"\x01",),
        needs=("PEER-SAY-03",),
    ),
    Replay(
        "PEER-ONCE-19",
        "knows an empty message of its own again",
        ("EP-6.5-8", "EP-3.3-5"),
        cause="an empty content is treated as none, and never compared",
        asks=("say ", "say two"),
        replay=lambda t: [t.message("ann", "")],
        again=(b"two",),
    ),
    Replay(
        "PEER-ONCE-21",
        "takes no Left for its own whose name only looks like its own",
        ("EP-2.3-6", "EP-6.5-10"),
        cause="names are compared without regard to case, or in a normal form",
        asks=("say one", "say two"),
        replay=lambda t: [
            t.left(DECOMPOSED),
            t.left(COMPOSED.lower()),
            t.left(COMPOSED + "\0"),
            t.message(COMPOSED, "one"),
        ],
        again=(b"two",),
        user=COMPOSED,
        needs=("PEER-ONCE-13",),
    ),
)
