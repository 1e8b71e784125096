"""The strategies of the package, and what only the tests' own declarations need.

Rule: `eventcodec.strategies` draws; here stands what `declared` has and no user does.
"""

from __future__ import annotations

import construct
from hypothesis import strategies as st
from tests.eventcodec.declared import CODEC

from eventcodec import Event, encode
from eventcodec.strategies import WORDS, Words, events

VALUES: Words = {
    **WORDS,
    construct.Int24ub: st.integers(0, 2**24 - 1),
    construct.VarInt: st.integers(0, 2**64 - 1),
}
"""What each word can hold; construct's own two are those of `Drawn`."""


def of(*classes: type[Event]) -> st.SearchStrategy[Event]:
    """Any event of these classes, or of all there are, under any number."""
    return events(*classes, codec=CODEC, words=VALUES)


EVENTS = of()
"""Every event that can be, as it stands on the wire."""

FRAMES = EVENTS.map(encode)
"""Every frame that can be."""
