"""What a ticket opens, and what it does not. Section 6.4.

Rule: a ticket and a position are compared in all their 64 bits.

Layer: above `catalogue`, in the catalogue of cases.
"""

from __future__ import annotations

from ...wording import counted
from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section
from ..connection import Connection, entries
from .resume import lost, refused, resumed

section = Section("tickets", "TICKET", needs=("RESUME-01",))
RESUME = ("resume",)


def all_refused(t: Attempt, who: str, *places: tuple[int, int]) -> Connection:
    """Logins with these tickets and positions, sent at once, that all get HISTORY_GONE."""
    conn = t.connect(who)
    identity = t.identity(who)
    t.hide(*(ticket.to_bytes(8, "big") for ticket, _ in places if ticket))
    conn.send(
        *(
            raw.login(n, identity.name, identity.credential, ticket, position)
            for n, (ticket, position) in enumerate(places, 1)
        )
    )
    conn.expect(*(e.error(raw.HISTORY_GONE, n) for n in range(1, len(places) + 1)))
    return conn


@section.case(
    1,
    "a ticket with any one of its 64 bits changed is HISTORY_GONE",
    "EP-6.4-5",
    cause="a ticket is kept in 32 or 63 bits, or in a floating-point number",
    capabilities=RESUME,
)
def every_bit(t: Attempt) -> None:
    ann = t.member()
    all_refused(t, "ann", *((ann.ticket ^ 1 << bit or 1, ann.place) for bit in range(64)))
    ann.expect_silence()


@section.case(
    2,
    "an unknown ticket, another member's and one that is nearly right look alike",
    "EP-6.4-8",
    cause="the text says whether the ticket exists",
    capabilities=RESUME,
)
def tickets_look_alike(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.sync()
    conn = all_refused(
        t,
        "bob",
        (0x0123456789ABCDEF, 1),
        (ann.ticket, ann.place),
        (bob.ticket ^ 1, bob.place),
        (bob.ticket, bob.place - 1),
        (bob.ticket, 2**64 - 1),
        (0, 1),
    )
    bodies = {frame.body for frame in conn.seen if frame.type == raw.ERROR}
    t.check(len(bodies) == 1, "the same body each time", counted(len(bodies), "different error"))
    ann.expect_silence()
    bob.expect_silence()


@section.case(
    3,
    "another session's ticket is HISTORY_GONE, also if another member has its name by now",
    "EP-6.4-5",
    "EP-8.3-1",
    cause="the name in use is checked before whose the ticket is",
    capabilities=RESUME,
    needs=("RESUME-17",),
)
def anothers_ticket_and_name_in_use(t: Attempt) -> None:
    ann = t.member("ann")
    lost(t, ann)
    other = t.member("ann")
    all_refused(t, "bob", (ann.ticket, ann.place))
    other.expect_silence()


@section.case(
    4,
    "a wrong position comes before a name in use",
    "EP-8.3-1",
    "EP-6.4-6",
    cause="the name in use is checked first",
    capabilities=RESUME,
    needs=("RESUME-17",),
)
def position_before_name(t: Attempt) -> None:
    ann = t.member("ann")
    lost(t, ann)
    other = t.member("ann")
    all_refused(t, "ann", (ann.ticket, 2**63 - 1), (ann.ticket, ann.place - 1))
    other.expect_silence()


@section.case(
    5,
    "two sessions of one name have two tickets",
    "EP-6.1-8",
    "EP-12-4",
    cause="a name has one ticket forever",
)
def two_sessions_two_tickets(t: Attempt) -> None:
    tickets = set()
    for _ in range(3):
        ann = t.member()
        tickets.add(ann.ticket)
        ann.send(raw.logout(9))
        ann.expect(e.ack(9), e.END)
    t.check(len(tickets) == 3, "three tickets", f"{len(tickets)}")


@section.case(
    6,
    "a session that was resumed can be resumed from an older position",
    "EP-6.4-2",
    "EP-6.4-6",
    cause="a resume moves the beginning of its session",
    capabilities=RESUME,
)
def older_position_again(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    said = [bob.said(t.text(f"{n}")) for n in range(3)]
    lost(t, ann)
    lost(t, resumed(t, ann, said[2]))
    again = resumed(t, ann, said[0])
    again.expect(e.message(bob.user, t.text("1"), said[1]))


@section.case(
    7,
    "a session that was resumed opens nothing from before its first Welcome",
    "EP-6.4-4",
    "EP-6.4-6",
    cause="a resume forgets where its session began",
    capabilities=RESUME,
    needs=("RESUME-11",),
)
def still_nothing_before(t: Attempt) -> None:
    bob = t.member("bob")
    bob.said(t.text("before ann"))
    ann = t.member("ann")
    lost(t, ann)
    lost(t, resumed(t, ann, ann.place))
    all_refused(t, "ann", (ann.ticket, ann.place - 1), (ann.ticket, 0))


@section.case(
    8,
    "the last position of the log can be resumed from",
    "EP-6.4-6",
    "EP-6.4-2",
    cause="the last position is treated as one that is not there yet",
    capabilities=RESUME,
)
def last_position(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    lost(t, ann)
    again = resumed(t, ann, bob.said(t.text("the last")))
    position = bob.said(t.text("the next"))
    again.expect(e.message(bob.user, t.text("the next"), position))


@section.case(
    9,
    "the position after the last one is HISTORY_GONE",
    "EP-6.4-6",
    cause="the position is compared with where the next entry goes",
    capabilities=RESUME,
)
def next_position(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    lost(t, ann)
    ann_again = t.connect("ann")
    identity = t.identity("ann")
    asked = bob.said(t.text("the last")) + 1
    ann_again.send(raw.login(1, identity.name, identity.credential, ann.ticket, asked))
    answer = ann_again.expect(e.either(e.welcome(1), e.error(raw.HISTORY_GONE, 1)))
    behind = bob.said(t.text("behind"))
    if answer.type == raw.WELCOME:  # right only where a stranger made this entry meanwhile
        made = [f for f in bob.seen if f.is_fact and f.seq == asked and not t.is_ours(f)]
        t.check(bool(made) and behind != asked, "HISTORY_GONE", "Welcome")


@section.case(
    10,
    "a position is compared in all its 64 bits",
    "EP-6.4-6",
    cause="a position is cut to 32 bits, or to a signed number",
    capabilities=RESUME,
)
def wide_positions(t: Attempt) -> None:
    ann = t.member()
    far = (2**32, 2**33, 2**53, 2**62, 2**63, 2**64 - 2**32)
    all_refused(t, "ann", *((ann.ticket, ann.place + more) for more in far))
    ann.expect_silence()


@section.case(
    11,
    "ticket 0 with any position is HISTORY_GONE",
    "EP-6.4-7",
    cause="only the low bits of the position are checked",
    needs=("RESUME-12",),
)
def no_ticket_and_wide_positions(t: Attempt) -> None:
    all_refused(t, "ann", *((0, 2**bit) for bit in range(64)))


@section.case(
    12,
    "a ticket with 32 zero bits is no fresh login",
    "EP-6.4-5",
    cause="only the low bits of the ticket are checked",
    needs=("RESUME-09",),
)
def tickets_with_zeros(t: Attempt) -> None:
    conn = all_refused(t, "ann", *((2**bit, 1) for bit in range(64)), (2**63, 0), (2**32, 0))
    conn.seq()
    conn.send(raw.ping(90))
    conn.expect(e.pong(90))


@section.case(
    13,
    "refused resumes change nothing of the session",
    "EP-4.2-8",
    "EP-6.4-13",
    cause="a wrong position, or a wrong name, spoils the ticket",
    capabilities=RESUME,
    needs=("RESUME-10", "RESUME-13"),
)
def refused_resumes_change_nothing(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    position = bob.said(t.text("meanwhile"))
    lost(t, ann)
    refused(t, "ann", ann.ticket, 2**62)
    refused(t, "ann", ann.ticket, ann.place - 1)
    refused(t, "cyd", ann.ticket, ann.place)
    again = resumed(t, ann, ann.place)
    again.expect(e.message(bob.user, t.text("meanwhile"), position))


@section.case(
    14,
    "what another session said under the same name is replayed as facts",
    "EP-5.2-3",
    "EP-5.2-1",
    cause="entries are told from its own by their name",
    capabilities=RESUME,
    needs=("RESUME-04",),
)
def another_session_of_the_name(t: Attempt) -> None:
    ann = t.member("ann")
    lost(t, ann)
    other = t.member("ann")
    position = other.said(t.text("from elsewhere"))
    other.send(raw.logout(9))
    other.expect(e.ack(9), e.END)
    again = resumed(t, ann, ann.place)
    again.expect(e.message(ann.user, t.text("from elsewhere"), position))
    again.sync()
    found = entries(again.seen)
    follows = list(range(ann.place + 1, ann.place + 1 + len(found)))
    t.check(found == follows, f"positions {follows}", f"positions {found}")


@section.case(
    15,
    "a fresh login under the name of a lost session begins a session of its own",
    "EP-6.1-4",
    "EP-6.1-8",
    "EP-6.4-4",
    cause="a name that comes back continues the session that it had",
    capabilities=("presence",),
)
def fresh_after_lost(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    lost(t, ann)
    bob.said(t.text("meanwhile"))
    other = t.member("ann")
    t.check(other.ticket != ann.ticket, "another ticket", "the same ticket")
    bob.sync()
    told = [f.seq for f in bob.seen if f.type == raw.JOINED and f.author == ann.user.encode()]
    t.check(told == [other.place], f"Welcome.position {told}", f"{other.place}")
    other.expect_silence()


@section.case(
    16,
    "a connection whose resume was refused is nobody when it ends",
    "EP-4.2-8",
    "EP-5.4-8",
    cause="the name of a Login is kept before the Login is accepted, and its Left told at the end",
    capabilities=("resume", "presence"),
    needs=("LOGIN-20",),
)
def refused_and_gone(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    for ticket, position in ((ann.ticket ^ 1, ann.place), (ann.ticket, 2**62)):
        other = all_refused(t, "ann", (ticket, position))
        other.half_close()
        other.nothing_more()
    bob.sync()
    told = [f for f in bob.seen if f.type == raw.LEFT and f.author == ann.user.encode()]
    t.check(not told, "no Left of a member that is there", f"{len(told)} of them")
    ann.sync()
