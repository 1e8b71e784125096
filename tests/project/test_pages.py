"""What the pages show is what happens; `tests/project/pages.py` runs them."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from itertools import chain, groupby
from pathlib import Path

import click
import pytest
import yaml
from tests.project import pages

from refserver.cli import main

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the pages are run in bash, with the pipes of Linux"
)
PAGE_OF_CI = (DOCS / "in-ci.md").read_text(encoding="utf-8")
ALL_PAGES = [
    ROOT / "README.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(ROOT.glob("packages/*/README.md")),
]
TEXTS = {page: page.read_text(encoding="utf-8") for page in ALL_PAGES}
PAGES = [page for page in ALL_PAGES if pages.commands_of(TEXTS[page])]
OTHERS = {"packages/eventcodec/README.md": "tests/eventcodec/test_commands.py"}
"""The pages that are run by a test of their own."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.once
@pytest.mark.timeout(pages.PATIENCE + 60)
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_page_does_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    if name_of(page) in OTHERS:
        pytest.skip(f"{OTHERS[name_of(page)]} runs it")
    if missing := pages.missing(TEXTS[page]):
        pytest.skip(f"needs {', '.join(missing)}")
    if pages.HOSTS in TEXTS[page] and not pages.can_mount():
        pytest.skip(f"needs the right to mount a file over {pages.HOSTS}")

    assert pages.run_page(TEXTS[page], tmp_path) == []


def not_run(text: str) -> list[pages.Command]:
    """The commands of a page that are not run, or not as they stand."""
    return [
        command
        for language, block, _ in pages.blocks(text)
        for command in pages.commands(language, block)
        if language == "sh" or command.reason or command.words in pages.SHORTER
    ]


@pytest.mark.once
def test_a_command_is_run_as_it_stands_unless_a_reason_is_given() -> None:
    shown = {command.words: command for text in TEXTS.values() for command in not_run(text)}

    assert {words for words, command in shown.items() if not command.reason} == set(pages.SHORTER)
    assert {command.reason for command in shown.values() if command.reason} == set(
        pages.ELSEWHERE.values()
    )
    assert all(any(words.startswith(each) for words in shown) for each in pages.ELSEWHERE)


@pytest.mark.once
@pytest.mark.parametrize(
    ("block", "wrong"),
    [
        ("$ echo one\ntwo\n", "no line 'two'"),
        ("$ false\n", "exit code 1"),
        ("$ true  # exits with 1\n", "exit code 0"),
        ("$ exit 0\n", "it did not end"),
    ],
)
def test_a_page_that_is_wrong_is_found(block: str, wrong: str, tmp_path: Path) -> None:
    (told, *_) = pages.run_page(f"# A page\n\n```console\n{block}```\n", tmp_path)

    assert wrong in told


@pytest.mark.once
def test_a_tool_that_this_machine_lacks_is_missed_behind_another_command_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None)

    page = "# A page\n\n```console\n$ echo > nothing.c && cc nothing.c\n$ # cc\n```\n"
    assert pages.missing(page) == ["cc"]


@pytest.mark.once
def test_a_page_that_is_right_passes(tmp_path: Path) -> None:
    page = (
        "# A page\n\nWrite this into `hello.txt`:\n\n```text\nhello\n```\n\n"
        "```console\n$ (echo ready; cat) &\nready\n$ cat hello.txt\nhel…\n"
        "$ false  # exits with 1\n$ pip install nothing\n```\n"
    )

    assert pages.run_page(page, tmp_path) == []


def called(command: pages.Command) -> Iterator[list[str]]:
    """The words behind each `refserver` of a command, up to a bare `--`."""
    lexer = shlex.shlex(command.words, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for is_operator, group in groupby(lexer, key=lambda word: not set(word) - set("();<>|&")):
        words = list(group)
        if not is_operator and words[0] == "refserver":
            yield words[1 : words.index("--") if "--" in words else None]


@pytest.mark.once
@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_a_command_that_is_not_run_has_the_options_that_it_is_given(page: Path) -> None:
    context = click.Context(main)

    for words in chain.from_iterable(map(called, not_run(TEXTS[page]))):
        command = main.get_command(context, words[0]) if words else None
        command = command or main.get_command(context, "serve")
        assert command is not None
        known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given <= known, words


@pytest.mark.once
def test_every_decision_is_in_their_index() -> None:
    folder = DOCS / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")

    listed = re.findall(r"^\| \[.*?\]\(([\w-]+\.md)\)", index, re.MULTILINE)

    assert listed == sorted(path.name for path in folder.glob("[0-9d]*.md"))


@pytest.mark.once
def test_the_workflow_on_the_page_gives_the_action_inputs_that_it_has() -> None:
    action = yaml.safe_load((DOCS.parent / "action.yml").read_text(encoding="utf-8"))
    (text,) = (text for language, text, _ in pages.blocks(PAGE_OF_CI) if language == "yaml")

    steps = yaml.safe_load(text)["jobs"]["conformance"]["steps"]

    given = [step["with"] for step in steps if "event-protocol" in step.get("uses", "")]
    assert [each["command"] for each in given] == ["check", "peer"]
    assert all(set(each) <= set(action["inputs"]) for each in given)
