"""Every body validated to its last byte, every text to its last character. Sections 2.3 and 2.4.

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
NOT_UTF8 = "b\xffb".encode("latin-1")


def welcome_body(user: bytes = b"ann", server: bytes = b"") -> bytes:
    """A body of a Welcome whose texts may be anything."""
    numbers = raw.welcome(1, "", 1, 40)[17:-1]  # what stands between the two texts
    return raw.short(user) + numbers + raw.short(server)


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
    t.tell(Frame(raw.frame(raw.WELCOME, login.seq, welcome_body(b"n" * 255, b"s" * 255))))
    t.order("say hello")
    t.tell(Frame(raw.error(t.asked(raw.MESSAGE).seq, raw.UNEXPECTED_EVENT, "e" * 255)))
