"""Event Protocol 1 for clients and servers: typed events, bytes, and nothing that waits.

Rule: everything public is named here, once; nothing outside this package needs
more than these names and `eventcodec.wire`.

Layer: the public face, above all others.

>>> conn = ClientConnection()
>>> login = conn.send(Login(user="ann"))
>>> data = conn.data_to_send()
"""

from . import wire
from .codec import Codec, Relayed, decode, encode
from .connection import ClientConnection, Refused, Reply, ServerConnection
from .decoder import Decoder
from .errors import (
    ConnectionLost,
    ErrorCode,
    EventError,
    LocalError,
    ProtocolError,
    RemoteError,
)
from .events import (
    STANDARD_EVENTS,
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
from .limits import LIMITS, Limit, Limits
from .states import RULES, SENDABLE, Role, State, judge

__all__ = [
    "LIMITS",
    "RULES",
    "SENDABLE",
    "STANDARD_EVENTS",
    "Ack",
    "ApplicationEvent",
    "ClientConnection",
    "Codec",
    "ConnectionLost",
    "Decoder",
    "Error",
    "ErrorCode",
    "Event",
    "EventError",
    "Fact",
    "Joined",
    "Left",
    "LeftReason",
    "Limit",
    "Limits",
    "LocalError",
    "Login",
    "Logout",
    "Message",
    "Ping",
    "Pong",
    "ProtocolError",
    "Refused",
    "Relayed",
    "RemoteError",
    "Reply",
    "Role",
    "ServerConnection",
    "State",
    "Unknown",
    "Welcome",
    "application_event",
    "decode",
    "encode",
    "field",
    "judge",
    "wire",
]
