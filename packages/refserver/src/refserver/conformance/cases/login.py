"""Coming in: names, credentials, and what is refused before. Sections 4.3 and 6."""

from __future__ import annotations

from collections.abc import Callable

from ...characters import INVISIBLE, has_invisible
from ...wording import counted
from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import Section
from ..model import Level

section = Section("login", "LOGIN")
TRIES = 5
"""A kit that is slow may look too late once, but not always."""

GUESSES = 3
"""The same for what takes a server at least 100 ms each time."""

OPEN = ("any-name",)


def never_at_once(t: Attempt, guess: Callable[[], object]) -> None:
    """Each of some guesses is answered after 100 ms or more."""
    for _ in range(GUESSES):
        start = t.now
        guess()
        t.check(t.now - start >= 0.1, "100 ms or more", f"{(t.now - start) * 1000:.0f} ms")


@section.case(
    1,
    "a Login is answered with Welcome under its seq",
    "EP-6.1-1",
    "EP-4.2-2",
    "EP-3.2-1",
    "EP-3.8-1",
    cause="the layout of Login or Welcome differs",
)
def welcome(t: Attempt) -> None:
    ann = t.connect()
    identity = t.identity("ann")
    ann.send(raw.login(7, identity.name, identity.credential))
    ann.expect(e.welcome(7))


@section.case(
    2,
    "the requested name is granted unchanged",
    "EP-6.1-3",
    cause="the name is normalised or cut instead of refused",
)
def unchanged(t: Attempt) -> None:
    ann = t.member()
    granted = ann.seen[-1].text("user")
    t.check(granted == ann.user.encode(), ann.user, granted)


@section.case(
    3,
    "an empty user gets a free name that is allowed",
    "EP-6.1-2",
    "EP-6.2-7",
    cause="the empty name is granted as it is",
    capabilities=OPEN,
)
def chosen_name(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.login(1))
    name = (ann.expect(e.welcome(1)).text("user") or b"").decode()
    allowed = name and not has_invisible(name)
    t.check(bool(allowed), "a name that is not empty and has no invisible code point", ascii(name))


@section.case(
    4,
    "two empty users get two names",
    "EP-6.2-4",
    "EP-6.1-2",
    cause="the name that is made up is not looked up among the members",
    capabilities=OPEN,
)
def two_chosen_names(t: Attempt) -> None:
    names = set()
    for who in ("ann", "bob"):
        conn = t.connect(who)
        conn.send(raw.login(1))
        names.add(conn.expect(e.welcome(1)).text("user"))
    t.check(len(names) == 2, "two names", names)


@section.case(
    5,
    "a ticket is not 0",
    "EP-3.8-2",
    cause="a server without resume leaves the ticket empty",
)
def ticket(t: Attempt) -> None:
    ann = t.member()
    t.check(ann.ticket != 0, "a ticket other than 0", ann.ticket)


@section.case(
    6,
    "two sessions have two tickets, and neither is near the other",
    "EP-12-4",
    cause="tickets are counted instead of drawn",
)
def tickets_differ(t: Attempt) -> None:
    ann, bob = t.members("ann", "bob")
    t.check(
        abs(ann.ticket - bob.ticket) > 2**16,
        "two numbers from a source of randomness",
        "numbers that are next to each other",
    )


@section.case(
    9,
    "after a refused Login another one is accepted on the same connection",
    "EP-4.3-5",
    cause="a refused Login ends the connection, or leaves a trace in its state",
    needs=("LOGIN-08",),
)
def login_again(t: Attempt) -> None:
    t.member("ann")
    bob = t.connect("bob")
    ann = t.identity("ann")
    bob.send(raw.login(bob.seq(), ann.name, ann.credential))
    bob.expect(e.error(raw.USER_TAKEN, 1))
    bob.login()


@section.case(
    10,
    "every code point that no name may have is refused with BAD_USER",
    "EP-6.2-6",
    cause="the list of code points is incomplete, or ends one too early",
    capabilities=OPEN,
)
def refused_code_points(t: Attempt) -> None:
    ann = t.connect()
    points = sorted({point for both in INVISIBLE for point in both})
    for point in points:
        ann.send(raw.login(point + 1, f"{ann.user}{chr(point)}x"))
    for point in points:
        ann.expect(e.error(raw.BAD_USER, point + 1))


@section.case(
    11,
    "a name of letters, digits, hyphens, kanji or accents is granted",
    "EP-6.1-1",
    cause="only ASCII is allowed, which is a policy, or a name is cut",
    capabilities=OPEN,
    level=Level.SHOULD,
)
def usual_names(t: Attempt) -> None:
    for name in ("Zoë", "李雷", "O-Brien_7"):
        conn = t.connect()
        asked = f"{t.name('ann')}{name}"
        conn.send(raw.login(1, asked))
        granted = conn.expect(e.welcome(1)).text("user")
        t.check(granted == asked.encode(), ascii(asked), granted)


@section.case(
    12,
    "a name of 255 bytes is granted unchanged or refused with BAD_USER",
    "EP-6.1-3",
    "EP-6.2-2",
    cause="a long name is cut",
    capabilities=OPEN,
)
def longest_name(t: Attempt) -> None:
    ann = t.connect()
    name = ann.user.ljust(255, "x")
    ann.send(raw.login(1, name))
    answer = ann.expect(e.either(e.welcome(1), e.error(raw.BAD_USER, 1)))
    granted = answer.text("user")
    t.check(granted in (None, name.encode()), "the name unchanged", granted)


@section.case(
    16,
    "a Ping before login is answered",
    "EP-3.7-4",
    cause="everything but a Login is refused before login",
)
def ping_before_login(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.ping(5))
    ann.expect(e.pong(5))


@section.case(
    17,
    "a server sends nothing before the first request",
    "EP-4.1-3",
    cause="a greeting at accept",
    needs=("LOGIN-16",),
)
def client_speaks_first(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.ping(1))
    came = ann.next(ann.deadline())
    t.check(
        came is not None and e.pong(1).fits(came),
        "the reply to the first request as the first frame",
        "another frame",
    )


@section.case(
    18,
    "facts do not reach a connection that is not logged in",
    "EP-4.1-3",
    cause="every connection is a reader, logged in or not",
    needs=("MSG-02",),
)
def no_facts_before_login(t: Attempt) -> None:
    stranger = t.connect("stranger")
    ann, bob = t.members("ann", "bob")
    ann.said(t.text("among us"))
    bob.expect(e.message(ann.user, t.text("among us")))
    came = stranger.sync()
    t.check(not came, "nothing but the Pong", f"{counted(len(came), 'frame')} before it")


@section.case(
    19,
    "a server that needs no credential accepts any",
    "EP-6.3-6",
    cause="a credential is validated though none is needed",
    capabilities=OPEN,
)
def any_credential(t: Attempt) -> None:
    ann = t.connect()
    ann.send(raw.login(1, ann.user, b"\x00\xff any"))
    ann.expect(e.welcome(1))


@section.case(
    20,
    "a refused Login has no effect: nobody has joined",
    "EP-4.2-8",
    "EP-5.4-8",
    cause="the arrival is entered before the name is checked",
    needs=("LOGIN-08",),
    capabilities=("presence",),
)
def refused_login_enters_nothing(t: Attempt) -> None:
    _, bob = t.members("ann", "bob")
    other = t.connect("other")
    identity = t.identity("ann")
    other.send(raw.login(1, identity.name, identity.credential))
    other.expect(e.error(raw.USER_TAKEN, 1))
    other.half_close()
    other.nothing_more()
    bob.sync()
    told = [f for f in bob.seen if f.is_presence and f.author == identity.name.encode()]
    t.check(
        not told, "nothing about the name that was refused", counted(len(told), "entry", "entries")
    )


@section.case(
    21,
    "a connection that never logs in makes no entry",
    "EP-5.4-8",
    cause="every connection that ends enters a Left",
    capabilities=("presence",),
)
def never_logged_in(t: Attempt) -> None:
    ann = t.member("ann")
    other = t.connect("other")
    other.send(raw.ping(1))
    other.expect(e.pong(1))
    other.half_close()
    other.nothing_more()
    nameless = [f for f in ann.sync() if f.is_presence and not f.author]
    t.check(not nameless, "no entry about nobody", "an entry with an empty name")


@section.case(
    22,
    "a Message sent directly after the Login is a member's",
    "EP-4.2-5",
    "EP-4.2-6",
    cause="the state changes only when the Welcome has been written",
    needs=("MSG-01",),
)
def login_and_message(t: Attempt) -> None:
    ann = t.connect()
    identity = t.identity("ann")
    login = raw.login(1, identity.name, identity.credential)
    ann.send(login, raw.message(2, t.text("at once")))
    ann.expect(e.welcome(1), e.ack(2))


@section.case(
    23,
    "requests after a refused Login are validated as before login",
    "EP-4.2-6",
    "EP-4.3-1",
    cause="the state changes when a Login is read, not when it is accepted",
    needs=("LOGIN-08",),
)
def refused_login_and_message(t: Attempt) -> None:
    t.member("ann")
    other = t.connect("other")
    identity = t.identity("ann")
    login = raw.login(1, identity.name, identity.credential)
    other.send(login, raw.message(2, "as whom?"), raw.logout(3))
    other.expect(e.error(raw.USER_TAKEN, 1))
    other.expect(e.error(raw.LOGIN_REQUIRED, 2), e.error(raw.LOGIN_REQUIRED, 3))


@section.case(
    25,
    "UNAUTHORIZED comes no earlier than after 100 ms",
    "EP-6.3-4",
    cause="guessing is not slowed down",
    capabilities=("credentials",),
    negative=True,
)
def unauthorized_takes_time(t: Attempt) -> None:
    def guess() -> None:
        ann = t.connect()
        ann.send(raw.login(1, ann.user, b"not the credential"))
        ann.expect(e.fatal(raw.UNAUTHORIZED))

    never_at_once(t, guess)


@section.case(
    26,
    "while UNAUTHORIZED is delayed others are served",
    "EP-6.3-5",
    cause="the delay stops the whole server",
    capabilities=("credentials",),
    needs=("LOGIN-25",),
    negative=True,
)
def unauthorized_delays_nobody(t: Attempt) -> None:
    bob = t.connect("bob")
    for _ in range(TRIES):
        ann = t.connect("ann")
        ann.sync()  # the server has taken it in, and reads its Login before bob's Ping
        ann.send(raw.login(2, ann.user, b"not the credential"))
        for _ in range(2):  # what is written together with the first Pong is there at the second
            bob.sync()
        if ann.next(0.0) is None:
            ann.expect(e.fatal(raw.UNAUTHORIZED))
            return
    raise t.fail("bob's Pongs first", "the refusal before the second one")
