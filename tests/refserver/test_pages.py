"""`refserver docs`: the documentation, for who has only the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from refserver import pages
from refserver.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["docs", *words], catch_exceptions=False)


def test_the_list_names_every_page_with_its_title() -> None:
    printed = run().stdout

    for page in PAGES:
        name = page.relative_to(DOCS).with_suffix("").as_posix()
        if name != "index":
            (title,) = re.findall(r"\A# (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            assert re.search(rf"^  {re.escape(name)} +{re.escape(title)}$", printed, re.MULTILINE)


@pytest.mark.parametrize("name", ["tokens", "tokens.md", "docs/tokens.md", "./tokens.md"])
def test_a_page_is_printed_as_it_stands_in_a_pipe(name: str) -> None:
    assert run(name).stdout_bytes == (DOCS / "tokens.md").read_bytes()


def test_a_locale_changes_no_byte_of_a_page() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "refserver", "docs", "protocol"],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        stdout=subprocess.PIPE,
        check=True,
    )

    assert done.stdout == (DOCS / "protocol.md").read_bytes()


@pytest.mark.parametrize("name", ["clients/client.c", "pictures/watching.png"])
def test_a_file_that_is_no_page_is_printed_byte_for_byte(name: str) -> None:
    assert run(name).stdout_bytes == (DOCS / name).read_bytes()


def test_the_page_of_the_api_says_what_each_name_is() -> None:
    printed = run("api").stdout

    assert "* `eventcodec.Ack`: " in printed
    assert "* `eventcodec.dissect`: " in printed
    assert "{eval-rst}" not in printed


@pytest.mark.parametrize("name", ["tutoral", "../README", "../README.md", "", "decisions"])
def test_what_is_no_page_is_an_error_in_one_line(name: str) -> None:
    done = run(name)

    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_similar_name_is_suggested() -> None:
    assert "did you mean 'tutorial'?" in run("tutoral").stderr


def test_the_folder_has_the_pages() -> None:
    assert Path(run("--folder").stdout.strip()) == DOCS


@pytest.mark.once
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_terminal_shows_every_page(page: Path) -> None:
    shown = pages.formatted(pages.text_of(page))

    assert max(map(len, shown.splitlines())) <= pages.WIDEST


def commands(group: click.Group) -> Iterator[click.Command]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield command
        if isinstance(command, click.Group):
            yield from commands(command)


def test_every_page_that_a_help_text_or_a_page_sends_to_is_there() -> None:
    texts = [f"{command.help} {command.epilog}" for command in commands(main)]
    texts += [page.read_text(encoding="utf-8") for page in PAGES]
    sent = {
        name for text in texts for name in re.findall(r"refserver docs ([a-z][\w./-]*\w)", text)
    }

    assert "conformance-clients" in sent
    assert [name for name in sorted(sent) if run(name).exit_code] == []


def test_an_installation_without_pages_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PACKED", tmp_path)
    monkeypatch.setattr(pages, "IN_A_CLONE", tmp_path)

    done = run("tutorial")

    assert done.exit_code == 2
    assert "this installation has no pages" in done.stderr


def test_a_page_in_a_terminal_is_formatted_and_paged(monkeypatch: pytest.MonkeyPatch) -> None:
    paged: list[str] = []
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(click, "echo_via_pager", lambda text, color: paged.append(text))

    pages.show(DOCS / "tokens.md")

    (text,) = paged
    assert "\x1b[" in text and not text.startswith("# ")


def test_a_name_of_an_extra_that_is_missing_says_what_it_needs() -> None:
    assert pages._described("no_such_extra.name") == "* `no_such_extra.name`: needs no_such_extra"
