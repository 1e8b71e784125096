"""What a mutant is, and how it replaces a method.

Rule: what a mutant replaces can be put back, so that a test may try them all in one
process.

Layer: above `seams`, below every mutant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .seams import SEAMS

__all__ = ["MUTANTS", "Mutant", "Patch", "mutant"]


Set = Callable[[object, str, object], None]


@dataclass(frozen=True, slots=True)
class Patch:
    """Replaces attributes; `set` is `setattr`, or what a test undoes afterwards."""

    set: Set

    def around(self, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
        """Replace a method; `wrapper` gets the original first."""
        original = getattr(owner, name)

        def replaced(*arguments: Any, **named: Any) -> Any:
            return wrapper(original, *arguments, **named)

        self.set(owner, name, replaced)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A way to be wrong: what is done instead, and how. `settings` are the server's."""

    name: str
    wrong: str
    apply: Callable[[Patch], None] = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """What must be declared to the kit for its guards to run."""
    servers: int = 1
    """How many servers must share a room for it to be wrong: `--log`, `refserver check A B`."""

    def install(self, set: Set = setattr) -> None:
        """Break the server of this process."""

        def at_seam(owner: Any, name: str, value: object) -> None:
            assert name in SEAMS.get(owner, ()), f"{self.name}: {owner}.{name} is no seam"
            set(owner, name, value)

        self.apply(Patch(at_seam))


MUTANTS: dict[str, Mutant] = {}


def mutant(
    name: str, wrong: str, *, needs: tuple[str, ...] = (), servers: int = 1, **settings: Any
) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    def enter(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
        assert name not in MUTANTS, f"{name} is there twice"
        MUTANTS[name] = Mutant(
            name=name, wrong=wrong, apply=apply, settings=settings, needs=needs, servers=servers
        )
        return apply

    return enter
