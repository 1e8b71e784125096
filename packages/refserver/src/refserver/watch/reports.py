"""What a judgement is told by: the terminal, and the files that were asked for.

Rule: nothing here judges or reads a source; it shows what was found.

Layer: above `judgement`, `timeline` and `html`, below the commands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click

from ..exit_codes import Exit
from .capture import CaptureWriter
from .conversation import Did, Item
from .findings import Finding
from .judge import Judge
from .judgement import finding_lines, judgement, summary_lines
from .recording import Recorder, created, new_mask
from .sources import SourceError
from .timeline import Row, Timeline

__all__ = ["Files", "Reports", "complaints", "print_finding", "told"]

MOST_ROWS = 5_000
"""Lines of the timeline that the page shows: the first ones."""
MOST_DID = 10_000
"""Disturbances that a report lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files that were asked for, by their paths."""

    as_json: str | None = None
    as_junit: str | None = None
    as_html: str | None = None
    pcap: str | None = None
    record: str | None = None
    unmasked: bool = False
    """Secrets stand in `pcap` and `record` as they are."""
    mask_content: bool = False
    """What is said is hidden in them, too."""


class Reports:
    """Gathers what the files need, and writes them. `started` is time 0, in seconds since 1970."""

    def __init__(self, files: Files, *, started: float) -> None:
        self._files = files
        self._did: list[Did] = []
        self._rows: list[Row] = []
        self._left_out = 0
        self._timeline = Timeline() if files.as_html is not None else None
        self._masks = not files.unmasked
        self._open: list[IO[bytes]] = []
        self._sinks: list[Recorder | CaptureWriter] = []
        self._mask = None if files.unmasked else new_mask(contents=files.mask_content)
        with complaints():
            if files.record is not None:
                moment = datetime.fromtimestamp(started, UTC)
                recorder = Recorder(self._created(files.record), moment, masked=self._masks)
                self._sinks.append(recorder)
            if files.pcap is not None:
                self._sinks.append(CaptureWriter(self._created(files.pcap), started=started))

    def _created(self, path: str) -> IO[bytes]:
        file = created(Path(path))
        self._open.append(file)
        return file

    def take(self, item: Item) -> None:
        """Something has passed."""
        if isinstance(item, Did) and len(self._did) < MOST_DID:
            self._did.append(item)
        if self._timeline is not None:
            for row in self._timeline.take(item):
                if len(self._rows) < MOST_ROWS:
                    self._rows.append(row)
                else:
                    self._left_out += 1
        if self._sinks:
            for each in [item] if self._mask is None else self._mask(item):
                for sink in self._sinks:
                    sink.take(each)

    def write(self, judge: Judge, sources: list[str]) -> None:
        """Write what could not be written before the end, and close all files."""
        for file in self._open:
            file.close()
        files = self._files
        said = judgement(judge, sources, self._did)
        with complaints():
            if files.as_json is not None:
                Path(files.as_json).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
            if files.as_junit is not None:
                from .junit import as_junit

                Path(files.as_junit).write_bytes(as_junit(said))
            if files.as_html is not None:
                from .html import as_html

                page = as_html(said, self._rows, self._left_out)
                Path(files.as_html).write_text(page, encoding="utf-8", errors="backslashreplace")


@contextmanager
def complaints() -> Iterator[None]:
    """Turn a file that cannot be read or written into one line."""
    try:
        yield
    except SourceError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        if error.filename is None:
            raise
        raise click.UsageError(f"{error.filename}: {error.strerror}") from None


def told(judge: Judge) -> Exit:
    """Print the result. Returns the exit code."""
    for line in summary_lines(judge):
        click.echo(line)
    if judge.notes.findings:
        return Exit.FAILED
    return Exit.DONE if judge.frames else Exit.NO_CASE_RAN


def print_finding(finding: Finding) -> None:
    """Print a finding, and an empty line."""
    for line in finding_lines(finding):
        click.echo(line)
    click.echo()
