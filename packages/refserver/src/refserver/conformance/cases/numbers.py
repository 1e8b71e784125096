"""Numbers of 64 bits, and sizes at the edges of bytes. Section 2.3.

Rule: every number goes through whole, in each event that carries it.

Layer: above `catalogue`, in the catalogue of cases.
"""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section
from ..connection import entries

section = Section("numbers", "NUM", needs=("HEAD-09",))
SEQS = (
    1,
    2**8,
    2**16,
    2**31,
    2**32,
    2**32 + 1,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64 - 2**32,
    2**64 - 1,
)
"""Where a number is cut, rounded or becomes negative in one language or another."""


@section.case(
    1,
    "the Ack of a Message has all 64 bits of its seq",
    "EP-4.2-2",
    "EP-2.3-1",
    cause="the seq of an entry's author is kept in fewer bits",
    needs=("MSG-01",),
)
def seq_of_messages(t: Attempt) -> None:
    ann = t.member()
    ann.send(*(raw.message(seq, t.text(f"{seq}")) for seq in SEQS))
    ann.expect(*map(e.ack, SEQS))


@section.case(
    2,
    "the Ack of an application event has all 64 bits of its seq",
    "EP-4.2-2",
    "EP-2.3-1",
    cause="application events take another path than Message",
    needs=("APP-01",),
)
def seq_of_application_events(t: Attempt) -> None:
    ann = t.member()
    ann.send(*(raw.application(seq, 0x80, b"x") for seq in SEQS))
    ann.expect(*map(e.ack, SEQS))


@section.case(
    3,
    "a Pong has all 64 bits of its Ping's seq, before login and after",
    "EP-3.7-2",
    "EP-2.3-1",
    cause="a Pong is made anew, with a number of another width",
    needs=("REPLY-04",),
)
def seq_of_pings(t: Attempt) -> None:
    for conn in (t.connect("stranger"), t.member()):
        conn.send(*map(raw.ping, SEQS))
        conn.expect(*map(e.pong, SEQS))


@section.case(
    4,
    "an Error that answers a request has all 64 bits of its seq",
    "EP-4.2-2",
    "EP-8.2-2",
    cause="refusals are made by another path than replies",
    needs=("ERR-02",),
)
def seq_of_errors(t: Attempt) -> None:
    stranger, ann = t.connect("stranger"), t.member()
    stranger.send(*(raw.message(seq, "too early") for seq in SEQS))
    stranger.expect(*(e.error(raw.LOGIN_REQUIRED, seq) for seq in SEQS))
    for conn in (stranger, ann):
        conn.send(*(raw.frame(0x0B, seq) for seq in SEQS))
        conn.expect(*(e.error(raw.UNKNOWN_TYPE, seq) for seq in SEQS))
        conn.send(*(raw.ack(seq, 1) for seq in SEQS))
        conn.expect(*(e.error(raw.UNEXPECTED_EVENT, seq) for seq in SEQS))


@section.case(
    5,
    "a refused Login's Error has all 64 bits of its seq",
    "EP-4.2-2",
    "EP-8.2-2",
    cause="the reply to a Login has a number of another width",
    needs=("LOGIN-08", "RESUME-12"),
)
def seq_of_refused_logins(t: Attempt) -> None:
    t.member("ann")
    identity = t.identity("ann")
    conn = t.connect("other")
    conn.send(*(raw.login(seq, identity.name, identity.credential) for seq in SEQS))
    conn.expect(*(e.error(raw.USER_TAKEN, seq) for seq in SEQS))
    conn.send(*(raw.login(seq, identity.name, identity.credential, 0, 1) for seq in SEQS))
    conn.expect(*(e.error(raw.HISTORY_GONE, seq) for seq in SEQS))


@section.case(
    6,
    "a Welcome and the Ack of a Logout have all 64 bits of their seqs",
    "EP-4.2-2",
    "EP-2.3-1",
    cause="a connection's first or last reply has a number of another width",
    needs=("LOGIN-01", "CLOSE-01"),
)
def seq_of_first_and_last(t: Attempt) -> None:
    identity = t.identity("ann")
    for seq in SEQS:
        conn = t.connect()
        conn.send(raw.login(seq, identity.name, identity.credential), raw.logout(seq))
        conn.expect(e.welcome(seq), e.ack(seq), e.END)


@section.case(
    7,
    "a Pong of any seq is ignored",
    "EP-3.7-6",
    "EP-2.3-2",
    cause="a Pong is looked up among the questions, in fewer bits",
    needs=("REPLY-05",),
)
def seq_of_pongs(t: Attempt) -> None:
    for conn in (t.connect("stranger"), t.member()):
        conn.send(*map(raw.pong, SEQS))
        conn.expect_silence()


@section.case(
    8,
    "positions go on over 256, in Acks and in facts",
    "EP-5.1-1",
    "EP-2.3-1",
    cause="a position is written in one byte",
    segmentations=ONCE,
    needs=("ORDER-01",),
)
def positions_over_a_byte(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    for conn in (ann, bob):
        conn.recording = False
    seqs = range(2, 302)
    ann.send_piece(b"".join(raw.message(n, t.text(f"{n}")) for n in seqs))
    ann.expect(*(e.ack(n) for n in seqs))
    bob.sync()
    for conn in (ann, bob):
        found = entries(conn.seen)
        follows = list(range(conn.place + 1, conn.place + 1 + len(found)))
        t.check(found == follows, "positions that rise by one", "others")
    late = t.member("cyd")
    t.check(late.place >= ann.place + 300, f"at least {ann.place + 300}", late.place)


@section.case(
    9,
    "contents of every size at the edge of a byte or two are relayed whole",
    "EP-3.3-5",
    "EP-2.1-1",
    cause="a size is kept in one byte, or in two with a sign",
    segmentations=ONCE,
    needs=("MSG-02",),
)
def sizes(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    token = t.text("")
    edges = (127, 128, 255, 256, 257, 4_095, 4_096, 4_097, 32_767, 32_768, 65_536, 65_537)
    for size in (each for each in edges if each + 13 <= ann.max_frame):
        content = token.ljust(size, ".")
        ann.send_piece(raw.message(9, content))
        ann.expect(e.ack(9))
        bob.expect(e.message(ann.user, content))
        ann.send_piece(raw.application(9, 0xA0, content.encode()))
        ann.expect(e.ack(9))
        bob.expect(e.application(0xA0, ann.user, content))


@section.case(
    10,
    "a credential of more than 255 bytes is a credential",
    "EP-3.2-1",
    "EP-6.3-6",
    cause="its length is read as one byte, or its high byte as a sign",
    capabilities=("any-name",),
    needs=("LOGIN-19",),
)
def long_credential(t: Attempt) -> None:
    for size in (127, 128, 255, 256, 257, 3_900):
        conn = t.connect()
        conn.send(raw.login(1, f"{conn.user}-{size}", b"c" * size))
        conn.expect(e.welcome(1))


@section.case(
    12,
    "a name of more than 127 bytes is granted unchanged or refused, and never cut",
    "EP-2.3-1",
    "EP-6.1-3",
    cause="the length of short text is read with a sign",
    capabilities=("any-name",),
)
def long_names(t: Attempt) -> None:
    for size in (127, 128, 200, 255):
        conn = t.connect()
        name = f"{conn.user}-{size}-".ljust(size, "n")
        conn.send(raw.login(1, name))
        answer = conn.expect(e.either(e.welcome(1), e.error(raw.BAD_USER, 1)))
        t.check(answer.text("user") in (None, name.encode()), "unchanged", answer.text("user"))
