"""The points of the product that a mutant may replace.

Rule: a mutant replaces what stands in `SEAMS` and nothing else.

A mutant reads and writes no private name of the product. So a change inside a module breaks
no mutant.

A mutant wraps one of these by `patch.around(owner, name, wrapper)`; `wrapper` is called with
the original, then with the arguments of the call. Of what it is handed it may use:

* a `Session`: every public attribute and method, for example `room` (its `log`, `members`),
  `member`, `state`, `outbox`, `deadlines`, and `conn` (eventcodec's `ServerConnection`);
* an `Outbox`: `log`, `cursor`, `in_log`, `closed`, `replies`, `preamble`, `add`, `add_here`,
  `add_preamble`;
* a `Connection`: `owner` (the `Server`: `loop`, `clock`, `room`, `connections`, and its
  `turns`: `has_input`, `has_output`), `session`, `eof`, `writable`, `closed`, `close_by`, `abort`.

Layer: above `server`, below every mutant.
"""

from __future__ import annotations

from eventcodec import ServerConnection

from ..cluster.node import Node
from ..cluster.sequencer import ClusterSequencer
from ..server.connection import Connection
from ..server.listener import Listeners
from ..server.server import Server
from ..server.turn import Turns
from ..session import names, session
from ..session.deadlines import Deadlines
from ..session.log import Log
from ..session.outbox import Outbox
from ..session.room import Room
from ..session.sequencer import LocalSequencer
from ..session.session import Session
from ..session.tickets import Tickets

__all__ = ["SEAMS"]

SEAMS: dict[object, dict[str, str]] = {
    Session: {
        "receive": "(data, now): what came, in any pieces",
        "receive_eof": "(): the client's end of stream",
        "work": "(now, frames): validate and carry out what came; returns the entries made",
        "reading": "property: whether more input is wanted",
        "handle": "(request, now): carry out one request that is not relayed, and reply",
        "answer": "(request, event): the frame that answers a request",
        "publish": "(said): enter one message, and acknowledge it",
        "login": "(login, now): credential, name, then `join` or `resume`",
        "authenticate": "(login): what the credential proves, or None",
        "join": "(login, user, bound=): begin a session",
        "resume": "(login, user, now): go on with a session",
        "welcome": "(login, member, cursor): the client becomes a member",
        "logout": "(logout): the member leaves by itself",
        "reply": "(data): queue a reply that made no entry",
        "goodbye": "(code, text): end the connection with an Error",
        "evict": "(ran_out): end the connection of a client that did not keep up",
        "finish": "(last, reason, state): queue the last frame; the member leaves",
        "superseded": "(): another connection has its session now",
        "lost": "(): the transport is gone",
        "tick": "(now): do what is due",
    },
    Outbox: {
        "add": "(reply): a reply in its place of the log",
        "read_log": "(stop): the next segment of the log; moves `cursor`",
        "next_chunk": "(): what is written next",
    },
    Deadlines: {
        "received": "(now): a byte came",
        "check_silence": "(state, now): what is due because the client sent nothing",
    },
    Room: {
        "__init__": "(capacity=, presence=, new_ticket=)",
        "enter": "(session, user, bound=): a new member, and its place in the log",
        "find": "(user, ticket, position): whose ticket this is; raises LoginRefused",
        "resume": "(member, session): a member comes back",
        "admit": "(member, session): both of these: its name is taken, `Joined` is entered",
        "leave": "(member, reason): its name is free, `Left` is entered; returns its position",
        "shut": "(): the server stops",
    },
    Tickets: {"find": "(ticket): the membership that it names, or None"},
    Connection: {
        "received": "(data): what came from the socket",
        "shut_down": "(): the last byte was written: close in stages",
        "connection_lost": "(exc): the socket is closed",
    },
    Turns: {
        "work": "(connection, now, frames): one client's part of a turn",
        "send_entries": "(start, size): write entries to everybody",
    },
    Server: {
        "opened": "(connection): a connection is there",
        "lost": "(connection): a connection is gone",
        "superseded": "(connection): it was taken over",
        "stop": "(): shut down in good order",
    },
    Listeners: {"close": "(): accept no more"},
    ClusterSequencer: {
        "say": "(client, facts, acks): a run of messages, placed later",
        "mark": "(client, reply): a reply without an entry, placed later",
        "leave": "(client, reason, last): a member leaves, and then has its last frame",
        "enter": "(facts): messages of any server take their places",
        "joins": "(connection, user): a member comes, on any server",
        "parts": "(connection, reason, user, asked): a member leaves, on any server",
    },
    Node: {
        "submit": "(operation, placed): ask the engine for this",
        "read": "(record): take the next record of the stream",
    },
    names: {
        "error_of": "(name): what is wrong with a name, or None",
        "key_of": "(name): what equal names have in common",
        "is_kept": "(name): whether only the server gives this name",
        "assigned": "(numbers, taken): a free name of the server's own",
    },
    session: {"REJECT_DELAY": "seconds until UNAUTHORIZED is sent"},
    ServerConnection: {"relay": "(position, count): the run of messages that is next"},
    LocalSequencer: {"say": "(client, facts, acks): entries, and what their author gets instead"},
    Log: {"segment": "(cursor, stop): the entries after `cursor` as bytes, and the last position"},
}
"""What may be replaced: by owner, each name with its arguments and what it does."""

try:
    from websockets.server import ServerProtocol

    from ..server.websocket import WebSocketConnection, WebSockets
except ImportError:  # the extra `ws` is not installed
    pass
else:
    SEAMS |= {
        WebSocketConnection: {
            "answer": "(request): answer the handshake",
            "buffer_updated": "(nbytes): what came from the socket",
            "take": "(frame): one frame of WebSocket that came",
            "pass_on": "(rest): wrap and write",
            "end_output": "(): send a Close",
        },
        WebSockets: {
            "error_of": "(request): which header of a handshake is refused, or ''",
            "wrap": "(data, most): bytes as messages",
        },
        ServerProtocol: {
            "accept": "(request): the answer that agrees",
            "reject": "(status, text): the answer that refuses",
        },
    }
