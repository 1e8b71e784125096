"""A server that stops in good order. Section 10.2.

Its one shutdown is watched once in a run; each case looks at what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from ...wording import counted
from .. import expect as e
from .. import raw
from ..annotate import summary
from ..attempt import Attempt
from ..catalogue import ONCE, Section
from ..connection import Connection, entries
from ..raw import Frame
from ..suite import NotReached, Untestable
from .slow import MIB, SMALL_BUFFER, flood

section = Section("shutdown", "STOP", needs=("LOGIN-01", "MSG-02"), segmentations=ONCE)
STOPS = ("shutdown",)
TOLD = e.fatal(raw.SHUTTING_DOWN)
BACKLOG = 10
"""MiB, more than sockets hold: the server stops while somebody has not read them."""
BURST = 500
"""Messages on their way when the server is told to stop."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """All that was read, to the end or until nothing came any more."""

    wrong: str
    """What went wrong where the server could not be told to stop."""
    ann: Connection
    """She talks until the stop."""
    bob: Connection
    """He is present, and reads."""
    late: Connection
    """He reads his backlog when the others have come to their end."""
    stranger: Connection
    """It has not logged in."""
    newcomer: Connection | None
    """It comes when the others have come to their end, unless it is refused."""

    @property
    def members(self) -> tuple[Connection, ...]:
        return self.ann, self.bob, self.late


def shut_down(t: Attempt) -> Shutdown:
    """Have the server stop in the midst of work, and read to the end."""
    assert t.setting.stop is not None, "the capability is declared with the means"
    t.identity("newcomer")  # where the names do not suffice the server must not be stopped
    late = t.member("late", receive_buffer=SMALL_BUFFER)
    ann = t.member("ann")
    for n in range(BACKLOG):
        flood(t, ann, MIB)
        late.write_some(raw.ping(n + 1), t.timeout, reading=False)  # it is there, and reads not
    bob, stranger = t.member("bob"), t.connect("stranger")
    stranger.sync()
    ann.send_piece(b"".join(raw.message(n + 1, t.text("to the last")) for n in range(BURST)))
    wrong = t.setting.stop()
    if wrong:
        return Shutdown(wrong, ann, bob, late, stranger, None)
    for conn in (ann, bob, stranger):
        conn.to_the_end()
    newcomer = come(t)
    late.to_the_end()
    if newcomer is not None:
        newcomer.to_the_end()
    return Shutdown("", ann, bob, late, stranger, newcomer)


def come(t: Attempt) -> Connection | None:
    """Connect and send a Login; None where that is refused."""
    try:
        newcomer = t.connect("newcomer")
    except NotReached:
        return None
    newcomer.send(raw.login(1, newcomer.user, t.identity("newcomer").credential))
    return newcomer


def watched(t: Attempt) -> Shutdown:
    """The shutdown. Raises Untestable where the server could not be told to stop."""
    seen = t.once(shut_down)
    if seen.wrong:
        raise Untestable(f"the server was not told to stop: {seen.wrong}")
    return seen


def last(conn: Connection) -> Frame | None:
    """The last frame that came."""
    return conn.seen[-1] if conn.seen else None


def check_told(t: Attempt, conn: Connection) -> None:
    """SHUTTING_DOWN is the last frame, and the end comes after it."""
    frame = last(conn)
    is_told = bool(conn.ended) and TOLD.fits(frame)
    came = "no frame" if frame is None else summary(frame.raw)
    wanted = f"SHUTTING_DOWN, and the end, for {conn.who}"
    t.check(is_told, wanted, f"{came}; {conn.ended or 'nothing more in time'}")


def before(conn: Connection) -> list[Frame]:
    """What stands before SHUTTING_DOWN."""
    return list(takewhile(lambda frame: not TOLD.fits(frame), conn.seen))


def acked(conn: Connection) -> list[int]:
    """The positions of what it said."""
    return entries(frame for frame in before(conn) if frame.type == raw.ACK)


def is_evicted(conn: Connection) -> bool:
    """Whether it was ended because it lags behind, which a server may do at any time."""
    return e.fatal(raw.SLOW_CONSUMER).fits(last(conn))


@section.case(
    1,
    "a server that stops sends SHUTTING_DOWN to each member, and then ends its connection",
    "EP-10.2-2",
    "EP-8.2-3",
    cause="sockets are closed at once",
    capabilities=STOPS,
    last=True,
)
def members_are_told(t: Attempt) -> None:
    for conn in watched(t).members:
        if not is_evicted(conn):
            check_told(t, conn)


@section.case(
    2,
    "a member with a backlog reads all of it before SHUTTING_DOWN, or is ended for its slowness",
    "EP-10.2-2",
    "EP-8.2-8",
    "EP-5.3-2",
    cause="what is not written yet is dropped at the stop",
    capabilities=STOPS,
    last=True,
)
def backlog_is_read(t: Attempt) -> None:
    seen = watched(t)
    late = seen.late
    if is_evicted(late):
        return
    found = entries(before(late))
    follows = list(range(late.place + 1, late.place + 1 + len(found)))
    t.check(found == follows, "positions that rise by one", "a gap")
    said = max(acked(seen.ann), default=late.place)
    read = max(found, default=late.place)
    t.check(read >= said, f"entry {said} before SHUTTING_DOWN", f"the last is {read}")


@section.case(
    3,
    "a connection without login gets SHUTTING_DOWN too",
    "EP-10.2-2",
    cause="only members are told",
    capabilities=STOPS,
    last=True,
)
def strangers_are_told(t: Attempt) -> None:
    check_told(t, watched(t).stranger)


@section.case(
    4,
    "a stop of the server makes no Left",
    "EP-5.4-6",
    cause="a session that ends enters its Left, whatever the reason",
    capabilities=("presence", *STOPS),
    last=True,
)
def nobody_has_left(t: Attempt) -> None:
    seen = watched(t)
    users = {conn.user.encode() for conn in seen.members if not is_evicted(conn)}
    left = [f for c in seen.members for f in c.seen if f.type == raw.LEFT and f.author in users]
    t.check(not left, "no Left because of the stop", "a Left")


@section.case(
    5,
    "a client that connects while a server stops is refused, or sent SHUTTING_DOWN",
    "EP-10.2-2",
    cause="the server listens on until the last member is gone",
    capabilities=STOPS,
    last=True,
)
def newcomers_are_told(t: Attempt) -> None:
    newcomer = watched(t).newcomer
    # Whose connection was never accepted is sent nothing.
    if newcomer is not None and (newcomer.seen or not newcomer.ended):
        check_told(t, newcomer)


@section.case(
    6,
    "a Message at the moment of the stop has both its Ack and its entry, or neither",
    "EP-8.2-4",
    "EP-8.2-8",
    "EP-5.3-2",
    cause="requests are handled on at the stop, but their replies are not sent any more",
    capabilities=STOPS,
    last=True,
)
def replies_fit_entries(t: Attempt) -> None:
    seen = watched(t)
    users = {conn.user.encode() for conn in seen.members}
    said = [f.seq for f in before(seen.bob) if f.type == raw.MESSAGE and f.author in users]
    known = [position for position in acked(seen.ann) if position > seen.bob.place]
    t.check(said == known, f"the {len(known)} messages with an Ack", counted(len(said), "message"))
