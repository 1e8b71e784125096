"""Say each line of stdin exactly once, over connections that break: resume.py USER [HOST PORT]"""

import sys

from refserver.client.blocking import connect


def main(user: str, host: str = "localhost", port: str = "3000") -> None:
    with connect(host, int(port), user=user, listen=False) as room:
        for line in sys.stdin:
            room.say(line.rstrip("\n"))


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) in (2, 4) else sys.exit(
        f"usage: {sys.argv[0]} USER [HOST PORT]"
    )
