"""Servers that are wrong in one way each, to prove that the conformance kit notices.

Rule: a mutant breaks one rule by replacing methods when it is requested; without
`--mutant` nothing of this is even loaded. Mutants reach into private parts on purpose,
and change with them.

Layer: above `server`, below `cli`.
"""

from . import (
    at_once,
    departing,
    ending,
    incoming,
    narrow,
    nearly_proven,
    paged,
    presence,
    replying,
    resuming,
    saying,
    superseding,
    ticketing,
    timed,
    written,
)
from .registry import MUTANTS, Mutant, Patch

__all__ = [
    "MUTANTS",
    "Mutant",
    "Patch",
    "at_once",
    "departing",
    "ending",
    "incoming",
    "narrow",
    "nearly_proven",
    "paged",
    "presence",
    "replying",
    "resuming",
    "saying",
    "superseding",
    "ticketing",
    "timed",
    "written",
]
