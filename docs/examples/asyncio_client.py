"""Chat from the terminal, with asyncio: asyncio_client.py USER [HOST PORT]

One task reads the keyboard, one the connection. The end of the keyboard's input
becomes a `Logout`, and its `Ack` ends the program. asyncio reads terminals and pipes, so
for the lines of a file: cat lines | asyncio_client.py ann
"""

import asyncio
import sys

from eventcodec import ClientConnection, ConnectionEnded, EventCodecError, Login, Logout, Message


async def talk(conn: ClientConnection, writer: asyncio.StreamWriter) -> None:
    keyboard = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(keyboard)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    async for line in keyboard:
        conn.send(Message(content=line.decode(errors="replace").rstrip("\n")))
        writer.write(conn.data_to_send())
        await writer.drain()
    conn.send(Logout())
    writer.write(conn.data_to_send())


async def listen(
    conn: ClientConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while not conn.ended:
        if data := await reader.read(65536):
            conn.receive_data(data)
        else:
            conn.receive_eof()
        for event in conn.events():
            if not isinstance(event, ConnectionEnded):
                print(event, flush=True)
            elif event.error is not None:
                raise event.error
        writer.write(conn.data_to_send())  # the Pong to a Ping
        await writer.drain()  # a server that does not read is not read from, either


async def main(user: str, host: str = "localhost", port: str = "3000") -> None:
    conn = ClientConnection()
    reader, writer = await asyncio.open_connection(host, int(port))
    conn.send(Login(user=user))
    writer.write(conn.data_to_send())
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(talk(conn, writer))
            tasks.create_task(listen(conn, reader, writer))
    finally:
        writer.close()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(f"usage: {sys.argv[0]} USER [HOST PORT]")
    failed = False
    try:
        asyncio.run(main(*sys.argv[1:]))
    except* (EventCodecError, OSError, ValueError) as errors:
        print(*map(repr, errors.exceptions), sep="\n", file=sys.stderr)
        failed = True
    sys.exit(failed)  # not above: before Python 3.11.4 that would show a traceback
