"""What the wheels hold, and that they are what runs. Only `tox -e wheel` runs this folder."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import eventcodec

ROOT = Path(__file__).resolve().parents[2]
DIST = Path(os.environ["EVENT_PROTOCOL_DIST"])
PACKAGES = ["eventcodec", "refserver"]
BUILT = re.compile(r"/__pycache__/|\.egg-info/|\.so$|\.pyd$")
FOR_BUILDING = {"eventcodec/_speedups.c"}
FOR_THE_WEB = {"conf.py", "_static/pages.css"}
NATIVE = "eventcodec/_speedups.abi3.so"


WHEELS = sorted(path.name for path in DIST.glob("*.whl"))
"""refserver's, and two of eventcodec: one with the native module, one that is pure Python."""
COMPILER = shutil.which(str(sysconfig.get_config_var("CC")).split()[0])
HEADERS = Path(sysconfig.get_path("include"), "Python.h")
needs_compiler = pytest.mark.skipif(
    os.name != "nt" and (COMPILER is None or not HEADERS.exists()),
    reason="no C compiler, or no headers of Python: the native module was not built",
)


def wheel(package: str) -> zipfile.ZipFile:
    (path,) = DIST.glob(f"{package}-*-py3-none-any.whl")
    return zipfile.ZipFile(path)


def sources(package: str) -> set[str]:
    root = ROOT / "packages" / package / "src"
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {file for file in files if not BUILT.search(file)}


def pages(top: str) -> set[str]:
    """The files of `docs/` that git knows and a reader needs, below `top`."""
    done = subprocess.run(
        ["git", "-C", str(ROOT / "docs"), "ls-files", "-z"], capture_output=True, check=True
    )
    names = set(filter(None, done.stdout.decode().split("\0"))) - FOR_THE_WEB
    return {f"{top}/{name}" for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_holds_exactly_the_sources_and_the_pages(package: str) -> None:
    with wheel(package) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    beside = pages("refserver/docs") if package == "refserver" else set()
    assert held == sources(package) - FOR_BUILDING | beside


def test_the_installed_wheel_prints_a_page_as_it_stands_here() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "refserver", "docs", "protocol"], capture_output=True, check=True
    )

    assert printed.stdout == (ROOT / "docs/protocol.md").read_bytes()


@needs_compiler
def test_one_native_wheel_serves_every_python() -> None:
    (native,) = (name for name in WHEELS if not name.endswith("-none-any.whl"))

    with zipfile.ZipFile(DIST / native) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert "-cp311-abi3-" in native
    assert held == sources("eventcodec") - FOR_BUILDING | {NATIVE}


@needs_compiler
def test_the_native_wheel_is_what_is_installed() -> None:
    assert eventcodec.IMPLEMENTATION == "native"


def test_a_wheel_that_names_a_platform_has_a_native_module() -> None:
    """Without a compiler a wheel without it would be served to those who could build one."""
    for name in WHEELS:
        with zipfile.ZipFile(DIST / name) as archive:
            assert (NATIVE in archive.namelist()) is not name.endswith("-none-any.whl")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_is_marked_as_typed(package: str) -> None:
    with wheel(package) as archive:
        assert f"{package}/py.typed" in archive.namelist()


@pytest.mark.parametrize("name", ["valid.json", "invalid.json", "prefixes.json", "schema.json"])
def test_the_vectors_ship_in_the_wheel(name: str) -> None:
    with wheel("eventcodec") as archive:
        assert f"eventcodec/vectors/{name}" in archive.namelist()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_source_distribution_holds_the_sources_and_the_licence(package: str) -> None:
    (path,) = DIST.glob(f"{package}-*.tar.gz")

    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}

    wanted = {f"src/{name}" for name in sources(package)} | {"LICENSE", "README.md"}
    wanted |= pages("docs") if package == "refserver" else set()
    assert wanted <= held


@pytest.mark.parametrize("package", PACKAGES)
def test_what_runs_here_is_the_installed_wheel(package: str) -> None:
    file = importlib.import_module(package).__file__

    assert file is not None
    assert Path(file).is_relative_to(sysconfig.get_path("purelib"))
