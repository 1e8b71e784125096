"""Every subcon of construct's in a field: a round trip, or a clear error at birth.

Rule: one table, with a row for each public subcon; one that is not in it must say why.
"""

from __future__ import annotations

import copy
import pickle
import time
from collections import namedtuple
from collections.abc import Callable
from random import Random
from typing import Any

import construct as c
import construct.lib as lib
import pytest
from tests.together import together

from eventcodec import (
    ApplicationEvent,
    Codec,
    Decoder,
    Event,
    LocalProtocolError,
    application_event,
    decode,
    encode,
    field,
    wire,
)

Pair: Any = namedtuple("Pair", "x y")
XY = c.Struct("x" / c.Int8ub, "y" / c.Int8ub)
P = {"x": 1, "y": 2}


def upper(subcon: Any) -> Any:
    return c.ExprSymmetricAdapter(subcon, lambda obj, context: obj.upper())


ROWS: list[tuple[str, Any, list[Any], list[Any]]] = [
    # name, subcon, values that make a round trip, values that are refused
    ("Struct", XY, [P, {"x": 0, "y": 255}], [{"x": 1}, {"x": 1, "y": 256}, 3, None, {**P, "z": 1}]),
    ("Struct", c.Struct("in" / XY, "n" / c.Byte), [{"in": P, "n": 3}], [{"in": 3, "n": 3}]),
    (
        "Struct",
        c.Struct("n" / c.Byte, "of" / c.Array(c.this.n, c.Byte)),
        [{"n": 2, "of": [1, 2]}, {"n": 0, "of": ()}],
        [{"n": 1, "of": [1, 2]}],
    ),
    (
        "Struct",
        c.Struct("n" / c.Rebuild(c.Byte, c.len_(c.this.of)), "of" / c.Array(c.this.n, c.Byte)),
        [{"of": [7, 8]}],
        [{"n": 7, "of": [7, 8]}],
    ),
    (
        "Struct",
        c.Struct("a" / c.Byte, "b" / c.Bytes(lambda this: this._subcons.a.sizeof())),
        [{"a": 1, "b": b"x"}],
        [{"a": 1, "b": b"xy"}],
    ),
    ("Struct", c.Struct("a" / c.Computed(c.this._root.count), "b" / c.Byte), [{"b": 1}], []),
    (
        "Struct",
        c.Struct("a" / c.Computed(lambda this: this._params._parsing), "b" / c.Byte),
        [{"b": 1}],
        [],
    ),
    ("Sequence", c.Sequence(c.Byte, c.Int16ub), [[1, 2], (3, 65535)], [[1], [1, -1], 5]),
    ("FocusedSeq", c.FocusedSeq("n", c.Const(b"#"), "n" / c.Byte), [5], [256, "x"]),
    (
        "BitStruct",
        c.BitStruct("a" / c.Nibble, "b" / c.Flag, "c" / c.BitsInteger(3)),
        [{"a": 15, "b": True, "c": 7}],
        [{"a": 16, "b": True, "c": 0}],
    ),
    ("Bitwise", c.Bitwise(c.Array(8, c.Bit)), [[0, 1] * 4], [[1] * 7]),
    ("Bytewise", c.Bitwise(c.Bytewise(c.Byte)), [7], [256]),
    ("Bit", c.Bitwise(c.Sequence(c.Bit, c.BitsInteger(7))), [[1, 127]], [[2, 0]]),
    ("Nibble", c.Bitwise(c.Sequence(c.Nibble, c.Nibble)), [[1, 15]], [[16, 0]]),
    ("Octet", c.Bitwise(c.Octet), [255], [256]),
    ("BitsInteger", c.Bitwise(c.BitsInteger(16)), [65535], [65536]),
    ("BitsSwapped", c.BitsSwapped(c.Int16ub), [0x8001], [-1]),
    ("ByteSwapped", c.ByteSwapped(c.Int24ub), [0x010203], [-1]),
    ("Prefixed", c.Prefixed(c.Byte, XY), [P], [{"x": 1}]),
    ("Prefixed", c.Prefixed(c.VarInt, c.GreedyRange(c.Byte)), [[1, 2, 3], []], [[256]]),
    ("PrefixedArray", c.PrefixedArray(c.Byte, c.Int16ub), [[], [1, 65535]], [[1] * 256, [-1]]),
    ("PrefixedArray", c.PrefixedArray(c.Byte, XY), [[P, P]], [[{"x": 1}]]),
    (
        "Union",
        c.Union(0, "n" / c.Int16ub, "b" / c.Bytes(2)),
        [{"n": 0x6162}, {"b": b"ab"}],
        [{"n": 1, "b": b"ab"}],
    ),
    ("Union", c.Union(None, "n" / c.Byte), [], [{"n": 1}]),  # reads nothing: bytes are left over
    ("LazyStruct", c.LazyStruct("x" / c.Byte, "y" / c.Byte), [P], [{"x": 1}]),
    ("LazyArray", c.LazyArray(2, c.Byte), [[1, 2]], [[1]]),
    ("Lazy", c.Lazy(c.Byte), [5], [256]),
    ("LazyBound", c.LazyBound(lambda: c.Byte), [5], [256]),
    ("Switch", c.Switch(c.this.count, {1: XY, 2: c.Byte}, default=c.Int16ub), [P], [5]),
    ("Switch", c.Switch(c.this.count, {9: c.Byte}), [None], [5]),  # no case: Pass
    ("Array", c.Array(2, c.Byte), [[1, 2], (1, 2)], [[1], [1, 2, 3], "ab", 5]),
    ("Array", c.Byte[2], [[1, 2]], [[1]]),
    ("GreedyRange", c.GreedyRange(c.Int16ub), [[1, 2], []], [[-1]]),
    ("RepeatUntil", c.RepeatUntil(c.obj_ == 0, c.Byte), [[1, 2, 0], [0]], [[1, 0, 2], [1]]),
    ("Const", c.Const(b"MZ"), [b"MZ", None], [b"ZM"]),
    ("Const", c.Const(7, c.Byte), [7, None], [8]),
    ("Default", c.Default(c.Byte, 5), [None, 6], [256]),
    ("Computed", c.Computed(7), [7, None], [8]),
    ("Index", c.Array(2, c.Sequence(c.Index, c.Byte)), [[[0, 5], [1, 6]]], [[[1, 5], [1, 6]]]),
    ("Rebuild", c.Rebuild(c.Byte, lambda this: 3), [None, 3], [4]),
    ("Check", c.Check(c.this.count == 1), [None], []),
    ("Check", c.Check(c.this.count == 2), [], [None]),
    ("Error", c.Error, [], [None]),
    ("Padding", c.Padding(2), [None], [b"xy", 5]),
    ("Padded", c.Padded(4, c.Byte), [5], [256]),
    ("Aligned", c.Aligned(4, c.Byte), [5], [256]),
    ("AlignedStruct", c.AlignedStruct(2, "x" / c.Byte, "y" / c.Byte), [P], [{"x": 1}]),
    ("Pointer", c.Pointer(0, c.Byte), [1], [5]),  # it lies over `count`, which is 1
    ("Pointer", c.Pointer(-1, c.Byte), [], [5]),
    ("Peek", c.Peek(c.Byte), [None], []),
    ("OffsettedEnd", c.OffsettedEnd(0, c.GreedyBytes), [b"ab"], []),
    ("Seek", c.Seek(0, 1), [None], []),
    ("Tell", c.Tell, [1, None], [7]),
    ("Pass", c.Pass, [None], [5]),
    ("Terminated", c.Terminated, [None], [5]),
    ("RawCopy", c.RawCopy(c.Byte), [{"value": 5}, {"data": b"\5"}], [{"value": 256}, {}]),
    ("FixedSized", c.FixedSized(4, c.GreedyBytes), [b"abcd"], [b"ab", b"abcde"]),
    ("NullTerminated", c.NullTerminated(c.GreedyBytes), [b"ab", b""], [b"a\0b"]),
    ("NullStripped", c.FixedSized(3, c.NullStripped(c.GreedyBytes)), [b"abc", b"ab"], [b"ab\0"]),
    ("RestreamData", c.RestreamData(b"\5", c.Byte), [None, 5], [6]),
    (
        "Transformed",
        c.Transformed(c.Bytes(2), lib.swapbytes, 2, lib.swapbytes, 2),
        [b"ab"],
        [b"abc"],
    ),
    (
        "Restreamed",
        c.Restreamed(c.Byte, lib.bits2bytes, 8, lib.bytes2bits, 1, lambda n: n // 8),
        [5],
        [256],
    ),
    ("ProcessXor", c.ProcessXor(0x55, c.Int16ub), [0x1234], [-1]),
    ("ProcessRotateLeft", c.ProcessRotateLeft(4, 1, c.Int16ub), [0x1234], [-1]),
    ("Compressed", c.Compressed(c.GreedyBytes, "zlib"), [b"ab" * 50], [5]),
    (
        "Checksum",
        c.Struct(
            "raw" / c.RawCopy(c.Byte),
            "sum" / c.Checksum(c.Byte, lambda data: data[0] ^ 255, c.this.raw.data),
        ),
        [{"raw": {"value": 5}}],
        [{"raw": {"value": 5}, "sum": 7}],
    ),
    ("Bytes", c.Bytes(2), [b"ab"], [b"a", b"abc", "ab"]),
    ("GreedyBytes", c.GreedyBytes, [b"", b"ab"], ["ab"]),
    ("FormatField", c.FormatField("<", "H"), [258], [65536, None]),
    ("BytesInteger", c.BytesInteger(3, swapped=True), [65793], [1 << 24]),
    ("VarInt", c.VarInt, [0, 127, 128, 1 << 70], [-1]),
    ("ZigZag", c.ZigZag, [-1, 0, 1 << 70], ["x"]),
    ("PaddedString", c.PaddedString(4, "utf8"), ["ab", "zoë"], ["a\0", "toolong"]),
    ("PascalString", c.PascalString(c.Byte, "utf8"), ["", "zoë"], ["x" * 256]),
    ("CString", c.CString("utf8"), ["", "zoë"], ["a\0b"]),
    ("CString", c.CString("utf16"), ["ab"], ["a\0b"]),
    ("GreedyString", c.GreedyString("utf8"), ["", "a\0b"], ["\ud800"]),
    ("StringEncoded", c.StringEncoded(c.Bytes(2), "utf8"), ["ab"], ["abc"]),
    ("Flag", c.Flag, [True, False], []),
    ("Enum", c.Enum(c.Byte, one=1, two=2), ["one", 1, 77], ["three", 256]),
    (
        "FlagsEnum",
        c.FlagsEnum(c.Byte, a=1, b=2),
        [{"a": True, "b": False}, {"b": True}],
        [{"c": True}],
    ),
    ("Mapping", c.Mapping(c.Byte, {"on": 1, "off": 0}), ["on"], ["half"]),
    ("NamedTuple", c.NamedTuple("Pair", "x y", c.Byte[2]), [Pair(1, 2)], [Pair(1, 256)]),
    ("Hex", c.Hex(c.Int16ub), [258], [-1]),
    ("HexDump", c.HexDump(c.Bytes(2)), [b"ab"], [b"a"]),
    ("Select", c.Select(c.PascalString(c.Byte, "ascii"), c.Byte), ["ab"], [None]),
    ("Optional", c.Optional(c.Int16ub), [5, None], []),
    ("If", c.If(c.this.count == 1, c.Byte), [5], [256]),
    ("If", c.If(c.this.count == 2, c.Byte), [None], [5]),
    ("IfThenElse", c.IfThenElse(c.this.count == 1, c.Byte, c.CString("utf8")), [5], ["x"]),
    (
        "StopIf",
        c.Struct("x" / c.Byte, c.StopIf(c.this.x == 1), "y" / c.Byte),
        [{"x": 1}, {"x": 2, "y": 3}],
        [{"x": 1, "y": 3}],
    ),
    ("StopIf", c.StopIf(True), [], [None]),
    ("OneOf", c.OneOf(c.Byte, [1, 2]), [1], [3]),
    ("NoneOf", c.NoneOf(c.Byte, [1, 2]), [3], [1]),
    ("Filter", c.Filter(c.obj_ != 0, c.GreedyRange(c.Byte)), [[1, 2]], [[1, 0]]),
    ("Slicing", c.Slicing(c.Array(4, c.Byte), 4, 1, 3, empty=0), [[1, 2]], [[1]]),
    ("Indexing", c.Indexing(c.Array(2, c.Byte), 2, 0, empty=0), [5], [256]),
    ("ExprAdapter", c.ExprAdapter(c.Byte, c.obj_ + 1, c.obj_ - 1), [5], [0]),
    ("ExprSymmetricAdapter", upper(c.CString("utf8")), ["AB"], ["ab"]),
    ("ExprValidator", c.ExprValidator(c.Byte, c.obj_ > 3), [5], [2]),
    ("Renamed", "name" / c.Byte, [5], [256]),
    *[
        (name, getattr(c, name), [0, 1, 100], ["x", 1 << 70, None])
        for name in dir(c)
        if name.startswith("Int") and name[3:4].isdigit()
    ],
    *[
        (name, getattr(c, name), [0.5, -2.0, float("inf"), 3], ["x", None])
        for name in dir(c)
        if name.startswith("Float") and name[5:6].isdigit()
    ],
    *[(name, getattr(c, name), [1], ["x", None]) for name in ("Byte", "Short", "Int", "Long")],
    *[(name, getattr(c, name), [0.5], ["x", None]) for name in ("Half", "Single", "Double")],
]

NOT_HERE = {
    "Adapter": "a base class",
    "SymmetricAdapter": "a base class",
    "Validator": "a base class",
    "Subconstruct": "a base class",
    "Construct": "a base class",
    "Tunnel": "a base class",
    "TimestampAdapter": "a base class",
    "Compiled": "what `compile` makes of the others",
    "CompressedLZ4": "needs another package",
    "EncryptedSym": "needs another package",
    "EncryptedSymAead": "needs another package",
    "Numpy": "needs another package",
    "Timestamp": "needs another package",
    "Pickled": "refused when it is declared",
    "Probe": "prints",
    "Debugger": "prints",
    "Rebuffered": "refused when it is declared",
}


def declared(subcon: Any, *, behind: bool = False) -> type[ApplicationEvent]:
    """An event with a field of this kind behind a count, and perhaps one behind it."""
    if behind:

        @application_event(0x90)
        class Between(ApplicationEvent):
            count: int = field(wire.U8, default=1)
            value: Any = field(subcon)
            behind: int = field(wire.U16, default=0xABCD)

        return Between

    @application_event(0x90)
    class Last(ApplicationEvent):
        count: int = field(wire.U8, default=1)
        value: Any = field(subcon)

    return Last


GOOD = [(name, subcon, value) for name, subcon, values, _ in ROWS for value in values]
BAD = [(name, subcon, value) for name, subcon, _, values in ROWS for value in values]
EACH_GOOD = together("subcon, value", [row[1:] for row in GOOD], [f"{n} {v!r}" for n, _, v in GOOD])
EACH_BAD = together("subcon, value", [row[1:] for row in BAD], [f"{n} {v!r}" for n, _, v in BAD])


def test_every_public_subcon_has_a_row() -> None:
    subcons = {
        name
        for name in c.__all__
        if name[0].isupper()
        and isinstance(thing := getattr(c, name), c.Construct | type | Callable)
        and not (isinstance(thing, type) and not issubclass(thing, c.Construct))
    }

    assert subcons - {row[0] for row in ROWS} - NOT_HERE.keys() == set()


@EACH_GOOD
@pytest.mark.proves("EP-2.4-1")
def test_what_is_born_decodes_to_an_equal_event(subcon: Any, value: Any) -> None:
    kind: Any = declared(subcon)

    event = kind(value=value, seq=1, sender="ann")

    frame = encode(event)
    again = Codec([kind]).decode(frame)
    assert again == event
    assert hash(again) == hash(event)
    assert type(again) is kind
    assert encode(again) == frame
    assert repr(again.value) == repr(event.value)  # type: ignore[attr-defined]


@EACH_GOOD
def test_an_event_survives_a_copy_a_pickle_and_another_number(subcon: Any, value: Any) -> None:
    event: Any = declared(subcon)(value=value, seq=1)  # type: ignore[call-arg]

    for again in (copy.copy(event), copy.deepcopy(event), event.with_seq(2).with_seq(1)):
        assert again == event
        assert encode(again) == encode(event)


@EACH_GOOD
def test_what_is_behind_a_field_is_read_too_or_the_event_is_not_born(
    subcon: Any, value: Any
) -> None:
    kind: Any = declared(subcon, behind=True)
    try:
        event = kind(value=value, seq=1)
    except LocalProtocolError:
        return

    assert Codec([kind]).decode(encode(event)) == event


@EACH_BAD
def test_what_no_reader_would_find_again_is_not_born(subcon: Any, value: Any) -> None:
    kind: Any = declared(subcon)

    with pytest.raises(LocalProtocolError):
        kind(value=value)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
@pytest.mark.unmeasured
def test_for_any_bytes_an_event_comes_out_that_encodes_to_them(row: Any) -> None:
    kind = declared(row[1])
    codec, random = Codec([kind]), Random(7)
    frames = [encode(kind(value=value, seq=1)) for value in row[2]]  # type: ignore[call-arg]

    for _ in range(60):
        body = bytearray(random.choice(frames)[16:] if frames else b"\0\1\5\5")
        for _ in range(random.randint(1, 2)):
            body[random.randrange(1, len(body))] = random.randrange(256)
        general = ApplicationEvent(type=0x90, data=bytes(body[1:]), seq=1)
        frame = encode(general)

        event = codec.decode(frame)

        assert encode(event) == frame
        assert type(event) is kind or event == general


def test_a_float_is_what_goes_over_the_wire() -> None:
    kind: Any = declared(c.Float32b)

    event = kind(value=0.1)

    assert event.value == c.Float32b.parse(c.Float32b.build(0.1)) != 0.1


def test_a_float_that_is_no_number_is_equal_to_itself_on_the_wire() -> None:
    kind: Any = declared(c.Float64b)
    event = kind(value=float("nan"), seq=1)

    assert Codec([kind]).decode(encode(event)) == event


@pytest.mark.parametrize(
    ("value", "subcon"),
    [
        ([1, [2, 3]], c.Sequence(c.Byte, c.Array(2, c.Byte))),
        ({"n": 1, "of": {"x": 1, "y": 2}}, c.Struct("n" / c.Byte, "of" / XY)),
        (bytearray(b"ab"), c.Bytes(2)),
    ],
)
def test_an_event_does_not_change_with_what_it_was_made_of(value: Any, subcon: Any) -> None:
    event: Any = declared(subcon)(value=value, seq=1)  # type: ignore[call-arg]
    before, frame = repr(event), encode(event)

    if isinstance(value, dict):
        value["of"]["x"] = 77
    else:
        value[-1:] = [7]

    assert repr(event) == before
    assert encode(event) == frame


def test_a_group_of_values_is_a_record_that_cannot_change() -> None:
    event: Any = declared(c.Struct("p" / XY, "all" / c.Byte[2]))(value={"p": P, "all": [1, 2]})  # type: ignore[call-arg]
    value = event.value

    assert (value.p.x, value["p"]["y"], value.all) == (1, 2, (1, 2))
    assert value == {"p": P, "all": (1, 2)}
    assert isinstance(value, wire.Record)
    with pytest.raises(AttributeError):
        value.p = 1
    with pytest.raises(AttributeError):
        del value.p
    with pytest.raises(AttributeError):
        _ = value.missing
    assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
    assert len({value, copy.copy(value)}) == 1


def test_the_senders_bytes_are_out_of_reach() -> None:
    kind: Any = declared(c.Pointer(0, c.Byte))

    event = kind(value=1, sender="ann", seq=1)

    assert encode(event)[16:20] == b"\x03ann"
    assert event.data == b"\x01"


def test_equality_does_not_grow_with_the_power_of_the_depth() -> None:
    """construct's own containers compare both ways at each level: 2^40 comparisons here."""
    subcon: Any = c.Byte
    value: Any = 1
    for _ in range(40):
        subcon, value = c.Struct("in" / subcon), {"in": value}
    kind: Any = declared(subcon)
    one, other = kind(value=value), kind(value=value)

    start = time.process_time()
    assert one == other and one.value == other.value

    assert time.process_time() - start < 5


def test_a_list_that_is_deeper_than_python_goes_is_a_misfit() -> None:
    inner = c.LazyBound(lambda: nested)
    nested: Any = c.Prefixed(c.VarInt, c.Select(c.Sequence(inner), c.Pass))
    kind = declared(c.Sequence(c.LazyBound(lambda: deep)))
    deep = c.Struct("next" / c.If(lambda this: True, c.LazyBound(lambda: deep)))
    frame = encode(ApplicationEvent(type=0x90, data=b"\x01" * 3000, seq=1))

    event = Codec([kind]).decode(frame)

    assert isinstance(event, ApplicationEvent) and event.decode_error is not None


@pytest.mark.parametrize(
    "subcon",
    [
        c.Pickled,
        c.Struct("x" / c.Prefixed(c.Byte, c.Pickled)),
        c.Switch(c.this.count, {1: c.Rebuffered(c.Byte)}),
        c.Byte.build,
        int,
        None,
    ],
)
def test_what_is_no_subcon_or_runs_what_a_peer_sends_is_not_declared(subcon: Any) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        declared(subcon)

    assert caught.value.field == "value"


def test_an_enormous_count_costs_nothing_that_did_not_come() -> None:
    kind = declared(c.PrefixedArray(c.Int32ub, c.Byte))
    decoder = Decoder(codec=Codec([kind]))
    decoder.receive_data(encode(ApplicationEvent(type=0x90, data=b"\x01\xff\xff\xff\xff", seq=1)))

    event = decoder.next_event()

    assert isinstance(event, ApplicationEvent) and event.decode_error is not None


class Liar(str):
    """Text that says one thing and encodes to another."""

    def encode(self, *_: Any) -> bytes:
        return b"lie"

    def __len__(self) -> int:
        return 3


def test_a_subclass_of_text_or_bytes_becomes_what_it_stands_for() -> None:
    class Padded(bytes):
        def __len__(self) -> int:
            return 0

    @application_event(0x91)
    class Plain(ApplicationEvent):
        text: str = field(wire.ShortText)
        data_: bytes = field(wire.ShortBytes)

    event = Plain(text=Liar("truth"), data_=Padded(b"bytes"), seq=1)

    again: Event = Codec([Plain]).decode(encode(event))
    assert again == event
    assert type(event.text) is str and type(event.data_) is bytes
    assert decode(encode(event)).data == event.data  # type: ignore[attr-defined]


EMPTY = [
    c.Struct("n" / c.Int32ub, "of" / c.Array(c.this.n, c.Pass)),
    c.Struct("n" / c.Int32ub, "of" / c.Array(c.this.n, c.Array(c.this.zero, c.Byte), discard=True)),
    c.Struct("n" / c.Int32ub, "of" / c.LazyArray(c.this.n, c.Computed(7))),
    c.Struct("n" / c.Int32ub, "of" / c.Optional(c.Array(c.this.n, c.Struct()))),
    c.PrefixedArray(c.Int32ub, c.Optional(c.Int64ub)),
    c.Struct("n" / c.Int32ub, "of" / c.GreedyRange(c.Pass)),
    c.Struct("n" / c.Int32ub, "of" / c.RepeatUntil(c.obj_ == 1, c.Peek(c.Byte))),
    c.Struct("n" / c.Int32ub, "of" / c.LazyBound(lambda: c.Array(c.this.n, c.Pass))),
    c.Struct("n" / c.Int32ub, "of" / c.Switch(c.this.n, {}, default=c.Array(c.this.n, c.Pass))),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("subcon", EMPTY, ids=repr)
@pytest.mark.proves("EP-2.4-1")
@pytest.mark.unmeasured
def test_elements_without_bytes_are_bounded_by_the_frame(subcon: Any) -> None:
    kind = declared(c.Struct("zero" / c.Computed(0), "in" / subcon))
    frame = encode(ApplicationEvent(type=0x90, data=b"\x01\xff\xff\xff\xff", seq=1))

    event = Codec([kind]).decode(frame)

    assert isinstance(event, ApplicationEvent) and event.decode_error is not None
    assert encode(event) == frame


def test_a_bound_on_elements_changes_no_declaration_of_the_application() -> None:
    inner = c.Array(c.this.n, c.Byte)
    subcon = c.Struct("n" / c.Byte, "of" / inner)

    kind: Any = declared(subcon)

    assert kind(value={"n": 2, "of": [1, 2]}, seq=1).value.of == (1, 2)
    assert inner.subcon is c.Byte


@pytest.mark.unmeasured
def test_as_many_elements_as_a_frame_has_bits_are_read() -> None:
    kind: Any = declared(c.Bitwise(c.GreedyRange(c.Bit)))

    event = kind(value=[1] * 8 * 10_000, seq=1)  # more than 65,536

    assert Codec([kind]).decode(encode(event)) == event
