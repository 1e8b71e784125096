"""What several processes would do alike is done once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.once import alone, once

fcntl = pytest.importorskip("fcntl")


def test_nobody_else_is_in_a_block_for_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()

    with path.open() as other:
        with alone(path), pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_is_there_is_not_made_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("here")

    paths = [once(tmp_path_factory, "made_by_test_once", make) for _ in range(2)]

    assert made == paths[:1] == paths[1:]
