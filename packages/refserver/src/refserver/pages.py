"""`refserver docs`: the pages of the documentation, for a user who has only the package.

Rule: a page is printed from the file that the web pages are made of. In a terminal it is
formatted; elsewhere it stays Markdown.

Layer: below `cli`, beside the other commands.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from pkgutil import resolve_name

import click

from .arguments import completing, near

__all__ = ["docs"]

HERE = Path(__file__).resolve()
PACKED = HERE.parent / "docs"
"""Where a wheel has the pages."""
IN_A_CLONE = HERE.parents[min(4, len(HERE.parents) - 1)] / "docs"
"""Where an editable install has them."""
WIDEST = 100
"""Columns; a longer line is hard to read."""
TOCTREE = re.compile(
    r"^```\{toctree\}\n:caption: ([^\n]*)\n(?::[^\n]*\n)*(.*?)^```$", re.DOTALL | re.MULTILINE
)
AUTODOC = re.compile(r"^```\{eval-rst\}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"^\.\. auto\w+:: ([\w.]+)$", re.MULTILINE)


def folder() -> Path:
    """The folder of all pages. Raises click.ClickException where there is none."""
    for place in (PACKED, IN_A_CLONE):
        if (place / "index.md").is_file():
            return place
    raise click.ClickException("this installation has no pages; build it from the repository")


def contents() -> Mapping[str, list[str]]:
    """The names of the pages under the headings of the index, in its order."""
    top = folder()
    found: dict[str, list[str]] = {}
    for heading, names in TOCTREE.findall((top / "index.md").read_text(encoding="utf-8")):
        files = [file for name in names.split() for file in sorted(top.glob(f"{name}.md"))]
        found[heading] = [file.relative_to(top).with_suffix("").as_posix() for file in files]
    return found


def title(name: str) -> str:
    """The first heading of a page."""
    with (folder() / f"{name}.md").open(encoding="utf-8") as page:
        return next((line[2:].strip() for line in page if line.startswith("# ")), name)


def find(name: str) -> Path:
    """The file of a page, by its name or its path. Raises click.UsageError."""
    top = folder()
    wanted = name.removeprefix("./").removeprefix("docs/")
    for path in (top / f"{wanted}.md", top / wanted):
        if path.is_file() and path.resolve().is_relative_to(top):
            return path
    meant = near(wanted, _names()) or "; `refserver docs` lists all pages"
    raise click.UsageError(f"no page {name!r}{meant}")


def text_of(path: Path) -> str:
    """A page with a line for each name that the web pages show with its docstring."""
    return AUTODOC.sub(
        lambda block: "\n".join(map(_described, NAMED.findall(block[1]))),
        path.read_text(encoding="utf-8"),
    )


def _described(name: str) -> str:
    """A line on a public name; `pydoc` prints all of it.

    >>> _described("refserver.pages.title")
    '* `refserver.pages.title`: The first heading of a page.'
    """
    try:
        said = inspect.getdoc(resolve_name(name)) or ""
    except ImportError as error:  # of an extra
        said = f"needs {error.name}"
    return f"* `{name}`: {said.partition(chr(10))[0]}"


def show(path: Path) -> None:
    """Print a page: for a person formatted and through a pager, else as it is."""
    if path.suffix not in (".md", ""):
        click.echo(path.read_bytes(), nl=False)
    elif not sys.stdout.isatty():
        click.echo(text_of(path).encode(), nl=False)  # UTF-8, whatever the locale
    else:
        click.echo_via_pager(formatted(text_of(path)), color=True)


def formatted(text: str) -> str:
    """Markdown as a terminal shows it, with its colours."""
    from rich.markdown import Markdown

    from .output import Console

    console = Console()
    console.width = min(console.width, WIDEST)
    with console.capture() as captured:
        console.print(Markdown(text, hyperlinks=False))
    return captured.get()


def listing() -> Iterator[str]:
    """All pages with their titles, in the order of the index."""
    for heading, names in contents().items():
        widest = max(map(len, names))
        yield f"{heading}:"
        yield from (f"  {name:{widest}}  {title(name)}" for name in names)


def _names() -> list[str]:
    return [name for names in contents().values() for name in names]


@click.command("docs")
@click.argument("page", metavar="[PAGE]", required=False, shell_complete=completing(_names))
@click.option("--folder", "path", is_flag=True, help="Print the folder that has all pages.")
def docs(page: str | None, path: bool) -> None:
    """Print a PAGE of the documentation, or the list of all pages.

    In a terminal the page is formatted, and shown with $PAGER. In a pipe it is Markdown. A file
    that a page names is printed too, for example a client that you can copy.

    \b
    Examples:
      refserver docs
      refserver docs tutorial
      refserver docs clients/client.c > client.c
      grep -rn heartbeat "$(refserver docs --folder)"
    """
    if path:
        click.echo(folder())
    elif page is None or page in ("index", "index.md"):
        click.echo("\n".join(listing()))
    else:
        show(find(page))
