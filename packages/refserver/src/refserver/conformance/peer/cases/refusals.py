"""One table: a server sends this, a client must end the connection. Sections 2, 3, 4.4 and 7.1.

Rule: a row is one statement. It says in answer to what the server sends what, and which error
the client must find in it. What needs more than that is a case in its section's module.

Layer: above the sections, below the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ... import raw
from ...catalogue import Row
from ..peer import Peer
from ..script import PLACE, TICKET
from .strict import NOT_UTF8, welcome_body

__all__ = ["REFUSALS", "Refusal"]

NEXT = PLACE + 1
"""The position of the first entry after the Welcome; an order to the client takes it."""
LOGIN = "its Login"
HELLO = raw.short("bob") + b"hello"
"""The body of a Message."""
REQUESTS = {"ping": raw.PING, "logout": raw.LOGOUT, "say hello": raw.MESSAGE, "event 200 00ff": 200}
"""What a client sends that gets this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Row):
    """One row."""

    sends: bytes | Callable[[int], bytes]
    """What the client must refuse; where it answers a request, made from the request's seq."""
    ends_with: int
    """The error that the client finds in it."""
    to: str = ""
    """What it answers: the Login, or the request that an order asks for; empty for nothing."""
    is_cut: bool = False
    """Whether it is a part of a frame, which must be refused as it is."""

    def run(self, t: Peer) -> None:
        """Send what the row says, and await that the client ends the connection."""
        seq = self._asked(t)
        sent = self.sends(seq) if callable(self.sends) else self.sends
        t.refuses(self.ends_with, sent, probe=not self.is_cut)

    def _asked(self, t: Peer) -> int:
        """Come to where the row sends; returns the seq of the request that it answers."""
        if self.to == LOGIN:
            return t.login().seq
        t.welcome()
        if not self.to:
            return 0
        t.order(self.to)
        return t.asked(REQUESTS[self.to]).seq


REFUSALS = (
    # ---- framing
    Refusal(
        "PEER-FRAME-05",
        "refuses a length of 11 as MALFORMED, when its 4 bytes are in",
        ("EP-2.1-2", "EP-2.1-3"),
        cause="the length is not compared with 12, or only when the frame is whole",
        sends=(11).to_bytes(4, "big"),
        ends_with=raw.MALFORMED,
        is_cut=True,
    ),
    Refusal(
        "PEER-FRAME-06",
        "refuses a length of 0 as MALFORMED",
        ("EP-2.1-2",),
        cause="a length of 0 is ignored",
        sends=bytes(4),
        ends_with=raw.MALFORMED,
    ),
    # ---- header
    Refusal(
        "PEER-HEAD-01",
        "refuses version 2 as UNSUPPORTED_VERSION",
        ("EP-2.2-2",),
        cause="the version is not checked",
        sends=raw.frame(raw.MESSAGE, NEXT, HELLO, version=2),
        ends_with=raw.UNSUPPORTED_VERSION,
    ),
    Refusal(
        "PEER-HEAD-02",
        "refuses version 0 as UNSUPPORTED_VERSION",
        ("EP-2.2-2",),
        cause="only newer versions are refused",
        sends=raw.frame(raw.MESSAGE, NEXT, HELLO, version=0),
        ends_with=raw.UNSUPPORTED_VERSION,
    ),
    Refusal(
        "PEER-HEAD-03",
        "refuses a reserved that is not 0 as MALFORMED",
        ("EP-2.2-4",),
        cause="reserved is not checked",
        sends=raw.frame(raw.MESSAGE, NEXT, HELLO, reserved=256),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-HEAD-04",
        "refuses seq 0 in anything but an Error as MALFORMED",
        ("EP-2.2-8",),
        cause="seq 0 is let through where seq means nothing to the client",
        sends=raw.frame(0x0B, 0, b"unknown, but numbered 0"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-HEAD-05",
        "validates the header when its 16 bytes are in",
        ("EP-2.2-9",),
        cause="the body is awaited before the header is checked",
        sends=raw.frame(raw.MESSAGE, NEXT, HELLO, version=2)[:16],
        ends_with=raw.UNSUPPORTED_VERSION,
        is_cut=True,
    ),
    Refusal(
        "PEER-HEAD-06",
        "validates the version before reserved and seq",
        ("EP-8.3-4",),
        cause="the checks of the header stand in another order",
        sends=raw.frame(raw.MESSAGE, 0, HELLO, version=9, reserved=1),
        ends_with=raw.UNSUPPORTED_VERSION,
    ),
    # ---- layout
    Refusal(
        "PEER-BODY-01",
        "refuses bytes after the last field",
        ("EP-2.4-4",),
        cause="what a decoder did not need is dropped",
        sends=raw.frame(raw.JOINED, NEXT, raw.short("cat") + b"\0"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-BODY-02",
        "refuses a body that ends before its last field",
        ("EP-2.4-3",),
        cause="a missing field is taken as 0 or empty",
        sends=raw.frame(raw.LEFT, NEXT, raw.short("cat")),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-BODY-03",
        "refuses an inner length that reaches beyond the body",
        ("EP-2.4-2",),
        cause="a slice that is too short is taken as it is, or the next frame is read into",
        sends=raw.frame(raw.JOINED, NEXT, b"\x09cat"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-BODY-04",
        "refuses a Ping with a body",
        ("EP-2.4-4", "EP-3.7-1"),
        cause="the body of an event without fields is not checked",
        sends=raw.frame(raw.PING, 1, b"\0"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-BODY-05",
        "refuses a Message without its sender's length",
        ("EP-2.4-3",),
        cause="an empty body is treated as an empty message",
        sends=raw.frame(raw.MESSAGE, NEXT, b""),
        ends_with=raw.MALFORMED,
    ),
    # ---- text
    Refusal(
        "PEER-TEXT-01",
        "refuses a surrogate in a content as MALFORMED",
        ("EP-2.3-3",),
        cause="the decoder replaces what it cannot read",
        sends=raw.message(NEXT, b"a\xed\xa0\x80b", "bob"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-TEXT-02",
        "refuses an overlong form in a name as MALFORMED",
        ("EP-2.3-3",),
        cause="the decoder is a lenient one of its own",
        sends=raw.frame(raw.JOINED, NEXT, raw.short(b"c\xc1\xa1t")),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-TEXT-03",
        "refuses a character that the end of the field cuts",
        ("EP-2.3-3",),
        cause="a decoder for streams waits for the rest",
        sends=raw.message(NEXT, b"na\xc3", "bob"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-TEXT-04",
        "refuses what is above U+10FFFF",
        ("EP-2.3-3",),
        cause="the decoder accepts any four bytes",
        sends=raw.message(NEXT, b"\xf4\x90\x80\x80", "bob"),
        ends_with=raw.MALFORMED,
    ),
    # ---- facts
    Refusal(
        "PEER-FACT-02",
        "refuses a fact before its Welcome",
        ("EP-4.4-1",),
        cause="facts are handed on whatever the state",
        to=LOGIN,
        sends=raw.message(1, "too early", "bob"),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-FACT-05",
        "begins with the position after the Welcome's",
        ("EP-5.2-5",),
        cause="the first position is taken as it is, whatever it is",
        sends=raw.joined(NEXT + 1, "bob"),
        ends_with=raw.UNEXPECTED_EVENT,
        needs=("PEER-FACT-01",),
    ),
    Refusal(
        "PEER-FACT-07",
        "refuses an Ack whose position is not the next",
        ("EP-5.2-5", "EP-5.2-6"),
        cause="the position of an Ack is taken as it is",
        to="say hello",
        sends=lambda seq: raw.ack(seq, NEXT + 2),
        ends_with=raw.UNEXPECTED_EVENT,
        needs=("PEER-FACT-01", "PEER-SAY-01"),
    ),
    # ---- replies
    Refusal(
        "PEER-REPLY-01",
        "refuses a reply whose seq is not that of its oldest request",
        ("EP-4.2-11",),
        cause="the seq of a reply is not compared",
        to="say hello",
        sends=lambda seq: raw.ack(seq + 1, NEXT + 1),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-REPLY-02",
        "refuses a reply where nothing was asked",
        ("EP-4.2-11",),
        cause="a reply without a request is ignored",
        sends=raw.pong(5),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-REPLY-03",
        "refuses a reply of a kind that its request does not have",
        ("EP-4.2-10", "EP-4.2-11"),
        cause="only the seq of a reply is compared",
        to="say hello",
        sends=lambda seq: raw.pong(seq),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-REPLY-04",
        "refuses a second Welcome",
        ("EP-4.2-11",),
        cause="a Welcome is handled whenever it comes",
        to="say hello",
        sends=lambda seq: raw.welcome(seq, "ann", 1, NEXT),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-REPLY-05",
        "refuses a Login from a server",
        ("EP-4.4-2",),
        cause="an event that only clients send is ignored",
        sends=raw.login(3, "bob"),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-REPLY-06",
        "refuses a Logout from a server",
        ("EP-4.4-2",),
        cause="it is treated as the server's way to say goodbye",
        sends=raw.logout(3),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-REPLY-08",
        "validates the body of a Login from a server before it refuses the Login itself",
        ("EP-8.3-4",),
        cause="the type is refused before its body is read",
        sends=raw.frame(raw.LOGIN, 3, b"\x03ann"),
        ends_with=raw.MALFORMED,
        needs=("PEER-REPLY-05",),
    ),
    # ---- limits
    Refusal(
        "PEER-LIMIT-02",
        "refuses a length of max_frame + 256, when its 4 bytes are in",
        ("EP-2.1-3", "EP-2.1-4"),
        cause="there is no limit, or the body is awaited before it is checked",
        sends=(65_536 + 256).to_bytes(4, "big"),
        ends_with=raw.FRAME_TOO_LARGE,
        is_cut=True,
    ),
    Refusal(
        "PEER-LIMIT-03",
        "refuses the greatest length there is",
        ("EP-2.1-3", "EP-2.1-4"),
        cause="a length is read as signed, or memory is requested before it is checked",
        sends=b"\xff\xff\xff\xff",
        ends_with=raw.FRAME_TOO_LARGE,
        is_cut=True,
    ),
    Refusal(
        "PEER-LIMIT-06",
        "refuses a length of 4,352 before the Welcome",
        ("EP-2.1-4", "EP-7.1-6"),
        cause="the limit of later is there from the start",
        to=LOGIN,
        sends=(4_096 + 256).to_bytes(4, "big"),
        ends_with=raw.FRAME_TOO_LARGE,
        is_cut=True,
    ),
    # ---- application
    Refusal(
        "PEER-APP-04",
        "refuses a sender that is not UTF-8, in an application event too",
        ("EP-2.3-3", "EP-3.11-1"),
        cause="the body of an application event is not checked",
        sends=raw.application(NEXT, 0x80, b"data", NOT_UTF8),
        ends_with=raw.MALFORMED,
    ),
    # ---- order
    Refusal(
        "PEER-ORDER-04",
        "refuses an Error whose seq is not that of its oldest request",
        ("EP-4.2-11",),
        cause="an Error is told whatever it answers",
        to="say hello",
        sends=lambda seq: raw.error(seq + 1, raw.UNEXPECTED_EVENT),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-ORDER-05",
        "refuses a Welcome whose seq is not that of its Login",
        ("EP-4.2-11",),
        cause="there is only one Login, so the seq of its reply is not compared",
        to=LOGIN,
        sends=lambda seq: raw.welcome(seq + 1, "ann", TICKET, PLACE),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-ORDER-06",
        "refuses an Ack where nothing was asked, also with the next position",
        ("EP-4.2-11",),
        cause="an Ack without a request is treated as an entry, or ignored",
        sends=raw.ack(9, NEXT),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-ORDER-07",
        "refuses an Error with a seq where nothing was asked",
        ("EP-3.6-3", "EP-4.2-11"),
        cause="an Error is told whatever it answers",
        sends=raw.error(9, raw.UNEXPECTED_EVENT),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-ORDER-08",
        "refuses an Ack in reply to a Ping",
        ("EP-4.2-10", "EP-4.2-11"),
        cause="whatever is no Error is treated as success",
        to="ping",
        sends=lambda seq: raw.ack(seq, 0),
        ends_with=raw.UNEXPECTED_EVENT,
        needs=("PEER-SAY-04",),
    ),
    Refusal(
        "PEER-ORDER-09",
        "refuses an Ack in reply to its Login",
        ("EP-4.2-10", "EP-4.2-11"),
        cause="whatever is no Error is treated as success",
        to=LOGIN,
        sends=lambda seq: raw.ack(seq, 0),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-ORDER-10",
        "refuses a Pong in reply to its Logout",
        ("EP-4.2-10", "EP-4.2-11", "EP-10.1-2"),
        cause="whatever answers a Logout is treated as a clean end",
        to="logout",
        sends=lambda seq: raw.pong(seq),
        ends_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "PEER-ORDER-11",
        "refuses the Ack of an application event whose position is not the next",
        ("EP-5.2-5", "EP-5.2-6"),
        cause="only the Ack of a Message is compared",
        to="event 200 00ff",
        sends=lambda seq: raw.ack(seq, NEXT + 2),
        ends_with=raw.UNEXPECTED_EVENT,
        needs=("PEER-SAY-03",),
    ),
    # ---- strict
    Refusal(
        "PEER-STRICT-01",
        "refuses an Ack with bytes over",
        ("EP-2.4-4", "EP-3.5-1"),
        cause="only the bodies of facts are checked to their end",
        to="say hello",
        sends=lambda seq: raw.frame(raw.ACK, seq, (41).to_bytes(8, "big") + b"\0"),
        ends_with=raw.MALFORMED,
        needs=("PEER-SAY-01",),
    ),
    Refusal(
        "PEER-STRICT-02",
        "refuses an Error with bytes over",
        ("EP-2.4-4", "EP-3.6-1"),
        cause="only the bodies of facts are checked to their end",
        to="say hello",
        sends=lambda seq: raw.frame(raw.ERROR, seq, b"\0\x05\0" + b"\0"),
        ends_with=raw.MALFORMED,
        needs=("PEER-SAY-01",),
    ),
    Refusal(
        "PEER-STRICT-03",
        "refuses a last Error with bytes over",
        ("EP-2.4-4", "EP-3.6-1"),
        cause="the connection ends anyhow, so the rest of the body is not checked",
        sends=raw.frame(raw.ERROR, 0, b"\0\x18\0" + b"\0"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-STRICT-04",
        "refuses a Pong with a body",
        ("EP-2.4-4", "EP-3.7-1"),
        cause="a Pong is known by its header, and its body is not checked",
        to="ping",
        sends=lambda seq: raw.frame(raw.PONG, seq, b"\0"),
        ends_with=raw.MALFORMED,
        needs=("PEER-SAY-04",),
    ),
    Refusal(
        "PEER-STRICT-05",
        "refuses a Welcome with bytes over",
        ("EP-2.4-4", "EP-3.8-1", "EP-11-2"),
        cause="room is left for fields of a later version",
        to=LOGIN,
        sends=lambda seq: raw.frame(raw.WELCOME, seq, welcome_body() + b"\0"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-STRICT-06",
        "refuses a Left with bytes over",
        ("EP-2.4-4", "EP-3.10-1"),
        cause="only the bodies of facts are checked to their end",
        sends=raw.frame(raw.LEFT, NEXT, raw.short("bob") + b"\0" + b"\0"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-STRICT-07",
        "refuses a sender of a Message that is not UTF-8",
        ("EP-2.3-3",),
        cause="only the content is decoded strictly",
        sends=raw.frame(raw.MESSAGE, NEXT, raw.short(NOT_UTF8) + b"hello"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-STRICT-08",
        "refuses a user of a Joined that is not UTF-8",
        ("EP-2.3-3",),
        cause="the text is replaced or ignored, since nobody reads it",
        sends=raw.frame(raw.JOINED, NEXT, raw.short(NOT_UTF8)),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-STRICT-09",
        "refuses a user of a Left that is not UTF-8",
        ("EP-2.3-3",),
        cause="the text is replaced or ignored, since nobody reads it",
        sends=raw.frame(raw.LEFT, NEXT, raw.short(NOT_UTF8) + b"\0"),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-STRICT-10",
        "refuses a user of a Welcome that is not UTF-8",
        ("EP-2.3-3",),
        cause="the text is replaced or ignored, since nobody reads it",
        to=LOGIN,
        sends=lambda seq: raw.frame(raw.WELCOME, seq, welcome_body(user=NOT_UTF8)),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-STRICT-11",
        "refuses a server of a Welcome that is not UTF-8",
        ("EP-2.3-3",),
        cause="the text is replaced or ignored, since nobody reads it",
        to=LOGIN,
        sends=lambda seq: raw.frame(raw.WELCOME, seq, welcome_body(server=NOT_UTF8)),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-STRICT-12",
        "refuses a text of an Error that is not UTF-8",
        ("EP-2.3-3",),
        cause="the text is replaced or ignored, since nobody reads it",
        to="say hello",
        sends=lambda seq: raw.frame(raw.ERROR, seq, b"\0\x05" + raw.short(NOT_UTF8)),
        ends_with=raw.MALFORMED,
        needs=("PEER-SAY-01",),
    ),
    Refusal(
        "PEER-STRICT-13",
        "refuses a text of a last Error that is not UTF-8",
        ("EP-2.3-3",),
        cause="the connection ends anyhow, so the rest of the body is not checked",
        sends=raw.frame(raw.ERROR, 0, b"\0\x18" + raw.short(NOT_UTF8)),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-STRICT-16",
        "refuses an Error without its text",
        ("EP-2.4-3", "EP-3.6-1"),
        cause="the last field is treated as empty or 0 where the body ends before it",
        to="say hello",
        sends=lambda seq: raw.frame(raw.ERROR, seq, b"\0\x05"),
        ends_with=raw.MALFORMED,
        needs=("PEER-SAY-01",),
    ),
    Refusal(
        "PEER-STRICT-17",
        "refuses a Welcome without its server",
        ("EP-2.4-3", "EP-3.8-1"),
        cause="the last field is treated as empty or 0 where the body ends before it",
        to=LOGIN,
        sends=lambda seq: raw.frame(raw.WELCOME, seq, welcome_body()[:-1]),
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "PEER-STRICT-18",
        "refuses an Ack with a position of 4 bytes",
        ("EP-2.4-3", "EP-3.5-1"),
        cause="what is there of a number is treated as the number",
        to="say hello",
        sends=lambda seq: raw.frame(raw.ACK, seq, (41).to_bytes(4, "big")),
        ends_with=raw.MALFORMED,
        needs=("PEER-SAY-01",),
    ),
    Refusal(
        "PEER-STRICT-19",
        "refuses an application event without its sender",
        ("EP-2.4-3", "EP-3.11-1"),
        cause="an empty body is treated as an event without data",
        sends=raw.frame(0x80, NEXT, b""),
        ends_with=raw.MALFORMED,
    ),
    # ---- wide
    Refusal(
        "PEER-WIDE-03",
        "refuses a reply whose seq is its request's in the lower 32 bits only",
        ("EP-2.3-1", "EP-4.2-11"),
        cause="seqs are compared in 32 bits",
        to="say hello",
        sends=lambda seq: raw.ack(seq + 2**32, NEXT + 1),
        ends_with=raw.UNEXPECTED_EVENT,
        needs=("PEER-REPLY-01",),
    ),
)
