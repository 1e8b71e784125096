"""Coming in, or not. Sections 3.2, 3.8, 4.4 and 6."""

from __future__ import annotations

from ... import raw
from ...catalogue import Section
from ..peer import Peer

section = Section("login", "PEER-LOGIN", needs=())


@section.case(
    1,
    "begins with one fresh Login, and tells the Welcome",
    "EP-2.1-1",
    "EP-2.3-1",
    "EP-3.2-1",
    cause="the length counts itself, or an integer is little-endian",
)
def fresh_login(t: Peer) -> None:
    login = t.login()
    t.check(login.fields is not None, "a Login with exactly its fields", login.raw.hex())
    t.check(login.text("user") == b"ann", 'user "ann"', login.text("user"))
    t.check(login.number("ticket") == 0, "ticket 0: a fresh login", "another ticket")
    t.check(login.number("position") == 0, "position 0", login.number("position"))
    t.tell(t.welcome_to(login))


@section.case(
    2,
    "writes version 1, reserved 0 and a seq that is not 0",
    "EP-2.2-1",
    "EP-2.2-3",
    "EP-2.2-5",
    cause="numbers of requests begin with 0, or the header is filled up otherwise",
)
def right_header(t: Peer) -> None:
    login = t.login()
    t.check(login.version == 1, "version 1", login.version)
    t.check(login.reserved == 0, "reserved 0", login.reserved)
    t.check(login.seq != 0, "a seq that is not 0", login.seq)


@section.case(
    3,
    "takes its name from the Welcome",
    "EP-3.8-4",
    cause="the requested name is told as its own",
)
def granted_name(t: Peer) -> None:
    t.tell(t.welcome_to(t.login(), user="ann the 2nd"))


@section.case(
    4,
    "takes an Error with its Login's seq as a refusal, not as the end of the protocol",
    "EP-3.6-3",
    "EP-4.4-4",
    cause="every Error is treated as the last frame, or the refused client goes on as a member",
)
def refused_login(t: Peer) -> None:
    login = t.login()
    t.tell(raw.Frame(raw.error(login.seq, raw.USER_TAKEN, "somebody has this name")))
    # It may try another name: that Login gets no reply.
    frame = t.connection.next(t.soon())
    known = frame is None or frame.type in (raw.LOGIN, raw.PING)
    t.check(known, "another Login, or the end", "a request of a member")
    t.finish()
    t.ends("refused", "lost")


@section.case(
    8,
    "tells a loss where the stream ends in place of a Welcome",
    "EP-10.3-1",
    cause="the end of the stream is waited for in the wrong place, or not at all",
)
def no_welcome(t: Peer) -> None:
    t.login()
    t.finish()
    t.ends("lost")
