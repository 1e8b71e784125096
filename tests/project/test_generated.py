"""Every generated file is what its source makes.

Rule: one test compares all of them; the tests of a source show that it sees faults.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import tools.__main__ as command

pytestmark = pytest.mark.once


@pytest.mark.parametrize("source", command.SOURCES)
def test_the_files_are_what_their_source_makes(source: str) -> None:
    made = command.files(source)

    changes = [command.difference(path, text) for path, text in made.items()]

    assert made
    assert "".join(changes) == "", "run python -m tools"


def test_check_shows_a_difference_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "page.md"
    stale.write_text("old\n")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "SOURCES", ("it",))
    monkeypatch.setattr(command, "files", lambda source: {stale: "new\n"})

    code = command.main(["--check"])

    assert code == 1
    assert "-old\n+new\n" in capsys.readouterr().out
    assert stale.read_text() == "old\n"


def test_without_check_the_file_is_written_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "page.md"
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "SOURCES", ("it",))
    monkeypatch.setattr(command, "files", lambda source: {stale: "new\n"})

    code = command.main([])

    assert code == 0
    assert capsys.readouterr().out == "page.md\n"
    assert stale.read_text() == "new\n"
