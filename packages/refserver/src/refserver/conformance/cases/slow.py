"""One who does not read costs nobody else anything. Sections 5.2 and 7.2."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section
from ..connection import Connection, entries

section = Section("slow consumers", "SLOW", needs=("LOGIN-01", "MSG-02"), segmentations=ONCE)

MIB = 1024 * 1024
FLOOD = 10 * MIB
"""Bytes said while somebody does not read: more than sockets hold."""
EVICTION = 40 * MIB
"""More than sockets and the history hold of a server that `evicts`."""
MANY = 80_000
"""Errors that together are longer than what sockets hold."""
SMALL_BUFFER = 8_192


def flood(t: Attempt, author: Connection, size: int = FLOOD) -> int:
    """Say so many bytes, a few frames at a time; returns the number of messages."""
    piece = max(1, min(author.max_frame, 60_000) - 13)
    count = max(1, size // piece)
    for start in range(0, count, 8):
        seqs = range(1_000 + start, 1_000 + min(start + 8, count))
        author.send_piece(b"".join(raw.message(seq, str(seq).ljust(piece)) for seq in seqs))
        author.expect(*(e.ack(seq) for seq in seqs))
    return count


@section.case(
    1,
    "a member that does not read delays no Ack",
    "EP-7.2-3",
    cause="the server waits for one reader while it serves another",
)
def delays_no_ack(t: Attempt) -> None:
    t.member("bob", receive_buffer=SMALL_BUFFER)
    ann = t.member("ann")
    flood(t, ann)


@section.case(
    2,
    "a member that does not read costs the others no entry",
    "EP-7.2-3",
    "EP-5.3-2",
    "EP-5.2-1",
    cause="what one reader does not take is dropped for all",
)
def others_miss_nothing(t: Attempt) -> None:
    t.member("bob", receive_buffer=SMALL_BUFFER)
    ann, cyd = t.member("ann"), t.member("cyd")
    piece = 8_000
    for n in range(800):
        author_seq = ann.say(str(n).ljust(piece))
        ann.expect(e.ack(author_seq))
        cyd.expect(e.message(ann.user, str(n).ljust(piece)))


@section.case(
    3,
    "a member that reads too late has no gap: it is brought up to date or ended",
    "EP-5.2-8",
    "EP-5.2-1",
    cause="what did not fit into a queue is left out in silence",
)
def no_gap(t: Attempt) -> None:
    bob = t.member("bob", receive_buffer=SMALL_BUFFER)
    ann = t.member("ann")
    flood(t, ann)
    said = ann.seen[-1].entry
    last = None
    bob.write_some(raw.ping(5), t.timeout, reading=False)
    while last is None or not e.pong(5).fits(last):
        frame = bob.next(bob.deadline())
        if frame is None:
            break
        last = frame
    found = entries(bob.seen)
    follows = list(range(bob.place + 1, bob.place + 1 + len(found)))
    t.check(found == follows, "positions that rise by one", "a gap")
    if last is not None and e.pong(5).fits(last):
        t.check(found[-1:] >= [said], f"{said} before the Pong", f"{found[-1:]}")
    else:
        t.check(bool(bob.ended), ("everything", "the end"), "neither")


@section.case(
    4,
    "a member that is ended for not keeping up has left with reason 2",
    "EP-5.4-4",
    cause="the eviction is told like any lost connection",
    capabilities=("presence", "evicts"),
)
def evicted(t: Attempt) -> None:
    bob = t.member("bob", receive_buffer=SMALL_BUFFER)
    ann = t.member("ann")
    flood(t, ann, EVICTION)
    ann.sync()
    told = [f.number("reason") for f in ann.seen if e.left(bob.user).fits(f)]
    t.check(told == [raw.EVICTED_REASON], "one Left, reason 2", f"reasons {told}")


@section.case(
    5,
    "what is held for a client that takes no replies is bounded",
    "EP-7.2-2",
    cause="replies are queued without limit while requests are read on",
)
def bounded_replies(t: Attempt) -> None:
    ann = t.connect("ann", receive_buffer=SMALL_BUFFER)
    # More than both sockets' buffers: a server that goes on reading has to hold the replies.
    unsent = ann.write_some(raw.ping(1) * (1 << 20), 0.3, reading=False)
    t.check(
        unsent > 0,
        ("the server stops reading", "it ends the connection"),
        "16 MiB of Pings taken, and no Pong was read",
    )


@section.case(
    6,
    "a client that takes no replies gets each of them when it reads",
    "EP-7.2-2",
    "EP-4.2-1",
    cause="a server that has stopped reading does not begin again",
    needs=("SLOW-05",),
)
def reading_again(t: Attempt) -> None:
    ann = t.member("ann", receive_buffer=SMALL_BUFFER)
    ann.recording = False  # of so many frames no report is readable
    # Errors are longer than Pongs: fewer of them fill the buffers between here and there.
    data = b"".join(raw.frame(0x0B, n) for n in range(1, MANY + 1))
    unsent = ann.write_some(data, 0.2, reading=False)
    ann.write_some(data[len(data) - unsent :], t.timeout)
    for n in range(1, MANY + 1):
        frame = ann.next(ann.deadline())
        while frame is not None and frame.is_fact and not t.is_ours(frame):
            frame = ann.next(ann.deadline())
        if frame is None or frame.is_fact or frame.seq != n:
            raise t.fail(f"the reply to {n}", "another frame, or none")
