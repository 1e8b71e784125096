"""One stream, however it comes in pieces. Section 2.1."""

from __future__ import annotations

from ... import raw
from ...catalogue import ONCE, Section
from ..peer import PROBE, Peer

section = Section("framing", "PEER-FRAME", needs=("PEER-LOGIN-01", "PEER-FACT-01"))


@section.case(
    1,
    "finds every frame of one that comes in one piece with the Welcome",
    "EP-2.1-1",
    "EP-2.1-5",
    cause="one read is treated as one frame",
    segmentations=ONCE,
)
def coalesced(t: Peer) -> None:
    welcome = t.welcome_to(t.login())
    facts = [t.message("bob", "one"), t.message("bob", "two"), t.joined("cat")]
    t.send_whole(welcome, *facts)
    t.shows(welcome, *facts)


@section.case(
    2,
    "puts a frame together that comes in two halves, wherever it is cut",
    "EP-2.1-5",
    "EP-2.2-10",
    cause="what is left over after a frame is dropped with the next read",
    needs=("PEER-PING-01",),
    segmentations=ONCE,
)
def halves(t: Peer) -> None:
    t.welcome()
    for cut in (1, 4, 5, 8, 15, 16, 17, 21):
        fact = t.message("bob", "in two halves")
        # The Pong proves that the first half was read before the second is sent.
        t.send_whole(raw.ping(PROBE), fact.raw[:cut])
        t.answers(PROBE)
        t.send_whole(fact.raw[cut:])
        t.shows(fact)


@section.case(
    3,
    "reads many small frames in order",
    "EP-2.1-1",
    "EP-2.1-5",
    cause="a buffer is emptied too early",
)
def many(t: Peer) -> None:
    t.welcome()
    t.tell(*(t.message("bob", f"number {n}") for n in range(500)))


@section.case(
    4,
    "takes no notice of a frame that the end of the stream cuts short",
    "EP-2.1-6",
    "EP-10.3-1",
    cause="what is in the buffer at the end is decoded as it is",
)
def truncated(t: Peer) -> None:
    t.welcome()
    t.send(t.message("bob", "never whole").raw[:-1])
    t.finish()
    t.ends("lost")


@section.case(
    7,
    "uses the frames before a faulty one, in the same piece too",
    "EP-4.2-13",
    cause="a fault discards what was decoded together with it",
)
def good_before_bad(t: Peer) -> None:
    t.welcome()
    facts = [t.message("bob", "one"), t.message("bob", "two")]
    t.refuses(raw.MALFORMED, *facts, bytes(4), shows=facts)


@section.case(
    8,
    "uses nothing after a faulty frame",
    "EP-4.2-12",
    "EP-8.3-5",
    cause="a faulty frame is accepted, or skipped, and the next one read",
)
def bad_before_good(t: Peer) -> None:
    t.welcome()
    malformed = raw.frame(raw.JOINED, t.place + 1, raw.short("cat"), reserved=1)
    t.refuses(raw.MALFORMED, malformed, t.message("bob", "behind it"))
