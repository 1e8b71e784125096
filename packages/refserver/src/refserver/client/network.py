"""What the commands know of the network: a socket, TLS settings, and why it failed.

Rule: every failure is a `CommandError` with one line of text. The text is safe for a terminal:
bytes of the peer are escaped in it (EP-12-6).

Layer: below the commands; knows eventcodec and the network alone.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from pathlib import Path

from eventcodec import Error, ErrorCode

from ..arguments import spelled
from ..characters import escape
from ..exit_codes import Exit

__all__ = ["CommandError", "connect", "trusting", "why"]


class CommandError(Exception):
    """The command failed. The message is the reason, in one line."""

    def __init__(self, reason: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(reason)
        self.code = code


def why(error: Error) -> str:
    code = ErrorCode.known(error.code)
    name = f"code {error.code}" if code is None else code.name
    return f"{name}, {escape(error.text)}" if error.text else name


def connect(
    address: tuple[str, int], timeout: float, credential: bytes, context: ssl.SSLContext | None
) -> socket.socket:
    """Connect to this address, over TLS if there is a context. Raises CommandError."""
    host, port = address
    where = spelled(host, port)
    try:
        sock = socket.create_connection(address, timeout)
    except OSError as error:
        raise CommandError(
            f"cannot connect to {where}: {error.strerror or error}", Exit.UNREACHABLE
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        # EP-6.3-1: the address of the connection counts, not the name.
        if credential and not ipaddress.ip_address(sock.getpeername()[0]).is_loopback:
            sock.close()
            raise CommandError(f"a credential goes to {where} over TLS only: add --tls", Exit.USAGE)
        return sock
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except (OSError, ValueError) as error:
        sock.close()
        raise CommandError(
            f"no TLS with {where}: {escape(str(error))}", Exit.UNREACHABLE
        ) from error


def trusting(ca: Path | None) -> ssl.SSLContext:
    """TLS settings that trust these certificates, or those of the system. Raises CommandError."""
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        is_read = isinstance(error, ssl.SSLError)
        reason = "holds no certificate in PEM form" if is_read else error.strerror
        raise CommandError(f"--ca {ca}: {reason}", Exit.USAGE) from error
