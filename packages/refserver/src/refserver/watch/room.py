"""What all connections of one room say together: positions, names, sessions.

Rule: only two things that were both seen can contradict each other. What was not seen may have
happened elsewhere.

Layer: above `findings` and `reading`, below `server_side`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .conversation import Side
from .cutting import Frame
from .findings import Finding, Notes
from .reading import named

__all__ = ["Departure", "Entry", "Member", "Room"]

JOINED, LEFT = 0x09, 0x0A
KEPT = 20_000
"""Entries, sessions and names of which the room keeps what was said."""
ABOUT_ONE = 32
"""Entries about one name that are kept."""


class Member(Protocol):
    """A connection, as far as the room needs to know it."""

    connection: int
    user: str
    ticket: int
    began_at: int
    """It carried every entry behind this position, so far."""
    is_member: bool
    welcomed_at: float | None
    superseded: tuple[float, str] | None
    """The time at which another connection took its session or its name, and the statement that
    forbids to serve this connection after it."""

    def find(self, statement: str, frame: Frame | None, required: str, came: str) -> None:
        """Its server broke a statement."""


class Entry(NamedTuple):
    """What a connection says about a position: its type, whose it is, and the rest."""

    type: int
    name: str
    rest: int
    """The reason of a Left; of a content its hash."""


class Claim(NamedTuple):
    """An entry, who says so, and how."""

    entry: Entry
    connection: int
    by: str
    """fact, ack, welcome or logout."""


class About(NamedTuple):
    """A Joined or a Left of a name."""

    position: int
    type: int
    reason: int


class Departure(NamedTuple):
    """A member is known to have left behind a place."""

    place: int
    reasons: frozenset[int]
    settled: bool
    """Nothing of it may be entered any more behind the place but its Left."""
    statement: str
    connection: int
    at: float
    offset: int
    frame: int
    why: str


@dataclass(slots=True)
class _Session:
    user: str
    begins: int
    holder: Member


@dataclass(slots=True)
class Room:
    """One run of a server's room."""

    notes: Notes
    closed: bool = False
    """Whether it was said to shut down: a client that comes now may come to another run."""
    presence: bool = False
    """Whether an arrival or a departure was seen: then presence is on, for the whole run."""
    _claims: dict[int, Claim] = field(default_factory=dict)
    _arrivals: dict[int, tuple[str, Member, Frame]] = field(default_factory=dict)
    _sessions: dict[int, _Session] = field(default_factory=dict)
    _by_name: dict[str, Member] = field(default_factory=dict)
    _about: dict[str, dict[About, int]] = field(default_factory=dict)
    """Of each name: a connection that carried this had carried every entry behind that position."""
    _dropped: int = 0
    """Of arrivals and departures up to this position, not all are kept."""
    _spoke: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where the last fact of each name stands, and from where on its connection carried all."""
    _departures: dict[str, Departure] = field(default_factory=dict)
    _texts: dict[int, str] = field(default_factory=dict)
    _farthest: tuple[int, Member, Frame] | None = None
    """The resume from the greatest position, its connection, and its Welcome."""
    _owed: list[Finding] = field(default_factory=list)
    """What is a finding as soon as presence is known to be on."""

    def knows(self, ticket: int) -> bool:
        """Whether a session with this ticket was seen to begin."""
        return ticket in self._sessions

    # ------------------------------------------------------------- entries

    def entry(
        self, side: Member, frame: Frame, position: int, entry: Entry, by: str = "fact"
    ) -> None:
        """A connection says what stands at a position."""
        if entry.type in (JOINED, LEFT) and not self.presence:
            self._presence_is_on()
        claim = self._claims.get(position)
        if claim is None:
            self._claims[position] = Claim(entry, side.connection, by)
            self._claims.pop(position - KEPT, None)
            if len(self._claims) > 2 * KEPT:  # positions that do not rise by one
                self._claims.clear()
        else:
            self.notes.exercised["EP-5.1-1"] += 1
            if claim.entry != entry:
                self._contradiction(side, frame, position, claim, Claim(entry, side.connection, by))
        if by != "fact":
            return
        if entry.type in (JOINED, LEFT):
            self._came_or_went(position, entry, side.began_at)
        else:
            if len(self._spoke) > KEPT:
                self._spoke.clear()
            self._spoke[entry.name] = position, side.began_at
        departure = self._departures.get(entry.name) if self._departures else None
        if departure is not None and self.presence:
            self._check_departure(departure, entry.name)

    def _contradiction(
        self, side: Member, frame: Frame, position: int, old: Claim, new: Claim
    ) -> None:
        one, two = old.entry, new.entry
        kinds = {old.by, new.by}
        statement = "EP-5.1-1"
        if "welcome" in kinds:
            statement = "EP-6.1-4"
        elif "logout" in kinds:
            alike = one[:2] == two[:2]
            statement = "EP-5.4-4" if alike else "EP-5.4-7"
        elif kinds == {"ack"}:
            statement = "EP-5.3-3"
        elif "ack" in kinds and one.type == two.type:
            if one.name == two.name:
                statement = "EP-3.3-5" if one.type == 0x02 else "EP-3.11-4"
            elif one.rest == two.rest:
                statement = "EP-3.3-4" if one.type == 0x02 else "EP-3.11-2"
        side.find(
            statement,
            frame,
            f"entry {position} is {_said(one)}, as connection {old.connection} has it"
            f"{_ways[old.by]}",
            f"{_said(two)}{_ways[new.by]}",
        )

    def _came_or_went(self, position: int, entry: Entry, seen_from: int) -> None:
        about = self._about.get(entry.name)
        if about is None:
            if len(self._about) >= KEPT:
                latest = max(max(each).position for each in self._about.values())
                self._dropped = max(self._dropped, latest)
                self._about.clear()
            about = self._about[entry.name] = {}
        new = About(position, entry.type, entry.rest)
        about[new] = min(seen_from, about.get(new, seen_from))
        if len(about) > ABOUT_ONE:
            oldest = next(iter(about))
            del about[oldest]
            self._dropped = max(self._dropped, oldest.position)

    # ------------------------------------------------------------- presence

    def _presence_is_on(self) -> None:
        self.presence = True
        for finding in self._owed:
            self.notes.find(finding)
        self._owed.clear()
        arrivals, self._arrivals = self._arrivals, {}
        for position, (user, side, frame) in arrivals.items():
            self._arrived(position, user, side, frame)
        for name, departure in list(self._departures.items()):
            self._check_departure(departure, name)

    def owes(self, finding: Finding) -> None:
        """It is a finding if presence is on."""
        if self.presence:
            self.notes.find(finding)
        elif len(self._owed) < KEPT:
            self._owed.append(finding)

    def _arrived(self, position: int, user: str, side: Member, frame: Frame) -> None:
        """A fresh login has its own Joined at its place, where presence is on."""
        if not position:
            side.find(
                "EP-6.1-4",
                frame,
                "with presence on, Welcome.position is the position of the member's own Joined",
                "position 0",
            )
        else:
            self.entry(side, frame, position, Entry(JOINED, user, 0), "welcome")

    # ------------------------------------------------------------- sessions and names

    def welcomed(self, side: Member, frame: Frame, asked_at: float, *, resumed: bool) -> None:
        """A connection has become a member, by a Login that passed at `asked_at`."""
        user, ticket, place = side.user, side.ticket, side.began_at
        session = self._sessions.get(ticket)
        if not resumed:
            if session is not None:
                side.find(
                    "EP-6.1-8",
                    frame,
                    "each fresh login gets a ticket of its own",
                    f"the ticket of connection {session.holder.connection}",
                )
            if self.presence:
                self._arrived(place, user, side, frame)
            elif len(self._arrivals) < KEPT:
                self._arrivals[place] = (user, side, frame)
        else:
            if self._farthest is None or place > self._farthest[0]:
                self._farthest = place, side, frame
            if session is not None:
                self._resumed(side, frame, session)
        older = self._by_name.get(user)
        # Welcomes pass in any order: it was accepted later only if its Login passed later.
        later = older is None or older.welcomed_at is None or asked_at > older.welcomed_at
        if older is not None and older is not side and older.is_member and later:
            same = session is not None and session.holder is older
            older.superseded = (frame.at, "EP-6.4-12" if same and resumed else "EP-6.2-4")
        if later:
            self._by_name[user] = side
        if session is None or not resumed:
            self._sessions[ticket] = _Session(user, 0 if resumed else place, side)
            if len(self._sessions) > KEPT:
                del self._sessions[next(iter(self._sessions))]
        elif later:
            session.holder = side
        if len(self._by_name) > KEPT:
            del self._by_name[next(iter(self._by_name))]

    def _resumed(self, side: Member, frame: Frame, session: _Session) -> None:
        self.notes.exercised["EP-6.4-5"] += 1
        if session.user != side.user:
            side.find(
                "EP-6.4-5",
                frame,
                f"the ticket is of a session of {session.user!a}: HISTORY_GONE under another name",
                f"Welcome of {side.user!a}",
            )
        if side.began_at < session.begins:
            side.find(
                "EP-6.4-4",
                frame,
                f"a ticket reads nothing at or before {session.begins}, its session's beginning",
                f"Welcome with position {side.began_at}",
            )

    def made(self, position: int, asked_at: float) -> None:
        """A request that passed at `asked_at` made this entry: before, it was not in the log."""
        if self._farthest is None:
            return
        place, side, welcome = self._farthest
        if position <= place and asked_at > welcome.at:
            self._farthest = None
            side.find(
                "EP-6.4-6",
                welcome,
                f"HISTORY_GONE: entry {position} was made later, so the log ended before it",
                f"Welcome with position {place}",
            )

    # ------------------------------------------------------------- departures

    def left(self, name: str, departure: Departure) -> None:
        """A member is known to have left."""
        if len(self._departures) >= KEPT:
            del self._departures[next(iter(self._departures))]
        self._departures[name] = departure
        if self.presence:
            self._check_departure(departure, name)

    def _check_departure(self, departure: Departure, name: str) -> None:
        """The first that is entered about the name behind the place is its Left, and the right one.

        Only a connection that carried all entries from the place on says which is the first.
        """
        if self._dropped > departure.place:
            return  # what was first may have been dropped
        place, about = departure.place, self._about.get(name, {})
        said = min(
            (each for each, begins in about.items() if each.position > place >= begins),
            default=None,
        )
        spoke, seen_from = self._spoke.get(name, (0, 0))
        if (
            departure.settled
            and spoke > departure.place >= seen_from
            and (said is None or spoke < said.position)
        ):
            self._wrong(departure, name, departure.statement, spoke, "what it said")
        elif said is None:
            return
        elif said.type == JOINED:
            self._wrong(departure, name, "EP-5.4-2", said.position, "Joined, without a Left before")
        else:
            self.notes.exercised["EP-5.4-4"] += 1
            if said.reason not in departure.reasons:
                statement = "EP-5.4-4" if departure.reasons else "EP-5.4-6"
                came = f"Left with reason {said.reason}"
                self._wrong(departure, name, statement, said.position, came)
        self._departures.pop(name, None)

    def _wrong(self, gone: Departure, name: str, statement: str, position: int, came: str) -> None:
        reasons = " or ".join(map(str, sorted(gone.reasons)))
        required = f"{name!a} leaves with reason {reasons}" if reasons else f"no Left of {name!a}"
        self.notes.find(
            Finding(
                statement,
                Side.SERVER,
                gone.connection,
                gone.frame,
                gone.offset,
                gone.at,
                f"{required}: {gone.why}",
                f"entry {position} is {came}",
            )
        )

    # ------------------------------------------------------------- texts

    def refused(self, side: Member, frame: Frame, code: int, text: str) -> None:
        """All UNAUTHORIZED look alike, and all HISTORY_GONE."""
        statement = {12: "EP-6.3-7", 15: "EP-6.4-8"}.get(code)
        if statement is None:
            return
        known = self._texts.setdefault(code, text)
        self.notes.exercised[statement] += 1
        if known != text:
            side.find(statement, frame, f"the text {known!a}, as before", f"{text!a}")


_ways = {
    "fact": "",
    "ack": " (by the Ack of its request)",
    "welcome": " (by the Welcome: presence is on)",
    "logout": " (by the Ack of its Logout)",
}


def _said(entry: Entry) -> str:
    what = f"{named(entry.type)} of {entry.name!a}"
    return f"{what}, reason {entry.rest}" if entry.type == LEFT else what
