"""Every body judged to its last byte, every text to its last character. Sections 2.3 and 2.4.

One mechanism decodes them all in a good client. In others each event has its own, and the
replies are where nobody looked.
"""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ...raw import Frame
from ..peer import Peer

section = Section("strict", "PEER-STRICT", needs=("PEER-LOGIN-01", "PEER-FACT-01"))
SAYS = ("PEER-SAY-01",)
LEFT_OVER = "only the bodies of facts are looked at to their end"
NOT_UTF8 = "b\xffb".encode("latin-1")
LENIENT = "the text is replaced or passed over, since nobody reads it"
MISSING = "the last field is taken for empty or 0 where the body ends before it"


def _welcome_body(user: bytes = b"ann", server: bytes = b"") -> bytes:
    """A body of a Welcome whose texts may be anything."""
    numbers = raw.welcome(1, "", 1, 40)[17:-1]  # what stands between the two texts
    return raw.short(user) + numbers + raw.short(server)


def _answered(t: Peer, type: int, body: bytes) -> None:
    """Answer a Message with this, which is malformed."""
    t.welcome()
    t.order("say hello")
    t.refuses(raw.MALFORMED, raw.frame(type, t.asked(raw.MESSAGE).seq, body))


def _told(t: Peer, type: int, body: bytes, *, seq: int | None = None) -> None:
    """Give a member the next entry, or what has another seq: it is malformed."""
    t.welcome()
    t.refuses(raw.MALFORMED, raw.frame(type, t.place + 1 if seq is None else seq, body))


# ------------------------------------------------------------- bytes behind the last field


@section.case(
    1, "refuses an Ack with bytes over", "EP-2.4-4", "EP-3.5-1", cause=LEFT_OVER, needs=SAYS
)
def ack_left_over(t: Peer) -> None:
    _answered(t, raw.ACK, (41).to_bytes(8, "big") + b"\0")


@section.case(
    2, "refuses an Error with bytes over", "EP-2.4-4", "EP-3.6-1", cause=LEFT_OVER, needs=SAYS
)
def error_left_over(t: Peer) -> None:
    _answered(t, raw.ERROR, b"\0\x05\0" + b"\0")


@section.case(
    3,
    "refuses a last Error with bytes over",
    "EP-2.4-4",
    "EP-3.6-1",
    cause="the connection ends anyhow, so the rest of the body is not looked at",
)
def last_error_left_over(t: Peer) -> None:
    _told(t, raw.ERROR, b"\0\x18\0" + b"\0", seq=0)


@section.case(
    4,
    "refuses a Pong with a body",
    "EP-2.4-4",
    "EP-3.7-1",
    cause="a Pong is known by its header, and its body is not looked at",
    needs=("PEER-SAY-04",),
)
def pong_left_over(t: Peer) -> None:
    t.welcome()
    t.order("ping")
    t.refuses(raw.MALFORMED, raw.frame(raw.PONG, t.asked(raw.PING).seq, b"\0"))


@section.case(
    5,
    "refuses a Welcome with bytes over",
    "EP-2.4-4",
    "EP-3.8-1",
    "EP-11-2",
    cause="room is left for fields of a later version",
)
def welcome_left_over(t: Peer) -> None:
    t.refuses(raw.MALFORMED, raw.frame(raw.WELCOME, t.login().seq, _welcome_body() + b"\0"))


@section.case(6, "refuses a Left with bytes over", "EP-2.4-4", "EP-3.10-1", cause=LEFT_OVER)
def left_left_over(t: Peer) -> None:
    _told(t, raw.LEFT, raw.short("bob") + b"\0" + b"\0")


# ------------------------------------------------------------- texts


@section.case(
    7,
    "refuses a sender of a Message that is not UTF-8",
    "EP-2.3-3",
    cause="only the content is decoded strictly",
)
def bad_sender(t: Peer) -> None:
    _told(t, raw.MESSAGE, raw.short(NOT_UTF8) + b"hello")


@section.case(8, "refuses a user of a Joined that is not UTF-8", "EP-2.3-3", cause=LENIENT)
def bad_joined(t: Peer) -> None:
    _told(t, raw.JOINED, raw.short(NOT_UTF8))


@section.case(9, "refuses a user of a Left that is not UTF-8", "EP-2.3-3", cause=LENIENT)
def bad_left(t: Peer) -> None:
    _told(t, raw.LEFT, raw.short(NOT_UTF8) + b"\0")


@section.case(10, "refuses a user of a Welcome that is not UTF-8", "EP-2.3-3", cause=LENIENT)
def bad_user(t: Peer) -> None:
    t.refuses(raw.MALFORMED, raw.frame(raw.WELCOME, t.login().seq, _welcome_body(user=NOT_UTF8)))


@section.case(11, "refuses a server of a Welcome that is not UTF-8", "EP-2.3-3", cause=LENIENT)
def bad_server(t: Peer) -> None:
    t.refuses(raw.MALFORMED, raw.frame(raw.WELCOME, t.login().seq, _welcome_body(server=NOT_UTF8)))


@section.case(
    12, "refuses a text of an Error that is not UTF-8", "EP-2.3-3", cause=LENIENT, needs=SAYS
)
def bad_text(t: Peer) -> None:
    _answered(t, raw.ERROR, b"\0\x05" + raw.short(NOT_UTF8))


@section.case(
    13,
    "refuses a text of a last Error that is not UTF-8",
    "EP-2.3-3",
    cause="the connection ends anyhow, so the rest of the body is not looked at",
)
def bad_last_text(t: Peer) -> None:
    _told(t, raw.ERROR, b"\0\x18" + raw.short(NOT_UTF8), seq=0)


@section.case(
    14,
    "keeps a NUL in a name and in a content",
    "EP-2.3-5",
    cause="text is kept as a string that a NUL ends",
)
def nul(t: Peer) -> None:
    t.welcome()
    t.tell(t.message("b\0b", "one\0two"), t.joined("b\0"), t.left("\0"))


@section.case(
    15,
    "reads the first and the last code points of each length, and noncharacters",
    "EP-2.3-3",
    "EP-2.3-5",
    cause="the decoder refuses what is well-formed: noncharacters, or what is beyond 2^16",
)
def edges_of_utf8(t: Peer) -> None:
    t.welcome()
    text = "\x80\u07ff\u0800\ud7ff\ue000\ufdd0\ufffe\uffff\U00010000\U0001ffff\U0010ffff"
    t.tell(t.message("bob", text), t.joined(text))


# ------------------------------------------------------------- fields that are missing


@section.case(
    16, "refuses an Error without its text", "EP-2.4-3", "EP-3.6-1", cause=MISSING, needs=SAYS
)
def no_text(t: Peer) -> None:
    _answered(t, raw.ERROR, b"\0\x05")


@section.case(17, "refuses a Welcome without its server", "EP-2.4-3", "EP-3.8-1", cause=MISSING)
def no_server(t: Peer) -> None:
    t.refuses(raw.MALFORMED, raw.frame(raw.WELCOME, t.login().seq, _welcome_body()[:-1]))


@section.case(
    18,
    "refuses an Ack with a position of 4 bytes",
    "EP-2.4-3",
    "EP-3.5-1",
    cause="what is there of a number is taken for the number",
    needs=SAYS,
)
def short_position(t: Peer) -> None:
    _answered(t, raw.ACK, (41).to_bytes(4, "big"))


@section.case(
    19,
    "refuses an application event without its sender",
    "EP-2.4-3",
    "EP-3.11-1",
    cause="an empty body is taken for an event without data",
)
def empty_event(t: Peer) -> None:
    _told(t, 0x80, b"")


@section.case(
    20,
    "reads the longest texts of a Welcome and of an Error",
    "EP-2.3-2",
    "EP-3.6-1",
    "EP-3.8-1",
    cause="a text has a buffer of its own, which is shorter than 255 bytes",
    needs=(*SAYS, "PEER-ERROR-01"),
)
def longest_texts(t: Peer) -> None:
    login = t.login()
    t.tell(Frame(raw.frame(raw.WELCOME, login.seq, _welcome_body(b"n" * 255, b"s" * 255))))
    t.order("say hello")
    t.tell(Frame(raw.error(t.asked(raw.MESSAGE).seq, raw.UNEXPECTED_EVENT, "e" * 255)))
