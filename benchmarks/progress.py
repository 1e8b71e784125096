"""A progress bar that moves between measurements only.

Rule: nothing is drawn while something is measured; a bar that refreshes itself
would take its time from the core under test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

console = Console(stderr=True)

_COLUMNS = (
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("{task.description}"),
)


@contextmanager
def steps(total: int) -> Iterator[Callable[[str], None]]:
    """What to call with a name before each of so many steps."""
    with Progress(*_COLUMNS, console=console, auto_refresh=False) as progress:
        task = progress.add_task("", total=total, completed=-1)

        def step(name: str) -> None:
            progress.update(task, advance=1, description=name, refresh=True)

        yield step
        progress.update(task, completed=total, description="", refresh=True)
