"""What a server writes itself: its texts, and what stands before its Welcome. Sections 2.3, 6.4.

Rule: what a client must refuse a server must not write, in whichever event.

Layer: above `catalogue`, in the catalogue of cases.
"""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section
from ..connection import Connection
from ..raw import Frame
from .resume import lost

section = Section("writing", "WRITE")


def is_text(frame: Frame, *names: str) -> bool:
    """Whether these fields are well-formed UTF-8."""
    try:
        for name in names:
            (frame.text(name) or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def check_texts(t: Attempt, conn: Connection) -> None:
    """The texts of all Errors that came are text."""
    errors = [frame for frame in conn.seen if frame.type == raw.ERROR]
    t.check(bool(errors), "an Error", "none")
    t.check(all(is_text(f, "text") for f in errors), "a text that is UTF-8", "other bytes")
    t.check(all(f.fields is not None for f in errors), "a code and a text", "another layout")


@section.case(
    1,
    "the texts of a Welcome are well-formed UTF-8",
    "EP-2.3-4",
    cause="the server's own name is written in another encoding, or cut in a character",
)
def texts_of_a_welcome(t: Attempt) -> None:
    ann = t.connect()
    welcome = ann.login()
    t.check(is_text(welcome, "user", "server"), "texts that are UTF-8", "other bytes")


@section.case(
    2,
    "the text of an Error that answers a request is well-formed UTF-8, whatever was sent",
    "EP-2.3-4",
    "EP-3.6-1",
    cause="bytes of the request are put into the text, and cut at 255",
    capabilities=("any-name",),
)
def texts_of_refusals(t: Attempt) -> None:
    ann = t.connect()
    wide = "\u00e9\U0001f600" * 30
    ann.send(
        raw.login(1, f"\u200b{wide}"),
        raw.message(2, wide),
        raw.frame(0x7F, 3, wide.encode()),
        raw.error(4, 99, wide),
        raw.login(5, wide, b"\xff" * 300, 7, 7),
        raw.message(6, wide, sender=wide),
    )
    ann.sync()
    check_texts(t, ann)


@section.case(
    3,
    "the text of a fatal Error is well-formed UTF-8, whatever was sent",
    "EP-2.3-4",
    "EP-3.6-1",
    cause="bytes of the fault are put into the text",
    negative=True,
)
def texts_of_fatal_errors(t: Attempt) -> None:
    for bad in (
        raw.frame(raw.PING, 1, version=0xC3),
        raw.frame(raw.MESSAGE, 1, b"\x00\xff\xfe"),
        raw.frame(raw.LOGIN, 1, b"\xff" * 40),
        b"\xff" * 16,
    ):
        conn = t.connect()
        conn.send(bad)
        conn.to_the_end()
        check_texts(t, conn)


@section.case(
    4,
    "replies to what was asked before the Login stand before the Welcome",
    "EP-4.2-7",
    cause="the Welcome is written before all else",
)
def replies_before_the_welcome(t: Attempt) -> None:
    ann = t.connect()
    identity = t.identity("ann")
    ann.send(
        raw.ping(1),
        raw.message(2, "too early"),
        raw.frame(0x0B, 3),
        raw.login(4, identity.name, identity.credential),
        raw.ping(5),
    )
    wanted = (
        e.pong(1),
        e.error(raw.LOGIN_REQUIRED, 2),
        e.error(raw.UNKNOWN_TYPE, 3),
        e.welcome(4),
        e.pong(5),
    )
    ann.expect(*wanted)
    t.check(len([f for f in ann.seen if not f.is_fact]) == 5, "five replies", "others")


@section.case(
    5,
    "at a resume too, replies to what was asked before stand before the Welcome",
    "EP-6.4-2",
    "EP-4.2-7",
    cause="a resume clears what waits to be written",
    capabilities=("resume",),
    needs=("RESUME-01",),
)
def replies_before_a_resume(t: Attempt) -> None:
    ann = t.member()
    lost(t, ann)
    again = t.connect("ann")
    identity = t.identity("ann")
    again.send(
        raw.ping(1),
        raw.login(2, identity.name, identity.credential, 0, 5),
        raw.login(3, identity.name, identity.credential, ann.ticket, ann.place),
        raw.ping(4),
    )
    again.expect(e.pong(1), e.error(raw.HISTORY_GONE, 2), e.welcome(3), e.pong(4))
    first = [frame.type for frame in again.seen[:3]]
    t.check(first == [raw.PONG, raw.ERROR, raw.WELCOME], "the Welcome after both", f"{first}")


@section.case(
    7,
    "a reply to a client without login waits for no other client",
    "EP-4.2-1",
    "EP-5.2-4",
    cause="a reply is put after the log, which a stranger never reads",
    needs=("MSG-02",),
)
def strangers_reply_among_members(t: Attempt) -> None:
    ann, stranger = t.member("ann"), t.connect("stranger")
    for n in range(3):
        ann.said(t.text(f"{n}"))
        stranger.send(raw.ping(n + 1), raw.message(n + 10, "too early"))
        stranger.expect(e.pong(n + 1), e.error(raw.LOGIN_REQUIRED, n + 10))
