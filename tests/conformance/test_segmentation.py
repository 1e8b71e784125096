"""However a stream is cut, nothing of it is lost."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refserver.conformance.segmentation import Segmentation


@given(st.binary(max_size=300), st.sampled_from(Segmentation), st.integers())
def test_the_pieces_are_the_stream_and_none_is_empty(
    data: bytes, segmentation: Segmentation, seed: int
) -> None:
    pieces = list(segmentation.cut(data, Random(seed)))

    assert b"".join(pieces) == data
    assert b"" not in pieces


@pytest.mark.parametrize(
    ("segmentation", "sizes"), [(Segmentation.WHOLE, {100}), (Segmentation.BYTEWISE, {1})]
)
def test_whole_is_one_piece_and_bytewise_one_byte_each(
    segmentation: Segmentation, sizes: set[int]
) -> None:
    assert {len(piece) for piece in segmentation.cut(bytes(100), Random(0))} == sizes


def test_the_same_seed_cuts_alike() -> None:
    cuts = [list(Segmentation.RANDOM.cut(bytes(500), Random(seed))) for seed in (1, 1, 2)]

    assert cuts[0] == cuts[1] != cuts[2]
