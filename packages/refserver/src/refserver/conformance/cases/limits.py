"""How long a frame may be, and when. Section 7.1."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section

section = Section("limits", "LIMIT")

HEADER = 12
SENDER = 1


def filled(length: int, seq: int, type: int = raw.MESSAGE) -> bytes:
    """A Message of exactly this length."""
    return raw.frame(type, seq, b"\x00" + b"m" * (length - HEADER - SENDER))


@section.case(
    3,
    "after a refused Login the limit is still 4,096",
    "EP-7.1-3",
    cause="the limit is raised when a Login is read, not when it is accepted",
    negative=True,
    needs=("LOGIN-08",),
)
def refused_login_raises_nothing(t: Attempt) -> None:
    t.member("ann")
    other = t.connect("other")
    identity = t.identity("ann")
    other.send(raw.login(1, identity.name, identity.credential))
    other.expect(e.error(raw.USER_TAKEN, 1))
    other.send(filled(raw.BEFORE_WELCOME + 1, 2)[:100])
    other.ends(raw.FRAME_TOO_LARGE)


@section.case(
    4,
    "max_frame is 4,096 or more",
    "EP-3.8-3",
    cause="the field is left 0, or is in another unit",
)
def max_frame(t: Attempt) -> None:
    ann = t.member()
    t.check(ann.max_frame >= raw.BEFORE_WELCOME, "4,096 or more", ann.max_frame)


@section.case(
    5,
    "a member's frame of exactly max_frame is accepted, and relayed in full",
    "EP-7.1-3",
    "EP-3.3-5",
    "EP-7.1-4",
    cause="the limit is compared with the whole frame, or the sender is not allowed for",
    needs=("LIMIT-04", "MSG-02"),
    segmentations=ONCE,
)
def greatest(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    frame = filled(ann.max_frame, 9)
    ann.send(frame)
    ann.expect(e.ack(9))
    fact = bob.expect(e.message(ann.user, frame[17:]))
    t.check(fact.length <= ann.max_frame + raw.ALLOWANCE, "max_frame + 255", fact.length)


@section.case(
    6,
    "a member's frame above max_frame is FRAME_TOO_LARGE at its first 4 bytes",
    "EP-7.1-3",
    "EP-2.1-4",
    "EP-2.1-3",
    cause="the announced limit is not the one that is used",
    needs=("LIMIT-04",),
    negative=True,
)
def too_large(t: Attempt) -> None:
    ann = t.member()
    ann.send((ann.max_frame + 1).to_bytes(4, "big"))
    ann.ends(raw.FRAME_TOO_LARGE)


@section.case(
    7,
    "the limit is max_frame from the accepted Login on, in the same piece",
    "EP-7.1-3",
    "EP-4.2-6",
    cause="the limit is raised after everything that was read with the Login",
    needs=("LIMIT-04",),
)
def raised_at_once(t: Attempt) -> None:
    ann = t.connect()
    identity = t.identity("ann")
    login = raw.login(1, identity.name, identity.credential)
    ann.send(login, filled(raw.BEFORE_WELCOME, 2))
    ann.expect(e.welcome(1), e.ack(2))


@section.case(
    9,
    "before its Welcome a server sends no length above 4,096",
    "EP-7.1-4",
    cause="an error's text holds what the client sent",
)
def small_before_welcome(t: Attempt) -> None:
    ann = t.connect()
    ann.send(filled(raw.BEFORE_WELCOME, 1), raw.frame(0x0B, 2, b"b" * 4_000))
    ann.expect(e.error(raw.LOGIN_REQUIRED, 1), e.error(raw.UNKNOWN_TYPE, 2))
    longest = max(frame.length for frame in ann.seen)
    t.check(longest <= raw.BEFORE_WELCOME, "4,096 at most", longest)


@section.case(
    10,
    "the length alone is validated: 4,096 before login needs no body to be refused or kept",
    "EP-2.1-3",
    "EP-7.2-1",
    cause="memory for a whole frame is taken when its length is known",
)
def many_half_frames(t: Attempt) -> None:
    halves = [t.connect(f"half{n}") for n in range(20)]
    for half in halves:
        half.send(filled(raw.BEFORE_WELCOME, 1)[:20])
    ann = t.member("ann")
    ann.sync()
    for half in halves:
        # In one piece: 80,000 single bytes can outlast a server's deadline for logging in.
        half.send_piece(filled(raw.BEFORE_WELCOME, 1)[20:])
        half.expect(e.error(raw.LOGIN_REQUIRED, 1))
