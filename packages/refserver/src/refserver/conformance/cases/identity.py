"""Who somebody is: credentials that are nearly right, and names that are kept as they came.

Rule: a case here sends what a careless comparison lets in. Sections 6.1 to 6.3.

Layer: above `catalogue`, in the catalogue of cases.
"""

from __future__ import annotations

from ...wording import counted
from .. import expect as e
from .. import raw
from ..attempt import Attempt
from ..catalogue import ONCE, Section
from ..connection import Connection
from .login import never_at_once
from .resume import lost

section = Section("identity", "IDENT")
GUARDED = ("credentials",)
OPEN = ("any-name",)


def unauthorized(
    t: Attempt, name: str, credential: bytes, ticket: int = 0, position: int = 0
) -> Connection:
    """A Login that gets UNAUTHORIZED, and the end."""
    if credential:
        t.hide(credential)  # it is near enough to the right one to be kept out of reports
    conn = t.connect("guesser")
    conn.send(raw.login(1, name, credential, ticket, position))
    conn.ends(raw.UNAUTHORIZED)
    return conn


@section.case(
    1,
    "an empty credential proves nothing",
    "EP-6.3-3",
    cause="a missing credential skips the check",
    capabilities=GUARDED,
    negative=True,
)
def empty_credential(t: Attempt) -> None:
    unauthorized(t, t.name("ann"), b"")


@section.case(
    2,
    "another user's credential proves only that user",
    "EP-6.3-3",
    cause="the credential is looked up, and not whose it is",
    capabilities=GUARDED,
    negative=True,
)
def anothers_credential(t: Attempt) -> None:
    unauthorized(t, t.name("ann"), t.identity("bob").credential)


@section.case(
    3,
    "a credential with something after it proves nothing",
    "EP-6.3-3",
    cause="only the bytes that the secret has are compared, or the end is trimmed",
    capabilities=GUARDED,
    segmentations=ONCE,
    negative=True,
)
def longer_credential(t: Attempt) -> None:
    ann = t.identity("ann")
    for tail in (b"x", b" ", b"\n", b"\0", ann.credential):
        unauthorized(t, ann.name, ann.credential + tail)


@section.case(
    4,
    "the beginning of a credential proves nothing",
    "EP-6.3-3",
    cause="only the bytes that came are compared",
    capabilities=GUARDED,
    segmentations=ONCE,
    negative=True,
)
def shorter_credential(t: Attempt) -> None:
    ann = t.identity("ann")
    for size in {1, len(ann.credential) - 1} - {0, len(ann.credential)}:
        unauthorized(t, ann.name, ann.credential[:size])


@section.case(
    5,
    "a credential in other letters, or with another last bit, proves nothing",
    "EP-6.3-3",
    cause="credentials are folded before they are compared, or compared in part",
    capabilities=GUARDED,
    segmentations=ONCE,
    negative=True,
)
def nearly_the_credential(t: Attempt) -> None:
    ann = t.identity("ann")
    last_bit = ann.credential[:-1] + bytes([ann.credential[-1] ^ 1])
    for credential in {ann.credential.swapcase(), last_bit} - {ann.credential}:
        unauthorized(t, ann.name, credential)


@section.case(
    6,
    "a credential with something before it proves nothing",
    "EP-6.3-3",
    cause="the secret is searched for in what came",
    capabilities=GUARDED,
    segmentations=ONCE,
    negative=True,
)
def credential_behind(t: Attempt) -> None:
    ann = t.identity("ann")
    for front in (b"x", b" ", b"\0", ann.name.encode() + b":"):
        unauthorized(t, ann.name, front + ann.credential)


@section.case(
    7,
    "a resume with a credential that proves nothing is UNAUTHORIZED, and ends nobody",
    "EP-6.3-2",
    "EP-6.4-13",
    cause="the ticket is treated as a proof, or the older connection is ended first",
    capabilities=(*GUARDED, "resume"),
    negative=True,
)
def resume_with_a_wrong_credential(t: Attempt) -> None:
    ann = t.member()
    for credential in (b"", b"not the credential"):
        unauthorized(t, ann.user, credential, ann.ticket, ann.place)
    ann.expect_silence()


@section.case(
    8,
    "a resume with another user's credential is UNAUTHORIZED, and ends nobody",
    "EP-6.3-3",
    "EP-6.4-13",
    cause="at a resume any user's credential will do",
    capabilities=(*GUARDED, "resume"),
    negative=True,
)
def resume_with_anothers_credential(t: Attempt) -> None:
    ann = t.member()
    unauthorized(t, ann.user, t.identity("bob").credential, ann.ticket, ann.place)
    ann.expect_silence()


@section.case(
    9,
    "an empty user gets the name that the credential proves",
    "EP-6.1-2",
    cause="an empty user is a guest, whatever it can prove",
    capabilities=GUARDED,
)
def proven_name(t: Attempt) -> None:
    ann = t.identity("ann")
    conn = t.connect()
    conn.send(raw.login(1, "", ann.credential))
    granted = conn.expect(e.welcome(1)).text("user")
    t.check(granted == ann.name.encode(), ann.name, granted)


@section.case(
    10,
    "a resume with an empty user and another user's credential is HISTORY_GONE, and ends nobody",
    "EP-6.4-17",
    "EP-6.4-18",
    "EP-6.4-13",
    cause="an empty user is taken as the session's before it is asked what was proved",
    capabilities=(*GUARDED, "resume"),
)
def empty_user_with_anothers_ticket(t: Attempt) -> None:
    ann = t.member()
    other = t.connect("bob")
    other.send(raw.login(1, "", t.identity("bob").credential, ann.ticket, ann.place))
    other.expect(e.error(raw.HISTORY_GONE, 1))
    ann.expect_silence()


@section.case(
    11,
    "a client that proves nothing does not learn that a name is in use",
    "EP-6.3-2",
    "EP-8.3-1",
    cause="the name is looked up before the credential is validated",
    capabilities=GUARDED,
    negative=True,
)
def name_in_use_and_no_proof(t: Attempt) -> None:
    ann = t.member()
    for credential in (b"not the credential", t.identity("bob").credential):
        unauthorized(t, ann.user, credential)
    ann.expect_silence()


@section.case(
    12,
    "UNAUTHORIZED is delayed for an unknown name too",
    "EP-6.3-4",
    cause="only the comparison is delayed, and an unknown user has nothing to compare",
    capabilities=GUARDED,
    negative=True,
)
def unknown_user_takes_time(t: Attempt) -> None:
    never_at_once(t, lambda: unauthorized(t, f"{t.name('ann')}-nobody", b"not the credential"))


@section.case(
    13,
    "a client that shuts its sending side gets UNAUTHORIZED too, and no earlier",
    "EP-10.3-3",
    "EP-6.3-4",
    cause="the end of the stream ends the delay, or takes the reply with it",
    capabilities=GUARDED,
    segmentations=ONCE,
    negative=True,
)
def unauthorized_behind_the_end(t: Attempt) -> None:
    def guess() -> None:
        conn = t.connect()
        conn.send(raw.login(1, t.name("ann"), b"not the credential"))
        conn.half_close()
        conn.ends(raw.UNAUTHORIZED)

    never_at_once(t, guess)


@section.case(
    14,
    "UNAUTHORIZED does not reveal users, names in use and tickets",
    "EP-6.3-7",
    cause="the text says what was wrong",
    capabilities=(*GUARDED, "resume"),
    negative=True,
)
def unauthorized_looks_alike(t: Attempt) -> None:
    ann = t.member()
    wrong = b"not the credential"
    tries = (
        unauthorized(t, ann.user, wrong),
        unauthorized(t, f"{ann.user}-nobody", wrong),
        unauthorized(t, ann.user, wrong, ann.ticket, ann.place),
        unauthorized(t, ann.user, wrong, 7, 7),
    )
    frames = {conn.seen[-1].raw for conn in tries}
    t.check(len(frames) == 1, "the same bytes each time", counted(len(frames), "different error"))


@section.case(
    16,
    "a session is resumed with an empty user and its own credential",
    "EP-6.4-9",
    "EP-6.4-17",
    cause="an empty user gets a new name, or is refused where a name must be proved",
    capabilities=(*GUARDED, "resume"),
)
def empty_user_with_its_own_ticket(t: Attempt) -> None:
    ann = t.member()
    lost(t, ann)
    again = t.connect("again")
    again.send(raw.login(1, "", t.identity("ann").credential, ann.ticket, ann.place))
    welcome = again.expect(e.welcome(1))
    t.check(welcome.number("ticket") == ann.ticket, "the same ticket", "another ticket")


def unchanged(t: Attempt, watcher: Connection, name: str) -> None:
    """Log in under a name; if it is granted, it is the same in Welcome, facts and departure."""
    conn = t.connect()
    conn.send(raw.login(1, name))
    answer = conn.expect(e.either(e.welcome(1), e.error(raw.BAD_USER, 1)))
    if answer.type == raw.ERROR:
        return
    t.check(answer.text("user") == name.encode(), ascii(name), answer.text("user"))
    conn.send(raw.message(2, t.text("mine")), raw.logout(3))
    conn.expect(e.ack(2), e.ack(3))
    came = watcher.sync()
    said = [f.author for f in came if f.type == raw.MESSAGE and t.text("mine").encode() in f.body]
    t.check(said == [name.encode()], f"a fact of {name!a}", said)
    if "presence" in t.setting.capabilities:
        told = [f.type for f in came if f.is_presence and f.author == name.encode()]
        t.check(told == [raw.JOINED, raw.LEFT], f"Joined and Left of {name!a}", f"types {told}")


@section.case(
    17,
    "spaces in a name are kept everywhere, or the name is BAD_USER",
    "EP-6.1-3",
    "EP-3.3-4",
    "EP-2.3-5",
    cause="a name is trimmed",
    capabilities=OPEN,
)
def spaces_in_a_name(t: Attempt) -> None:
    watcher = t.member("watcher")
    for name in (f"{t.name('ann')} ", f" {t.name('ann')}", f"{t.name('ann')} of  two"):
        unchanged(t, watcher, name)


@section.case(
    18,
    "a name is not normalised anywhere, or it is BAD_USER",
    "EP-6.1-3",
    "EP-3.3-4",
    "EP-2.3-5",
    cause="a name is composed or folded before it is granted or told",
    capabilities=OPEN,
)
def name_not_normalised(t: Attempt) -> None:
    watcher = t.member("watcher")
    for end in ("e\u0301", "\ufb01\u2460", "K\u212a"):
        unchanged(t, watcher, f"{t.name('ann')}-{end}")


@section.case(
    19,
    "capital letters in a name are kept everywhere",
    "EP-6.1-3",
    "EP-3.3-4",
    cause="a name is told in the form under which it is looked up",
    capabilities=OPEN,
)
def capitals_in_a_name(t: Attempt) -> None:
    unchanged(t, t.member("watcher"), f"{t.name('ann')}-McX")


@section.case(
    20,
    "names that differ only after their first 60 bytes are two names",
    "EP-6.1-3",
    cause="only the beginning of a name is checked, or kept",
    capabilities=OPEN,
)
def long_names_differ(t: Attempt) -> None:
    both = [f"{t.name('ann').ljust(60, '-')}{end}" for end in ("1", "2")]
    for name in both:
        conn = t.connect()
        conn.send(raw.login(1, name))
        granted = conn.expect(e.either(e.welcome(1), e.error(raw.BAD_USER, 1))).text("user")
        t.check(granted in (None, name.encode()), ascii(name), granted)


@section.case(
    21,
    "a server does not choose a name that a member has requested",
    "EP-6.2-4",
    "EP-6.1-2",
    cause="chosen names are counted, and not looked up among the members",
    capabilities=OPEN,
)
def chosen_name_in_use(t: Attempt) -> None:
    first = t.connect()
    first.send(raw.login(1))
    name = (first.expect(e.welcome(1)).text("user") or b"").decode()
    stem = name.rstrip("0123456789")
    number = int(name[len(stem) :] or "0") if name[len(stem) :].isascii() else 0
    names = [name]
    for n in (number + 1, number + 2):
        asked = t.connect()
        asked.send(raw.login(1, f"{stem}{n}"))
        answer = asked.next(asked.deadline())
        if answer is not None and e.welcome(1).fits(answer):
            names.append(f"{stem}{n}")
    for _ in range(3):
        client = t.connect()
        client.send(raw.login(1))
        names.append((client.expect(e.welcome(1)).text("user") or b"").decode())
    t.check(len(set(names)) == len(names), "names that nobody has", ", ".join(map(ascii, names)))


@section.case(
    22,
    "a server does not choose a name that is still in use, even after others have left",
    "EP-6.2-4",
    "EP-6.1-2",
    cause="names are chosen by how many members there are",
    capabilities=OPEN,
    needs=("LOGIN-04",),
)
def chosen_names_and_departures(t: Attempt) -> None:
    clients: dict[Connection, bytes | None] = {}

    def come(count: int) -> None:
        for _ in range(count):
            client = t.connect("guest")
            client.send(raw.login(1))
            clients[client] = client.expect(e.welcome(1)).text("user")

    come(4)
    for client in list(clients)[:2]:
        client.send(raw.logout(2))
        client.expect(e.ack(2), e.END)
        del clients[client]
    come(3)
    t.check(len(set(clients.values())) == 5, "five names", f"{len(set(clients.values()))}")
