"""Everything that a user can name: public names, their members and arguments, and options.

Rule: nothing here knows a version. Each version's answer is kept in a file beside this one, which
`python -m tests.project.surface FILE` writes with the packages of that version.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

MODULES = (
    "eventcodec",
    "eventcodec.wire",
    "refserver",
    "refserver.client",
    "refserver.client.blocking",
    "refserver.pytest_plugin",
)
BASES = (int, str, tuple, Exception, object)
"""What a class has from these is not its own."""


def surface() -> dict[str, list[str]]:
    """Each public name and command, with what can be named in it."""
    found = {
        " ".join(words): options for words, options in (*_click_commands(), *_codec_commands())
    }
    for module in MODULES:
        for name, value in _public(module):
            found[f"{module}.{name}"] = sorted({*_members(value), *_arguments(value)})
    return found


def _public(module: str) -> Iterator[tuple[str, Any]]:
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError:  # this version does not have it
        return
    for name, value in vars(loaded).items():
        listed = name in getattr(loaded, "__all__", ())
        if listed or (inspect.isclass(value) and value.__module__ == module and name[0] != "_"):
            yield name, value


def _members(value: Any) -> Iterator[str]:
    """The attributes and methods of a class, and the arguments of its methods."""
    if not inspect.isclass(value):
        return
    for name in dir(value):
        if not name.startswith("_") and not any(name in vars(base) for base in BASES):
            yield name
            yield from _arguments(inspect.getattr_static(value, name))


def _arguments(value: Callable[..., Any]) -> Iterator[str]:
    function = value.__init__ if inspect.isclass(value) else value
    # What an Enum takes differs between versions of Python.
    if inspect.isfunction(function) and function.__module__ != "enum":
        for name in inspect.signature(function).parameters:
            if name != "self" and not name.startswith("_"):
                yield name


def _click_commands() -> Iterator[tuple[tuple[str, ...], list[str]]]:
    cli = importlib.import_module("refserver.cli")

    def walk(
        command: click.Command, words: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        options = [each for each in command.params if isinstance(each, click.Option)]
        yield words, sorted(name for each in options for name in (*each.opts, *each.secondary_opts))
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                yield from walk(below, (*words, name))

    yield from walk(cli.main, ("refserver",))


def _codec_commands() -> Iterator[tuple[tuple[str, ...], list[str]]]:
    commands = importlib.import_module("eventcodec.commands")

    def walk(
        parser: argparse.ArgumentParser, words: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        yield words, sorted(name for each in parser._actions for name in each.option_strings)
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, below in action.choices.items():
                    yield from walk(below, (*words, name))

    yield from walk(commands._parser(), ("python -m eventcodec",))


if __name__ == "__main__":
    text = json.dumps(surface(), indent=0, sort_keys=True)
    Path(sys.argv[1]).write_text(f"{text}\n", encoding="utf-8")
