"""Exactly one encoding. Sections 2.3, 2.4 and 3."""

from __future__ import annotations

from ...catalogue import Section
from ..peer import Peer

section = Section("layout", "PEER-BODY", needs=("PEER-LOGIN-01", "PEER-FACT-01"))


@section.case(
    6,
    "reads an empty content, and the longest name",
    "EP-2.3-2",
    "EP-3.3-1",
    cause="0 bytes of text are treated as a missing field, or a length of 255 as signed",
)
def extremes(t: Peer) -> None:
    t.welcome()
    t.tell(t.message("bob", ""), t.message("n" * 255, "long name"), t.joined("n" * 255))
