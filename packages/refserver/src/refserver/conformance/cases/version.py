"""One version, and what is said about others. Sections 2.2 and 11."""

from __future__ import annotations

from .. import raw
from ..attempt import Attempt
from ..catalogue import Section

section = Section("version", "VER")


def refused(t: Attempt, version: int) -> None:
    ann = t.connect()
    ann.send(raw.frame(raw.PING, version=version))
    ann.ends(raw.UNSUPPORTED_VERSION)


@section.case(
    1,
    "version 2 is refused as UNSUPPORTED_VERSION",
    "EP-2.2-2",
    cause="the version is not looked at",
    negative=True,
)
def version_two(t: Attempt) -> None:
    refused(t, 2)


@section.case(
    2,
    "version 0 is refused as UNSUPPORTED_VERSION",
    "EP-2.2-2",
    cause="only greater versions are refused",
    negative=True,
)
def version_zero(t: Attempt) -> None:
    refused(t, 0)


@section.case(
    3,
    "version 255 is refused as UNSUPPORTED_VERSION",
    "EP-2.2-2",
    cause="the version is read as a signed byte",
    negative=True,
)
def version_greatest(t: Attempt) -> None:
    refused(t, 255)


@section.case(
    4,
    "another version is refused before the body is there",
    "EP-2.2-9",
    cause="the header is judged with the whole frame",
    negative=True,
)
def at_sixteen_bytes(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.frame(raw.LOGIN, version=2, length=100))
    ann.ends(raw.UNSUPPORTED_VERSION)


@section.case(
    5,
    "UNSUPPORTED_VERSION is written in version 1",
    "EP-8.2-6",
    "EP-11-3",
    cause="the reply takes over the version of what it answers",
    needs=("VER-01",),
    negative=True,
)
def answered_in_version_one(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.frame(raw.PING, version=2))
    ann.ends(raw.UNSUPPORTED_VERSION)
    t.check(ann.seen[-1].version == 1, "version 1", f"version {ann.seen[-1].version}")


@section.case(
    6,
    "a member's frame of another version ends the connection",
    "EP-2.2-2",
    "EP-11-3",
    cause="the version is looked at in the first frame only",
    negative=True,
)
def of_a_member(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.frame(raw.PING, 9, version=2))
    ann.ends(raw.UNSUPPORTED_VERSION)


@section.case(
    7,
    "a length below 12 is MALFORMED whatever the version",
    "EP-8.3-1",
    "EP-11-1",
    cause="the version is judged before the length",
    negative=True,
)
def length_first(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.frame(raw.PING, version=2, length=11))
    ann.ends(raw.MALFORMED)


@section.case(
    8,
    "a length above the limit is FRAME_TOO_LARGE whatever the version",
    "EP-8.3-1",
    cause="the version is judged before the length",
    negative=True,
)
def limit_first(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.frame(raw.PING, version=2, length=2**31))
    ann.ends(raw.FRAME_TOO_LARGE)


@section.case(
    9,
    "another version comes before reserved and seq 0",
    "EP-8.3-1",
    cause="the header's fields are judged in another order",
    negative=True,
)
def before_reserved(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.frame(raw.PING, 0, version=2, reserved=7))
    ann.ends(raw.UNSUPPORTED_VERSION)
