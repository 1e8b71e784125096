"""What the pages show is what happens; `tests/project/pages.py` runs them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from tests.project import pages
from tests.support.ports import unused_port

from refserver.cli import main

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(
    sys.platform == "darwin", reason="its bash is from 2007, and cannot name a descriptor"
)
PAGE_OF_CI = (DOCS / "in-ci.md").read_text(encoding="utf-8")
ALL_PAGES = [
    ROOT / "README.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(ROOT.glob("packages/*/README.md")),
]
PAGES = [
    "tutorial.md",
    "application-events.md",
    "debug-a-client.md",
    "in-ci.md",
    "other-languages.md",
    "shell.md",
    "tokens.md",
]


@pytest.mark.once
@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_a_page_does_what_the_page_shows(name: str, tmp_path: Path) -> None:
    assert pages.run_page(DOCS / name, tmp_path, unused_port()) == []


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
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n```console\n{block}```\n")

    (told, *_) = pages.run_page(page, tmp_path, 3000)

    assert wrong in told


@pytest.mark.once
def test_a_page_that_is_right_passes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n\nWrite this into `hello.txt`:\n\n```text\nhello\n```\n\n"
        "```console\n$ (echo ready; cat) &\nready\n$ cat hello.txt\nhel…\n"
        "$ false  # exits with 1\n$ pip install nothing\n```\n"
    )

    assert pages.run_page(page, tmp_path, 3000) == []


def called(text: str) -> Iterator[list[str]]:
    """The words behind `refserver` of each command in the blocks of a page, up to a bare `--`."""
    for language, block, _ in pages.blocks(text):
        if language in ("console", "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                for command in re.split(
                    r"&&|[|;&]|\$\(", line.removeprefix("$ ").partition("  #")[0]
                ):
                    words = command.strip().strip('"').partition(">")[0].split()
                    if words[:1] == ["refserver"]:
                        yield words[1 : words.index("--") if "--" in words else None]


@pytest.mark.once
@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_has_the_options_that_it_is_given(page: Path) -> None:
    context = click.Context(main)

    for words in called(page.read_text(encoding="utf-8")):
        command = main.get_command(context, words[0]) if words else None
        while isinstance(command, click.Group):
            words = words[1:]
            command = command.get_command(context, words[0])
        command = command or main.get_command(context, "serve")
        assert command is not None
        known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given <= known | {"--help", "--version"}, words


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
