"""Event Protocol 1 for clients and servers: typed events and bytes, without any I/O.

Rule: this module lists every public name once. A client or a server needs only these names and
`eventcodec.wire`.

Layer: the public face, above all others.

>>> conn = ClientConnection()
>>> login = conn.send(Login(user="ann"))
>>> data = conn.data_to_send()
"""

from . import wire
from .codec import Codec, decode, encode
from .connection import ClientConnection, InvalidRequest, Reply, ServerConnection
from .decoder import ConnectionEnded, Decoder
from .errors import (
    ConnectionLostError,
    ErrorCode,
    EventCodecError,
    LocalProtocolError,
    PeerError,
    RemoteProtocolError,
)
from .events import (
    Ack,
    ApplicationEvent,
    Error,
    Event,
    Fact,
    Joined,
    Left,
    LeftReason,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    Unknown,
    Welcome,
    application_event,
    field,
)
from .ledger import Fate, Outcome
from .lifecycle import (
    CaughtUp,
    Closed,
    Gap,
    Offline,
    Online,
    Pause,
    Paused,
    SessionState,
)
from .session import ClientSession, SessionFullError
from .speedups import IMPLEMENTATION
from .states import State

__all__ = [
    "IMPLEMENTATION",
    "Ack",
    "ApplicationEvent",
    "CaughtUp",
    "ClientConnection",
    "ClientSession",
    "Closed",
    "Codec",
    "ConnectionEnded",
    "ConnectionLostError",
    "Decoder",
    "Error",
    "ErrorCode",
    "Event",
    "EventCodecError",
    "Fact",
    "Fate",
    "Gap",
    "InvalidRequest",
    "Joined",
    "Left",
    "LeftReason",
    "LocalProtocolError",
    "Login",
    "Logout",
    "Message",
    "Offline",
    "Online",
    "Outcome",
    "Pause",
    "Paused",
    "PeerError",
    "Ping",
    "Pong",
    "RemoteProtocolError",
    "Reply",
    "ServerConnection",
    "SessionFullError",
    "SessionState",
    "State",
    "Unknown",
    "Welcome",
    "application_event",
    "decode",
    "encode",
    "field",
    "wire",
]
