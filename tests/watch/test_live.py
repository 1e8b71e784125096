"""The live page: who may see it, what it hides, and what it may do."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.raw import frame, short
from tests.watch.talks import TICKET, wrong_talk

pytest.importorskip("starlette", reason="the extra page is not installed")
pytest.importorskip("uvicorn", reason="the extra page is not installed")

from tests.watch.showing import Shown, shown

from refserver.watch.conversation import Bytes, Did, Ended, Opened, Side
from refserver.watch.judge import judged
from refserver.watch.live import MOST_RULE, MOST_RULES
from refserver.watch.sources import items_of

CLIENT, SERVER = Side.CLIENT, Side.SERVER
NASTY = "<img src=x onerror=alert(1)>\u202egnirts\x1b[31m"


@pytest.fixture
def page() -> Iterator[Shown]:
    with shown() as page:
        yield page


@pytest.fixture
def strange() -> Iterator[Shown]:
    """A page whose link nobody has used yet."""
    with shown(enter=False) as page:
        yield page


# ----------------------------------------------------------------- who may see it


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/?token=x", "/page.js", "/about"),
        *("/changes", "/frame/1", "/recording", "/capture"),
    ],
)
def test_without_the_link_nothing_is_shown(strange: Shown, path: str) -> None:
    code, data, _ = strange.get(path)

    assert code == 403
    assert strange.link.partition("token=")[2].encode() not in data


def test_the_link_is_good_once_and_the_cookie_after_that(strange: Shown) -> None:
    path = strange.link.removeprefix(f"http://127.0.0.1:{strange.port}")
    strange.enter()

    cookie, strange.cookie = strange.cookie, ""
    assert strange.get(path)[0] == 403
    strange.cookie = cookie
    assert strange.get("/")[0] == 200
    assert strange.get("/changes")[0] == 200


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(strange: Shown) -> None:
    path = strange.link.removeprefix(f"http://127.0.0.1:{strange.port}")
    said = strange.get(path)[2].headers["Set-Cookie"].lower()

    assert "httponly" in said and "samesite=strict" in said
    assert str(strange.port) in said.partition("=")[0]  # cookies of two pages do not mix


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Cookie": "refserver=x"},
    ],
)
def test_another_name_another_page_and_another_browser_see_nothing(
    page: Shown, headers: dict[str, str]
) -> None:
    page.fed.take(*wrong_talk())

    assert page.get("/changes", **headers)[0] == 403
    assert page.get("/changes", Sec_Fetch_Site="same-origin")[0] == 200


@pytest.mark.parametrize("path", ["/rules", "/send", "/close"])
@pytest.mark.parametrize(
    "headers",
    [
        {"X_Token": "wrong", "X-Token": ""},
        {"X-Token": ""},
        {"Origin": ""},
        {"Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Cookie": "refserver=x"},
    ],
)
def test_only_the_page_itself_can_do_something(
    page: Shown, path: str, headers: dict[str, str]
) -> None:
    said = {"text": "drop Ack", "event": "Ping", "connection": 1}

    assert page.post(path, said, **headers)[0] == 403
    assert page.asked == []


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        *(("GET", path, 200) for path in ("/", "/page.js", "/page.css", "/changes")),
        *(("GET", path, 404) for path in ("/nothing-here", "/changes/", "/frame/999")),
        *(("POST", "/", 405), ("GET", "/send", 405), ("POST", "/send", 403)),
    ],
)
def test_every_answer_forbids_what_a_browser_would_otherwise_do(
    page: Shown, method: str, path: str, code: int
) -> None:
    answered, _, response = page.request(method, path, None, {})

    headers = response.headers
    assert answered == code
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers


def test_the_page_loads_nothing_from_elsewhere_and_has_nothing_inline(page: Shown) -> None:
    text = page.get("/")[1].decode()

    assert set(re.findall(r'(?:src|href)="([^"]+)"', text)) <= {
        *("page.js", "page.css", "data:,", "#timeline", "recording", "capture"),
    }
    assert "<script>" not in text and "<style" not in text and " style=" not in text
    assert not re.search(r"\son\w+=", text)


# ----------------------------------------------------------------- what it shows


def test_frames_findings_and_coverage_are_told(page: Shown) -> None:
    page.fed.take(*wrong_talk())

    told = page.changes()

    assert [row["kind"] for row in told["rows"]] == ["begin", *["frame"] * 5]
    assert [row["bad"] for row in told["rows"]] == [False] * 5 + [True]
    (finding,) = told["findings"]
    assert (finding["statement"], finding["side"]) == ("EP-3.3-2", "client")
    assert finding["cause"] == "the client writes its own name as the sender"
    assert told["coverage"]["EP-3.3-2"] == 2
    assert told["totals"]["open"] == 1 and told["totals"]["frames"] == 5
    assert page.changes(f"after={told['last']}&found=1")["rows"] == []


def test_secrets_are_hidden_wherever_they_could_come_out(page: Shown) -> None:
    page.fed.take(*wrong_talk())

    came = b"".join(
        page.get(path)[1]
        for path in (
            *("/changes", "/recording", "/capture"),
            *(f"/frame/{n}" for n in range(1, 7)),
        )
    )

    assert b"sesame" not in came and b"sesame".hex().encode() not in came
    assert TICKET not in came and TICKET.hex().encode() not in came
    assert b"hello" in came


def test_contents_are_hidden_where_that_was_asked_for() -> None:
    with shown(contents=False) as page:
        page.fed.take(*wrong_talk())
        came = page.get("/changes")[1] + page.get("/frame/4")[1] + page.get("/recording")[1]

    assert b"hello" not in came and b"hello".hex().encode() not in came


def test_what_was_asked_for_unmasked_is_shown() -> None:
    with shown(secrets=True) as page:
        page.fed.take(*wrong_talk())

        assert b"sesame".hex().encode() in page.get("/recording")[1]
        assert json.loads(page.get("/about")[1])["masked"] is False


def test_a_frame_is_taken_apart_and_its_fields_are_all_its_bytes(page: Shown) -> None:
    page.fed.take(*wrong_talk())

    told = json.loads(page.get("/frame/6")[1])

    assert "".join(each["bytes"] for each in told["fields"]) == (
        frame(2, 3, short("ann") + b"again").hex()
    )
    assert [each["name"] for each in told["fields"][-2:]] == ["sender", "content"]
    assert told["findings"][0]["statement"] == "EP-3.3-2"
    assert page.get("/frame/1")[0] == 404  # that a connection begins is no frame
    assert page.get("/frame/999")[0] == 404


def test_what_a_peer_wrote_is_escaped(page: Shown) -> None:
    page.fed.take(
        *wrong_talk(),
        Bytes(1.0, 1, CLIENT, frame(2, 4, b"\0" + NASTY.encode())),
        Opened(1.0, 2, f"[{NASTY}]:1", NASTY),
        Did(1.0, 1, CLIENT, NASTY),
    )

    came = page.get("/changes")[1] + page.get("/frame/7")[1]

    assert b"\\u202e" not in came.replace(b"\\\\u202e", b"")
    assert b"\x1b" not in came and b"\\u001b" not in came
    assert page.get("/changes")[2].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("connection=2", 6),
        ("side=server", 4),
        ("text=HELLO", 2),
        ("text=.*", 0),
        ("findings=1", 3),  # one of them a ticket that was given twice
        ("findings=1&connection=1", 1),
        ("text=%3Cscript", 0),
    ],
)
def test_a_filter_leaves_what_it_names(page: Shown, query: str, shown: int) -> None:
    page.fed.take(*wrong_talk(1), *wrong_talk(2))

    assert len(page.changes(query)["rows"]) == shown


@pytest.mark.parametrize("query", ["after=x", "side=both", "connection=-", "found=1e9"])
def test_a_filter_that_is_none_is_refused(page: Shown, query: str) -> None:
    assert page.get(f"/changes?{query}")[0] == 400


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/frame/{'9' * 200}", 404),
        (f"/frame/{'9' * 5000}", 400),
        ("/frame/x", 400),
        (f"/changes?after={'9' * 5000}", 400),
        (f"/frame-of?connection=1&side=client&frame={'9' * 5000}", 400),
    ],
)
def test_a_number_that_is_none_is_refused(page: Shown, path: str, code: int) -> None:
    assert page.get(path)[0] == code


@pytest.mark.parametrize("path", ["/rules", "/send", "/close"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"text":' * 100_000,
        b'{"text": "drop \\ud800", "hex": "\\ud800", "connection": "\\ud800"}',
        b'{"text": 1e999, "hex": "00", "connection": 1e999}',
        b'{"text": [], "hex": "00", "connection": [1]}',
        b'{"event": {}, "seq": {}}',
        b"x" * (4 << 20),
    ],
    ids=lambda body: ascii(body[:30]),
)
def test_a_body_that_is_none_is_refused(path: str, body: bytes) -> None:
    with shown(rules=[]) as page:
        ours = {"Origin": f"http://127.0.0.1:{page.port}", "X-Token": page.form}
        code, told, _ = page.request("POST", path, body, ours)

    assert code == 400
    assert json.loads(told)["error"]


def test_rules_have_a_bound_and_the_page_goes_on_behind_it() -> None:
    """All rules that are on go to the proxy at each change, and it reads so much at once only."""
    with shown(rules=[]) as page:
        long = page.post("/rules", {"text": f"drop Ack:{'9' * MOST_RULE}"})
        codes = [page.post("/rules", {"text": f"drop Ack:{n}"})[0] for n in range(1, 260)]
        again = page.post("/rules", {"text": "drop Ack:1"})

    assert long[0] == 400 and f"at most {MOST_RULE} characters" in long[1]["error"]
    assert codes.count(200) == MOST_RULES
    assert again[0] == 200


def test_the_frame_of_a_finding_is_found(page: Shown) -> None:
    page.fed.take(*wrong_talk())

    assert json.loads(page.get("/frame-of?connection=1&side=client&frame=3")[1]) == {"id": 6}
    assert page.get("/frame-of?connection=1&side=client&frame=9")[0] == 404
    assert page.get("/frame-of?connection=1")[0] == 400


def test_what_is_kept_is_judged_alike_as_a_recording_and_as_a_capture(
    page: Shown, tmp_path: Path
) -> None:
    page.fed.take(*wrong_talk(), Ended(1.0, 1, CLIENT), Ended(1.0, 1, SERVER))

    for path in ("recording", "capture"):
        code, data, response = page.get(f"/{path}")
        (tmp_path / path).write_bytes(data)
        assert code == 200
        assert response.headers["Content-Disposition"].startswith("attachment")
        judge = judged(items_of(tmp_path / path))
        assert [each.statement for each in judge.notes.findings] == ["EP-3.3-2"]
        assert judge.frames == 5


# ----------------------------------------------------------------- what it does


def test_rules_are_switched_on_and_off_and_a_wrong_one_is_explained() -> None:
    with shown(rules=["drop Ack:3"]) as page:
        assert page.post("/rules", {"text": "drop Ack:3", "on": False})[0] == 200
        code, told = page.post("/rules", {"text": "split  random"})
        assert code == 200
        assert told["rules"] == [
            {"text": "drop Ack:3", "on": False},
            {"text": "split random", "on": True},
        ]
        code, told = page.post("/rules", {"text": "drip Ack"})
        assert (code, told["error"]) == (400, "no rule 'drip'; did you mean 'drop'?")
        assert page.post("/rules", {"text": "no such", "on": True})[0] == 400
        assert page.post("/rules", ["no object"])[0] == 400
        assert page.post("/rules", {"text": "x" * (4 << 20)})[0] == 400
        page.post("/rules", {"text": "drop Ack:3", "on": True})
        while len(page.asked) < 3:
            page.changes()

    assert page.asked == [[], ["split random"], ["drop Ack:3", "split random"]]


def test_a_server_that_is_watched_is_not_disturbed() -> None:
    with shown(rules=None) as page:
        assert page.post("/rules", {"text": "drop Ack"})[0] == 400
        assert json.loads(page.get("/about")[1])["proxy"] is False


def test_a_frame_by_hand_goes_to_the_watched_place_and_its_pings_are_answered() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        shown(place=server.getsockname()[:2]) as page,
    ):
        code, told = page.post("/send", {"event": "Message", "content": "hi", "seq": "7"})
        conn, _ = server.accept()
        with conn:
            conn.settimeout(600)
            assert (code, told["connection"]) == (200, 1)
            assert conn.recv(100) == frame(2, 7, b"\0hi")
            conn.sendall(frame(6, 9))
            assert conn.recv(100) == frame(7, 9)
            page.post("/send", {"hex": "00 00 00 0b", "connection": 1})
            assert conn.recv(100) == b"\0\0\0\x0b"
            assert page.changes()["hand"] == [1]
            assert page.post("/close", {"connection": 1})[0] == 200
            assert conn.recv(100) == b""
        assert page.changes()["hand"] == []
        assert page.post("/close", {"connection": "x"})[0] == 400
        gone = page.post("/send", {"hex": "00", "connection": 1})

    assert gone == (400, {"error": "this connection has ended"})


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"hex": "0"}, "these are not pairs of hexadecimal digits"),
        ({"hex": ""}, "1 to 1048576 bytes, not 0"),
        ({"event": "Shout"}, "no such event"),
        ({"event": "Ping", "seq": "x"}, "invalid literal"),
        ({"event": "Login", "user": "x" * 300}, "user"),
        ({"event": "Application event", "type": "2"}, "type"),
        ({"event": "Ping"}, "Connect call failed"),
        ([], "this is no form"),
    ],
)
def test_what_cannot_be_sent_is_explained(said: object, reason: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with shown(place=closed.getsockname()) as page:
            code, told = page.post("/send", said)

    assert code == 400
    assert reason in told["error"]
