"""Captures of TLS, read by tshark with a key log.

Rule: tshark undoes TCP and TLS; here its lines become items. What it could not decrypt is a gap.

Layer: beside `capture`, below `sources`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..arguments import spelled
from .capture import CaptureError
from .conversation import Bytes, Ended, How, Item, Missing, Opened, Side

__all__ = ["read_tls_capture"]

FIELDS = (
    *("frame.time_epoch", "tcp.stream", "ip.src", "ipv6.src", "tcp.srcport", "tcp.dstport"),
    *("ip.dst", "ipv6.dst", "tcp.flags.syn", "tcp.flags.fin", "tcp.flags.reset"),
    *("tcp.analysis.lost_segment", "tcp.analysis.ack_lost_segment", "data.data"),
)
YES = ("1", "True")
KEY = re.compile(rb"^(CLIENT_RANDOM|[A-Z_]+_SECRET(_\d+)?|RSA) [0-9a-fA-F]", re.MULTILINE)
"""A line of a key log."""


def read_tls_capture(path: Path, keys: Path, port: int) -> Iterator[Item]:
    """The conversations with the server at `port`, decrypted. Raises CaptureError.

    `keys` is a key log, as SSLKEYLOGFILE names one: browsers, curl and Python write it.
    """
    tshark = shutil.which("tshark")
    if tshark is None:
        raise CaptureError("TLS is read by tshark, and there is none: install Wireshark's tshark")
    if not KEY.search(keys.read_bytes()):
        raise CaptureError(f"{keys} holds no key of TLS")
    command = [tshark, "-n", "-2", "-r", str(path), "-o", f"tls.keylog_file:{keys}"]
    command += ["-d", f"tcp.port=={port},tls", "-d", f"tls.port=={port},data"]
    command += ["-Y", f"tcp.port=={port}", "-T", "fields", "-E", "separator=/t"]
    for name in FIELDS:
        command += ["-e", name]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process,
    ):
        assert process.stdout is not None
        yield from _items(process.stdout, port)
        if process.wait() != 0:
            said.seek(0)
            lines = said.read(2_000).decode(errors="backslashreplace").strip().splitlines()
            raise CaptureError(f"tshark: {lines[-1] if lines else 'it failed'}")


def _items(lines: Iterable[str], port: int) -> Iterator[Item]:
    started: float | None = None
    numbers: dict[str, int] = {}
    ended: set[tuple[int, Side]] = set()
    for line in lines:
        told = dict(zip(FIELDS, line.rstrip("\n").split("\t"), strict=False))
        time = float(told["frame.time_epoch"])
        started = time if started is None else started
        at, stream = time - started, told["tcp.stream"]
        side = Side.SERVER if told["tcp.srcport"] == str(port) else Side.CLIENT
        number = numbers.get(stream)
        if number is None:
            number = numbers[stream] = len(numbers) + 1
            yield _opened(told, at, number, side)
        if told["tcp.analysis.lost_segment"] or told["tcp.analysis.ack_lost_segment"]:
            lost = side if told["tcp.analysis.lost_segment"] else side.other
            yield Missing(at, number, lost)
        for data in filter(None, told["data.data"].split(",")):
            yield Bytes(at, number, side, bytes.fromhex(data))
        if told["tcp.flags.reset"] in YES:
            for each in (side, side.other):
                if (number, each) not in ended:
                    ended.add((number, each))
                    yield Ended(at, number, each, How.RESET)
        elif told["tcp.flags.fin"] in YES and (number, side) not in ended:
            ended.add((number, side))
            yield Ended(at, number, side, How.FIN)


def _opened(told: dict[str, str], at: float, number: int, side: Side) -> Opened:
    source = told["ip.src"] or told["ipv6.src"], int(told["tcp.srcport"])
    target = told["ip.dst"] or told["ipv6.dst"], int(told["tcp.dstport"])
    client, server = (source, target) if side is Side.CLIENT else (target, source)
    whole = told["tcp.flags.syn"] in YES
    return Opened(at, number, spelled(*client), spelled(*server), whole, secure=True)
