"""Replies to requests, in their order. Sections 4.2 and 4.4."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ..peer import KIT, Peer

section = Section("replies", "PEER-REPLY", needs=("PEER-LOGIN-01", "PEER-SAY-01"))


@section.case(
    7,
    "takes replies that come together with facts between them",
    "EP-4.2-11",
    "EP-5.2-5",
    cause="a reply is expected to be the next frame",
)
def among_facts(t: Peer) -> None:
    t.welcome()
    orders = [t.message(KIT, f"say {word}") for word in ("one", "two", "three")]
    t.tell(*orders)
    for _ in orders:
        request = t.asked(raw.MESSAGE)
        t.tell(t.message("bob", "before it"), t.ack(request), t.message("bob", "behind it"))
