"""What Containerfile builds: a server that is nobody, is healthy, and stops when told to."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from tests.packaging import chroot

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Containerfile").read_text(encoding="utf-8")
OPEN = ["--open-to-anybody", "--allow-plaintext"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> chroot.Stage:
    if not chroot.is_possible():
        pytest.skip("needs root, and the right to make namespaces")
    return chroot.carried_out(TEXT, ROOT, tmp_path_factory.mktemp("image"))


def test_an_instruction_that_is_unknown_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SHELL"):
        chroot.carried_out('FROM scratch\nSHELL ["sh"]', tmp_path, tmp_path / "image")


def test_it_serves_as_nobody_and_is_healthy_and_stops_as_the_first_process(
    image: chroot.Stage,
) -> None:
    with chroot.started(image, *OPEN) as (process, number):
        assert process.stdout is not None
        assert process.stdout.readline() == "listening on 0.0.0.0:3000\n"
        status = Path(f"/proc/{number}/status").read_text()
        healthy = chroot.within(image, number, *image.health)
        sent = chroot.beside(number, sys.executable, "-m", "refserver", "send", ":3000", "hello")
        os.kill(number, getattr(signal, image.stop))
        code = process.wait(600)

    assert "\nUid:\t65532\t65532\t" in status and "\nGid:\t65532\t65532\t" in status
    assert (healthy.returncode, healthy.stderr) == (0, "")
    assert (sent.returncode, sent.stdout.split()[0]) == (0, "ack")
    assert code == 0
    assert image.ports == [3000]


def test_where_nothing_serves_it_is_not_healthy(image: chroot.Stage) -> None:
    with chroot.started(image, *OPEN, "--metrics", "9101") as (process, number):
        assert process.stdout is not None and process.stdout.readline()
        sick = chroot.within(image, number, *image.health)

    assert sick.returncode == 1


def test_without_tokens_it_opens_no_room_to_the_world(image: chroot.Stage) -> None:
    with chroot.started(image) as (process, _):
        assert process.stderr is not None
        reason = process.stderr.read()
        code = process.wait(600)

    assert code == 2
    assert "--open-to-anybody" in reason


def test_the_codec_in_it_is_native(image: chroot.Stage) -> None:
    with chroot.started(image, *OPEN) as (process, number):
        assert process.stdout is not None and process.stdout.readline()
        said = chroot.within(image, number, "python", "-m", "eventcodec", "selftest")

    assert said.stdout.splitlines()[-1].endswith("native: all is well")
