"""The tables of the protocol, for documentation and tests.

Rule: this module defines nothing. It makes the tables of other modules public.

Layer: above `states`. Public; not imported by the package's own face.

>>> validate(Role.SERVER, State.NEW, STANDARD_EVENTS[1].type)
<ErrorCode.LOGIN_REQUIRED: 10>
"""

from .events import STANDARD_EVENTS
from .limits import LIMITS, Limit
from .states import KINDS, REPLIES, RULES, SENDABLE, Role, State, validate

__all__ = [
    "KINDS",
    "LIMITS",
    "REPLIES",
    "RULES",
    "SENDABLE",
    "STANDARD_EVENTS",
    "Limit",
    "Role",
    "State",
    "validate",
]
