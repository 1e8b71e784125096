"""What a client asks for. Sections 3.3, 3.11, 4.2 and 4.4."""

from __future__ import annotations

from ....wording import counted
from ... import raw
from ...catalogue import Section
from ...model import Level
from ..peer import KIT, Peer

section = Section("requests", "PEER-SAY", needs=("PEER-LOGIN-01", "PEER-FACT-01"))


@section.case(
    1,
    "sends a Message with an empty sender, and tells its Ack",
    "EP-3.3-1",
    "EP-3.3-2",
    cause="the client writes its own name as the sender",
)
def say(t: Peer) -> None:
    t.welcome()
    t.order("say hello world")
    request = t.asked(raw.MESSAGE)
    t.check(request.text("sender") == b"", "an empty sender", request.text("sender"))
    t.check(request.text("content") == b"hello world", "hello world", request.text("content"))
    t.tell(t.ack(request))


@section.case(
    2,
    "sends text as it is, in UTF-8",
    "EP-2.3-4",
    "EP-2.3-5",
    cause="text is normalised, trimmed, or written in another encoding",
    needs=("PEER-SAY-01",),
)
def say_foreign(t: Peer) -> None:
    t.welcome()
    text = "Gru\u0308\u00dfe  \U0001f600 \u20ac "
    t.order(f"say {text}")
    said = t.asked(raw.MESSAGE).text("content")
    t.check(said == text.encode(), ascii(text), said)


@section.case(
    3,
    "sends an application event with an empty sender, and tells its Ack",
    "EP-3.11-1",
    "EP-3.11-2",
    cause="data has a length in front, or the sender is filled in",
    needs=("PEER-SAY-01",),
)
def event(t: Peer) -> None:
    t.welcome()
    t.order("event 200 00ff80")
    request = t.asked(200)
    t.check(request.text("sender") == b"", "an empty sender", request.text("sender"))
    t.check(request.text("data") == b"\x00\xff\x80", "data 00ff80", request.text("data"))
    t.tell(t.ack(request))


@section.case(
    4,
    "sends a Ping without a body, and tells its Pong",
    "EP-3.7-1",
    cause="a Ping carries a time, as in other protocols",
    needs=("PEER-SAY-01",),
)
def ask(t: Peer) -> None:
    t.welcome()
    t.order("ping")
    request = t.asked(raw.PING)
    t.check(not request.body, "a Ping without a body", counted(len(request.body), "byte"))
    t.tell(raw.Frame(raw.pong(request.seq)))


@section.case(
    5,
    "sends no request after its Logout",
    "EP-3.4-1",
    "EP-4.4-5",
    cause="what is requested after a Logout goes out until its Ack has come",
    needs=("PEER-SAY-01",),
)
def nothing_after_logout(t: Peer) -> None:
    t.welcome()
    orders = [t.message(KIT, "logout"), t.message(KIT, "say too late")]
    t.tell(*orders)
    logout = t.asked(raw.LOGOUT)
    t.check(not logout.body, "a Logout without a body", counted(len(logout.body), "byte"))
    t.expect_silence()


@section.case(
    6,
    "numbers its requests 1, 2, 3",
    "EP-4.2-4",
    cause="numbers are random, or shared between connections",
    needs=("PEER-SAY-01",),
    level=Level.SHOULD,
)
def numbers(t: Peer) -> None:
    login = t.login()
    t.tell(t.welcome_to(login))
    seqs = [login.seq]
    for text in ("one", "two"):
        t.order(f"say {text}")
        request = t.asked(raw.MESSAGE)
        seqs.append(request.seq)
        t.tell(t.ack(request))
    t.check(seqs == [1, 2, 3], "1, 2, 3", seqs)
