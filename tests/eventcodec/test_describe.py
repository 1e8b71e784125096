"""The descriptions for other tools, read by those tools.

Rule: Wireshark and Kaitai judge; without tshark, node or the Kaitai compiler these tests skip.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from tests.eventcodec.captures import CLIENT, FIRST_PORT, SERVER, Segment, capture
from tests.eventcodec.moves import Moved

from eventcodec import Ack, Error, ErrorCode, Login, Logout, Message, Ping, Pong, Welcome, encode
from eventcodec.describe import protocol
from eventcodec.describe.kaitai import kaitai
from eventcodec.describe.markdown import markdown
from eventcodec.describe.wireshark import STATEMENTS, wireshark
from eventcodec.vectors import load

READER = Path(__file__).with_name("kaitai_reader.cjs")
SEEN_IN_ONE_FRAME = (
    *("length", "version", "reserved", "seq", "foreign"),
    *("text", "truncated", "stray", "inner", "type"),
)
"""Groups of invalid vectors whose fault one frame shows; the others need a state or a room."""
A_READERS_OWN_LIMIT = "length.limit-"
VECTORS = load()
ONE_SEGMENT = 60_000
VALID = {v.id: v.frame for v in VECTORS.valid if len(v.frame) < ONE_SEGMENT}
INVALID = {v.id: v.data for v in VECTORS.invalid if len(v.data) < ONE_SEGMENT}
SHOWN = [
    vector
    for vector in VECTORS.invalid
    if vector.id in INVALID
    and vector.group in SEEN_IN_ONE_FRAME
    and not vector.id.startswith(A_READERS_OWN_LIMIT)
]

CHAT: list[Segment] = [
    (CLIENT, encode(Login(user="änn", seq=1)) + encode(Message(content="hello ☺", seq=2))),
    (
        SERVER,
        encode(Welcome(seq=1, user="änn", ticket=5, position=1, max_frame=65_536, heartbeat=9)),
    ),
    (SERVER, encode(Ack(seq=2, position=2)) + encode(Message(seq=3, sender="bob", content="hi"))),
    (CLIENT, encode(Ping(seq=3)) + encode(Message(content="", seq=4))),
    (SERVER, encode(Pong(seq=3)) + encode(Error(seq=4, code=ErrorCode.UNEXPECTED_EVENT))),
    (SERVER, encode(Ping(seq=3))),
    (CLIENT, encode(Pong(seq=3)) + encode(Logout(seq=5))),
    (SERVER, encode(Ack(seq=5, position=4))),
]

Rows = list[list[str]]
Tshark = Callable[..., Rows]


# ---------------------------------------------------------------- Wireshark


@pytest.fixture
def tshark(tmp_path: Path) -> Iterator[Tshark]:
    """Run tshark with the dissector on conversations. Returns the fields, a row for each packet.

    It runs as nobody where the tests run as root, for whom it loads no Lua.
    """
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("there is no tshark")
    root = os.geteuid() == 0
    if root and shutil.which("setpriv") is None:
        pytest.skip("tshark loads no Lua for root, and there is no setpriv")
    lowered = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if root else []
    folder = Path("/tmp") / f"describe-{os.getpid()}-{tmp_path.name}" if root else tmp_path
    folder.mkdir(mode=0o755, exist_ok=True)

    def run(
        conversations: Sequence[Sequence[Segment]],
        *fields: str,
        events: Sequence[type[Moved]] = (),
        port: int = 3000,
        options: Sequence[str] = (),
    ) -> Rows:
        lua, file = folder / "eventproto.lua", folder / "capture.pcap"
        lua.write_text(wireshark(protocol(events)), encoding="utf-8")
        file.write_bytes(capture(*conversations, port=port))
        asked = [part for name in fields for part in ("-e", name)]
        done = subprocess.run(
            [*lowered, program, "-X", f"lua_script:{lua}", "-r", str(file), *options,
             "-Y", "eventproto", "-T", "fields", *asked],
            capture_output=True, text=True, timeout=600, check=True,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        return [line.split("\t") for line in done.stdout.splitlines()]

    yield run
    if root:
        shutil.rmtree(folder)


@pytest.mark.once
def test_every_valid_vector_is_shown_without_a_remark(tshark: Tshark) -> None:
    ours = {"Trailing stray characters"}  # tshark's own word for a NUL in a text
    rows = tshark(
        [[(CLIENT, frame) for frame in VALID.values()]],
        "eventproto.type", "eventproto.seq", "_ws.expert.message",
    )  # fmt: skip

    shown = [(int(type, 16), int(seq)) for type, seq, _ in rows]
    remarks = {remark for *_, remark in rows if not remark.startswith("refused: ")} - {""} - ours
    assert shown == [(f[5], int.from_bytes(f[8:16], "big")) for f in VALID.values()]
    assert not {remark for remark in remarks if STATEMENTS["unknown"] not in remark}


@pytest.mark.once
def test_every_invalid_vector_is_shown_with_its_statement(tshark: Tshark) -> None:
    """Each on a connection of its own: behind a length that no frame has nothing can be told."""
    conversations = [[(CLIENT, vector.data)] for vector in SHOWN]

    remarks: dict[int, str] = dict.fromkeys(range(FIRST_PORT, FIRST_PORT + len(SHOWN)), "")
    for port, remark in tshark(conversations, "tcp.srcport", "_ws.expert.message"):
        remarks[int(port)] += remark
    silent = [
        vector.id
        for vector, remark in zip(SHOWN, remarks.values(), strict=True)
        if "Lua" in remark or not any(number in remark for number in STATEMENTS.values())
    ]
    assert silent == []


@pytest.mark.once
@pytest.mark.parametrize(
    ("cut", "port"), [("as written", 3000), ("byte by byte", 3000), ("as written", 4711)]
)
def test_requests_and_replies_of_a_chat_are_linked(tshark: Tshark, cut: str, port: int) -> None:
    chat = CHAT
    if cut == "byte by byte":
        chat = [(side, data[at : at + 1]) for side, data in CHAT for at in range(len(data))]

    rows = tshark(
        [chat], "eventproto.type", "eventproto.response_to", "_ws.expert.message", port=port
    )

    types = [int(each, 16) for row in rows for each in row[0].split(",")]
    links = sum(len(row[1].split(",")) for row in rows if row[1])
    assert types == [data[5] for _, data in each_frame(CHAT)]
    assert links == 6
    assert {row[2] for row in rows} == {"", "refused: UNEXPECTED_EVENT"}


def each_frame(segments: Sequence[Segment]) -> Iterator[Segment]:
    for side, data in segments:
        at = 0
        while at < len(data):
            stop = at + 4 + int.from_bytes(data[at : at + 4], "big")
            yield side, data[at:stop]
            at = stop


@pytest.mark.once
def test_a_request_names_the_frame_of_its_reply(tshark: Tshark) -> None:
    rows = tshark([CHAT], "frame.number", "eventproto.response_in", options=["-2"])

    assert rows[0] == ["4", "5,6"]


@pytest.mark.once
def test_names_and_texts_can_be_filtered(tshark: Tshark) -> None:
    rows = tshark(
        [CHAT], "eventproto.login.user", "eventproto.message.content", "eventproto.welcome.ticket"
    )

    assert rows[0][0] == "änn"
    assert rows[0][1] == "hello ☺"
    assert [row[2] for row in rows if row[2]] == ["5"]


@pytest.mark.once
def test_an_applications_own_fields_are_shown(tshark: Tshark) -> None:
    moved = Moved(x=-3, visible=True, label="cup", sender="ann", seq=9)

    rows = tshark(
        [[(SERVER, encode(moved))]],
        "eventproto.moved.x", "eventproto.moved.visible", "eventproto.moved.label",
        events=[Moved],
    )  # fmt: skip

    assert rows == [["-3", "1", "cup"]] or rows == [["-3", "True", "cup"]]


# ---------------------------------------------------------------- Kaitai Struct


@cache
def node_modules() -> str | None:
    """Where node finds the Kaitai compiler, or None."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    done = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, timeout=600)
    folder = Path(done.stdout.strip())
    needed = ("kaitai-struct-compiler", "kaitai-struct", "js-yaml")
    return str(folder) if all((folder / name).is_dir() for name in needed) else None


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What each Kaitai reader says of each vector, in order: "read" or "refused"."""
    modules = node_modules()
    if modules is None:
        pytest.skip("there is no node with kaitai-struct-compiler, kaitai-struct and js-yaml")
    folder = tmp_path_factory.mktemp("kaitai")
    description = folder / "frame.ksy"
    description.write_text(kaitai(protocol()), encoding="utf-8")
    done = subprocess.run(
        ["node", str(READER), str(description), str(folder)],
        input="".join(f"{data.hex()}\n" for data in ALL.values()),
        env={"PATH": os.environ["PATH"], "NODE_PATH": modules},
        capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    found = {"javascript": done.stdout.split()}
    if importlib.util.find_spec("kaitaistruct") is not None:
        found["python"] = list(read_by_python(folder))
    return found


ALL = VALID | INVALID


def read_by_python(folder: Path) -> Iterator[str]:
    runtime = importlib.import_module("kaitaistruct")
    sys.path.insert(0, str(folder))
    try:
        reader = importlib.import_module("event_protocol_frame").EventProtocolFrame
    finally:
        sys.path.remove(str(folder))
    for data in ALL.values():
        stream = runtime.KaitaiStream(io.BytesIO(data))
        try:
            reader(stream)
        except Exception:  # whatever the reader raises is a refusal
            yield "refused"
        else:
            yield "read" if stream.is_eof() else "refused"


@pytest.mark.once
@pytest.mark.parametrize("language", ["javascript", "python"])
def test_the_kaitai_reader_reads_every_frame_and_refuses_what_its_language_can(
    verdicts: dict[str, list[str]], language: str
) -> None:
    if language not in verdicts:
        pytest.skip("there is no kaitaistruct")
    found = dict(zip(ALL, verdicts[language], strict=True))
    # JavaScript's runtime replaces what is no UTF-8, as its description says.
    told = [v for v in SHOWN if v.group != "type" and (language == "python" or v.group != "text")]

    assert {found[id] for id in VALID} == {"read"}
    assert [vector.id for vector in told if found[vector.id] != "refused"] == []


# ---------------------------------------------------------------- without any tool


def test_every_event_and_field_stands_in_every_description() -> None:
    described = protocol([Moved])

    for text in (wireshark(described), kaitai(described), markdown(described)):
        for event in described.events:
            assert event.name in text or event.snake in text
            assert all(field.name in text for field in event.fields)


def test_markdown_says_how_a_field_stands_on_the_wire() -> None:
    text = markdown(protocol([Moved]))

    assert "## 0x81 Moved" in text
    assert "| x | `i32` |" in text
    assert "| visible | `u8`, 0 or 1 |" in text
    assert "| label | `u8` length + UTF-8 |" in text
