"""Chat from the terminal in one thread, with selectors: selectors_client.py USER [HOST PORT]

Neither the keyboard nor the socket is ever waited for alone, and no write blocks:
what the socket does not take stays in `outgoing` until it is writable again.
"""

import os
import selectors
import socket
import sys

from eventcodec import ClientConnection, ConnectionEnded, EventCodecError, Login, Logout, Message


def main(user: str, host: str = "localhost", port: str = "3000") -> None:
    conn = ClientConnection()
    conn.send(Login(user=user))
    outgoing, typed = b"", b""

    with socket.create_connection((host, int(port))) as sock:
        sock.setblocking(False)
        selector = selectors.SelectSelector()  # takes a file for keyboard, as epoll does not
        selector.register(sock, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)

        while not conn.ended:
            outgoing += conn.data_to_send()
            # A server that takes nothing more is not read from, either.
            wanted = selectors.EVENT_READ if len(outgoing) < 65536 else 0
            wanted |= selectors.EVENT_WRITE if outgoing else 0
            selector.modify(sock, wanted)
            ready = {key.fileobj: mask for key, mask in selector.select()}

            if sys.stdin in ready:
                chunk = os.read(0, 65536)
                end = b"\n" if typed and not chunk else b""  # the last line may lack it
                *lines, typed = (typed + chunk + end).split(b"\n")
                for line in lines:
                    conn.send(Message(content=line.decode(errors="replace")))
                if not chunk:
                    conn.send(Logout())
                    selector.unregister(sys.stdin)
            if ready.get(sock, 0) & selectors.EVENT_WRITE:
                outgoing = outgoing[sock.send(outgoing) :]
            if ready.get(sock, 0) & selectors.EVENT_READ:
                if data := sock.recv(65536):
                    conn.receive_data(data)
                else:
                    conn.receive_eof()
                for event in conn.events():
                    if not isinstance(event, ConnectionEnded):
                        print(event, flush=True)
                    elif event.error is not None:
                        raise event.error


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(f"usage: {sys.argv[0]} USER [HOST PORT]")
    try:
        main(*sys.argv[1:])
    except (EventCodecError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
