"""The frames that a reader must refuse.

Rule: exactly one fault each, which its repair shows by mending it alone.

Layer: above `wire`, `form` and `valid`.
"""

from __future__ import annotations

from collections.abc import Iterator

from tools.vectors.form import Vector, by_bytes, invalid, slug
from tools.vectors.wire import (
    BEFORE_WELCOME,
    EVENTS,
    MAX_FRAME,
    PACK,
    PING,
    READER_LIMIT,
    SAMPLES,
    frame,
    sample,
    with_length,
)


def bad_lengths() -> Iterator[Vector]:
    too_small = {0: "zero", 1: "one", 4: "counts only itself", 11: "one below the header's 12"}
    for length, what in too_small.items():
        yield invalid(
            f"length.{length}",
            f"A Ping with length {length}: {what}",
            "MALFORMED",
            with_length(PING, length),
            repair=by_bytes(PING),
            known_after=4,
            proves="EP-2.1-2",
        )
    too_large = {
        0x0C000000: ("swapped", "12 in the wrong byte order"),
        2**31 - 1: ("2e31-less-1", "the largest signed number"),
        2**31: ("2e31", "negative where a reader takes it as signed"),
        2**32 - 1: ("2e32-less-1", "the largest, -1 where a reader takes it as signed"),
    }
    for length, (id, what) in too_large.items():
        yield invalid(
            f"length.{id}",
            f"A Ping with length {length}: {what}",
            "FRAME_TOO_LARGE",
            with_length(PING, length),
            repair=by_bytes(PING),
            known_after=4,
            proves="EP-2.1-4",
        )
    yield from above_limits()


def above_limits() -> Iterator[Vector]:
    """Each receiver's own limit: a frame that is right in every way but one byte too long."""

    def unknown(size: int) -> bytes:
        return frame(0x42, b"?" * (size - 12))

    def message(size: int) -> bytes:
        return sample("Message", sender="", content="m" * (size - 13))

    def login(size: int) -> bytes:
        return sample("Login", credential=b"k" * (size - 34))

    limits = (
        ("codec", None, READER_LIMIT, unknown, "what a reader of default limits takes"),
        ("server", "new", BEFORE_WELCOME, login, "what a server takes before the Welcome"),
        ("server", "member", MAX_FRAME, message, "max_frame, which the Welcome announced"),
        (
            "client",
            "new",
            BEFORE_WELCOME + 255,
            unknown,
            "what a client ever reads before a Welcome",
        ),
        ("client", "member", READER_LIMIT, unknown, "max_frame and the 255 of a sender"),
    )
    for receiver, state, limit, make, what in limits:
        yield invalid(
            f"length.limit-{receiver}" + (f"-{state}" if state else ""),
            f"One byte above {what}",
            "FRAME_TOO_LARGE",
            make(limit + 1),
            repair=by_bytes(make(limit)),
            receiver=receiver,
            state=state,
            limit=limit,
            known_after=4,
            proves="EP-2.1-4" + (" EP-7.1-3" if receiver == "server" else ""),
        )


def bad_headers() -> Iterator[Vector]:
    for version in (0, 2, 3, 127, 128, 255):
        yield invalid(
            f"version.{version}",
            f"A Ping of version {version}",
            "UNSUPPORTED_VERSION",
            frame(0x06, version=version),
            repair=by_bytes(PING),
            known_after=16,
        )
    yield invalid(
        "version.2-with-body",
        "A Message of version 2, refused when its header is in",
        "UNSUPPORTED_VERSION",
        frame(0x02, b"\x00hello", version=2),
        repair=by_bytes(frame(0x02, b"\x00hello")),
        known_after=16,
    )
    for reserved in (0x0001, 0x0080, 0x0100, 0x8000, 0xFFFF):
        yield invalid(
            f"reserved.{reserved:04x}",
            f"Reserved bits 0x{reserved:04x}",
            "MALFORMED",
            frame(0x06, reserved=reserved),
            repair=by_bytes(PING),
            known_after=16,
        )
    for event in SAMPLES:
        if event != "Error":
            yield invalid(
                f"seq.{slug(event)}",
                f"seq 0, which only an Error may have, in {event}",
                "MALFORMED",
                sample(event, seq=0),
                repair=by_bytes(sample(event)),
                known_after=16,
            )
    yield invalid(
        "seq.unknown",
        "seq 0 in a type that is unknown: the header is judged all the same",
        "MALFORMED",
        frame(0x42, seq=0),
        repair=by_bytes(frame(0x42)),
        known_after=16,
    )


def field_spans(event: str) -> Iterator[tuple[str, str, int, int]]:
    """Name, kind, start and end in the body of each field of the sample."""
    start = 0
    for name, kind in EVENTS[event][1].items():
        end = start + len(PACK[kind](SAMPLES[event][name]))
        yield name, kind, start, end
        start = end


PREFIX = {"short": 1, "bytes16": 2}
"""Bytes of length in front of a field of this kind."""


def truncated_bodies() -> Iterator[Vector]:
    """Each body cut before a field, behind its first byte, and before its last."""
    for event in SAMPLES:
        whole = sample(event)
        for name, kind, start, end in field_spans(event):
            if kind in ("text", "rest"):
                continue
            cuts = [
                (start, "missing", f"ends where {name} should start"),
                (start + 1, "first-byte", f"ends behind the first byte of {name}"),
                (end - 1, "cut", f"ends one byte before the end of {name}"),
            ]
            for cut, id, what in cuts[: end - start]:  # a short field has fewer
                yield invalid(
                    f"truncated.{slug(event)}-{name.replace('_', '-')}-{id}",
                    f"{event} {what}",
                    "MALFORMED",
                    with_length(whole[: 16 + cut], 12 + cut),
                    repair=by_bytes(whole),
                    proves="EP-2.4-2" if cut >= start + PREFIX.get(kind, 99) else "EP-2.4-3",
                )


def inner_lengths() -> Iterator[Vector]:
    """A length inside the body that goes past the frame, or swallows what follows."""
    for event in SAMPLES:
        whole = sample(event)
        size = len(whole) - 16
        for name, kind, start, end in field_spans(event):
            if kind not in PREFIX:
                continue
            width = PREFIX[kind]
            real, room = end - start - width, size - start - width
            wrong = {
                2 ** (8 * width) - 1: ("largest", "the largest there is, above the frame"),
                room + 1: ("one-above", "one more than the frame still has"),
            }
            takes_the_rest = event in ("Message", "ApplicationEvent")
            if real < room and not takes_the_rest:
                wrong[room] = (
                    "swallows",
                    "all that the frame still has, so that the next is missing",
                )
            if kind == "bytes16":
                wrong[real << 8] = ("swapped", "in the wrong byte order, above the frame")
            for number, (id, what) in wrong.items():
                body = (
                    whole[16 : 16 + start]
                    + number.to_bytes(width, "big")
                    + whole[16 + start + width :]
                )
                yield invalid(
                    f"inner.{slug(event)}-{name}-{id}",
                    f"The length of {name} in {event} is {what}",
                    "MALFORMED",
                    whole[:16] + body,
                    repair=by_bytes(whole),
                    proves="EP-2.4-3" if id == "swallows" else "EP-2.4-2",
                )


def stray_bytes() -> Iterator[Vector]:
    """Message, application events and unknown types take the rest: nothing can be stray."""
    for event in SAMPLES:
        if event in ("Message", "ApplicationEvent"):
            continue
        whole = sample(event)
        for id, stray, what in (
            ("nul", b"\x00", "One byte, 0"),
            ("text", b" ", "One byte, a space"),
            ("frame", PING, "A whole Ping"),
        ):
            yield invalid(
                f"stray.{slug(event)}-{id}",
                f"{what}, behind the body of {event} and inside its frame",
                "MALFORMED",
                with_length(whole, len(whole) - 4 + len(stray)) + stray,
                repair=by_bytes(whole),
            )
    for event, last in (("Error", "text"), ("Welcome", "server"), ("Joined", "user")):
        whole = sample(event)
        start = next(start for name, _, start, _ in field_spans(event) if name == last) + 16
        yield invalid(
            f"stray.{slug(event)}-short-inner-length",
            f"The length of {last} in {event} is one less than its bytes: the last is stray",
            "MALFORMED",
            whole[:start] + bytes([whole[start] - 1]) + whole[start + 1 :],
            repair=by_bytes(whole),
        )


BAD_TEXT: dict[str, tuple[bytes, str, bool]] = {
    "continuation-80": (b"a\x80b", "a continuation byte without a start", True),
    "continuation-bf": (b"a\xbfb", "the last continuation byte without a start", False),
    "cut-2-of-1": (b"a\xc3", "a two-byte character cut at the end", True),
    "cut-3-of-1": (b"a\xe2", "a three-byte character cut behind one byte", False),
    "cut-3-of-2": (b"a\xe2\x82", "a three-byte character cut behind two bytes", False),
    "cut-4-of-1": (b"a\xf0", "a four-byte character cut behind one byte", False),
    "cut-4-of-2": (b"a\xf0\x9f", "a four-byte character cut behind two bytes", False),
    "cut-4-of-3": (b"a\xf0\x9f\x98", "a four-byte character cut behind three bytes", True),
    "cut-inside": (b"a\xe2\x82b", "a three-byte character cut by a letter", False),
    "cut-by-another": (b"\xe2\x82\xc3\xa9", "a three-byte character cut by another one", False),
    "surrogate-first": (b"a\xed\xa0\x80b", "U+D800, the first surrogate", True),
    "surrogate-last": (b"a\xed\xbf\xbfb", "U+DFFF, the last surrogate", False),
    "surrogate-pair": (
        b"\xed\xa0\xbd\xed\xb8\x80",
        "a pair of surrogates, as CESU-8 writes U+1F600",
        False,
    ),
    "overlong-2-nul": (b"a\xc0\x80b", "NUL in two bytes, as Java writes it", True),
    "overlong-2-last": (b"a\xc1\xbfb", "U+007F in two bytes", False),
    "overlong-3-first": (b"a\xe0\x80\x80b", "NUL in three bytes", False),
    "overlong-3-last": (b"a\xe0\x9f\xbfb", "U+07FF in three bytes", True),
    "overlong-4-first": (b"a\xf0\x80\x80\x80b", "NUL in four bytes", False),
    "overlong-4-last": (b"a\xf0\x8f\xbf\xbfb", "U+FFFF in four bytes", False),
    "above-110000": (b"a\xf4\x90\x80\x80b", "U+110000, the first number above Unicode", True),
    "above-f5": (b"a\xf5\x80\x80\x80b", "a start byte that only leads above Unicode", False),
    "five-bytes": (b"\xf8\x88\x80\x80\x80", "a five-byte form of old", False),
    "six-bytes": (b"\xfc\x84\x80\x80\x80\x80", "a six-byte form of old", False),
    "fe": (b"a\xfeb", "0xFE, in no UTF-8", False),
    "ff": (b"a\xffb", "0xFF, in no UTF-8", True),
    "latin-1": (b"caf\xe9", "Latin-1 instead of UTF-8", False),
}
"""Every kind in a short text and in a text to the end; those marked in every field."""


def bad_text() -> Iterator[Vector]:
    every = {("Login", "user"), ("Message", "content")}
    for event in SAMPLES:
        for field, kind in EVENTS[event][1].items():
            if kind not in ("short", "text"):
                continue
            others: Vector = {"sender": ""} if (event, field) == ("Message", "content") else {}
            for id, (text, what, everywhere) in BAD_TEXT.items():
                if everywhere or (event, field) in every:
                    mended = bytes(byte if byte < 0x80 else ord("?") for byte in text)
                    given: Vector = {**others, field: text}
                    yield invalid(
                        f"text.{slug(event)}-{field}-{id}",
                        f"{field} of {event} holds {what}",
                        "MALFORMED",
                        sample(event, **given),
                        repair=by_bytes(sample(event, **given | {field: mended})),
                    )
    completed: tuple[tuple[str, str, Vector], ...] = (
        ("Welcome", "user", {"ticket": 0xA900000000000000}),
        ("Left", "user", {"reason": 0xA9}),
        ("ApplicationEvent", "sender", {"data": b"\xa9"}),
    )
    for event, field, after in completed:
        yield invalid(
            f"text.{slug(event)}-{field}-completed-by-the-next-field",
            f"{field} of {event} ends inside a character, and the next field would complete it",
            "MALFORMED",
            sample(event, **after | {field: b"a\xc3"}),
            repair=by_bytes(sample(event, **after | {field: b"a?"})),
        )


def unknown_to_server() -> Iterator[Vector]:
    for type in (0x00, 0x0B, 0x10, 0x42, 0x7F):
        for state in ("new", "member"):
            yield invalid(
                f"type.{type:02x}-{state}",
                f"A type that no server of this version knows, {state_words(state)}",
                "UNKNOWN_TYPE",
                frame(type),
                receiver="server",
                state=state,
                repair={"receiver": "client", "state": "member"},
            )
    yield invalid(
        "type.42-with-body",
        "The body of an unknown type is not looked at",
        "UNKNOWN_TYPE",
        frame(0x42, b"\xff\xfe\x00"),
        receiver="server",
        state="member",
        repair={"receiver": "client", "state": "member"},
    )


def state_words(state: str) -> str:
    return {"new": "before the Welcome", "member": "after the Welcome"}[state]


def wrong_way() -> Iterator[Vector]:
    for event in ("Ack", "Error", "Welcome", "Joined", "Left"):
        for state in ("new", "member"):
            yield invalid(
                f"way.{slug(event)}-to-server-{state}",
                f"Only servers send {event}; a client sent it {state_words(state)}",
                "UNEXPECTED_EVENT",
                sample(event),
                receiver="server",
                state=state,
                repair={"receiver": "client", "state": "new" if event == "Welcome" else "member"},
                proves="EP-4.3-4",
            )
    for event, home in (("Login", "new"), ("Logout", "member")):
        for state in ("new", "member"):
            yield invalid(
                f"way.{slug(event)}-to-client-{state}",
                f"Only clients send {event}; a server sent it {state_words(state)}",
                "UNEXPECTED_EVENT",
                sample(event),
                receiver="client",
                state=state,
                repair={"receiver": "server", "state": home},
                proves="EP-4.4-2",
            )
    for type, event, statement in RELAYED:
        yield invalid(
            f"way.{slug(event)}-{type:02x}-with-sender",
            f"A client filled in the sender of {event}, which only the server does",
            "UNEXPECTED_EVENT",
            frame(type, b"\x03annhello"),
            receiver="server",
            state="member",
            repair=by_bytes(frame(type, b"\x00hello")),
            proves=statement,
        )


RELAYED = (
    (0x02, "Message", "EP-3.3-3"),
    (0x80, "ApplicationEvent", "EP-3.3-3 EP-3.11-2"),
    (0xFF, "ApplicationEvent", "EP-3.3-3 EP-3.11-2"),
)


def wrong_state() -> Iterator[Vector]:
    for type, event, _ in RELAYED:
        yield invalid(
            f"state.{slug(event)}-{type:02x}-before-login",
            f"{event} before a login",
            "LOGIN_REQUIRED",
            frame(type, b"\x00hello"),
            receiver="server",
            state="new",
            repair={"state": "member"},
            proves="EP-4.3-1",
        )
    yield invalid(
        "state.logout-before-login",
        "Logout before a login: there is nothing to leave",
        "LOGIN_REQUIRED",
        sample("Logout"),
        receiver="server",
        state="new",
        repair={"state": "member"},
        proves="EP-4.3-2",
    )
    for id, user in (("same", "ann"), ("other", "bob"), ("empty", "")):
        yield invalid(
            f"state.login-{id}-user",
            f"A second Login, {id} user",
            "ALREADY_LOGGED_IN",
            sample("Login", user=user),
            receiver="server",
            state="member",
            repair={"state": "new"},
            proves="EP-4.3-3",
        )
    for event in ("Message", "Joined", "Left", "ApplicationEvent"):
        yield invalid(
            f"state.{slug(event)}-before-welcome",
            f"{event}, a fact, before the Welcome",
            "UNEXPECTED_EVENT",
            sample(event),
            receiver="client",
            state="new",
            repair={"state": "member"},
            proves="EP-4.4-1",
        )


def wrong_order() -> Iterator[Vector]:
    """What a client must notice: it is at place 6, and request 7 is the oldest without reply."""

    def order(
        id: str, what: str, data: bytes, repair: Vector, proves: str, state: str = "member"
    ) -> Vector:
        return invalid(
            f"order.{id}",
            what,
            "UNEXPECTED_EVENT",
            data,
            receiver="client",
            state=state,
            repair=repair,
            proves=proves,
        )

    places = "EP-5.2-5 EP-5.2-6"
    replies = "EP-4.2-11"
    for event in ("Message", "Joined", "Left", "ApplicationEvent"):
        right = by_bytes(sample(event))
        yield order(
            f"{slug(event)}-gap", f"{event} 8 behind place 6", sample(event, seq=8), right, places
        )
        yield order(
            f"{slug(event)}-again", f"{event} 6 at place 6", sample(event, seq=6), right, places
        )
    ack = by_bytes(sample("Ack"))
    yield order("ack-gap", "Ack of entry 8 behind place 6", sample("Ack", position=8), ack, places)
    yield order("ack-again", "Ack of entry 6 at place 6", sample("Ack", position=6), ack, places)
    for event in ("Ack", "Error"):
        right = by_bytes(sample(event))
        for seq, what in ((6, "has its reply"), (8, "was never sent")):
            yield order(
                f"{slug(event)}-to-{seq}",
                f"{event} to request {seq}, which {what}",
                sample(event, seq=seq),
                right,
                replies,
            )
    yield order(
        "pong-to-message", "Pong in reply to a Message", frame(0x07), by_bytes(PING), replies
    )
    yield order(
        "welcome-to-message",
        "A second Welcome, in reply to a Message",
        sample("Welcome"),
        {"state": "new"},
        replies,
    )
    yield order(
        "ack-to-login",
        "Ack in reply to a Login",
        sample("Ack"),
        {"state": "member"},
        replies,
        "new",
    )
    yield order(
        "pong-to-login", "Pong in reply to a Login", frame(0x07), by_bytes(PING), replies, "new"
    )
    yield order(
        "welcome-to-8",
        "Welcome to request 8, which was never sent",
        sample("Welcome", seq=8),
        by_bytes(sample("Welcome")),
        replies,
        "new",
    )


REFUSED_IN_NAMES = (
    "0000-001F 007F-009F 00AD 034F 0600-0605 061C 06DD 070F 0890-0891 08E2 115F-1160 17B4-17B5 "
    "180B-180F 200B-200F 2028-202E 2060-206F 2800 3164 E000-F8FF FDD0-FDEF FE00-FE0F FEFF FFA0 "
    "FFF0-FFFB FFFE-FFFF 110BD 110CD 13430-1343F 16FE4 1BCA0-1BCA3 1D159 1D173-1D17A 1FFFE-1FFFF "
    "DFFFE-E0FFF EFFFE-10FFFF"
)
"""As EP-6.2-6 lists them; of the pairs at the end of a plane the first and the last."""


def bad_names() -> Iterator[Vector]:
    """A name above 255 bytes is refused too, but no frame can hold one."""

    def name(id: str, description: str, user: str, mended: str) -> Vector:
        def login(user: str) -> bytes:
            return sample("Login", user=user, credential=b"")

        return invalid(
            f"name.{id}",
            description,
            "BAD_USER",
            login(user),
            receiver="server",
            state="new",
            repair=by_bytes(login(mended)),
        )

    for both in REFUSED_IN_NAMES.split():
        first, last = (int(end, 16) for end in (both.split("-") * 2)[:2])
        for point in sorted({first, (first + last) // 2, last}):
            mended = "a" + "?" * len(chr(point).encode()) + "b"
            where = f"of U+{first:04X} to U+{last:04X}" if first < last else "refused alone"
            yield name(f"{point:04x}", f"U+{point:04X}, {where}", f"a{chr(point)}b", mended)
    yield name("0000-alone", "Nothing but a NUL", "\x00", "?")
    yield name("200b-alone", "Nothing but a space of no width", "\u200b", "???")
    yield name("000a-first", "A line end first", "\nann", "?ann")
    yield name("000a-last", "A line end last", "ann\n", "ann?")
    yield name("feff-first", "A byte order mark first", "\ufeffann", "???ann")


def bad_resumes() -> Iterator[Vector]:
    """At a server that has just started, so that it knows no ticket at all."""
    fresh = sample("Login", credential=b"")
    cases: tuple[tuple[str, str, Vector, str], ...] = (
        ("unknown-ticket", "A ticket that nobody was given", {"ticket": 1}, "EP-6.4-5"),
        ("no-ticket", "A position and no ticket", {"position": 5}, "EP-6.4-7"),
    )
    for id, what, fields, statement in cases:
        given: Vector = {"credential": b"", **fields}
        yield invalid(
            f"resume.{id}",
            what,
            "HISTORY_GONE",
            sample("Login", **given),
            receiver="server",
            state="new",
            repair=by_bytes(fresh),
            proves=statement,
        )


FOREIGN = {
    "http-get": (
        b"GET / HTTP/1.1\r\nHost: localhost:3000\r\n\r\n",
        "FRAME_TOO_LARGE",
        "An HTTP request",
    ),
    "http-post": (
        b"POST / HTTP/1.1\r\nHost: localhost:3000\r\n",
        "FRAME_TOO_LARGE",
        "An HTTP upload",
    ),
    "http-response": (b"HTTP/1.1 200 OK\r\n\r\n", "FRAME_TOO_LARGE", "An HTTP response"),
    "http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "FRAME_TOO_LARGE", "The HTTP/2 preface"),
    "tls-hello": (
        bytes.fromhex("16030100c8010000c40303") + bytes(range(32)),
        "FRAME_TOO_LARGE",
        "The start of a TLS ClientHello",
    ),
    "tls-alert": (bytes.fromhex("15030100020228"), "FRAME_TOO_LARGE", "A TLS alert"),
    "ssh": (b"SSH-2.0-OpenSSH_9.6\r\n", "FRAME_TOO_LARGE", "An SSH banner"),
    "redis": (b"*1\r\n$4\r\nPING\r\n", "FRAME_TOO_LARGE", "A Redis command"),
    "json": (b'{"event": "Ping", "seq": "7"}\n', "FRAME_TOO_LARGE", "The JSON form of an event"),
    "text": (b"hello\r\n", "FRAME_TOO_LARGE", "A line of text, as telnet sends it"),
    "zeros": (bytes(32), "MALFORMED", "Nothing but zeros"),
    "ones": (b"\xff" * 32, "FRAME_TOO_LARGE", "Nothing but 0xFF"),
}


def foreign_protocols() -> Iterator[Vector]:
    for id, (data, code, what) in FOREIGN.items():
        description = f"{what}: its first four bytes are no length"
        proves = "EP-2.1-2" if code == "MALFORMED" else "EP-2.1-4"
        yield invalid(
            f"foreign.{id}", description, code, data, repair=None, known_after=4, proves=proves
        )


def single_faults() -> list[Vector]:
    groups = (
        bad_lengths,
        bad_headers,
        truncated_bodies,
        inner_lengths,
        stray_bytes,
        bad_text,
        unknown_to_server,
        wrong_way,
        wrong_state,
        wrong_order,
        bad_names,
        bad_resumes,
        foreign_protocols,
    )
    return [vector for group in groups for vector in group()]
