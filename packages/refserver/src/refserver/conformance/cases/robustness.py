"""Whatever comes, others do not notice. Sections 2.1, 7.2 and 8."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section

section = Section("robustness", "ROBUST")


@section.case(
    6,
    "random frames get an error of the table, or a reply",
    "EP-8.1-1",
    "EP-4.2-1",
    cause="an exception that nobody thought of ends the connection, or the server",
    negative=True,
)
def random_frames(t: Attempt) -> None:
    for _ in range(20):
        conn = t.connect()
        body = t.rng.randbytes(t.rng.randrange(40))
        conn.send(raw.frame(t.rng.randrange(256), t.rng.randrange(1, 9), body))
        conn.half_close()
        while (frame := conn.next(conn.deadline())) is not None:
            code = frame.number("code")
            known = frame.type != raw.ERROR or (code in raw.CODES and code != raw.INTERNAL)
            t.check(known, "an error of the table, and not INTERNAL", f"code {code}")
        t.check(bool(conn.ended), "the end of the stream", "nothing came in time")


@section.case(
    7,
    "fifty connections that come and go at once disturb nobody",
    "EP-7.2-3",
    cause="the list of connections is changed while it is walked",
)
def come_and_go(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    crowd = [t.connect(f"crowd{n}") for n in range(50)]
    for n, conn in enumerate(crowd):
        conn.send(raw.ping(1)) if n % 2 else conn.reset()
    t.connect("barrier").sync()
    ann.said(t.text("still here"))
    bob.expect(e.message(ann.user, t.text("still here")))


@section.case(
    8,
    "a reset inside of a frame disturbs nobody",
    "EP-7.2-3",
    "EP-2.1-6",
    cause="an error of the socket is treated as the server's own",
    needs=("MSG-02",),
)
def reset_inside_of_a_frame(t: Attempt) -> None:
    ann, bob, cyd = t.members("ann", "bob", "cyd")
    cyd.send(raw.message(9, t.text("never"))[:20])
    cyd.reset()
    for text in ("still here", "and still"):
        t.connect("barrier").sync()
        ann.said(t.text(text))
        bob.expect(e.message(ann.user, t.text(text)))


@section.case(
    9,
    "a member that sends much delays nobody for long",
    "EP-7.2-3",
    cause="everything that one client sent is handled before the next has its turn",
    needs=("MSG-02",),
    segmentations=ONCE,
)
def much_from_one(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    count = 3_000
    ann.send(*(raw.message(seq, t.text("much")) for seq in range(1, count + 1)))
    bob.sync()
    ann.expect(*(e.ack(seq) for seq in range(1, count + 1)))


@section.case(
    10,
    "a faulty client's neighbours read what they would have read",
    "EP-7.2-3",
    "EP-5.3-2",
    cause="a fault in one connection ends the turn of all",
    needs=("MSG-02",),
    negative=True,
)
def neighbours(t: Attempt) -> None:
    ann, bob, cyd = t.members("ann", "bob", "cyd")
    ann.said(t.text("one"))
    cyd.send(b"\x00\x00\x00\x00")
    cyd.ends(raw.MALFORMED)
    ann.said(t.text("two"))
    bob.expect(e.message(ann.user, t.text("one")), e.message(ann.user, t.text("two")))


@section.case(
    12,
    "logins one after the other on one address are all served",
    "EP-6.1-1",
    cause="a limit on attempts that legitimate use meets",
)
def many_logins(t: Attempt) -> None:
    for _ in range(10):
        conn = t.connect("ann")
        conn.login()
        conn.log_out()
