"""An application's own events, for whatever is made from declarations."""

from __future__ import annotations

from eventcodec import ApplicationEvent, application_event, field, wire


@application_event(0x81)
class Moved(ApplicationEvent):
    """Something went somewhere else."""

    x: int = field(wire.I32)
    visible: bool = field(wire.Flag)
    label: str = field(wire.ShortText)
