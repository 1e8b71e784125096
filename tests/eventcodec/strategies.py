"""The strategies of the package, and what only the tests' own declarations need.

Rule: `eventcodec.strategies` draws; here stands what `declared` has and no user does.
"""

from __future__ import annotations

from functools import lru_cache

import construct
from hypothesis import strategies as st
from tests.eventcodec.declared import CODEC
from tests.eventcodec.mutations import mutate

from eventcodec import Event, encode
from eventcodec.limits import HEADER_SIZE
from eventcodec.strategies import WORDS, Words, events

VALUES: Words = {
    **WORDS,
    construct.Int24ub: st.integers(0, 2**24 - 1),
    construct.VarInt: st.integers(0, 2**64 - 1),
}
"""What each word can hold; construct's own two are those of `Drawn`."""


def of(*classes: type[Event]) -> st.SearchStrategy[Event]:
    """Any event of these classes, or of all there are, under any number."""
    return _of(classes)


# Strategies are kept: Hypothesis examines each one before it first draws from it.
@lru_cache(64)
def _of(classes: tuple[type[Event], ...]) -> st.SearchStrategy[Event]:
    return events(*classes, codec=CODEC, words=VALUES)


EVENTS = of()
"""Every event that can be, as it stands on the wire."""

FRAMES = EVENTS.map(encode)
"""Every frame that can be."""


def bodies(kind: type[Event]) -> st.SearchStrategy[bytes]:
    """Bodies of this class, whole and with something wrong in them, and any bytes.

    Of bytes by chance alone, nearly none are the body of a class that has fields.
    """
    return _bodies((kind,))


@lru_cache(64)
def _bodies(classes: tuple[type[Event]]) -> st.SearchStrategy[bytes]:
    whole = of(*classes).map(encode)
    wrong = st.builds(mutate, whole, st.randoms(use_true_random=False))
    return st.one_of(
        st.binary(max_size=60), st.one_of(whole, wrong).map(lambda frame: frame[HEADER_SIZE:])
    )
