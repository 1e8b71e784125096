"""Several clients at the same moment, and one client that says the same again. Section 5.

Rule: everything a case sends at once is written before anything is read, its last bytes
together.

Layer: above `catalogue`, in the catalogue of cases.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...wording import counted
from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section
from ..connection import Connection, entries
from ..raw import Frame
from .order import gapless
from .resume import lost

section = Section("concurrency", "CONC", needs=("MSG-02",))
CROWD = 8


def at_once(conns: Sequence[Connection], frames: Sequence[bytes]) -> None:
    """Send each connection its frames, all but the last bytes first."""
    for conn, data in zip(conns, frames, strict=True):
        conn.send_piece(data[:-1])
    for conn, data in zip(conns, frames, strict=True):
        conn.send_piece(data[-1:])


def answers(conns: Sequence[Connection]) -> list[Frame]:
    """How each connection's Login was answered: Welcome or USER_TAKEN."""
    either = e.either(e.welcome(1), e.error(raw.USER_TAKEN, 1))
    return [conn.expect(either) for conn in conns]


@section.case(
    1,
    "of eight Logins under one name at the same moment one is accepted",
    "EP-6.2-4",
    "EP-6.1-6",
    cause="the name is looked up at one time and taken at a later one",
    segmentations=ONCE,
    needs=("LOGIN-08",),
)
def one_name(t: Attempt) -> None:
    identity = t.identity("ann")
    conns = [t.connect("ann") for _ in range(CROWD)]
    at_once(conns, [raw.login(1, identity.name, identity.credential)] * CROWD)
    found = answers(conns)
    welcomed = sum(e.welcome(1).fits(frame) for frame in found)
    taken = sum(e.error(raw.USER_TAKEN, 1).fits(frame) for frame in found)
    t.check(
        (welcomed, taken) == (1, CROWD - 1),
        "one Welcome and seven USER_TAKEN",
        f"{welcomed} Welcome, {taken} USER_TAKEN",
    )


@section.case(
    2,
    "of eight resumes of one ticket at the same moment one is a member at the end",
    "EP-6.4-10",
    "EP-6.2-4",
    cause="the older connection is looked up at one time and ended at a later one",
    capabilities=("resume",),
    segmentations=ONCE,
    needs=("RESUME-06",),
)
def one_ticket(t: Attempt) -> None:
    bob, old = t.member("bob"), t.member("ann")
    identity = t.identity("ann")
    conns = [t.connect("ann") for _ in range(CROWD)]
    login = raw.login(1, identity.name, identity.credential, old.ticket, old.place)
    at_once(conns, [login] * CROWD)
    for conn in conns:
        conn.welcomed(1)
    for conn in conns:
        conn.send_piece(raw.ping(2))
    alive = sum(
        conn.expect(e.either(e.pong(2), e.fatal(raw.USER_TAKEN))).type == raw.PONG
        and not _is_ended(conn)
        for conn in conns
    )
    old.ends(raw.USER_TAKEN)
    t.check(alive == 1, "one that is still a member", f"{alive}")
    if "presence" in t.setting.capabilities:
        bob.sync()
        types = [f.type for f in bob.seen if f.is_presence and f.author == old.user.encode()]
        expected = [raw.JOINED] + CROWD * [raw.LEFT, raw.JOINED]
        t.check(
            types == expected,
            "Left and Joined in turn, eight times",
            counted(len(types), "entry", "entries"),
        )


def _is_ended(conn: Connection) -> bool:
    """Whether the connection was answered once and taken over then."""
    conn.send_piece(raw.ping(3))
    return conn.expect(e.either(e.pong(3), e.fatal(raw.USER_TAKEN))).type == raw.ERROR


@section.case(
    3,
    "of a fresh login and a resume under one name at the same moment one is accepted",
    "EP-6.2-4",
    "EP-6.4-14",
    cause="both paths look the name up, and each takes it later",
    capabilities=("resume",),
    segmentations=ONCE,
    needs=("RESUME-17",),
)
def fresh_and_resumed(t: Attempt) -> None:
    ann = t.member()
    identity = t.identity("ann")
    lost(t, ann)
    conns = [t.connect("ann"), t.connect("ann")]
    at_once(
        conns,
        [
            raw.login(1, identity.name, identity.credential, ann.ticket, ann.place),
            raw.login(1, identity.name, identity.credential),
        ],
    )
    found = answers(conns)
    welcomed = sum(e.welcome(1).fits(frame) for frame in found)
    taken = sum(e.error(raw.USER_TAKEN, 1).fits(frame) for frame in found)
    t.check((welcomed, taken) == (1, 1), "Welcome and USER_TAKEN", f"{welcomed} Welcome")


@section.case(
    4,
    "eight empty users at the same moment get eight names",
    "EP-6.2-4",
    "EP-6.1-2",
    cause="the chosen name is looked up at one time and taken at a later one",
    capabilities=("any-name",),
    segmentations=ONCE,
    needs=("LOGIN-04",),
)
def eight_guests(t: Attempt) -> None:
    conns = [t.connect(f"guest {n}") for n in range(CROWD)]
    at_once(conns, [raw.login(1)] * CROWD)
    names = {conn.expect(e.welcome(1)).text("user") for conn in conns}
    t.check(len(names) == CROWD, "eight names", f"{len(names)}")


@section.case(
    5,
    "the Messages of four members at the same moment have one order for all of them",
    "EP-5.1-1",
    "EP-5.3-4",
    "EP-5.2-3",
    cause="a position is drawn at one time and given out at a later one",
    segmentations=ONCE,
    needs=("ORDER-02",),
)
def four_at_once(t: Attempt) -> None:
    conns = t.members("ann", "bob", "cyd", "dan")
    seqs = range(2, 32)
    texts = {conn.who: [t.text(f"{conn.who} {n}") for n in seqs] for conn in conns}
    at_once(conns, [b"".join(map(raw.message, seqs, texts[conn.who])) for conn in conns])
    for conn in conns:
        conn.expect(*(e.ack(n) for n in seqs))
    told: dict[int, set[bytes]] = {}
    for conn in conns:
        conn.sync()
        gapless(t, conn)
        acked = iter(texts[conn.who])
        for frame in conn.seen:
            if frame.type == raw.ACK:
                body = raw.short(conn.user) + next(acked).encode()
                told.setdefault(frame.entry, set()).add(body)
            elif frame.type == raw.MESSAGE:
                told.setdefault(frame.seq, set()).add(frame.body)
    several = [position for position, bodies in told.items() if len(bodies) != 1]
    t.check(not several, "one entry at each position", f"several at {several[:3]}")


@section.case(
    6,
    "a long Message and the short ones after it stay in order",
    "EP-5.3-4",
    "EP-4.2-7",
    cause="long contents are handled by another path, and later",
    needs=("LIMIT-05",),
)
def long_and_short(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    contents = [t.text(f"{n}").ljust(size) for n, size in enumerate((3_000, 0, 2_500, 0, 0))]
    ann.send(*(raw.message(n, content) for n, content in enumerate(contents, 2)))
    ann.expect(*(e.ack(n) for n in range(2, 7)))
    bob.expect(*(e.message(ann.user, content) for content in contents))


@section.case(
    7,
    "the same content again is another entry",
    "EP-5.3-3",
    cause="what looks like a repetition is dropped",
    needs=("MSG-09",),
)
def same_content(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(*(raw.message(n, t.text("again")) for n in (2, 3, 4)))
    positions = [ann.expect(e.ack(n)).entry for n in (2, 3, 4)]
    t.check(len(set(positions)) == 3, "three positions", f"{positions}")
    bob.expect(*(e.message(ann.user, t.text("again"), position) for position in positions))


@section.case(
    8,
    "the same seq with the same content is another request",
    "EP-4.2-3",
    "EP-5.3-3",
    cause="a seq is treated as the key of a request that is sent again",
    needs=("MSG-09",),
)
def same_request(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    ann.send(*(raw.message(2, t.text("again")) for _ in range(3)))
    positions = [ann.expect(e.ack(2)).entry for _ in range(3)]
    t.check(len(set(positions)) == 3, "three positions", f"{positions}")
    bob.expect(*(e.message(ann.user, t.text("again"), position) for position in positions))


@section.case(
    9,
    "on a resumed connection the same seq with the same content is another request",
    "EP-4.2-3",
    "EP-5.3-3",
    cause="seqs are compared over all connections of a session",
    capabilities=("resume",),
    needs=("RESUME-20",),
)
def same_request_after_resume(t: Attempt) -> None:
    bob, ann = t.member("bob"), t.member("ann")
    seqs = (2, 2**40, 7)
    ann.send(*(raw.message(n, t.text(f"{n}")) for n in seqs))
    first = [ann.expect(e.ack(n)).entry for n in seqs]
    lost(t, ann)
    again = t.connect("ann")
    again.login(ticket=ann.ticket, position=first[-1])
    again.send(*(raw.message(n, t.text(f"{n}")) for n in seqs))
    second = [again.expect(e.ack(n)).entry for n in seqs]
    t.check(not set(first) & set(second), "other positions", f"{first}, then {second}")
    bob.sync()
    told = [f.seq for f in bob.seen if f.type == raw.MESSAGE and t.is_ours(f)]
    t.check(told == first + second, f"Messages at {first + second}", f"at {told}")


@section.case(
    10,
    "a client that logs in while others send reads every entry after its Welcome",
    "EP-5.2-1",
    "EP-6.1-4",
    cause="a new member becomes a reader a little after its place was taken",
    segmentations=ONCE,
    needs=("ORDER-01",),
)
def newcomer_in_the_middle(t: Attempt) -> None:
    bob, dan = t.members("bob", "dan")
    ann = t.connect("ann")
    identity = t.identity("ann")
    ann.send_piece(raw.login(1, identity.name, identity.credential))
    for start in range(2, 62, 10):
        seqs = range(start, start + 10)
        for conn in (bob, dan):
            conn.send_piece(b"".join(raw.message(n, t.text(f"{n}")) for n in seqs))
        for conn in (bob, dan):
            conn.expect(*(e.ack(n) for n in seqs))
    ann.welcomed(1)
    ann.sync()
    gapless(t, ann)
    said = {f.entry for conn in (bob, dan) for f in conn.seen if f.type == raw.ACK}
    read = set(entries(ann.seen))
    missed = {position for position in said if position > ann.place} - read
    t.check(not missed, "every entry after its place", f"{len(missed)} missing")


@section.case(
    11,
    "a session that is taken over in the middle of its talk has each entry once",
    "EP-5.3-3",
    "EP-8.2-4",
    cause="what the older connection had sent is handled for the new one too",
    capabilities=("resume",),
    segmentations=ONCE,
    needs=("TAKE-06",),
)
def talk_over_a_takeover(t: Attempt) -> None:
    bob, old = t.member("bob"), t.member("ann")
    identity = t.identity("ann")
    new = t.connect("ann")
    login = raw.login(1, identity.name, identity.credential, old.ticket, old.place)
    seqs = range(2, 42)
    at_once(
        [old, new],
        [
            b"".join(raw.message(n, t.text(f"old {n}")) for n in seqs),
            login + b"".join(raw.message(n, t.text(f"new {n}")) for n in seqs),
        ],
    )
    new.welcomed(1)
    new.expect(*(e.ack(n) for n in seqs))
    old.to_the_end()
    bob.sync()
    said = [f.text("content") for f in bob.seen if f.type == raw.MESSAGE and t.is_ours(f)]
    acked = sum(f.type == raw.ACK for f in old.seen)
    t.check(len(said) == len(set(said)), "each content once", f"{len(said) - len(set(said))} again")
    t.check(len(said) == acked + len(seqs), "as many as were acknowledged", f"{len(said)}")


@section.case(
    12,
    "four members that leave at the same moment each have one Left, and their names are free",
    "EP-5.4-2",
    "EP-5.4-5",
    cause="departures at the same moment become one entry",
    capabilities=("presence",),
    segmentations=ONCE,
    needs=("ORDER-10",),
)
def leave_at_once(t: Attempt) -> None:
    watcher, *conns = t.members("watcher", "ann", "bob", "cyd")
    at_once(conns, [raw.logout(9)] * 3)
    for conn in conns:
        conn.expect(e.ack(9), e.END)
    back = t.members("ann", "bob", "cyd")
    for conn in back:
        conn.half_close()
    for conn in back:
        conn.nothing_more()
    watcher.sync()
    for conn in conns:
        types = [f.type for f in watcher.seen if f.is_presence and f.author == conn.user.encode()]
        expected = [raw.JOINED, raw.LEFT] * 2
        t.check(
            types == expected,
            f"{conn.who} came and left twice",
            counted(len(types), "entry", "entries"),
        )


@section.case(
    13,
    "of two resumes of a lost session at the same moment one is a member at the end",
    "EP-6.4-10",
    "EP-6.2-4",
    cause="a session without a connection is looked up at one time and given one at a later one",
    capabilities=("resume",),
    segmentations=ONCE,
    needs=("CONC-02",),
)
def one_lost_session(t: Attempt) -> None:
    ann = t.member()
    identity = t.identity("ann")
    lost(t, ann)
    conns = [t.connect("ann") for _ in range(2)]
    login = raw.login(1, identity.name, identity.credential, ann.ticket, ann.place)
    at_once(conns, [login] * 2)
    for conn in conns:
        conn.welcomed(1)
    alive = sum(not _is_ended(conn) for conn in conns)
    t.check(alive == 1, "one that is still a member", f"{alive}")


@section.case(
    14,
    "application events of four members at the same moment have a position each",
    "EP-5.1-1",
    "EP-5.1-3",
    "EP-3.11-3",
    cause="what is right for Messages was written a second time for application events",
    segmentations=ONCE,
    needs=("CONC-05", "APP-01"),
)
def four_events_at_once(t: Attempt) -> None:
    conns = t.members("ann", "bob", "cyd", "dan")
    seqs = range(2, 32)
    at_once(
        conns,
        [b"".join(raw.application(n, 0x80 + n, b"%d" % n) for n in seqs) for _ in conns],
    )
    for conn in conns:
        conn.expect(*(e.ack(n) for n in seqs))
    for conn in conns:
        conn.sync()
        gapless(t, conn)
    acked = [f.entry for conn in conns for f in conn.seen if f.type == raw.ACK]
    t.check(len(set(acked)) == len(acked), "a position for each", "one position twice")


@section.case(
    15,
    "a client without login is answered while a member sends without a pause",
    "EP-4.2-1",
    cause="members go first, as long as any of them has something to do",
    segmentations=ONCE,
)
def stranger_in_a_busy_room(t: Attempt) -> None:
    ann, stranger = t.member("ann"), t.connect("stranger")
    pings = range(2, 60)
    busy = b"".join(map(raw.ping, pings))
    ann.send_piece(busy)
    ann.expect(*map(e.pong, pings))
    stranger.send_piece(raw.ping(1))
    wanted, deadline = e.pong(1), stranger.deadline()
    while (frame := stranger.next(time.monotonic())) is None:
        t.check(time.monotonic() < deadline and not stranger.ended, wanted.says, stranger.silence)
        ann.send_piece(busy)
        ann.expect(*map(e.pong, pings))
    t.check(wanted.fits(frame), wanted.says, "another frame")
