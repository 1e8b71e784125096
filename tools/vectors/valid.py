"""The frames that every reader takes, and the event in each.

Rule: each event in each way it travels, with ordinary, empty, longest and foreign fields.

Layer: above `wire` and `form`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.vectors.form import Vector, event_form, of_valid, packed_hex
from tools.vectors.wire import (
    BEFORE_WELCOME,
    CODES,
    GOES_ON,
    LAST_POSITION,
    MAX_FRAME,
    READER_LIMIT,
    SAMPLES,
    U16_MAX,
    U32_MAX,
    U64_MAX,
    encode,
)

WIDE = "\N{EURO SIGN}"
SCRIPTS = {
    "latin": ("caf\u00e9", "two-byte characters"),
    "bmp": ("\u65e5\u672c\u8a9e", "three-byte characters"),
    "astral": ("\U0001f600\U0001d11e", "four-byte characters, outside the basic plane"),
    "combining": (
        "e\u0301",
        "a letter and a combining accent: two code points, never joined into one",
    ),
    "rtl": (
        "\u05e9\u05dc\u05d5\u05dd \u0633\u0644\u0627\u0645",
        "Hebrew and Arabic, right to left",
    ),
}
CONTENTS = {
    "composed": ("\u00e9", "the composed letter, other bytes than the combining form"),
    "nul": ("a\x00b", "a NUL inside, which ends nothing"),
    "controls": ("a\r\n\t\x1b[31m\x7f\x85", "line ends and control characters, kept as they are"),
    "byte-order-mark": ("\ufeffa\ufeff", "U+FEFF first and last, both kept"),
    "directions": ("\u202eabc\u2066\u2028", "direction overrides and a line separator"),
    "noncharacters": ("\ufffe\uffff\ufdd0\U0010ffff", "noncharacters, which strict UTF-8 allows"),
    "replacement": ("\ufffd", "U+FFFD itself, which is no sign of damage"),
    "edges": (
        "\x01\x7f\x80\u07ff\u0800\ud7ff\ue000\U00010000\U000fffff",
        "the first and last code points of each encoded size, and those beside the surrogates",
    ),
}
LONGEST = "u" * 255
LONGEST_WIDE = WIDE * 85


def valid(
    id: str,
    description: str,
    event: str,
    *,
    origin: str,
    way: str,
    seq: int = 7,
    type: int | None = None,
    **fields: Any,
) -> Vector:
    name = event.lower() if type is None else f"{event.lower()}-{type:02x}"
    return {
        "id": f"{name}.{way}.{id}".replace("applicationevent", "application"),
        "description": description,
        "proves": of_valid(event, id),
        "origin": origin,
        "way": way,
        "bytes": packed_hex(encode(event, seq=seq, type=type, **fields)),
        "event": event_form(event, seq=seq, type=type, fields=fields),
    }


def logins() -> Iterator[Vector]:
    def login(id: str, description: str, *, seq: int = 7, **fields: Any) -> Vector:
        every: Any = {"user": "ann", "credential": b"", "ticket": 0, "position": 0} | fields
        return valid(id, description, "Login", origin="client", way="request", seq=seq, **every)

    yield login("ordinary", "A fresh login under a name")
    yield login("empty", "Every field empty: the server is asked for a free name", user="")
    yield login("credential", "A credential is bytes, not text", credential=b"\x00\xff\x80 key")
    yield login(
        "credential-256", "A credential whose length needs both bytes", credential=b"k" * 258
    )
    yield login("resume", "A resume: ticket and position", ticket=0x1122334455667788, position=41)
    yield login("user-longest", "A name of 255 bytes", user=LONGEST)
    yield login("user-longest-wide", "A name of 255 bytes in 85 characters", user=LONGEST_WIDE)
    yield login(
        "credential-longest",
        "The longest credential under this name before a Welcome: length is 4,096",
        credential=b"k" * (BEFORE_WELCOME - 12 - 4 - 2 - 16),
    )
    yield login(
        "largest-numbers",
        "seq, ticket and position with every bit set: any value of the width decodes",
        seq=U64_MAX,
        ticket=U64_MAX,
        position=U64_MAX,
    )
    yield login(
        "byte-order",
        "Numbers whose bytes all differ: big-endian",
        seq=0x0102030405060708,
        ticket=0x1112131415161718,
        position=0x2122232425262728,
    )
    for script, (text, what) in SCRIPTS.items():
        yield login(f"user-{script}", f"A name with {what}", user=text)


def messages() -> Iterator[Vector]:
    def request(id: str, description: str, content: str, seq: int = 7) -> Vector:
        fields: Any = {"sender": "", "content": content}
        return valid(id, description, "Message", origin="client", way="request", seq=seq, **fields)

    def fact(
        id: str, description: str, content: str = "hello", sender: str = "ann", seq: int = 42
    ) -> Vector:
        fields: Any = {"sender": sender, "content": content}
        return valid(id, description, "Message", origin="server", way="fact", seq=seq, **fields)

    room = MAX_FRAME - 12 - 1
    yield request("ordinary", "A message on its way to the server: no sender", "hello")
    yield request("empty", "A message that says nothing", "")
    yield request("byte-order", "A number whose bytes all differ", "hello", seq=0x0102030405060708)
    yield request("largest-seq", "The largest number that a request can have", "hello", U64_MAX)
    yield request(
        "longest-before-welcome",
        "The longest message sent behind a Login without waiting: length is 4,096",
        "m" * (BEFORE_WELCOME - 13),
    )
    yield request("longest", "The longest message at the default max_frame 65,536", "m" * room)
    yield request(
        "longest-wide",
        "The same size in three-byte characters",
        WIDE * (room // len(WIDE.encode())),
    )
    for text_id, (text, what) in (SCRIPTS | CONTENTS).items():
        yield request(f"content-{text_id}", f"A message with {what}", text)

    yield fact("ordinary", "A message as everybody else reads it: the server filled in the sender")
    yield fact("empty", "An empty message from somebody", content="")
    yield fact("sender-longest", "A sender of 255 bytes", sender=LONGEST)
    yield fact("sender-longest-wide", "A sender of 255 bytes in 85 characters", sender=LONGEST_WIDE)
    yield fact(
        "longest",
        "The longest message of the longest sender: length is 65,791, 255 above max_frame",
        content="m" * room,
        sender=LONGEST,
    )
    yield fact("last-position", "The last position there is, 2^63 - 1", seq=LAST_POSITION)
    yield fact("largest-seq", "Any value of the width decodes, also as a position", seq=U64_MAX)
    for text_id, (text, what) in (SCRIPTS | CONTENTS).items():
        yield fact(f"content-{text_id}", f"A message with {what}", content=text)
    for text_id, (text, what) in SCRIPTS.items():
        yield fact(f"sender-{text_id}", f"A sender with {what}", sender=text)


def bare_events() -> Iterator[Vector]:
    travels = (
        ("Logout", "client", "request", "The clean end, asked for"),
        ("Ping", "client", "request", "A client asks whether the server is there"),
        ("Ping", "server", "heartbeat", "A server asks whether the client is there"),
        ("Pong", "server", "reply", "The answer to a client's Ping, with its number"),
        ("Pong", "client", "heartbeat", "The answer to a server's Ping, with its number"),
    )
    for event, origin, way, what in travels:
        yield valid("ordinary", what, event, origin=origin, way=way)
        yield valid(
            "largest-seq", f"{what}; largest number", event, origin=origin, way=way, seq=U64_MAX
        )


def acks() -> Iterator[Vector]:
    def ack(id: str, description: str, position: int, seq: int = 7) -> Vector:
        reply: Any = {"origin": "server", "way": "reply", "seq": seq}
        return valid(id, description, "Ack", position=position, **reply)

    yield ack("ordinary", "Accepted, and where it stands in the log", 42)
    yield ack("nothing-entered", "Done, and nothing was entered: position 0", 0)
    yield ack("last-position", "The last position there is, 2^63 - 1", LAST_POSITION)
    yield ack("largest-numbers", "Any value of the width decodes", U64_MAX, U64_MAX)
    yield ack(
        "byte-order", "Numbers whose bytes all differ", 0x1112131415161718, 0x0102030405060708
    )


def errors() -> Iterator[Vector]:
    def error(id: str, description: str, *, seq: int, code: int, text: str = "") -> Vector:
        way = "reply" if seq else "final"
        travel: Any = {"origin": "server", "way": way, "seq": seq}
        return valid(id, description, "Error", code=code, text=text, **travel)

    for name, code in CODES.items():
        slug = name.lower().replace("_", "-")
        answer = "the answer to one request" if name in GOES_ON else "the last frame: seq 0"
        seq = 7 if name in GOES_ON else 0
        yield error(slug, f"{name}, {answer}", seq=seq, code=code, text=slug.replace("-", " "))
    for code in (0, 6, 999, U16_MAX):
        yield error(
            f"unknown-{code}", "A code that nobody knows, answering a request", seq=7, code=code
        )
        yield error(
            f"unknown-{code}", "A code that nobody knows, as the last frame", seq=0, code=code
        )
    for seq, ending in ((7, "answering a request"), (0, "as the last frame")):
        yield error("empty-text", f"No explanation, {ending}", seq=seq, code=30)
        yield error(
            "longest-text", f"255 bytes of text, {ending}", seq=seq, code=30, text="t" * 255
        )
    yield error("largest-seq", "The largest number of a request", seq=U64_MAX, code=5)
    for script, (text, what) in (SCRIPTS | {"controls": CONTENTS["controls"]}).items():
        yield error(f"text-{script}", f"An explanation with {what}", seq=7, code=14, text=text)


def welcomes() -> Iterator[Vector]:
    def welcome(id: str, description: str, *, seq: int = 7, **fields: Any) -> Vector:
        travel: Any = {"origin": "server", "way": "reply", "seq": seq}
        return valid(id, description, "Welcome", **travel, **(SAMPLES["Welcome"] | fields))

    yield welcome("ordinary", "In, under this name, from this place in the log on")
    yield welcome("empty-server", "A server that does not say what it is", server="")
    yield welcome("no-heartbeat", "Heartbeat 0: the server never pings", heartbeat=0)
    yield welcome(
        "smallest-frame", "The smallest max_frame that a server may announce", max_frame=4096
    )
    yield welcome("position-0", "An empty log, presence off", position=0)
    yield welcome(
        "empty",
        "Every field empty: no server says so, but any value of the width decodes",
        user="",
        ticket=0,
        position=0,
        max_frame=0,
        heartbeat=0,
        server="",
    )
    yield welcome(
        "largest-numbers",
        "Every number with every bit set: any value of the width decodes",
        seq=U64_MAX,
        ticket=U64_MAX,
        position=U64_MAX,
        max_frame=U32_MAX,
        heartbeat=U16_MAX,
    )
    yield welcome(
        "byte-order",
        "Numbers whose bytes all differ: big-endian",
        seq=0x0102030405060708,
        ticket=0x1112131415161718,
        position=0x2122232425262728,
        max_frame=0x31323334,
        heartbeat=0x4142,
    )
    yield welcome("longest", "Both texts of 255 bytes", user=LONGEST, server="s" * 255)
    yield welcome("user-longest-wide", "A name of 255 bytes in 85 characters", user=LONGEST_WIDE)
    for script, (text, what) in SCRIPTS.items():
        yield welcome(f"user-{script}", f"A name with {what}", user=text)
        yield welcome(f"server-{script}", f"A server's description with {what}", server=text)


def presence() -> Iterator[Vector]:
    def joined(id: str, description: str, user: str = "ann", seq: int = 42) -> Vector:
        travel: Any = {"origin": "server", "way": "fact", "seq": seq}
        return valid(id, description, "Joined", user=user, **travel)

    def left(
        id: str, description: str, user: str = "ann", reason: int = 0, seq: int = 42
    ) -> Vector:
        travel: Any = {"origin": "server", "way": "fact", "seq": seq}
        return valid(id, description, "Left", user=user, reason=reason, **travel)

    yield left("lost", "Left because its connection was lost", reason=1)
    yield left("evicted", "Left because it did not keep up", reason=2)
    for reason in (3, 127, 128, 255):
        yield left(
            f"reason-{reason}",
            "An unknown reason: reads as 1, re-encodes as it came",
            reason=reason,
        )
    for make, what in ((joined, "joined"), (left, "left")):
        yield make("ordinary", f"Somebody {what}")
        yield make(
            "empty", f"Nobody {what}: no server says so, but the codec does not judge names", ""
        )
        yield make("user-longest", f"Somebody with a name of 255 bytes {what}", LONGEST)
        yield make("user-longest-wide", f"Somebody with 85 wide characters {what}", LONGEST_WIDE)
        yield make("last-position", f"Somebody {what} at the last position", seq=LAST_POSITION)
        yield make("largest-seq", "Any value of the width decodes, also as a position", seq=U64_MAX)
        yield make("byte-order", "A position whose bytes all differ", seq=0x0102030405060708)
        for script, (text, kind) in SCRIPTS.items():
            yield make(f"user-{script}", f"A name with {kind}", text)


def application_events() -> Iterator[Vector]:
    def request(
        id: str, description: str, type: int = 0x80, data: bytes = b"\x01\x02", seq: int = 7
    ) -> Vector:
        travel: Any = {"origin": "client", "way": "request", "type": type, "seq": seq}
        return valid(id, description, "ApplicationEvent", sender="", data=data, **travel)

    def fact(
        id: str,
        description: str,
        type: int = 0x80,
        sender: str = "ann",
        data: bytes = b"\x01\x02",
        seq: int = 42,
    ) -> Vector:
        travel: Any = {"origin": "server", "way": "fact", "type": type, "seq": seq}
        return valid(id, description, "ApplicationEvent", sender=sender, data=data, **travel)

    room = MAX_FRAME - 12 - 1
    for type in (0x80, 0x81, 0xA5, 0xFE, 0xFF):
        yield request("ordinary", "Data of an application, which the server does not know", type)
        yield fact("ordinary", "The same as everybody else reads it, with its sender", type)
    for type in (0x80, 0xFF):
        yield request("empty", "No data", type, b"")
        yield fact("empty", "No data, from somebody", type, data=b"")
    yield request("every-byte", "Data is bytes, not text: each of the 256", data=bytes(range(256)))
    yield request("looks-like-sender", "Data that starts like a short text", data=b"\x03bob")
    yield request(
        "longest-before-welcome",
        "The longest one sent behind a Login without waiting: length is 4,096",
        data=b"d" * (BEFORE_WELCOME - 13),
    )
    yield request("longest", "The longest one at the default max_frame 65,536", data=b"d" * room)
    yield request("largest-seq", "The largest number that a request can have", seq=U64_MAX)
    yield fact("every-byte", "Data is bytes, not text: each of the 256", data=bytes(range(256)))
    yield fact("sender-longest", "A sender of 255 bytes", sender=LONGEST)
    yield fact(
        "longest",
        "The longest data of the longest sender: length is 65,791",
        type=0xFF,
        sender=LONGEST,
        data=b"d" * room,
    )
    yield fact("largest-seq", "Any value of the width decodes, also as a position", seq=U64_MAX)
    for script, (text, what) in SCRIPTS.items():
        yield fact(f"sender-{script}", f"A sender with {what}", sender=text)


def unknown_types() -> Iterator[Vector]:
    def unknown(id: str, description: str, type: int, body: bytes, seq: int = 7) -> Vector:
        travel: Any = {"origin": "server", "way": "unknown", "type": type, "seq": seq}
        return valid(id, description, "Unknown", body=body, **travel)

    for type in (0x00, 0x0B, 0x10, 0x42, 0x7F):
        yield unknown(
            "ordinary", "A type that this version leaves free, kept as it came", type, b"\x01\x02"
        )
        yield unknown("empty", "A type that this version leaves free, without a body", type, b"")
    yield unknown(
        "every-byte", "The body is not looked at: each of the 256", 0x42, bytes(range(256))
    )
    yield unknown("largest-seq", "The largest number", 0x42, b"", U64_MAX)
    yield unknown(
        "longest", "As long as a client reads: length is 65,791", 0x42, b"?" * (READER_LIMIT - 12)
    )


def all_valid() -> list[Vector]:
    groups = (
        logins,
        messages,
        bare_events,
        acks,
        errors,
        welcomes,
        presence,
        application_events,
        unknown_types,
    )
    return [vector for group in groups for vector in group()]
