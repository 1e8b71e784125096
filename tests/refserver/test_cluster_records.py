"""A record that no node has written is refused, and never read in part."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest

from eventcodec import Message, decode, encode
from refserver.cluster.records import BrokenRecord, Fence, Joins, Parts, Place, Record, Said

FRAMES = [encode(Message(seq=1, sender="ann", content=text)) for text in ("one", "two")]


def short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def said(count: int, frames: bytes) -> bytes:
    sizes = count.to_bytes(4, "big") + len(frames).to_bytes(4, "big")
    return b"S\0\0" + short("b7-1") + sizes + frames


ITEMS = [
    said(2, b"".join(FRAMES)),
    b"J\0\1" + short("b7-2") + short("bob"),
    b"L\0\2" + short("b7-1") + b"\1" + short("ann"),
    b"F\0\3" + short("b7"),
]
WHOLE = b"".join(ITEMS)
FIELDS = {
    b"digest": b"da39",
    b"first": b"1",
    b"node": b"b7",
    b"number": b"7",
    b"answers": b"2\n3 bob\n4\nGONE",
    b"items": WHOLE,
}


def test_a_record_has_its_items_in_order_each_with_its_operation() -> None:
    record = Record.parse("4-0", FIELDS)

    assert record.place == Place(4, 0)
    assert [index for index, _ in record.items] == [0, 1, 2, 3]
    run, *others = [item for _, item in record.items]
    assert others == [Joins("b7-2", "bob"), Parts("b7-1", 1, "ann"), Fence("b7")]
    assert isinstance(run, Said)
    assert [decode(fact).seq for fact in run.facts(8)] == [8, 9]


@pytest.mark.parametrize("gone", list(FIELDS))
def test_a_record_without_one_of_its_fields_is_broken(gone: bytes) -> None:
    with pytest.raises(BrokenRecord, match="record 4-0"):
        Record.parse("4-0", {name: value for name, value in FIELDS.items() if name != gone})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"first", b"one"),
        (b"number", b""),
        (b"node", b"\xff"),
        (b"answers", b"MAYBE"),
        (b"items", b"X\0\0"),
        (b"items", said(3, b"".join(FRAMES))),
        (b"items", said(1, FRAMES[0][:-1])),
        (b"items", said(1, b"\0\0\0\1x")),
        (b"items", b"J\0\0" + b"\1\xff" + short("bob")),
    ],
)
def test_a_record_with_another_field_is_broken(field: bytes, value: bytes) -> None:
    with pytest.raises(BrokenRecord, match="record 4-0"):
        Record.parse("4-0", FIELDS | {field: value})


@pytest.mark.parametrize("id", ["", "4", "4-", "-0", "four-0"])
def test_an_id_that_is_none_is_broken(id: str) -> None:
    with pytest.raises(BrokenRecord):
        Record.parse(id, FIELDS)


def test_items_that_are_cut_anywhere_inside_one_are_broken() -> None:
    ends = {len(b"".join(ITEMS[:count])) for count in range(len(ITEMS) + 1)}
    for at in set(range(len(WHOLE))) - ends:
        with pytest.raises(BrokenRecord):
            Record.parse("4-0", FIELDS | {b"items": WHOLE[:at]})


def test_random_bytes_are_a_record_or_broken_and_nothing_else() -> None:
    random = Random(1)
    for _ in range(2_000):
        items = bytearray(WHOLE)
        for _ in range(random.randrange(1, 4)):
            items[random.randrange(len(items))] = random.randrange(256)
        with suppress(BrokenRecord):
            Record.parse("4-0", FIELDS | {b"items": bytes(items)})
