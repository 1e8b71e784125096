"""Build what a release consists of; the same commit gives the same bytes.

    python -m tools.release DIST                         sources, wheels, SHA256SUMS
    python -m tools.release DIST --sbom PACKAGE PYTHON   what a package has beside it in a Python

Rule: nothing of the machine gets in: only files that git knows, with one time for all of them
(SOURCE_DATE_EPOCH, or the time of the commit), with modes and owners that are always the same.

Layer: outside the packages.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("eventcodec", "refserver")
SUMS = "SHA256SUMS"
FIRST = 315_532_800
"""1980-01-01, the first time that a zip archive, and so a wheel, can hold."""


def source_date() -> int:
    """The time that stands in every file, in seconds since 1970."""
    said = os.environ.get("SOURCE_DATE_EPOCH")
    if said is None:
        said = _git("log", "-1", "--format=%ct", "HEAD")
    return max(int(said), FIRST)


def build(package: str, dist: Path, date: int) -> None:
    """The sources of one package, and its wheels: pure, and with the native module."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / package
        _copy(Path("packages", package), copy)
        if (copy / "hatch_build.py").exists():
            _copy(Path("docs"), copy / "docs")
        sources = _built(copy, dist, date, "--sdist")
        _even(sources, date)
        with tarfile.open(sources) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4
            archive.extractall(folder)
        unpacked = Path(folder) / sources.name.removesuffix(".tar.gz")
        wheel = _built(unpacked, dist, date, "--wheel")
        if not wheel.name.endswith("-none-any.whl"):
            if not _is_native(wheel):
                wheel.unlink()
                print(f"{package}: no native wheel, for no C compiler built it", file=sys.stderr)
            _built(unpacked, dist, date, "--wheel", EVENTCODEC_PURE="1")


def _is_native(wheel: Path) -> bool:
    """Whether it has a native module. Without a compiler setuptools names it so all the same."""
    with zipfile.ZipFile(wheel) as archive:
        return any(name.endswith((".so", ".pyd")) for name in archive.namelist())


def _copy(top: Path, to: Path) -> None:
    """The files of a folder that git knows, as they stand here."""
    for name in _git("ls-files", "-z", "--", top.as_posix()).split("\0"):
        source = ROOT / name
        if name and source.is_file():
            target = to / Path(name).relative_to(top)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o644)


def _built(source: Path, dist: Path, date: int, *options: str, **environment: str) -> Path:
    """What the build backend makes of a folder."""
    shutil.rmtree(source / "build", ignore_errors=True)
    before = set(dist.iterdir())
    command = [sys.executable, "-m", "build", *options, "--outdir", str(dist), str(source)]
    settings = {"SOURCE_DATE_EPOCH": str(date), "PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"}
    subprocess.run(
        command, env={**os.environ, **settings, **environment}, stdout=subprocess.PIPE, check=True
    )
    (made,) = set(dist.iterdir()) - before
    return made


def _even(path: Path, date: int) -> None:
    """Write an archive of sources anew: setuptools takes times, modes and owners as they are."""
    with tarfile.open(path) as archive:
        members = sorted(archive.getmembers(), key=lambda member: member.name)
        contents = [(each, archive.extractfile(each)) for each in members if each.isfile()]
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as even:
            for member, content in contents:
                clean = tarfile.TarInfo(member.name)
                clean.size, clean.mtime, clean.mode = member.size, date, 0o644
                even.addfile(clean, content)
    path.write_bytes(gzip.compress(data.getvalue(), mtime=date))


def sums(dist: Path) -> None:
    """Write the SHA-256 of each file, as `sha256sum --check` reads it."""
    files = sorted(path for path in dist.iterdir() if path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (dist / SUMS).write_text("".join(lines), encoding="ascii")


def sbom(package: str, dist: Path, python: str, date: int) -> None:
    """The bill of materials of a package (CycloneDX): all that is installed in this Python."""
    project = ROOT / "packages" / package / "pyproject.toml"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
    command += [
        "--pyproject",
        str(project),
        "--output-file",
        str(dist / f"{package}.cdx.json"),
        python,
    ]
    subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": str(date)}, check=True)


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.release", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("dist", type=Path, metavar="DIST", help="a folder, empty or new")
    parser.add_argument(
        "--sbom",
        nargs=2,
        metavar=("PACKAGE", "PYTHON"),
        help="write the bill of materials of a package that is installed in this Python",
    )
    options = parser.parse_args(arguments)
    dist: Path = options.dist.absolute()
    dist.mkdir(parents=True, exist_ok=True)
    date = source_date()
    os.umask(0o022)
    if options.sbom:
        sbom(options.sbom[0], dist, options.sbom[1], date)
    elif any(dist.iterdir()):
        parser.error(f"{dist} is not empty")
    else:
        for package in PACKAGES:
            build(package, dist, date)
    sums(dist)


if __name__ == "__main__":
    main()
