"""How a case is written: a short function under an id that stays for ever.

Rule: a section numbers its own cases; a number is never given twice, nor to something
else later.

Layer: above `model`, below the catalogues of cases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from .model import Case, Level
from .segmentation import Segmentation

__all__ = ["ONCE", "Row", "Section", "enter", "in_order"]

Script = Callable[..., None]
ONCE = (Segmentation.WHOLE,)
"""For a case that cuts its bytes itself, sends very many, or waits for a clock."""


class Section:
    """A part of the catalogue; `prefix` begins its ids.

    Each case needs what the section `needs` and the section's `capabilities`, beside its own. It
    has the section's `segmentations` if it names none.

    >>> framing = Section("framing", "FRAME")
    >>> @framing.case(7, "a frame is a frame", "EP-2.1-1", cause="it is not")
    ... def a_frame_is_a_frame(t): ...
    >>> framing.cases[0].id
    'FRAME-07'
    """

    def __init__(
        self,
        name: str,
        prefix: str,
        *,
        needs: tuple[str, ...] = ("LOGIN-01",),
        capabilities: tuple[str, ...] = (),
        segmentations: tuple[Segmentation, ...] = tuple(Segmentation),
    ) -> None:
        self.name = name
        self.prefix = prefix
        self.cases: list[Case] = []
        self._needs = needs
        self._capabilities = capabilities
        self._segmentations = segmentations

    def case(
        self,
        number: int,
        title: str,
        *proves: str,
        cause: str,
        needs: tuple[str, ...] = (),
        capabilities: tuple[str, ...] = (),
        segmentations: tuple[Segmentation, ...] = (),
        negative: bool = False,
        level: Level = Level.MUST,
        last: bool = False,
    ) -> Callable[[Script], Script]:
        """Enter a case into the section."""
        id = f"{self.prefix}-{number:02}"

        def enter(script: Script) -> Script:
            assert id not in {case.id for case in self.cases}, f"{id} is there twice"
            self.cases.append(
                Case(
                    id=id,
                    section=self.name,
                    title=title,
                    proves=proves,
                    cause=cause,
                    script=script,
                    level=level,
                    needs=tuple(need for need in self._needs + needs if need != id),
                    capabilities=self._capabilities + capabilities,
                    segmentations=segmentations or self._segmentations,
                    negative=negative,
                    last=last,
                )
            )
            return script

        return enter

    def in_order(self) -> list[Case]:
        """The cases by their numbers."""
        return sorted(self.cases, key=lambda case: case.id)


@dataclass(frozen=True, slots=True)
class Row(ABC):
    """A case that is a row of a table; its id begins with the prefix of its section."""

    id: str
    title: str
    proves: tuple[str, ...]
    _: KW_ONLY
    cause: str
    needs: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    segmentations: tuple[Segmentation, ...] = ()
    level: Level = Level.MUST

    @property
    def negative(self) -> bool:
        """Whether what is sent is wrong, so that others must not notice."""
        return False

    @abstractmethod
    def run(self, t: Any) -> None:
        """The case's script."""


def enter(rows: Iterable[Row], *sections: Section) -> None:
    """Enter each row into its section."""
    by_prefix = {section.prefix: section for section in sections}
    for row in rows:
        prefix, _, number = row.id.rpartition("-")
        by_prefix[prefix].case(
            int(number),
            row.title,
            *row.proves,
            cause=row.cause,
            needs=row.needs,
            capabilities=row.capabilities,
            segmentations=row.segmentations,
            level=row.level,
            negative=row.negative,
        )(row.run)


def in_order(cases: Iterable[Case]) -> list[Case]:
    """The cases in their order, but each behind those that it needs."""
    by_id = {case.id: case for case in cases}
    ordered: dict[str, Case] = {}

    def place(case: Case) -> None:
        if case.id not in ordered:
            for need in case.needs:
                place(by_id[need])
            ordered[case.id] = case

    for case in by_id.values():
        place(case)
    return list(ordered.values())
