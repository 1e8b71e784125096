"""More than goes out at once: long replays, and what is asked while they go on. Section 5.2.

Rule: a long replay is the same as a short one, whatever the server writes at a time.

Layer: above `catalogue`, in the catalogue of cases.
"""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section
from ..connection import Connection, entries
from .resume import lost, resumed

section = Section("paging", "PAGE", needs=("RESUME-02",), segmentations=ONCE)
RESUME = ("resume",)
PRESENCE = ("resume", "presence")
MANY = 700
"""Messages whose sizes go up and down, 260 KiB together: several times what is written at once."""
LONG = 12
"""Messages of the greatest length that a page may be shorter than."""
BATCH = 100
BACKLOG = 6 << 20
"""Bytes that no two sockets hold."""


def size_of(n: int) -> int:
    """A size for the nth Message, so that pages end at many different places."""
    return 40 + n * 37 % 700


def fill(t: Attempt, author: Connection, count: int = MANY) -> list[int]:
    """Say so many Messages, in pieces; returns their positions."""
    positions: list[int] = []
    for start in range(0, count, BATCH):
        ns = range(start, min(start + BATCH, count))
        author.send_piece(
            b"".join(raw.message(n + 1, t.text(f"{n}").ljust(size_of(n))) for n in ns)
        )
        positions += [author.expect(e.ack(n + 1)).entry for n in ns]
    return positions


def fill_up(t: Attempt, author: Connection) -> list[int]:
    """Say more than two sockets hold, in long Messages; returns their positions."""
    content = t.text("much").ljust(min(author.max_frame - 13, 60_000))
    return [author.said(content) for _ in range(BACKLOG // len(content))]


def absent(
    t: Attempt, *, count: int = MANY, far: bool = False
) -> tuple[Connection, Connection, list[int]]:
    """A member that was lost, another one, and where that one spoke meanwhile.

    Where the member is `far` behind, no socket holds what it has missed.
    """
    bob, ann = t.member("bob"), t.member("ann")
    lost(t, ann)
    return ann, bob, fill(t, bob, count) + (fill_up(t, bob) if far else [])


def begun(t: Attempt, ann: Connection, *behind: bytes, receive_buffer: int = 0) -> Connection:
    """A connection that has sent a resuming Login and what is after it, and read nothing."""
    conn = t.connect("ann", receive_buffer=receive_buffer)
    conn.recording = False  # of so many frames no report is readable
    identity = t.identity("ann")
    login = raw.login(1, identity.name, identity.credential, ann.ticket, ann.place)
    conn.send_piece(login + b"".join(behind))
    return conn


def whole(t: Attempt, conn: Connection, place: int, positions: list[int]) -> None:
    """All entries after a place came once and in order, those positions among them."""
    found = entries(conn.seen)
    expected = list(range(place + 1, place + 1 + len(found)))
    wrong = next((n for n, m in zip(expected, found, strict=True) if n != m), None)
    t.check(wrong is None, "positions that rise by one", f"not at {wrong}")
    missing = set(positions) - set(found)
    t.check(not missing, "every entry", f"{len(missing)} missing, from {min(missing or [0])} on")


@section.case(
    1,
    "a long replay has every entry once, in order, and needs nothing to go on",
    "EP-5.2-1",
    "EP-5.2-8",
    cause="the entry at the edge of a page is lost or sent twice, or the next page waits",
    capabilities=RESUME,
)
def long_replay(t: Attempt) -> None:
    ann, _, positions = absent(t)
    conn = begun(t, ann)
    conn.welcomed(1)
    while not conn.seen or conn.seen[-1].seq != positions[-1]:
        if conn.next(conn.deadline()) is None:
            raise t.fail(f"entry {positions[-1]}", conn.silence)
    whole(t, conn, ann.place, positions)


@section.case(
    2,
    "a replay of the longest entries has every one, and short ones between them",
    "EP-5.2-1",
    "EP-5.2-8",
    cause="an entry that is longer than a page is lost, or ends the replay",
    capabilities=RESUME,
)
def long_entries(t: Attempt) -> None:
    bob, ann = t.member("bob"), t.member("ann")
    lost(t, ann)
    sizes = (min(bob.max_frame, 66_000) - 13, 30, 40_000, 33_000)
    contents = [t.text(f"{n}").ljust(min(sizes[n % 4], sizes[0])) for n in range(LONG)]
    positions = []
    for content in contents:
        bob.send_piece(raw.message(2, content))
        positions.append(bob.expect(e.ack(2)).entry)
    conn = begun(t, ann)
    conn.welcomed(1)
    for content, position in zip(contents, positions, strict=True):
        conn.expect(e.message(bob.user, content, position))
    whole(t, conn, ann.place, positions)


@section.case(
    3,
    "the Pong of a Ping after the Login comes after a long replay",
    "EP-6.5-1",
    "EP-5.2-4",
    cause="replies are written after the first page",
    capabilities=RESUME,
    needs=("RESUME-18",),
)
def marker_behind_long_replay(t: Attempt) -> None:
    ann, _, positions = absent(t, far=True)
    conn = begun(t, ann, raw.ping(2), raw.frame(0x0B, 3), receive_buffer=8_192)
    conn.welcomed(1)
    conn.expect(e.pong(2))
    whole(t, conn, ann.place, positions)
    conn.expect(e.error(raw.UNKNOWN_TYPE, 3))


@section.case(
    4,
    "with presence, the Pong also comes after the member's own Joined",
    "EP-6.5-1",
    "EP-6.4-3",
    cause="the place of a reply is taken before the arrival is entered",
    capabilities=PRESENCE,
    needs=("RESUME-03", "RESUME-18"),
)
def marker_behind_own_joined(t: Attempt) -> None:
    ann = t.member()
    lost(t, ann)
    conn = begun(t, ann, raw.ping(2))
    conn.welcomed(1)
    conn.expect(e.pong(2))
    joined = [f for f in conn.seen if f.type == raw.JOINED and f.author == ann.user.encode()]
    t.check(len(joined) == 1, "its own Joined before the Pong", f"{len(joined)} of them")


@section.case(
    5,
    "entries that are made during a long replay come after it, without a gap",
    "EP-5.2-1",
    cause="what is said meanwhile overtakes the replay, or falls between both",
    capabilities=RESUME,
)
def said_during_a_replay(t: Attempt) -> None:
    ann, bob, positions = absent(t)
    conn = begun(t, ann, receive_buffer=8_192)
    conn.welcomed(1)
    positions += fill(t, bob, 2 * BATCH)
    conn.sync()
    whole(t, conn, ann.place, positions)


@section.case(
    6,
    "a Logout after the Login is acknowledged after a long replay",
    "EP-5.2-1",
    "EP-4.2-7",
    cause="a Logout ends the replay",
    capabilities=RESUME,
    needs=("LEAVE-03",),
)
def logout_behind_long_replay(t: Attempt) -> None:
    ann, _, positions = absent(t, far=True)
    conn = begun(t, ann, raw.message(2, t.text("bye")), raw.logout(3), receive_buffer=8_192)
    conn.welcomed(1)
    conn.expect(e.ack(2), e.ack(3), e.END)
    whole(t, conn, ann.place, positions)


@section.case(
    7,
    "the end of the stream after the Login cuts no replay",
    "EP-10.3-5",
    "EP-10.3-3",
    cause="at the end of the stream what is held is dropped",
    capabilities=RESUME,
    needs=("CLOSE-07",),
)
def end_behind_long_replay(t: Attempt) -> None:
    ann, _, positions = absent(t, far=True)
    conn = begun(t, ann, receive_buffer=8_192)
    conn.half_close()
    conn.welcomed(1)
    conn.to_the_end()
    whole(t, conn, ann.place, positions)


@section.case(
    8,
    "the Error to a fatal fault after the Login comes after a long replay",
    "EP-8.2-8",
    cause="a fault ends the connection before what is due was written",
    capabilities=RESUME,
    needs=("ERR-04",),
    negative=True,
)
def fault_behind_long_replay(t: Attempt) -> None:
    ann, _, positions = absent(t, far=True)
    conn = begun(t, ann, raw.frame(raw.PING, 2, version=9), receive_buffer=8_192)
    conn.welcomed(1)
    conn.ends(raw.UNSUPPORTED_VERSION)
    whole(t, conn, ann.place, positions)


@section.case(
    9,
    "a takeover in the middle of a long replay cuts neither connection's",
    "EP-8.2-8",
    "EP-5.2-1",
    cause="what the older connection has not read is dropped",
    capabilities=RESUME,
    needs=("TAKE-06",),
)
def takeover_in_a_replay(t: Attempt) -> None:
    ann, bob, positions = absent(t)
    said = [raw.message(n, t.text(f"older {n}")) for n in range(2, 12)]
    older = begun(t, ann, raw.ping(20), *said, receive_buffer=8_192)
    bob.expect(e.message(ann.user, t.text("older 2")))  # so it is the older one on any server
    newer = begun(t, ann, raw.ping(2))
    older.welcomed(1)
    newer.welcomed(1)
    newer.expect(e.pong(2))
    older.to_the_end()
    ended = e.fatal(raw.USER_TAKEN)
    t.check(ended.fits(older.seen[-1]), ended.says, "another last frame")
    for conn in (older, newer):
        whole(t, conn, ann.place, positions)
    acked = [f.entry for f in older.seen if f.type == raw.ACK]
    entered = [f.seq for f in newer.seen if f.type == raw.MESSAGE and b"older" in f.body]
    t.check(acked == entered, f"an Ack of each of {entered}", f"Acks of {acked}")


@section.case(
    10,
    "a replay has all kinds of entries: arrivals, departures, empty Messages, the member's own",
    "EP-5.2-1",
    "EP-5.2-3",
    cause="a history keeps messages only, or none that is empty",
    capabilities=RESUME,
    needs=("RESUME-04",),
)
def all_kinds_are_replayed(t: Attempt) -> None:
    ann = t.member("ann")
    ann.send_piece(raw.message(2, t.text("mine")) + raw.application(3, 0xFE, b"mine"))
    mine = [ann.expect(e.ack(n)).entry for n in (2, 3)]
    lost(t, ann)
    cyd = t.member("cyd")
    requests = [
        raw.message(2, t.text("a")),
        raw.message(3, b""),
        raw.application(4, 0x80, b""),
        raw.application(5, 0xFF, b"\0\xff"),
    ]
    cyd.send(*requests, raw.logout(6))
    said = [cyd.expect(e.ack(n)).entry for n in range(2, 6)]
    cyd.expect(e.ack(6), e.END)
    conn = begun(t, ann, raw.ping(2))
    conn.welcomed(1)
    conn.expect(e.pong(2))
    whole(t, conn, ann.place, mine + said)
    given = {f.seq: (f.type, f.body) for f in conn.seen if f.is_fact}
    author = raw.short(cyd.user)
    expected = [(frame[5], author + frame[17:]) for frame in requests]
    t.check([given[n] for n in said] == expected, "each as it was said", "another type or body")


@section.case(
    11,
    "a member's own Messages in a long replay are all facts",
    "EP-5.2-3",
    "EP-5.2-2",
    cause="entries of the session are replayed as Acks, or left out",
    capabilities=RESUME,
    needs=("RESUME-04",),
)
def own_words_in_a_long_replay(t: Attempt) -> None:
    ann = t.member()
    positions = fill(t, ann, 3 * BATCH)
    lost(t, ann)
    conn = begun(t, ann, raw.ping(2))
    conn.welcomed(1)
    conn.expect(e.pong(2))
    whole(t, conn, ann.place, positions)
    acks = sum(f.type == raw.ACK for f in conn.seen)
    t.check(not acks, "facts", f"{acks} Acks")


@section.case(
    12,
    "three clients that read a long history at the same time all read it completely",
    "EP-5.2-1",
    "EP-7.2-3",
    cause="a page that is prepared for one reader is given to another",
    capabilities=RESUME,
)
def three_replays_at_once(t: Attempt) -> None:
    bob, *members = t.members("bob", "ann", "cyd", "dan")
    for conn in members:
        lost(t, conn)
    positions = fill(t, bob)
    again = []
    for conn in members:
        identity = t.identity(conn.who)
        newer = t.connect(conn.who, receive_buffer=8_192)
        newer.recording = False
        newer.send_piece(
            raw.login(1, identity.name, identity.credential, conn.ticket, conn.place) + raw.ping(2)
        )
        again.append(newer)
    for conn, newer in zip(members, again, strict=True):
        newer.welcomed(1)
        newer.expect(e.pong(2))
        whole(t, newer, conn.place, positions)


@section.case(
    13,
    "a member that reads late gets a long backlog completely, with its own Acks at their positions",
    "EP-5.2-1",
    "EP-5.2-2",
    cause="Acks and facts are written from two queues, page by page",
    needs=("ORDER-04",),
)
def long_backlog(t: Attempt) -> None:
    bob = t.member("bob")
    ann = t.member("ann", receive_buffer=8_192)
    ann.recording = False
    positions = []
    for _ in range(4):
        ann.send_piece(raw.message(7, t.text("mine")))
        positions += fill(t, bob, 2 * BATCH)
    ann.sync()
    whole(t, ann, ann.place, positions)
    acks = sum(f.type == raw.ACK for f in ann.seen)
    t.check(acks == 4, "four Acks", f"{acks}")


@section.case(
    14,
    "a resume in the middle of a long history begins at its place, wherever a page begins",
    "EP-5.2-1",
    "EP-6.4-2",
    cause="a replay begins at the edge of a page",
    capabilities=RESUME,
    needs=("RESUME-05",),
)
def from_anywhere(t: Attempt) -> None:
    ann, _, positions = absent(t)
    for n in (1, MANY // 3, MANY - 2):
        conn = resumed(t, ann, positions[n])
        conn.recording = False
        conn.sync()
        whole(t, conn, positions[n], positions[n + 1 :])
        lost(t, conn)


@section.case(
    15,
    "a takeover in the middle of a long replay leaves the older connection its Pongs",
    "EP-8.2-8",
    "EP-4.2-7",
    cause="at a takeover only the replies that made an entry are kept",
    capabilities=RESUME,
    needs=("TAKE-06",),
)
def older_keeps_its_pongs(t: Attempt) -> None:
    ann, bob, _ = absent(t, count=0, far=True)
    mine = t.text("older")
    older = begun(t, ann, raw.ping(20), raw.message(21, mine), receive_buffer=8_192)
    bob.expect(e.message(ann.user, mine))  # so the Ping before it was carried out too
    newer = begun(t, ann, raw.ping(2))
    newer.welcomed(1)
    newer.expect(e.pong(2))
    older.to_the_end()
    replies = [(f.type, f.seq) for f in older.seen if not f.is_fact]
    expected = [(raw.WELCOME, 1), (raw.PONG, 20), (raw.ACK, 21), (raw.ERROR, 0)]
    t.check(replies == expected, "Welcome, Pong, Ack and Error", f"{replies}")


@section.case(
    16,
    "a replay of short and of middling entries has every one",
    "EP-5.2-1",
    "EP-5.2-8",
    cause="an entry that ends a page is lost where it is neither short nor long",
    capabilities=RESUME,
)
def middling_entries(t: Attempt) -> None:
    bob, ann = t.member("bob"), t.member("ann")
    lost(t, ann)
    longest = min(bob.max_frame - 13, 12_000)
    positions = []
    for n in range(2 * BATCH):
        size = 100 if n % 5 in (0, 2) else longest - n * 37 % 1_000  # pages end at each kind
        bob.send_piece(raw.message(n + 2, t.text(f"{n}").ljust(size)))
        positions.append(bob.expect(e.ack(n + 2)).entry)
    conn = begun(t, ann, raw.ping(2))
    conn.welcomed(1)
    conn.expect(e.pong(2))
    whole(t, conn, ann.place, positions)
