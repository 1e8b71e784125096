"""One table: this is sent, that refusal comes. Sections 2, 3, 4.3, 6 to 8 and 11.

Rule: a row is one statement. It says who sends what, which error answers it, and whether the
connection ends with it. What needs more than that is a case in its section's module.

Layer: above the sections, below the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Row
from ..connection import Connection
from .limits import filled

__all__ = ["REFUSALS", "Refusal"]

STRANGER, MEMBER = "a connection that is not logged in", "a member"

HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
TLS = bytes.fromhex("1603010200010001fc0303") + b"\x5a" * 100
SSH = b"SSH-2.0-OpenSSH_9.6\r\n"
LOGIN_BODY = raw.login_body("ann", b"pass")
WRONG = b"not the credential"
INVISIBLE_MARKS = ("\u00ad", "\u034f", "\u200b", "\u200d", "\ufe0f", "\ufeff")
"""A comparison under NFKC_Casefold does not see them."""
SERVERS_ONLY = {
    frame[5]: frame[16:]
    for frame in (
        raw.ack(1, 1),
        raw.error(1, raw.INTERNAL, "I am a client"),
        raw.welcome(1, "ann", 1, 1),
        raw.joined(1, "ann"),
        raw.left(1, "ann"),
    )
}
"""The bodies of the events that only servers send, by type."""

Frames = Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Row):
    """One row. Each of `sends` is written at once; it may be several frames, or a part of one."""

    sends: Frames | Callable[[Attempt], Frames]
    of: str = STRANGER
    """Who sends it."""
    ends_with: int = 0
    """The fatal error, after which the connection ends. Each of `sends` has its own connection."""
    answered_with: int = 0
    """The error that each frame gets under its own seq, while the connection continues."""
    silence: bool = False
    """Whether nothing must come after the last of these errors."""
    beside: tuple[str, ...] = ()
    """Who is a member meanwhile."""

    @property
    def negative(self) -> bool:
        return bool(self.ends_with)

    def run(self, t: Attempt) -> None:
        """Send what the row says, and await what it says."""
        t.members(*self.beside)
        pieces = self.sends(t) if callable(self.sends) else self.sends
        if self.ends_with:
            for piece in pieces:
                conn = self._connection(t)
                conn.send(piece)
                conn.ends(self.ends_with)
                conn.half_close(quietly=True)
            return
        conn = self._connection(t)
        for piece in pieces:
            conn.send(piece)
            conn.expect(*(e.error(self.answered_with, seq) for seq in _seqs(piece)))
        if self.silence:
            conn.expect_silence()

    def _connection(self, t: Attempt) -> Connection:
        return t.member() if self.of == MEMBER else t.connect("other" if self.beside else "ann")


def _seqs(data: bytes) -> list[int]:
    """The seqs of these frames."""
    seqs = []
    while data:
        seqs.append(int.from_bytes(data[8:16], "big"))
        data = data[4 + int.from_bytes(data[:4], "big") :]
    return seqs


def login_of(t: Attempt, ticket: int = 0, position: int = 0) -> bytes:
    """A Login as ann, with what proves it."""
    identity = t.identity("ann")
    return raw.login(1, identity.name, identity.credential, ticket, position)


REFUSALS = (
    # ---- framing
    Refusal(
        "FRAME-01",
        "a length of 0 is refused as MALFORMED",
        ("EP-2.1-2",),
        cause="only lengths below 0 or beyond a limit are checked",
        sends=[raw.frame(raw.PING, length=0)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "FRAME-02",
        "a length of 11 is refused as MALFORMED",
        ("EP-2.1-2",),
        cause="the least length is taken to be 11, or 0",
        sends=[raw.frame(raw.PING, length=11)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "FRAME-04",
        "a length that is too small is refused when its 4 bytes are in",
        ("EP-2.1-3",),
        cause="the header is awaited before the length is checked",
        sends=[raw.frame(raw.PING, length=11)[:4]],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "FRAME-05",
        "a length above the limit is refused when its 4 bytes are in",
        ("EP-2.1-3", "EP-2.1-4"),
        cause="the header or the body is awaited before the length is checked",
        sends=[raw.frame(raw.PING, length=2**32 - 1)[:4]],
        ends_with=raw.FRAME_TOO_LARGE,
    ),
    # ---- header
    Refusal(
        "HEAD-01",
        "a reserved of 1 is refused as MALFORMED",
        ("EP-2.2-4",),
        cause="reserved is not checked",
        sends=[raw.frame(raw.PING, reserved=1)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "HEAD-02",
        "the high bit of reserved is refused as MALFORMED",
        ("EP-2.2-4",),
        cause="only one byte of reserved is checked",
        sends=[raw.frame(raw.PING, reserved=0x8000)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "HEAD-03",
        "a reserved other than 0 is refused before the body is there",
        ("EP-2.2-9",),
        cause="the header is validated with the whole frame",
        sends=[raw.frame(raw.MESSAGE, reserved=1, length=100)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "HEAD-04",
        "seq 0 in a request is refused as MALFORMED",
        ("EP-2.2-6",),
        cause="seq is echoed and never checked",
        sends=[raw.ping(0)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "HEAD-05",
        "seq 0 in a member's Message is refused as MALFORMED",
        ("EP-2.2-6",),
        cause="seq 0 is refused in some types or states only",
        sends=[raw.message(0, "zero")],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "HEAD-06",
        "seq 0 in a Pong is refused as MALFORMED",
        ("EP-2.2-6",),
        cause="a Pong is ignored before its header is validated",
        sends=[raw.pong(0)],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "HEAD-07",
        "seq 0 in an Error is refused as MALFORMED",
        ("EP-2.2-6",),
        cause="the rule for what a server sends is used for what a client sends",
        sends=[raw.error(0, raw.SHUTTING_DOWN)],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "HEAD-08",
        "seq 0 is refused before the body is there",
        ("EP-2.2-9",),
        cause="seq is validated with the whole frame",
        sends=[raw.frame(raw.LOGIN, 0, length=100)],
        ends_with=raw.MALFORMED,
    ),
    # ---- version
    Refusal(
        "VER-01",
        "version 2 is refused as UNSUPPORTED_VERSION",
        ("EP-2.2-2",),
        cause="the version is not checked",
        sends=[raw.frame(raw.PING, version=2)],
        ends_with=raw.UNSUPPORTED_VERSION,
    ),
    Refusal(
        "VER-02",
        "version 0 is refused as UNSUPPORTED_VERSION",
        ("EP-2.2-2",),
        cause="only greater versions are refused",
        sends=[raw.frame(raw.PING, version=0)],
        ends_with=raw.UNSUPPORTED_VERSION,
    ),
    Refusal(
        "VER-03",
        "version 255 is refused as UNSUPPORTED_VERSION",
        ("EP-2.2-2",),
        cause="the version is read as a signed byte",
        sends=[raw.frame(raw.PING, version=255)],
        ends_with=raw.UNSUPPORTED_VERSION,
    ),
    Refusal(
        "VER-04",
        "another version is refused before the body is there",
        ("EP-2.2-9",),
        cause="the header is validated with the whole frame",
        sends=[raw.frame(raw.LOGIN, version=2, length=100)],
        ends_with=raw.UNSUPPORTED_VERSION,
    ),
    Refusal(
        "VER-06",
        "a member's frame of another version ends the connection",
        ("EP-2.2-2", "EP-11-3"),
        cause="the version is checked in the first frame only",
        sends=[raw.frame(raw.PING, 9, version=2)],
        ends_with=raw.UNSUPPORTED_VERSION,
        of=MEMBER,
    ),
    Refusal(
        "VER-07",
        "a length below 12 is MALFORMED whatever the version",
        ("EP-8.3-1", "EP-11-1"),
        cause="the version is validated before the length",
        sends=[raw.frame(raw.PING, version=2, length=11)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "VER-08",
        "a length above the limit is FRAME_TOO_LARGE whatever the version",
        ("EP-8.3-1",),
        cause="the version is validated before the length",
        sends=[raw.frame(raw.PING, version=2, length=2**31)],
        ends_with=raw.FRAME_TOO_LARGE,
    ),
    Refusal(
        "VER-09",
        "another version comes before reserved and seq 0",
        ("EP-8.3-1",),
        cause="the header's fields are validated in another order",
        sends=[raw.frame(raw.PING, 0, version=2, reserved=7)],
        ends_with=raw.UNSUPPORTED_VERSION,
    ),
    # ---- login
    Refusal(
        "LOGIN-07",
        "a second Login on a connection is refused with ALREADY_LOGGED_IN, and does not end it",
        ("EP-4.3-3", "EP-4.2-9"),
        cause="a Login is handled in every state",
        sends=lambda t: [login_of(t)],
        answered_with=raw.ALREADY_LOGGED_IN,
        silence=True,
        of=MEMBER,
    ),
    Refusal(
        "LOGIN-08",
        "a name that a member has is refused with USER_TAKEN",
        ("EP-6.1-6", "EP-6.2-4"),
        cause="names are not compared with those of the members",
        sends=lambda t: [login_of(t)],
        answered_with=raw.USER_TAKEN,
        beside=("ann",),
    ),
    Refusal(
        "LOGIN-13",
        "a Message before login is refused with LOGIN_REQUIRED, and the connection continues",
        ("EP-4.3-1", "EP-4.2-9"),
        cause="a Message is handled in every state, or ends the connection",
        sends=[raw.message(1, "too early")],
        answered_with=raw.LOGIN_REQUIRED,
        silence=True,
        needs=("LOGIN-16",),
    ),
    Refusal(
        "LOGIN-14",
        "an application event before login is refused with LOGIN_REQUIRED",
        ("EP-4.3-1",),
        cause="application events take another path than Message",
        sends=[raw.application(1, 0x80, b"too early")],
        answered_with=raw.LOGIN_REQUIRED,
    ),
    Refusal(
        "LOGIN-15",
        "a Logout before login is refused with LOGIN_REQUIRED, and the connection continues",
        ("EP-4.3-2",),
        cause="a Logout is acknowledged in every state",
        sends=[raw.logout(1)],
        answered_with=raw.LOGIN_REQUIRED,
        silence=True,
        needs=("LOGIN-16",),
    ),
    Refusal(
        "LOGIN-24",
        "a credential that proves nothing is refused with UNAUTHORIZED, which is the end",
        ("EP-6.3-3", "EP-8.2-1"),
        cause="the credential is not compared, or the error is sent under the request's seq",
        sends=lambda t: [raw.login(1, t.name("ann"), WRONG)],
        ends_with=raw.UNAUTHORIZED,
        capabilities=("credentials",),
    ),
    Refusal(
        "LOGIN-27",
        "the credential is validated before the name and the ticket",
        ("EP-6.3-2", "EP-8.3-1"),
        cause="the name is checked first, which tells clients without login who is there",
        sends=lambda t: [
            raw.login(1, "bad\x00name", WRONG),
            raw.login(1, t.name("ann"), WRONG, ticket=7, position=7),
        ],
        ends_with=raw.UNAUTHORIZED,
        capabilities=("credentials",),
    ),
    Refusal(
        "LOGIN-28",
        "bytes after a Login that gets UNAUTHORIZED are discarded",
        ("EP-4.3-6", "EP-8.2-4"),
        cause="the rest is handled while the verdict is delayed",
        sends=lambda t: [raw.login(1, t.name("ann"), WRONG) + raw.ping(2) + raw.message(3, "hi")],
        ends_with=raw.UNAUTHORIZED,
        capabilities=("credentials",),
    ),
    # ---- message
    Refusal(
        "MSG-07",
        "a Message with the author's own name as sender is refused too",
        ("EP-3.3-3",),
        cause="only a name of somebody else's is refused",
        sends=lambda t: [raw.message(1, t.text("me"), sender=t.name("ann"))],
        answered_with=raw.UNEXPECTED_EVENT,
        of=MEMBER,
    ),
    # ---- replies
    Refusal(
        "REPLY-07",
        "an event that only servers send is refused with UNEXPECTED_EVENT before login",
        ("EP-4.3-4",),
        cause="LOGIN_REQUIRED is checked first, or such events are ignored",
        sends=[raw.frame(type, 1, body) for type, body in SERVERS_ONLY.items()],
        answered_with=raw.UNEXPECTED_EVENT,
        silence=True,
    ),
    Refusal(
        "REPLY-08",
        "an event that only servers send is refused with UNEXPECTED_EVENT from a member",
        ("EP-4.3-4", "EP-4.2-9"),
        cause="such events are ignored, or end the connection",
        sends=[raw.frame(type, 31, body) for type, body in SERVERS_ONLY.items()],
        answered_with=raw.UNEXPECTED_EVENT,
        silence=True,
        of=MEMBER,
    ),
    # ---- errors
    Refusal(
        "ERR-01",
        "a fatal error has seq 0, is the last frame, and the stream ends",
        ("EP-8.2-1", "EP-8.2-3"),
        cause="the error is sent under the request's seq, or the connection is left open",
        sends=[raw.frame(raw.PING, 9, b"stray")],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "ERR-02",
        "an error that is not fatal has its request's seq, and the connection continues",
        ("EP-8.2-2", "EP-4.2-9"),
        cause="every error is sent with seq 0, or ends the connection",
        sends=[raw.frame(0x0C, 1234)],
        answered_with=raw.UNKNOWN_TYPE,
        silence=True,
        of=MEMBER,
    ),
    Refusal(
        "ERR-05",
        "a faulty frame gets one error at most",
        ("EP-8.3-3", "EP-8.3-1"),
        cause="every rule that is broken is reported",
        sends=[raw.frame(0x0B, 0, b"x", reserved=5)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-06",
        "reserved comes before an unknown type",
        ("EP-8.3-1",),
        cause="the type is looked up before the header is validated",
        sends=[raw.frame(0x0B, 1, reserved=1)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-07",
        "seq 0 comes before an unknown type",
        ("EP-8.3-1", "EP-2.2-6"),
        cause="the type is looked up before the header is validated",
        sends=[raw.frame(0x7F, 0)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-08",
        "a malformed body comes before the direction",
        ("EP-8.3-1",),
        cause="the body of an event that clients may not send is not decoded",
        sends=[raw.frame(raw.ACK, 1, b"short"), raw.frame(raw.JOINED, 1, b"\x05ann")],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-09",
        "a malformed body comes before the state",
        ("EP-8.3-1",),
        cause="the state is checked before the body is decoded",
        sends=[raw.frame(raw.MESSAGE, 1, b""), raw.frame(raw.LOGOUT, 1, b"x")],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-10",
        "a filled-in sender comes before the state",
        ("EP-8.3-1",),
        cause="the state is checked before the sender",
        sends=[raw.message(1, "hi", sender="bob")],
        answered_with=raw.UNEXPECTED_EVENT,
    ),
    Refusal(
        "ERR-11",
        "a name that is not allowed comes before the ticket",
        ("EP-8.3-1",),
        cause="the ticket is looked up before the name",
        sends=[raw.login(1, "bad\x00name", ticket=99, position=3)],
        answered_with=raw.BAD_USER,
        capabilities=("any-name",),
    ),
    Refusal(
        "ERR-12",
        "a ticket that is unknown comes before a name in use",
        ("EP-8.3-1", "EP-6.4-5"),
        cause="the name is looked up among the members before the ticket",
        sends=lambda t: [login_of(t, ticket=99, position=3)],
        answered_with=raw.HISTORY_GONE,
        beside=("ann",),
    ),
    Refusal(
        "ERR-13",
        "being logged in comes before what a second Login asks for",
        ("EP-8.3-1", "EP-4.3-3"),
        cause="a second Login is validated like a first one",
        sends=lambda t: [
            raw.login(9, "bad\x00name") + raw.login(10, t.name("ann"), ticket=99, position=3)
        ],
        answered_with=raw.ALREADY_LOGGED_IN,
        of=MEMBER,
    ),
    Refusal(
        "ERR-26",
        "a name that is not allowed is BAD_USER, also if it looks like a member's",
        ("EP-6.1-9", "EP-8.3-1"),
        cause="names are compared without their invisible marks, before they are validated",
        sends=lambda t: [
            b"".join(
                raw.login(seq, t.name("ann") + mark) for seq, mark in enumerate(INVISIBLE_MARKS, 1)
            )
        ],
        answered_with=raw.BAD_USER,
        beside=("ann",),
        capabilities=("any-name",),
    ),
    Refusal(
        "ERR-14",
        "a Login that is cut inside of its frame is MALFORMED, wherever",
        ("EP-2.4-3", "EP-3.2-1"),
        cause="missing fields are taken to be empty",
        sends=[
            raw.frame(raw.LOGIN, 1, LOGIN_BODY[:cut])
            for cut in (0, 1, 3, 4, 5, 7, 9, 17, len(LOGIN_BODY) - 1)
        ],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-15",
        "bytes after a Login's last field are MALFORMED",
        ("EP-2.4-4", "EP-11-2"),
        cause="what is left over is ignored",
        sends=[raw.frame(raw.LOGIN, 1, raw.login_body("ann") + b"\x00")],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-16",
        "an inner length that reaches beyond a Login is MALFORMED",
        ("EP-2.4-2",),
        cause="the reader takes what is there, or reads into the next frame",
        sends=[
            raw.frame(raw.LOGIN, 1, b"\xff" + raw.login_body("ann")[1:]) + raw.ping(2),
            raw.frame(raw.LOGIN, 1, raw.short("ann") + b"\xff\xff" + raw.login_body("ann")[6:])
            + raw.ping(2),
        ],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-17",
        "a Message without a sender field is MALFORMED",
        ("EP-2.4-3", "EP-3.3-1"),
        cause="an empty body is treated as an empty message",
        sends=[raw.frame(raw.MESSAGE, 9, b"")],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "ERR-18",
        "a sender that reaches beyond its Message is MALFORMED",
        ("EP-2.4-2",),
        cause="the reader takes what is there",
        sends=[raw.frame(raw.MESSAGE, 9, b"\x20hello")],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "ERR-19",
        "an application event without a sender field is MALFORMED",
        ("EP-2.4-3", "EP-3.11-1"),
        cause="the body of an application event is not checked at all",
        sends=[raw.frame(0x80, 9, b""), raw.frame(0xFF, 9, b"\x09short")],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "ERR-20",
        "a Ping with a body is MALFORMED",
        ("EP-3.7-1", "EP-2.4-4"),
        cause="the body is echoed or ignored",
        sends=[raw.frame(raw.PING, 9, b"x")],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-21",
        "a Pong with a body is MALFORMED",
        ("EP-3.7-1", "EP-2.4-4"),
        cause="a Pong is ignored before its body is validated",
        sends=[raw.frame(raw.PONG, 9, b"x")],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-22",
        "a Logout with a body is MALFORMED",
        ("EP-3.4-1", "EP-2.4-4"),
        cause="the body is ignored",
        sends=[raw.frame(raw.LOGOUT, 9, b"\x00")],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "ERR-23",
        "bytes after the last field of an event that only servers send are MALFORMED",
        ("EP-2.4-4", "EP-8.3-1"),
        cause="the body of an event that clients may not send is not decoded to its end",
        sends=[
            raw.frame(type, 1, body + b"\x00")
            for type, body in SERVERS_ONLY.items()
            if type in (raw.ACK, raw.ERROR, raw.LEFT)
        ],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ERR-24",
        "numbers are open: any reason and any code decodes",
        ("EP-2.3-2",),
        cause="an unknown number is treated as a fault of the frame",
        sends=[raw.left(9, "ann", 200) + raw.error(10, 60_000) + raw.ack(11, 2**64 - 1)],
        answered_with=raw.UNEXPECTED_EVENT,
        of=MEMBER,
    ),
    # ---- limits
    Refusal(
        "LIMIT-01",
        "before login a length of 4,096 is accepted",
        ("EP-7.1-3",),
        cause="the limit is compared with the whole frame, 4 bytes more",
        sends=[filled(raw.BEFORE_WELCOME, 1)],
        answered_with=raw.LOGIN_REQUIRED,
    ),
    Refusal(
        "LIMIT-02",
        "before login a length of 4,097 is FRAME_TOO_LARGE",
        ("EP-7.1-3", "EP-2.1-4"),
        cause="the limit for members is used for everybody",
        sends=[filled(raw.BEFORE_WELCOME + 1, 1)],
        ends_with=raw.FRAME_TOO_LARGE,
    ),
    Refusal(
        "LIMIT-08",
        "a length of 2^31 is FRAME_TOO_LARGE and no negative number",
        ("EP-2.3-1", "EP-2.1-4"),
        cause="the length is read as a signed number",
        sends=[raw.frame(raw.PING, 1, length=2**31)],
        ends_with=raw.FRAME_TOO_LARGE,
    ),
    # ---- application
    Refusal(
        "APP-05",
        "an application event with a sender is refused with UNEXPECTED_EVENT",
        ("EP-3.11-2", "EP-3.3-3"),
        cause="the sender is checked in Message only",
        sends=[raw.application(9, 0x80, b"data", sender="bob")],
        answered_with=raw.UNEXPECTED_EVENT,
        silence=True,
        of=MEMBER,
    ),
    Refusal(
        "APP-08",
        "an unknown type is answered with UNKNOWN_TYPE before login",
        ("EP-3.12-1",),
        cause="LOGIN_REQUIRED is checked first, or the connection ends",
        sends=[raw.frame(type, seq) for seq, type in enumerate((0x00, 0x0B, 0x40, 0x7F), 1)],
        answered_with=raw.UNKNOWN_TYPE,
    ),
    Refusal(
        "APP-09",
        "every unknown type is answered with UNKNOWN_TYPE, and the connection continues",
        ("EP-3.12-1", "EP-4.2-9"),
        cause="an unknown type ends the connection, or is ignored",
        sends=[b"".join(raw.frame(type, 100 + type) for type in raw.UNKNOWN)],
        answered_with=raw.UNKNOWN_TYPE,
        silence=True,
        of=MEMBER,
    ),
    Refusal(
        "APP-10",
        "the body of an unknown type is not validated",
        ("EP-8.3-2",),
        cause="the body is decoded as that of some known type",
        sends=[
            raw.frame(0x0B, seq, body)
            for seq, body in enumerate((b"", b"\xff" * 40, b"\x05ab", raw.ping(5)), 1)
        ],
        answered_with=raw.UNKNOWN_TYPE,
        silence=True,
    ),
    # ---- text
    Refusal(
        "TEXT-01",
        "bytes that are not UTF-8 are MALFORMED",
        ("EP-2.3-3",),
        cause="content is relayed without being checked",
        sends=[
            raw.message(9, b"good \xff"),
            raw.message(9, b"good \x80"),
        ],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "TEXT-02",
        "surrogates are MALFORMED",
        ("EP-2.3-3",),
        cause="a decoder for CESU-8 or WTF-8",
        sends=[
            raw.message(9, b"good \xed\xa0\x80"),
            raw.message(9, b"good \xed\xa0\xbd\xed\xb8\x80"),
        ],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "TEXT-03",
        "overlong forms are MALFORMED",
        ("EP-2.3-3",),
        cause="a decoder that computes and does not check",
        sends=[
            raw.message(9, b"good \xc0\x80"),
            raw.message(9, b"good \xe0\x80\xaf"),
        ],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "TEXT-04",
        "what lies above U+10FFFF is MALFORMED",
        ("EP-2.3-3",),
        cause="a decoder for the UTF-8 of before 2003",
        sends=[
            raw.message(9, b"good \xf4\x90\x80\x80"),
            raw.message(9, b"good \xf8\x88\x80\x80\x80"),
        ],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "TEXT-05",
        "a character that the end of the content cuts is MALFORMED",
        ("EP-2.3-3",),
        cause="a decoder of streams that waits for the rest",
        sends=[raw.message(9, b"good \xe2\x82")],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "TEXT-06",
        "a user that is not UTF-8 is MALFORMED and not BAD_USER",
        ("EP-2.3-3", "EP-8.3-1"),
        cause="the name is decoded when it is validated",
        sends=[raw.login(1, b"ann\xff")],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "TEXT-07",
        "a sender that is not UTF-8 is MALFORMED and not UNEXPECTED_EVENT",
        ("EP-2.3-3", "EP-8.3-1"),
        cause="that there is a sender is checked before what it is",
        sends=[raw.message(9, "hi", sender=b"\xff")],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    Refusal(
        "TEXT-08",
        "an application event's sender that is not UTF-8 is MALFORMED",
        ("EP-2.3-3", "EP-3.11-1"),
        cause="the body of an application event is not checked at all",
        sends=[raw.application(9, 0x80, b"data", sender=b"\xc3\x28")],
        ends_with=raw.MALFORMED,
        of=MEMBER,
    ),
    # ---- writing
    Refusal(
        "WRITE-06",
        "the limit of a client without login is 4,096 also with members in the room",
        ("EP-7.1-3",),
        cause="the limit is the server's, and not the connection's",
        sends=[(raw.BEFORE_WELCOME + 1).to_bytes(4, "big")],
        ends_with=raw.FRAME_TOO_LARGE,
        beside=("ann", "bob", "cyd"),
        needs=("LIMIT-02",),
    ),
    # ---- identity
    Refusal(
        "IDENT-15",
        "a member's second Login with a wrong credential is ALREADY_LOGGED_IN, and does not end it",
        ("EP-4.3-3", "EP-8.3-1"),
        cause="the credential is validated whatever the state",
        sends=lambda t: [raw.login(9, t.name("ann"), WRONG)],
        answered_with=raw.ALREADY_LOGGED_IN,
        silence=True,
        of=MEMBER,
        capabilities=("credentials",),
    ),
    # ---- numbers
    Refusal(
        "NUM-11",
        "a long credential that proves nothing is UNAUTHORIZED",
        ("EP-3.2-1", "EP-6.3-3"),
        cause="a credential above 255 bytes is cut, or is treated as a fault",
        sends=lambda t: [
            raw.login(1, t.name("ann"), t.identity("ann").credential.ljust(size, b"\x00"))
            for size in (256, 3900)
        ],
        ends_with=raw.UNAUTHORIZED,
        capabilities=("credentials",),
        segmentations=ONCE,
        needs=("LOGIN-24",),
    ),
    Refusal(
        "NUM-13",
        "a sender of any length that is not empty is UNEXPECTED_EVENT",
        ("EP-3.3-3", "EP-2.3-1"),
        cause="the length of short text is read with a sign",
        sends=[raw.message(size, "x", sender="s" * size) for size in (1, 127, 128, 255)],
        answered_with=raw.UNEXPECTED_EVENT,
        silence=True,
        of=MEMBER,
        needs=("MSG-06",),
    ),
    # ---- robustness
    Refusal(
        "ROBUST-01",
        "an HTTP request is FRAME_TOO_LARGE",
        ("EP-2.1-3", "EP-2.1-4"),
        cause="the reader waits for the 1.2 GB that 'GET ' announces",
        sends=[HTTP],
        ends_with=raw.FRAME_TOO_LARGE,
    ),
    Refusal(
        "ROBUST-02",
        "a TLS hello on a plain port is FRAME_TOO_LARGE",
        ("EP-2.1-4",),
        cause="the reader waits for the rest",
        sends=[TLS],
        ends_with=raw.FRAME_TOO_LARGE,
    ),
    Refusal(
        "ROBUST-03",
        "an SSH banner is FRAME_TOO_LARGE",
        ("EP-2.1-4",),
        cause="the reader waits for the rest",
        sends=[SSH],
        ends_with=raw.FRAME_TOO_LARGE,
    ),
    Refusal(
        "ROBUST-04",
        "zeros are MALFORMED",
        ("EP-2.1-2",),
        cause="a length of 0 is treated as nothing, forever",
        sends=[bytes(200)],
        ends_with=raw.MALFORMED,
    ),
    Refusal(
        "ROBUST-05",
        "bytes of FF are FRAME_TOO_LARGE",
        ("EP-2.1-4",),
        cause="the length is read as a signed number",
        sends=[b"\xff" * 200],
        ends_with=raw.FRAME_TOO_LARGE,
    ),
    Refusal(
        "ROBUST-11",
        "hundreds of requests before login are answered or end the connection",
        ("EP-4.2-1", "EP-7.2-2"),
        cause="replies to clients without login are queued without limit, or dropped",
        sends=[b"".join(raw.message(seq, "early") for seq in range(1, 801))],
        answered_with=raw.LOGIN_REQUIRED,
        segmentations=ONCE,
    ),
)

assert all(bool(each.ends_with) != bool(each.answered_with) for each in REFUSALS)
