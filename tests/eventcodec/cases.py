"""The table of cases: one event, its frame written by hand, and the ways that it goes.

Rule: no byte here was made by the code under test. Every test of a whole frame walks
this table: encode, decode, any chunks, both ends of a connection, a real socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import pytest
from tests.eventcodec.declared import Drawn, Filed, Moved, Noted, Sampled, Waved
from tests.together import together

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    Event,
    Joined,
    Left,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    Unknown,
    Welcome,
)


class Way(Enum):
    """From whom to whom an event goes, and as what."""

    REQUEST = "a client's request"
    ANSWER = "a client's answer to a server's Ping"
    STRANGE = "of a type that a server does not know"
    REPLY = "a server's reply"
    FACT = "an entry of the log"
    QUESTION = "a server's Ping"
    LAST = "a server's last frame"
    NEWS = "of a type that a client does not know"


TO_SERVER = frozenset({Way.REQUEST, Way.ANSWER, Way.STRANGE})
TO_CLIENT = frozenset(Way) - TO_SERVER


@dataclass(frozen=True, slots=True)
class Case:
    """One event and the one frame that is its encoding."""

    name: str
    event: Event
    frame: bytes
    ways: frozenset[Way]


def _case(name: str, event: Event, frame: str, *ways: Way) -> Case:
    return Case(name, event, bytes.fromhex(frame), frozenset(ways))


CASES: tuple[Case, ...] = (
    _case(
        "Login, fresh",
        Login(seq=1, user="ann", credential=b"sesame"),
        """00000028 01 01 0000 0000000000000001
        03 616e6e  0006 736573616d65  0000000000000000  0000000000000000""",
        Way.REQUEST,
    ),
    _case(
        "Login, every field empty",
        Login(seq=1),
        """0000001f 01 01 0000 0000000000000001
        00  0000  0000000000000000  0000000000000000""",
        Way.REQUEST,
    ),
    _case(
        "Login, a resume in a foreign script",
        Login(seq=1, user="Änne", credential=b"\x00\xff", ticket=0x9F3C5A7BE1D20846, position=7),
        """00000026 01 01 0000 0000000000000001
        05 c3846e6e65  0002 00ff  9f3c5a7be1d20846  0000000000000007""",
        Way.REQUEST,
    ),
    _case(
        "Login, every number at its greatest",
        Login(seq=2**64 - 1, ticket=2**64 - 1, position=2**64 - 1),
        """0000001f 01 01 0000 ffffffffffffffff
        00  0000  ffffffffffffffff  ffffffffffffffff""",
        Way.REQUEST,
    ),
    _case(
        "Login, the longest name and a long credential",
        Login(seq=1, user="a" * 255, credential=b"k" * 3_000),
        "00000cd6 01 01 0000 0000000000000001"
        + ("ff" + "61" * 255)
        + ("0bb8" + "6b" * 3_000)
        + "0000000000000000  0000000000000000",
        Way.REQUEST,
    ),
    _case(
        "Login, the longest credential, which no server takes before its Welcome",
        Login(seq=1, credential=b"k" * 65_535),
        "0001001e 01 01 0000 0000000000000001"
        + "00"
        + ("ffff" + "6b" * 65_535)
        + "0000000000000000  0000000000000000",
    ),
    _case(
        "Message, the request",
        Message(seq=2, content="hello"),
        "00000012 01 02 0000 0000000000000002  00  68656c6c6f",
        Way.REQUEST,
    ),
    _case(
        "Message, the fact",
        Message(seq=3, sender="ann", content="Grüße"),
        "00000017 01 02 0000 0000000000000003  03 616e6e  4772c3bcc39f65",
        Way.FACT,
    ),
    _case(
        "Message, empty",
        Message(seq=2, content=""),
        "0000000d 01 02 0000 0000000000000002  00",
        Way.REQUEST,
    ),
    _case(
        "Message, empty, from somebody",
        Message(seq=2**63 - 1, sender="ann", content=""),
        "00000010 01 02 0000 7fffffffffffffff  03 616e6e",
        Way.FACT,
    ),
    _case(
        "Message, of every width of UTF-8, with NUL, a mark and both forms of é",
        Message(seq=2, content="A\0ß€😀\ufeffée\u0301\U0010ffff"),
        """00000024 01 02 0000 0000000000000002  00
        41 00 c39f e282ac f09f9880 efbbbf c3a9 65cc81 f48fbfbf""",
        Way.REQUEST,
    ),
    _case(
        "Message, from the longest sender",
        Message(seq=4, sender="\u20ac" * 85, content="hi"),
        "0000010e 01 02 0000 0000000000000004" + "ff" + "e282ac" * 85 + "6869",
        Way.FACT,
    ),
    _case(
        "Message, as long as a default server takes",
        Message(seq=2, content="m" * 65_523),
        "00010000 01 02 0000 0000000000000002  00" + "6d" * 65_523,
        Way.REQUEST,
    ),
    _case(
        "Message, as long as a default client takes",
        Message(seq=5, sender="s" * 255, content="m" * 65_523),
        "000100ff 01 02 0000 0000000000000005" + "ff" + "73" * 255 + "6d" * 65_523,
        Way.FACT,
    ),
    _case("Logout", Logout(seq=3), "0000000c 01 03 0000 0000000000000003", Way.REQUEST),
    _case(
        "Ack of an entry",
        Ack(seq=2, position=3),
        "00000014 01 04 0000 0000000000000002  0000000000000003",
        Way.REPLY,
    ),
    _case(
        "Ack of no entry",
        Ack(seq=3),
        "00000014 01 04 0000 0000000000000003  0000000000000000",
        Way.REPLY,
    ),
    _case(
        "Ack of the last entry there can be",
        Ack(seq=2, position=2**63 - 1),
        "00000014 01 04 0000 0000000000000002  7fffffffffffffff",
        Way.REPLY,
    ),
    _case(
        "Error, a reply",
        Error(seq=1, code=13, text="somebody has this name"),
        """00000025 01 05 0000 0000000000000001
        000d  16 736f6d65626f64792068617320746869 73206e616d65""",
        Way.REPLY,
    ),
    _case(
        "Error, a reply with a fatal code",
        Error(seq=1, code=24),
        "0000000f 01 05 0000 0000000000000001  0018  00",
        Way.REPLY,
    ),
    _case(
        "Error, the last frame",
        Error(seq=0, code=24),
        "0000000f 01 05 0000 0000000000000000  0018  00",
        Way.LAST,
    ),
    _case(
        "Error, the last frame, of a later version's code and the longest text",
        Error(seq=0, code=65_535, text="ß" * 127),
        "0000010d 01 05 0000 0000000000000000  ffff" + "fe" + "c39f" * 127,
        Way.LAST,
    ),
    _case(
        "Ping",
        Ping(seq=4),
        "0000000c 01 06 0000 0000000000000004",
        Way.REQUEST,
        Way.QUESTION,
    ),
    _case(
        "Pong",
        Pong(seq=4),
        "0000000c 01 07 0000 0000000000000004",
        Way.REPLY,
        Way.ANSWER,
    ),
    _case(
        "Welcome",
        Welcome(
            seq=1,
            user="ann",
            ticket=0x9F3C5A7BE1D20846,
            position=2,
            max_frame=65_536,
            heartbeat=20,
            server="refserver 0.1.0",
        ),
        """00000036 01 08 0000 0000000000000001
        03 616e6e  9f3c5a7be1d20846  0000000000000002  00010000  0014
        0f 726566736572766572 20 302e312e30""",
        Way.REPLY,
    ),
    _case(
        "Welcome, every field empty or at its least",
        Welcome(seq=1, user="", ticket=1, position=0, max_frame=4_096, heartbeat=0),
        """00000024 01 08 0000 0000000000000001
        00  0000000000000001  0000000000000000  00001000  0000  00""",
        Way.REPLY,
    ),
    _case(
        "Welcome, every field at its greatest",
        Welcome(
            seq=1,
            user="é" * 127,
            ticket=2**64 - 1,
            position=2**63 - 1,
            max_frame=2**32 - 1,
            heartbeat=65_535,
            server="s" * 255,
        ),
        "00000221 01 08 0000 0000000000000001"
        + ("fe" + "c3a9" * 127)
        + "ffffffffffffffff  7fffffffffffffff  ffffffff  ffff"
        + ("ff" + "73" * 255),
        Way.REPLY,
    ),
    _case(
        "Joined",
        Joined(seq=4, user="bob"),
        "00000010 01 09 0000 0000000000000004  03 626f62",
        Way.FACT,
    ),
    _case(
        "Joined, without a name",
        Joined(seq=4, user=""),
        "0000000d 01 09 0000 0000000000000004  00",
        Way.FACT,
    ),
    _case(
        "Joined, under a name that no server gives",
        Joined(seq=4, user="\u202e\n"),
        "00000011 01 09 0000 0000000000000004  04 e280ae0a",
        Way.FACT,
    ),
    _case(
        "Joined, under the longest name",
        Joined(seq=4, user="😀" * 63 + "abc"),
        "0000010c 01 09 0000 0000000000000004" + "ff" + "f09f9880" * 63 + "616263",
        Way.FACT,
    ),
    _case(
        "Left, logged out",
        Left(seq=9, user="bob", reason=0),
        "00000011 01 0a 0000 0000000000000009  03 626f62  00",
        Way.FACT,
    ),
    _case(
        "Left, lost",
        Left(seq=9, user="bob", reason=1),
        "00000011 01 0a 0000 0000000000000009  03 626f62  01",
        Way.FACT,
    ),
    _case(
        "Left, for a reason that this version does not know",
        Left(seq=9, user="", reason=255),
        "0000000e 01 0a 0000 0000000000000009  00  ff",
        Way.FACT,
    ),
    _case(
        "application event that nobody declared, the request",
        ApplicationEvent(seq=5, type=0xC0, data=b"\x00\x00\x00\x03\xff\xff\xff\xfe"),
        "00000015 01 c0 0000 0000000000000005  00  00000003fffffffe",
        Way.REQUEST,
    ),
    _case(
        "application event that nobody declared, the fact",
        ApplicationEvent(seq=5, type=0xC0, sender="ann", data=b"\xff"),
        "00000011 01 c0 0000 0000000000000005  03 616e6e  ff",
        Way.FACT,
    ),
    _case(
        "application event that nobody declared, empty",
        ApplicationEvent(seq=5, type=0xFE),
        "0000000d 01 fe 0000 0000000000000005  00",
        Way.REQUEST,
    ),
    _case(
        "application event that does not fit its class",
        ApplicationEvent(seq=5, type=0x80, sender="ann", data=b"\x00\x01\x02"),
        "00000013 01 80 0000 0000000000000005  03 616e6e  000102",
        Way.FACT,
    ),
    _case(
        "application event that is longer than its class",
        ApplicationEvent(seq=5, type=0x84, data=b"\x00"),
        "0000000e 01 84 0000 0000000000000005  00  00",
        Way.REQUEST,
    ),
    _case(
        "application event in another encoding than its class has",
        ApplicationEvent(seq=5, type=0xFF, data=b"\x01\x02\x03\x85\x00"),
        "00000012 01 ff 0000 0000000000000005  00  010203  8500",
        Way.REQUEST,
    ),
    _case(
        "Moved",
        Moved(seq=6, x=3, y=-2),
        "00000015 01 80 0000 0000000000000006  00  00000003 fffffffe",
        Way.REQUEST,
    ),
    _case(
        "Moved, the fact",
        Moved(seq=6, sender="ann", x=-(2**31), y=2**31 - 1),
        "00000018 01 80 0000 0000000000000006  03 616e6e  80000000 7fffffff",
        Way.FACT,
    ),
    _case(
        "Sampled, every field at its least",
        Sampled(seq=6, i8=-128, i16=-(2**15), i32=-(2**31), i64=-(2**63)),
        """0000002c 01 81 0000 0000000000000006  00
        00 0000 00000000 0000000000000000  80 8000 80000000 8000000000000000  00""",
        Way.REQUEST,
    ),
    _case(
        "Sampled, every field at its greatest",
        Sampled(
            seq=6,
            sender="b",
            u8=2**8 - 1,
            u16=2**16 - 1,
            u32=2**32 - 1,
            u64=2**64 - 1,
            i8=2**7 - 1,
            i16=2**15 - 1,
            i32=2**31 - 1,
            i64=2**63 - 1,
            flag=True,
        ),
        """0000002d 01 81 0000 0000000000000006  01 62
        ff ffff ffffffff ffffffffffffffff  7f 7fff 7fffffff 7fffffffffffffff  01""",
        Way.FACT,
    ),
    _case(
        "Filed",
        Filed(
            seq=7, title="ß", kept=True, tag=b"\xff", weight=-2, blob=b"\x00\x01", rest=b"\x80\x81"
        ),
        """0000001b 01 82 0000 0000000000000007  00
        02 c39f  01  01 ff  fffe  0002 0001  8081""",
        Way.REQUEST,
    ),
    _case(
        "Filed, every field empty",
        Filed(seq=7),
        "00000014 01 82 0000 0000000000000007  00  00  00  00  0000  0000",
        Way.REQUEST,
    ),
    _case(
        "Filed, every field at its longest",
        Filed(seq=7, sender="s" * 255, title="t" * 255, tag=b"g" * 255, blob=b"b" * 60_000),
        "0000ed71 01 82 0000 0000000000000007"
        + ("ff" + "73" * 255)
        + ("ff" + "74" * 255)
        + "00"
        + ("ff" + "67" * 255)
        + "0000"
        + ("ea60" + "62" * 60_000),
        Way.FACT,
    ),
    _case(
        "Noted",
        Noted(seq=8, sender="ann", line=258, note="Ü"),
        "00000014 01 83 0000 0000000000000008  03 616e6e  0102  c39c",
        Way.FACT,
    ),
    _case(
        "Waved",
        Waved(seq=8),
        "0000000d 01 84 0000 0000000000000008  00",
        Way.REQUEST,
    ),
    _case(
        "Drawn",
        Drawn(seq=8, colour=0x010203, radius=300),
        "00000012 01 ff 0000 0000000000000008  00  010203  ac02",
        Way.REQUEST,
    ),
    _case(
        "Unknown",
        Unknown(seq=1, type=0x0B, body=b"\xca\xfe"),
        "0000000e 01 0b 0000 0000000000000001  cafe",
        Way.STRANGE,
        Way.NEWS,
    ),
    _case(
        "Unknown, of the first type and empty",
        Unknown(seq=2**64 - 1, type=0x00),
        "0000000c 01 00 0000 ffffffffffffffff",
        Way.STRANGE,
        Way.NEWS,
    ),
    _case(
        "Unknown, of the last type",
        Unknown(seq=3, type=0x7F, body=b"\xff\x00"),
        "0000000e 01 7f 0000 0000000000000003  ff00",
        Way.STRANGE,
        Way.NEWS,
    ),
)


def _names(case: Case) -> str:
    return case.name


def going(*ways: Way) -> tuple[Case, ...]:
    """The cases that go one of these ways."""
    return tuple(case for case in CASES if case.ways & set(ways))


EACH_CASE = pytest.mark.parametrize("case", CASES, ids=_names)
ALL_CASES = together("case", CASES)
EACH_CASE_TO_SERVER = pytest.mark.parametrize("case", going(*TO_SERVER), ids=_names)
EACH_CASE_TO_CLIENT = pytest.mark.parametrize("case", going(*TO_CLIENT), ids=_names)
