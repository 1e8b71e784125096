"""Which error, in which order, and what it ends. Sections 2.4 and 8."""

from __future__ import annotations

from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section

section = Section("errors", "ERR")


def malformed(t: Attempt, *frames: bytes, member: bool = False) -> None:
    """Each of these, on a connection of its own, is MALFORMED."""
    for frame in frames:
        conn = t.member() if member else t.connect()
        conn.send(frame)
        conn.ends(raw.MALFORMED)
        conn.half_close(quietly=True)


@section.case(
    1,
    "a fatal error has seq 0, is the last frame, and the stream ends",
    "EP-8.2-1",
    "EP-8.2-3",
    cause="the error is sent under the request's seq, or the connection is left open",
    negative=True,
)
def fatal_is_the_end(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.frame(raw.PING, 9, b"stray"))
    ann.expect(e.fatal(raw.MALFORMED), e.END)


@section.case(
    2,
    "an error that is not fatal has its request's seq, and the connection goes on",
    "EP-8.2-2",
    "EP-4.2-9",
    cause="every error is sent with seq 0, or ends the connection",
)
def not_fatal(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.frame(0x0C, 1234))
    ann.expect(e.error(raw.UNKNOWN_TYPE, 1234))
    ann.expect_silence()


@section.case(
    3,
    "a fatal error stands behind the replies to all that came before",
    "EP-8.2-5",
    cause="the error is written past the queue of replies",
    needs=("MSG-01",),
    negative=True,
)
def behind_replies(t: Attempt) -> None:
    ann = t.member()
    ann.send(
        raw.ping(11), raw.message(12, t.text("m")), raw.ping(13), raw.frame(raw.PING, 14, b"?")
    )
    ann.expect(e.pong(11), e.ack(12), e.pong(13))
    ann.ends(raw.MALFORMED)


@section.case(
    4,
    "a fatal error stands behind all entries made before",
    "EP-8.2-5",
    cause="what is queued for a faulty client is thrown away",
    needs=("MSG-02",),
    negative=True,
)
def behind_entries(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    for n in range(3):
        bob.said(t.text(f"line {n}"))
    ann.send(raw.frame(raw.PING, 9, reserved=1))
    ann.expect(*(e.message(bob.user, t.text(f"line {n}")) for n in range(3)))
    ann.ends(raw.MALFORMED)


@section.case(
    5,
    "a faulty frame gets one error at most",
    "EP-8.3-3",
    "EP-8.3-1",
    cause="every rule that is broken is reported",
    negative=True,
)
def one_error(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.frame(0x0B, 0, b"x", reserved=5))
    ann.ends(raw.MALFORMED)


@section.case(
    6,
    "reserved comes before an unknown type",
    "EP-8.3-1",
    cause="the type is looked up before the header is judged",
    negative=True,
)
def reserved_before_type(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.frame(0x0B, 1, reserved=1))
    ann.ends(raw.MALFORMED)


@section.case(
    7,
    "seq 0 comes before an unknown type",
    "EP-8.3-1",
    "EP-2.2-6",
    cause="the type is looked up before the header is judged",
    negative=True,
)
def seq_before_type(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.frame(0x7F, 0))
    ann.ends(raw.MALFORMED)


@section.case(
    8,
    "a malformed body comes before the way",
    "EP-8.3-1",
    cause="the body of an event that clients may not send is not decoded",
    negative=True,
)
def body_before_way(t: Attempt) -> None:
    malformed(t, raw.frame(raw.ACK, 1, b"short"), raw.frame(raw.JOINED, 1, b"\x05ann"))


@section.case(
    9,
    "a malformed body comes before the state",
    "EP-8.3-1",
    cause="the state is looked at before the body is decoded",
    negative=True,
)
def body_before_state(t: Attempt) -> None:
    malformed(t, raw.frame(raw.MESSAGE, 1, b""), raw.frame(raw.LOGOUT, 1, b"x"))


@section.case(
    10,
    "a filled-in sender comes before the state",
    "EP-8.3-1",
    cause="the state is looked at before the sender",
)
def way_before_state(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.message(1, "hi", sender="bob"))
    ann.expect(e.error(raw.UNEXPECTED_EVENT, 1))


@section.case(
    11,
    "a name that is not allowed comes before the ticket",
    "EP-8.3-1",
    cause="the ticket is looked up before the name",
    capabilities=("any-name",),
)
def name_before_ticket(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.login(1, "bad\x00name", ticket=99, position=3))
    ann.expect(e.error(raw.BAD_USER, 1))


@section.case(
    12,
    "a ticket that is unknown comes before a name in use",
    "EP-8.3-1",
    "EP-6.4-5",
    cause="the name is looked up among the members before the ticket",
)
def ticket_before_taken(t: Attempt) -> None:
    t.member("ann")
    other = t.connect("other")
    identity = t.identity("ann")
    other.send(raw.login(1, identity.name, identity.credential, ticket=99, position=3))
    other.expect(e.error(raw.HISTORY_GONE, 1))


@section.case(
    13,
    "being logged in comes before what a second Login asks for",
    "EP-8.3-1",
    "EP-4.3-3",
    cause="a second Login is judged like a first one",
)
def state_before_request(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.login(9, "bad\x00name"), raw.login(10, ann.user, ticket=99, position=3))
    ann.expect(e.error(raw.ALREADY_LOGGED_IN, 9), e.error(raw.ALREADY_LOGGED_IN, 10))


@section.case(
    14,
    "a Login that is cut inside of its frame is MALFORMED, wherever",
    "EP-2.4-3",
    "EP-3.2-1",
    cause="missing fields are taken to be empty",
    negative=True,
)
def login_cut(t: Attempt) -> None:
    body = raw.login_body("ann", b"pass")
    cuts = (0, 1, 3, 4, 5, 7, 9, 17, len(body) - 1)
    malformed(t, *(raw.frame(raw.LOGIN, 1, body[:cut]) for cut in cuts))


@section.case(
    15,
    "bytes behind a Login's last field are MALFORMED",
    "EP-2.4-4",
    "EP-11-2",
    cause="what is left over is ignored",
    negative=True,
)
def login_left_over(t: Attempt) -> None:
    malformed(t, raw.frame(raw.LOGIN, 1, raw.login_body("ann") + b"\x00"))


@section.case(
    16,
    "an inner length that reaches beyond a Login is MALFORMED",
    "EP-2.4-2",
    cause="the reader takes what is there, or reads into the next frame",
    negative=True,
)
def login_inner_length(t: Attempt) -> None:
    user = b"\xff" + raw.login_body("ann")[1:]
    credential = raw.short("ann") + b"\xff\xff" + raw.login_body("ann")[6:]
    for body in (user, credential):
        ann = t.connect()
        ann.send(raw.frame(raw.LOGIN, 1, body), raw.ping(2))
        ann.ends(raw.MALFORMED)


@section.case(
    17,
    "a Message without a sender field is MALFORMED",
    "EP-2.4-3",
    "EP-3.3-1",
    cause="an empty body is taken for an empty message",
    negative=True,
)
def message_without_sender(t: Attempt) -> None:
    malformed(t, raw.frame(raw.MESSAGE, 9, b""), member=True)


@section.case(
    18,
    "a sender that reaches beyond its Message is MALFORMED",
    "EP-2.4-2",
    cause="the reader takes what is there",
    negative=True,
)
def message_inner_length(t: Attempt) -> None:
    malformed(t, raw.frame(raw.MESSAGE, 9, b"\x20hello"), member=True)


@section.case(
    19,
    "an application event without a sender field is MALFORMED",
    "EP-2.4-3",
    "EP-3.11-1",
    cause="the body of an application event is not looked at at all",
    negative=True,
)
def application_without_sender(t: Attempt) -> None:
    malformed(t, raw.frame(0x80, 9, b""), raw.frame(0xFF, 9, b"\x09short"), member=True)


@section.case(
    20,
    "a Ping with a body is MALFORMED",
    "EP-3.7-1",
    "EP-2.4-4",
    cause="the body is echoed or ignored",
    negative=True,
)
def ping_with_body(t: Attempt) -> None:
    malformed(t, raw.frame(raw.PING, 9, b"x"))


@section.case(
    21,
    "a Pong with a body is MALFORMED",
    "EP-3.7-1",
    "EP-2.4-4",
    cause="a Pong is passed over before its body is judged",
    negative=True,
)
def pong_with_body(t: Attempt) -> None:
    malformed(t, raw.frame(raw.PONG, 9, b"x"))


@section.case(
    22,
    "a Logout with a body is MALFORMED",
    "EP-3.4-1",
    "EP-2.4-4",
    cause="the body is ignored",
    negative=True,
)
def logout_with_body(t: Attempt) -> None:
    malformed(t, raw.frame(raw.LOGOUT, 9, b"\x00"), member=True)


@section.case(
    23,
    "bytes behind the last field of what only servers send are MALFORMED",
    "EP-2.4-4",
    "EP-8.3-1",
    cause="the body of an event that clients may not send is not decoded to its end",
    negative=True,
)
def servers_event_left_over(t: Attempt) -> None:
    for frame in (raw.ack(1, 1), raw.error(1, 30), raw.left(1, "ann")):
        longer = raw.frame(frame[5], 1, frame[16:] + b"\x00")
        malformed(t, longer)


@section.case(
    24,
    "numbers are open: any reason and any code decodes",
    "EP-2.3-2",
    cause="an unknown number is taken for a fault of the frame",
)
def open_numbers(t: Attempt) -> None:
    ann = t.member()
    ann.send(raw.left(9, "ann", 200), raw.error(10, 60_000), raw.ack(11, 2**64 - 1))
    ann.expect(*(e.error(raw.UNEXPECTED_EVENT, seq) for seq in (9, 10, 11)))


@section.case(
    25,
    "every error has a code of the table",
    "EP-8.1-1",
    cause="a code of the server's own",
)
def known_codes(t: Attempt) -> None:
    ann = t.connect()
    ann.send(
        raw.frame(0x00, 1),
        raw.message(2, "early"),
        raw.logout(3),
        raw.joined(4, "ann"),
        raw.login(5, "ann", b"", 7, 7),
        raw.frame(raw.PING, 6, b"stray"),
    )
    while (frame := ann.next(ann.deadline())) is not None:
        code = frame.number("code")
        t.check(frame.type == raw.ERROR and code in raw.CODES, "a code of the table", code)
    t.check(bool(ann.ended), "the end of the stream", "nothing came in time")
