"""What a right server says to a client that talks without waiting.

Rule: the room is one log and the member a place in it: every entry comes once, in
order, as a fact or as the Ack of the request that made it, and the replies come in
the order of their requests.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from tests.eventcodec.declared import DECLARED
from tests.eventcodec.strategies import of
from tests.eventcodec.streams import welcome

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    ErrorCode,
    Event,
    Fact,
    Joined,
    Left,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    Reply,
    Unknown,
    Welcome,
    encode,
)

FACTS: tuple[type[Event], ...] = (Message, Joined, Left, ApplicationEvent, *DECLARED)
ASIDES: tuple[type[Event], ...] = (Ping, Unknown)
REFUSALS = st.sampled_from([code for code in ErrorCode if not code.fatal])


@dataclass(frozen=True)
class Conversation:
    """What a client asks for, and what it receives."""

    requests: tuple[Event, ...]
    """In order, as the client sends them all at once."""
    said: tuple[Event, ...]
    """Everything that the server says, in order."""
    events: tuple[object, ...]
    """What the client's iterators give."""
    answer: bytes
    """What the client writes by itself: a Pong for each Ping."""
    position: int
    """The client's place at the end."""

    @property
    def ends_well(self) -> bool:
        """Whether the last thing received is the Ack of a Logout."""
        return isinstance(self.requests[-1], Logout) and self.said[-1].seq == len(self.requests)

    @property
    def stream(self) -> bytes:
        """The server's bytes."""
        return b"".join(map(encode, self.said))


def _without_sender(event: Event) -> Event:
    """The event as a client may ask for it."""
    if isinstance(event, ApplicationEvent):
        return ApplicationEvent(type=event.type, data=event.data)
    return Message(content=event.content) if isinstance(event, Message) else event


REQUESTS = st.one_of(*(of(kind) for kind in (Message, ApplicationEvent, Ping, *DECLARED))).map(
    _without_sender
)
OTHERS = st.lists(st.one_of(*(of(kind) for kind in (*FACTS, *ASIDES))), max_size=2)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """A login, requests, and a server that answers them among the entries of others."""
    asked = [
        Login(),
        *draw(st.lists(REQUESTS, max_size=6)),
        *draw(st.sampled_from([[], [Logout()]])),
    ]
    requests = [request.with_seq(seq) for seq, request in enumerate(asked, 1)]
    position = draw(st.integers(0, 2**62))
    said: list[Event] = []
    events: list[object] = []

    def reply(request: Event, event: Welcome | Ack | Pong | Error) -> None:
        said.append(event.with_seq(request.seq))
        events.append(Reply(request, event.with_seq(request.seq)))

    def tell(others: list[Event]) -> None:
        nonlocal position
        for event in others:
            if isinstance(event, Fact):
                position += 1
                event = event.with_seq(position)
            said.append(event)
            if not isinstance(event, Ping):
                events.append(event)

    reply(requests[0], welcome(position=position))
    for request in requests[1:]:
        tell(draw(OTHERS))
        answer, entered = draw(_answers(request))
        position += entered
        reply(request, Ack(position=position) if entered else answer)
    if not isinstance(requests[-1], Logout):
        tell(draw(OTHERS))
    return Conversation(
        requests=tuple(requests),
        said=tuple(said),
        events=tuple(events),
        answer=b"".join(encode(Pong(seq=event.seq)) for event in said if isinstance(event, Ping)),
        position=position,
    )


def _answers(request: Event) -> st.SearchStrategy[tuple[Ack | Pong | Error, bool]]:
    """What a server may answer, and whether the request made an entry."""
    if isinstance(request, Ping):
        return st.just((Pong(), False))
    if isinstance(request, Logout):
        return st.sampled_from([(Ack(), False), (Ack(), True)])
    refusals = REFUSALS.map(lambda code: (Error(code=code), False))
    return st.one_of(st.just((Ack(), True)), refusals)
