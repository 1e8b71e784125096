"""Report the state of the service to systemd.

Rule: nothing here stops a server.

Errors are dropped. Without NOTIFY_SOCKET it does nothing.

Layer: the bottom layer of refserver, beside `config`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["tell"]


def tell(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send a state, `READY=1` or `STOPPING=1`, as sd_notify(3) does."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # a name without a file
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(state.encode(), address)
