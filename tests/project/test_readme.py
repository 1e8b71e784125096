"""What the READMEs print is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from refserver.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODEC_README = (ROOT / "packages/eventcodec/README.md").read_text(encoding="utf-8")
SERVER_README = (ROOT / "packages/refserver/README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(*arguments: str) -> list[str]:
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_two_commands_stand_in_the_readme() -> None:
    assert blocks("sh", README)[:2] == [
        "pip install ./packages/eventcodec ./packages/refserver && refserver\n",
        "pip install tox && tox\n",
    ]


def test_the_clients_have_at_most_twenty_lines() -> None:
    first, ready = blocks("python", README)

    assert max(len(first.splitlines()), len(ready.splitlines())) <= 20


def test_the_first_client_logs_in_speaks_and_leaves(port: int) -> None:
    client = blocks("python", README)[0]
    assert client.count("3000") == 1

    printed = run("-c", client.replace("3000", str(port)))

    assert [re.findall(r"\b(Login|Message|Logout|Welcome|Ack)\(", line) for line in printed] == [
        ["Login", "Welcome"],
        ["Message", "Ack"],
        ["Logout", "Ack"],
        [],
    ]
    assert printed[-1] == "ConnectionEnded(error=None)"


def test_the_ready_client_says_hello_and_reads_what_another_client_says(port: int) -> None:
    first, ready = blocks("python", README)
    assert ready.count("3000") == 1
    command = [sys.executable, "-W", "error", "-u", "-c", ready.replace("3000", str(port))]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            position = program.stdout.readline()
            run("-c", first.replace("3000", str(port)).replace('"ann"', '"bob"'))
            facts = [program.stdout.readline() for _ in range(3)]
        finally:
            program.kill()

    assert position.strip().isdigit()
    assert [fact.partition("(")[0] for fact in facts] == ["Joined", "Message", "Left"]


def test_both_readmes_teach_the_same_client() -> None:
    assert blocks("python", CODEC_README)[0] == blocks("python", README)[0]


def test_the_codec_readmes_application_event_makes_a_round_trip() -> None:
    declaration = blocks("python", CODEC_README)[1]

    printed = run(
        "-c",
        declaration
        + "from eventcodec import Codec\n"
        + "codec = Codec(events=(Moved,))\n"
        + "moved = Moved(seq=1, x=3, y=-4)\n"
        + "print(codec.decode(codec.encode(moved)) == moved)\n",
    )

    assert printed == ["True"]


def test_the_codec_readme_tells_of_every_command() -> None:
    usage = run("-m", "eventcodec", "--help")
    listed = [m[1] for line in usage if (m := re.match(r"    ([a-z]+) {2,}", line))]

    told = re.findall(r"\*\*([a-z]+)\*\*", CODEC_README)

    assert sorted(told) == sorted(listed)


def test_the_server_readme_lists_every_command() -> None:
    named = re.findall(r"`refserver ([a-z]+)", SERVER_README)

    assert sorted(named) == sorted(main.list_commands(click.Context(main)))


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "changelog.d/README.md"]
)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    paths = re.findall(r"`([\w.]+(?:/[\w.-]+)*/(?:[\w.-]+)?)`", text)

    missing = [name for name in links if not (ROOT / page).parent.joinpath(name).exists()]
    source = ROOT / "packages/refserver/src/refserver"
    folders = (ROOT, ROOT / "packages", source, source / "conformance")
    missing += [name for name in paths if not any((each / name).exists() for each in folders)]

    assert not missing
