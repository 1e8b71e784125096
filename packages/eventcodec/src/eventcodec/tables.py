"""The tables of the protocol: what documentation is made from and tests walk.

Rule: nothing is defined here. Each table stands where it is used, and under this name for
those who read it.

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
