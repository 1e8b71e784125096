"""One version, and what is said about others. Sections 2.2 and 11."""

from __future__ import annotations

from .. import raw
from ..attempt import Attempt
from ..catalogue import Section

section = Section("version", "VER")


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
