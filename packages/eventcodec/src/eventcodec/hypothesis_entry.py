"""What Hypothesis calls when it is imported: its entry point.

Rule: nothing is drawn here, and `strategies` is imported only when an event is asked for: that
module imports Hypothesis, which may be in the middle of its own import when it calls this.

Layer: the top, above `strategies`.
"""

from __future__ import annotations

from typing import Any

from .events import STANDARD_EVENTS, ApplicationEvent, Event, Fact, Unknown

__all__ = ["register"]


def register() -> None:
    """Tell Hypothesis how events are made: `st.from_type(Message)`."""
    from hypothesis import strategies as st

    for kind in (*STANDARD_EVENTS, ApplicationEvent, Unknown, Fact, Event):
        st.register_type_strategy(kind, _events)


def _events(kind: type[Event]) -> Any:
    from .strategies import events

    if kind is Event:
        return events()
    if kind is Fact:
        facts = [each for each in STANDARD_EVENTS if issubclass(each, Fact)]
        return events(*facts, ApplicationEvent)
    return events(kind)
