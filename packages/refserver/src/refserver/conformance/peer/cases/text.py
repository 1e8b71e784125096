"""Text is strict UTF-8, and stays as it is. Sections 2.3 and 12."""

from __future__ import annotations

from ....characters import INVISIBLE, has_invisible
from ...catalogue import Section
from ..peer import Peer

section = Section("text", "PEER-TEXT", needs=("PEER-LOGIN-01", "PEER-FACT-01"))


@section.case(
    5,
    "keeps text as it came: no normalisation, no byte order mark taken off",
    "EP-2.3-5",
    cause="text goes through NFC, or a decoder that takes off U+FEFF",
)
def kept(t: Peer) -> None:
    t.welcome()
    t.tell(
        t.message("bob", "\ufeffzoe\u0308 zo\u00eb \U0001d11e \u212b"),
        t.message("bob", " outer spaces \r\n"),
    )


@section.case(
    6,
    "writes what is invisible in texts of its peer escaped",
    "EP-12-6",
    cause="text is printed as it came, and a terminal would obey it",
)
def escaped(t: Peer) -> None:
    t.welcome()
    every_end = "".join(chr(point) for both in INVISIBLE for point in sorted(set(both)))
    t.tell(t.message("bob", f"\x1b[2J \x07 \x7f \x9b \u202e{every_end}"))
    lines = t.process.said.decode("utf-8", "replace").splitlines()
    bad = sorted({each for line in lines for each in line if has_invisible(each)})
    t.check(not bad, "nothing invisible on stdout", ascii("".join(bad)))
