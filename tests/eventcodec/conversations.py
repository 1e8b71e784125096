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
    encode,
)

FACTS: tuple[type[Event], ...] = (Message, Joined, Left, ApplicationEvent, *DECLARED)
ASIDES: tuple[type[Event], ...] = (Ping, Unknown)
REFUSALS = st.sampled_from([code for code in ErrorCode if not code.fatal])


@dataclass(frozen=True)
class Conversation:
    """What a client asks for, and what it hears."""

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
        """Whether the last thing heard is the Ack of a Logout."""
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


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """A login, requests, and a server that answers them among the entries of others."""
    logs_out = draw(st.booleans())
    requests: list[Event] = [Login(), *draw(st.lists(REQUESTS, max_size=6))]
    if logs_out:
        requests.append(Logout())
    requests = [request.with_seq(seq) for seq, request in enumerate(requests, 1)]
    position = draw(st.integers(0, 2**62))
    first = welcome(position=position, seq=1)
    said: list[Event] = [first]
    events: list[object] = [Reply(requests[0], first)]
    open_requests = requests[1:]
    while open_requests or bool(draw(st.booleans())):
        kind = draw(
            st.sampled_from([None, *FACTS, *ASIDES] if open_requests else [*FACTS, *ASIDES])
        )
        if kind is None:
            request = open_requests.pop(0)
            reply, position = draw(_replies(request, position))
            said.append(reply)
            events.append(Reply(request, reply))
            if isinstance(request, Logout):
                break
            continue
        event = draw(of(kind))
        if isinstance(event, Fact):
            position += 1
            event = event.with_seq(position)
        said.append(event)
        if kind is not Ping:
            events.append(event)
    return Conversation(
        requests=tuple(requests),
        said=tuple(said),
        events=tuple(events),
        answer=b"".join(encode(Pong(seq=event.seq)) for event in said if isinstance(event, Ping)),
        position=position,
    )


@st.composite
def _replies(draw: st.DrawFn, request: Event, position: int) -> tuple[Ack | Pong | Error, int]:
    """A reply that fits, and the client's place behind it."""
    if isinstance(request, Ping):
        return Pong(seq=request.seq), position
    if not isinstance(request, Logout) and draw(st.booleans()):
        return Error(code=draw(REFUSALS), seq=request.seq), position
    if isinstance(request, Logout) and draw(st.booleans()):
        return Ack(seq=request.seq), position
    return Ack(seq=request.seq, position=position + 1), position + 1
