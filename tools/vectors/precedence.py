"""The frames with two faults, of which a reader must find the first.

Rule: each says what the second one is, and shows it with the first one mended.

Layer: above `invalid`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.vectors.form import Vector, error_form, invalid, packed_hex
from tools.vectors.wire import U32_MAX, frame, sample, with_length


def then(code: str, data: bytes) -> Vector:
    return {"bytes": packed_hex(data), "error": error_form(code)}


def double_faults() -> Iterator[Vector]:
    """The stages: length, version, reserved and seq 0, type, body, way, state, the request."""
    cut_ack = bytes(7)
    bad_message = b"\x00a\xff"
    sent_by_ann = b"\x03annhello"
    bad_login = b"\x05a"
    named = sample("Login", user="a\nb", credential=b"")

    def two(
        id: str,
        found: str,
        data: bytes,
        hidden: Vector,
        *,
        receiver: str = "codec",
        state: str | None = None,
        known_after: int | None = 16,
    ) -> Vector:
        return invalid(
            f"precedence.{id}",
            f"Two faults: {id.replace('-over-', ' is found, hiding ').replace('-', ' ')}",
            found,
            data,
            receiver=receiver,
            state=state,
            known_after=known_after,
            repair=None,
            hidden=hidden,
            proves={"codec": "EP-8.3-1 EP-8.3-4", "server": "EP-8.3-1", "client": "EP-8.3-4"}[
                receiver
            ],
        )

    def served(
        id: str, found: str, data: bytes, hidden: Vector, *, state: str, header: bool = False
    ) -> Vector:
        after = 16 if header else None
        return two(id, found, data, hidden, receiver="server", state=state, known_after=after)

    old_ping = frame(0x06, version=2)
    yield two(
        "small-length-over-version",
        "MALFORMED",
        with_length(old_ping, 11),
        then("UNSUPPORTED_VERSION", old_ping),
        known_after=4,
    )
    for id, broken, code in (
        ("version", old_ping, "UNSUPPORTED_VERSION"),
        ("reserved", frame(0x06, reserved=1), "MALFORMED"),
        ("seq-0", frame(0x06, seq=0), "MALFORMED"),
        ("stray-byte", frame(0x06, b"\x00"), "MALFORMED"),
    ):
        yield two(
            f"large-length-over-{id}",
            "FRAME_TOO_LARGE",
            with_length(broken, U32_MAX),
            then(code, broken),
            known_after=4,
        )
    flaws: tuple[tuple[str, Any], ...] = (("reserved", {"reserved": 1}), ("seq-0", {"seq": 0}))
    for id, header in flaws:
        yield two(
            f"version-over-{id}",
            "UNSUPPORTED_VERSION",
            frame(0x06, version=2, **header),
            then("MALFORMED", frame(0x06, **header)),
        )
    yield two(
        "version-over-body",
        "UNSUPPORTED_VERSION",
        frame(0x04, cut_ack, version=2),
        then("MALFORMED", frame(0x04, cut_ack)),
    )

    later: tuple[tuple[str, int, bytes, str, str], ...] = (
        ("type", 0x42, b"", "member", "UNKNOWN_TYPE"),
        ("way", 0x04, bytes(8), "member", "UNEXPECTED_EVENT"),
        ("sender", 0x02, sent_by_ann, "member", "UNEXPECTED_EVENT"),
        ("state", 0x02, b"\x00hello", "new", "LOGIN_REQUIRED"),
    )
    faults: tuple[tuple[str, str, Any], ...] = (
        ("version", "UNSUPPORTED_VERSION", {"version": 2}),
        ("reserved", "MALFORMED", {"reserved": 1}),
        ("seq-0", "MALFORMED", {"seq": 0}),
    )
    for fault, found, header in faults:
        for id, type, body, state, code in later:
            yield served(
                f"{fault}-over-{id}",
                found,
                frame(type, body, **header),
                then(code, frame(type, body)),
                state=state,
                header=True,
            )
    yield served(
        "seq-0-over-error-from-client",
        "MALFORMED",
        sample("Error", seq=0),
        then("UNEXPECTED_EVENT", sample("Error")),
        state="member",
        header=True,
    )
    yield served(
        "body-over-way",
        "MALFORMED",
        frame(0x04, cut_ack),
        then("UNEXPECTED_EVENT", frame(0x04, cut_ack + b"\x00")),
        state="member",
    )
    yield served(
        "body-over-sender",
        "MALFORMED",
        frame(0x02, b"\x03anna\xff"),
        then("UNEXPECTED_EVENT", frame(0x02, b"\x03anna?")),
        state="member",
    )
    yield served(
        "body-over-login-required",
        "MALFORMED",
        frame(0x02, bad_message),
        then("LOGIN_REQUIRED", frame(0x02, b"\x00a?")),
        state="new",
    )
    yield served(
        "body-over-already-logged-in",
        "MALFORMED",
        frame(0x01, bad_login),
        then("ALREADY_LOGGED_IN", sample("Login", user="a", credential=b"")),
        state="member",
    )
    yield served(
        "sender-over-login-required",
        "UNEXPECTED_EVENT",
        frame(0x02, sent_by_ann),
        then("LOGIN_REQUIRED", frame(0x02, b"\x00hello")),
        state="new",
    )
    yield served(
        "already-logged-in-over-name",
        "ALREADY_LOGGED_IN",
        named,
        {"state": "new", "error": error_form("BAD_USER")},
        state="member",
    )
    unknown_ticket = sample("Login", credential=b"", ticket=1)
    yield served(
        "already-logged-in-over-history",
        "ALREADY_LOGGED_IN",
        unknown_ticket,
        {"state": "new", "error": error_form("HISTORY_GONE")},
        state="member",
    )
    yield served(
        "name-over-history",
        "BAD_USER",
        sample("Login", user="a\nb", credential=b"", ticket=1),
        then("HISTORY_GONE", sample("Login", user="a?b", credential=b"", ticket=1)),
        state="new",
    )

    login, joined = sample("Login"), sample("Joined")
    yield two(
        "seq-0-over-login-to-client",
        "MALFORMED",
        sample("Login", seq=0),
        then("UNEXPECTED_EVENT", login),
        receiver="client",
        state="member",
    )
    yield two(
        "body-over-login-to-client",
        "MALFORMED",
        with_length(login[:-1], len(login) - 5),
        then("UNEXPECTED_EVENT", login),
        receiver="client",
        state="member",
        known_after=None,
    )
    yield two(
        "body-over-fact-before-welcome",
        "MALFORMED",
        with_length(joined[:-1], len(joined) - 5),
        then("UNEXPECTED_EVENT", joined),
        receiver="client",
        state="new",
        known_after=None,
    )
