"""What comes after the last frame, and which frame is the last. Sections 8.2 and 10."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ...raw import Frame
from ..peer import Peer

section = Section("last", "PEER-LAST", needs=("PEER-LOGIN-01", "PEER-FACT-01"))
PIECE = raw.message(9, "never whole", "bob")[:-3]


@section.case(
    3,
    "tells a clean end at the Ack of its Logout, with a piece of a frame after it",
    "EP-10.1-1",
    "EP-10.1-2",
    cause="what is left in the buffer at the end of the stream makes it a loss or a fault",
    needs=("PEER-CLOSE-01",),
)
def piece_behind_goodbye(t: Peer) -> None:
    t.welcome()
    t.order("logout")
    goodbye = t.ack(t.asked(raw.LOGOUT))
    t.send_whole(goodbye, PIECE)
    t.shows(goodbye)
    t.finish()
    t.ends("clean")


@section.case(
    4,
    "tells a clean end at the Ack of its Logout, with an Error after it",
    "EP-10.1-1",
    "EP-10.1-2",
    cause="reading goes on to the end of the stream, and the last frame wins",
    needs=("PEER-CLOSE-01",),
)
def error_behind_goodbye(t: Peer) -> None:
    t.welcome()
    t.order("logout")
    goodbye = t.ack(t.asked(raw.LOGOUT))
    t.send_whole(goodbye, raw.error(0, raw.SHUTTING_DOWN))
    t.shows(goodbye)
    t.finish()
    t.ends("clean")


@section.case(
    6,
    "tells a loss, and no clean end, where its Logout was refused",
    "EP-4.2-9",
    "EP-10.1-2",
    "EP-10.3-1",
    cause="a Logout stays sent, whatever its reply was",
    needs=("PEER-ORDER-12",),
)
def loss_behind_a_refused_goodbye(t: Peer) -> None:
    t.welcome()
    t.order("logout")
    t.tell(Frame(raw.error(t.asked(raw.LOGOUT).seq, raw.INTERNAL)))
    t.finish()
    t.ends("lost")
