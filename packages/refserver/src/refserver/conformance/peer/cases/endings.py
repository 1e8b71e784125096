"""One table: a last Error ends the connection, and the client says so. Sections 3.6 and 9.3.

Rule: a row is one statement. It says when the last Error comes, and what comes after it. In each
row the client then closes its connection, and does not connect again. What needs more than that
is a case in its section's module.

Layer: above the sections, below the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

from ... import raw
from ...catalogue import Row
from ...model import Level
from ..losses import loses, told_to_resume
from ..peer import Peer

__all__ = ["ENDINGS", "Ending"]

ACCEPTED, LOGIN, MEMBER, LOGOUT = "accepted", "a Login", "a Welcome", "a Logout"
RESUMABLE, RESUME = "a Welcome that can be resumed", "the Login of a resume"
FOR_EVER = "whatever ends a connection is a reason to connect again, forever"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending(Row):
    """One row."""

    code: int
    """The code of the last Error."""
    after: str = MEMBER
    """When it comes."""
    behind: bytes = b""
    """What is written in one piece with it, and must not be looked at."""

    def run(self, t: Peer) -> None:
        """End the connection, and await that the client says with which code."""
        self._come(t)
        error = raw.error(0, self.code)
        if self.behind:
            t.send_whole(error, self.behind)
        else:
            t.send(error)
        t.finish()
        t.ends("explained", code=self.code)

    def _come(self, t: Peer) -> None:
        """Come to where the Error is sent."""
        if self.after == ACCEPTED:
            t.accept()
        elif self.after == LOGIN:
            t.login()
        elif self.after in (RESUMABLE, RESUME):
            told_to_resume(t)
        else:
            t.welcome()
        if self.after == RESUME:
            loses(t)
            t.login()
        if self.after == LOGOUT:
            t.order("logout")
            t.asked(raw.LOGOUT)


ENDINGS = (
    Ending(
        "PEER-LOGIN-05",
        "tells UNAUTHORIZED as what ended the connection",
        ("EP-3.6-3",),
        cause="an Error with seq 0 is looked for among the replies",
        code=raw.UNAUTHORIZED,
        after=LOGIN,
    ),
    Ending(
        "PEER-LOGIN-06",
        "tells UNSUPPORTED_VERSION as what ended the connection",
        ("EP-3.6-3", "EP-8.2-6"),
        cause="a version that is refused is treated as a lost connection, and tried again forever",
        code=raw.UNSUPPORTED_VERSION,
        after=LOGIN,
    ),
    Ending(
        "PEER-LOGIN-07",
        "understands an Error before its Login was read: SERVER_FULL",
        ("EP-3.6-3", "EP-4.1-3"),
        cause="an Error is expected as a reply only",
        code=raw.SERVER_FULL,
        after=ACCEPTED,
    ),
    Ending(
        "PEER-ERROR-04",
        "ends at seq 0, also where the code is not known",
        ("EP-3.6-3",),
        cause="an unknown code has no place in an enumeration",
        code=4711,
    ),
    Ending(
        "PEER-ERROR-05",
        "ends at seq 0, also where the code is not a fatal one: USER_TAKEN at a takeover",
        ("EP-3.6-3", "EP-6.4-10"),
        cause="the end is told by the code, not by seq 0",
        code=raw.USER_TAKEN,
    ),
    Ending(
        "PEER-WIDE-12",
        "ends with a code of 65,535 where its seq is 0",
        ("EP-2.3-2", "EP-3.6-3"),
        cause="a code is read as signed, or kept in 8 bits",
        code=65_535,
        needs=("PEER-ERROR-04",),
    ),
    Ending(
        "PEER-LAST-01",
        "takes a last Error for the end, with a piece of a frame after it",
        ("EP-3.6-3", "EP-8.2-3"),
        cause="what is left in the buffer at the end of the stream makes it a loss or a fault",
        code=raw.SHUTTING_DOWN,
        behind=raw.message(9, "never whole", "bob")[:-3],
    ),
    Ending(
        "PEER-LAST-02",
        "takes a last Error for the end, with what is no frame after it",
        ("EP-3.6-3", "EP-8.2-3"),
        cause="all of a piece is validated before the first frame of it is used",
        code=raw.SHUTTING_DOWN,
        behind=bytes(16),
    ),
    Ending(
        "PEER-LAST-05",
        "tells the last Error, and no clean end, where its Logout has no Ack",
        ("EP-3.6-3", "EP-10.1-2"),
        cause="every end after a Logout is treated as a clean one",
        code=raw.SHUTTING_DOWN,
        after=LOGOUT,
        needs=("PEER-CLOSE-01",),
    ),
    Ending(
        "PEER-RESUME-07",
        "does not come back by itself after USER_TAKEN ended its connection",
        ("EP-9.3-3",),
        cause="two clients of one session throw each other out forever",
        code=raw.USER_TAKEN,
        after=RESUMABLE,
        level=Level.SHOULD,
    ),
    Ending(
        "PEER-AGAIN-01",
        "does not come back by itself after MALFORMED",
        ("EP-9.3-4",),
        cause=FOR_EVER,
        code=raw.MALFORMED,
        after=RESUMABLE,
        level=Level.SHOULD,
    ),
    Ending(
        "PEER-AGAIN-02",
        "does not come back by itself after FRAME_TOO_LARGE",
        ("EP-9.3-4",),
        cause=FOR_EVER,
        code=raw.FRAME_TOO_LARGE,
        after=RESUMABLE,
        level=Level.SHOULD,
    ),
    Ending(
        "PEER-AGAIN-03",
        "does not come back by itself after UNSUPPORTED_VERSION",
        ("EP-9.3-4",),
        cause=FOR_EVER,
        code=raw.UNSUPPORTED_VERSION,
        after=RESUMABLE,
        level=Level.SHOULD,
    ),
    Ending(
        "PEER-AGAIN-04",
        "does not come back by itself after UNAUTHORIZED answers its resume",
        ("EP-9.3-3",),
        cause=FOR_EVER,
        code=raw.UNAUTHORIZED,
        after=RESUME,
        level=Level.SHOULD,
    ),
)
