"""Servers that are wrong in one way each, to prove that the conformance kit notices.

Rule: a mutant breaks one rule by replacing the seams of `seams` when it is requested. Without
`--mutant` nothing of this is even loaded.

Layer: above `server`, below `cli`.
"""

from . import (
    at_once,
    departing,
    ending,
    incoming,
    narrow,
    nearly_proven,
    over_websocket,
    paged,
    presence,
    replying,
    resuming,
    saying,
    sharing,
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
    "over_websocket",
    "paged",
    "presence",
    "replying",
    "resuming",
    "saying",
    "sharing",
    "superseding",
    "ticketing",
    "timed",
    "written",
]
