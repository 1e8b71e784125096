"""The rule of section 6.5, in every small world."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec.worlds import Play, Size, every, fair, judge, made, patterns

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    ErrorCode,
    Event,
    Fact,
    Left,
    Login,
    Message,
    Ping,
    Pong,
    Welcome,
)
from eventcodec.ledger import Fate, Ledger, Outcome, Request


class Glue:
    """The least client that a ledger needs."""

    def __init__(self, make: type[Ledger] = Ledger) -> None:
        self.ledger = make()
        self.outcomes: list[Outcome] = []
        self._ticket = self._position = self._seq = 0
        self._asked: list[Event] = []
        self._out: list[tuple[Event, int]] = []
        self._numbers: list[int] = []

    def say(self, number: int, content: str) -> None:
        self.ledger.add(Request.of(number, made(Message, content=content)))

    def connect(self) -> None:
        self.ledger.connected()
        self._seq = 0
        self._asked.clear()
        self._out.clear()
        self._ask(made(Login, ticket=self._ticket, position=self._position))
        if self._ticket:
            self._ask(made(Ping))

    @property
    def is_done(self) -> bool:
        return not len(self.ledger)

    def _ask(self, request: Event, number: int = 0) -> None:
        self._seq += 1
        self._asked.append(request.with_seq(self._seq))
        self._out.append((self._asked[-1], number))

    def frames(self) -> list[tuple[Event, int]]:
        while self.ledger.may_send and (request := self.ledger.next):
            number = self.ledger.requests[self.ledger.in_doubt].number
            self._ask(request, number)
            self.ledger.handed_out()
        out, self._out = self._out, []
        return out

    def take(self, event: Event) -> None:
        if isinstance(event, Error) and not event.seq:
            self.ledger.ended(event.code)
        elif isinstance(event, Fact):
            self._position = event.position
            outcome = self.ledger.fact(event)
            self.outcomes += [outcome] if outcome else []
        else:
            request = self._asked.pop(0)
            assert request.seq == event.seq
            if isinstance(event, Ack):
                self._position = event.position
                self.outcomes.append(self.ledger.acknowledged(event.position))
            elif isinstance(event, Pong):
                self.ledger.marker()
            elif isinstance(event, Welcome):
                self._position = event.position
                self.ledger.welcomed(event.user, resumed=bool(self._ticket))
                self._ticket = event.ticket
            elif isinstance(event, Error) and event.code == ErrorCode.HISTORY_GONE:
                self.outcomes += self.ledger.history_gone()
                self._ticket = self._position = 0
                self._ask(Login())

    def lose(self) -> None:
        self.ledger.ended()

    def give_up(self) -> None:
        self.outcomes += self.ledger.give_up()


@pytest.mark.proves(
    "EP-6.5-3",
    "EP-6.5-5",
    "EP-6.5-6",
    "EP-6.5-7",
    "EP-6.5-8",
    "EP-6.5-9",
    "EP-6.5-10",
    "EP-6.5-11",
    "EP-6.5-12",
    "EP-6.5-13",
    "EP-6.5-14",
    "EP-6.5-15",
    "EP-6.5-16",
)
@pytest.mark.parametrize(
    "size",
    [
        Size(1, 2, is_open=True),
        Size(1, 2, visits=2),
        # In parts, for worlds of different contents or presence never look alike.
        Size(2, 2, presence=True),
        pytest.param(Size(2, 2, presence=False), marks=pytest.mark.once),
        pytest.param(Size(1, 3), marks=pytest.mark.slow),
        pytest.param(Size(3, 2), marks=pytest.mark.slow),
        pytest.param(Size(2, 3, restarts=0), marks=pytest.mark.slow),
        *(
            pytest.param(
                Size(3, 3, restarts=0, presence=presence, contents=contents),
                marks=[pytest.mark.slow, pytest.mark.timeout(1_800)],
            )
            for presence in (True, False)
            for contents in patterns(3)
        ),
    ],
    ids=str,
)
@pytest.mark.unmeasured
def test_in_every_world_no_error_was_avoidable_and_nothing_is_doubled(size: Size) -> None:
    judgement = judge(every(Glue, size))

    assert fair(judgement) == {}
    assert judgement.unknown  # the worlds hold those that look alike
    assert bool(judgement.lost) is (size.presence is not True)  # with presence nothing is lost


class TakesAny(Ledger):
    """Takes the oldest request that fits, head or not, and settles at the marker alone."""

    def fact(self, event: Event) -> Outcome | None:
        if self._is_replaying and isinstance(event, Message):
            for at in range(self._in_doubt):
                if self._requests[at].event == Message(content=event.content):
                    found = self._requests[at]
                    del self._requests[at]
                    self._in_doubt -= 1
                    self._tried -= 1
                    return Outcome(found.number, found.event, Fate.ACKNOWLEDGED, event.seq)
        return None


class HeadAlone(Ledger):
    """Takes only the head, and settles at the marker alone: no 6.5-9, no 6.5-10."""

    def _head(self, fact: Message) -> Message:
        head = self._requests[0].event
        assert isinstance(head, Message)
        return Message(seq=fact.seq, sender=fact.sender, content=head.content)

    def fact(self, event: Event) -> Outcome | None:
        if isinstance(event, Message) and self._in_doubt and event == self._head(event):
            return super().fact(event)
        return None


class PassesOthersBy(Ledger):
    """No 6.5-9."""

    def fact(self, event: Event) -> Outcome | None:
        before = self._in_doubt
        outcome = super().fact(event)
        if isinstance(event, Message | ApplicationEvent) and outcome is None:
            self._in_doubt = before
        return outcome


class PassesLeftBy(Ledger):
    """No 6.5-10."""

    def fact(self, event: Event) -> Outcome | None:
        return None if isinstance(event, Left) else super().fact(event)


class MarkerSaysNothing(Ledger):
    """No 6.5-11."""

    def marker(self) -> None:
        self._is_replaying = False


class AnyPongIsTheMarker(Ledger):
    """6.5-11 where the resume was refused."""

    def marker(self) -> None:
        self._is_replaying = False
        self.settle()


class GoodbyeSaysNothing(Ledger):
    """No 6.5-12."""

    def ended(self, code: int | None = None) -> None:
        super().ended()


class EveryGoodbyeSettles(Ledger):
    """6.5-12 before the Welcome too."""

    def ended(self, code: int | None = None) -> None:
        self._is_member = True
        super().ended(code)


class SlowConsumerSettles(Ledger):
    """6.5-12 with SLOW_CONSUMER too."""

    def ended(self, code: int | None = None) -> None:
        super().ended(None if code is None else ErrorCode.INTERNAL)


class LossSettles(Ledger):
    """A loss is taken for a goodbye."""

    def ended(self, code: int | None = None) -> None:
        super().ended(ErrorCode.INTERNAL)


class Forgets(Ledger):
    """What was settled is in doubt again on the next connection: no 6.5-14."""

    def connected(self) -> None:
        super().connected()
        self._in_doubt = self._tried


class GoneSettles(Ledger):
    """HISTORY_GONE is taken for not accepted."""

    def history_gone(self) -> list[Outcome]:
        self.settle()
        return []


class GoneForgets(Ledger):
    """HISTORY_GONE makes all that was ever sent unknown, settled or not."""

    def history_gone(self) -> list[Outcome]:
        self._in_doubt = self._tried
        return super().history_gone()


class NewFirst(Ledger):
    """What is new goes out before what is sent again: no 6.5-16."""

    def marker(self) -> None:
        super().marker()
        self._requests.rotate(-self._tried)
        self._tried = 0


class SendsBeforeTheMarker(Ledger):
    """No 6.5-6."""

    @property
    def may_send(self) -> bool:
        return self._is_member


class SendsBeforeTheWelcome(Ledger):
    """No 6.5-5."""

    @property
    def may_send(self) -> bool:
        return not self._is_replaying


ONE, TWO = Size(1, 2), Size(2, 2, restarts=0)


@pytest.mark.parametrize(
    ("wrong", "size", "faults"),
    [
        (TakesAny, ONE, "avoidable unexplained"),
        (HeadAlone, ONE, "avoidable unexplained"),
        (PassesOthersBy, Size(1, 2, visits=2), "avoidable"),
        (PassesLeftBy, ONE, "avoidable unexplained"),
        (MarkerSaysNothing, ONE, "avoidable"),
        (AnyPongIsTheMarker, ONE, "doubled"),
        (GoodbyeSaysNothing, ONE, "avoidable"),
        (EveryGoodbyeSettles, ONE, "doubled"),
        (SlowConsumerSettles, ONE, "doubled avoidable"),
        (LossSettles, ONE, "doubled avoidable"),
        (Forgets, ONE, "avoidable"),
        (GoneSettles, ONE, "doubled"),
        (GoneForgets, ONE, "avoidable"),
        (NewFirst, TWO, "doubled disordered"),
        (SendsBeforeTheMarker, Size(1, 2, is_open=True), "early"),
        (SendsBeforeTheWelcome, ONE, "early"),
    ],
)
@pytest.mark.unmeasured
def test_each_part_of_the_rule_is_needed(wrong: type[Ledger], size: Size, faults: str) -> None:
    assert set(fair(judge(every(lambda: Glue(wrong), size)))) == set(faults.split())


@pytest.mark.proves("EP-6.5-14")
@given(st.data())
def test_in_larger_worlds_too_nothing_is_doubled_and_nothing_is_lost_without_a_reason(
    data: st.DataObject,
) -> None:
    size = Size(requests=4, connections=6, visits=3, restarts=2, is_open=True)

    def choose(count: int) -> int:
        return data.draw(st.integers(0, count - 1)) if count > 1 else 0

    judgement = judge([Play(choose, Glue(), size).run()])

    assert not judgement.early | judgement.doubled | judgement.disordered | judgement.unexplained


def in_doubt(*requests: Event) -> Ledger:
    """A ledger of ann's whose requests went out on a connection that was lost, in its replay."""
    ledger = Ledger()
    ledger.connected()
    ledger.welcomed("ann", resumed=False)
    for number, request in enumerate(requests, 1):
        ledger.add(Request.of(number, request))
        ledger.handed_out()
    ledger.ended()
    ledger.connected()
    ledger.welcomed("ann", resumed=True)
    return ledger


@pytest.mark.proves("EP-6.5-8")
@pytest.mark.parametrize(
    ("request_", "fact", "is_taken"),
    [
        (Message(content="ok"), Message(sender="ann", content="ok", seq=7), True),
        (Message(content=""), Message(sender="ann", content="", seq=7), True),
        (Message(content="ok"), Message(sender="Ann", content="ok", seq=7), False),
        (Message(content="ok"), Message(sender="ann", content="ok\0", seq=7), False),
        (Message(content="\u00e4"), Message(sender="ann", content="a\u0308", seq=7), False),
        (
            Message(content="ok"),
            ApplicationEvent(type=0x80, sender="ann", data=b"ok", seq=7),
            False,
        ),
        (
            ApplicationEvent(type=0x80, data=b"ok"),
            ApplicationEvent(type=0x80, sender="ann", data=b"ok", seq=7),
            True,
        ),
        (
            ApplicationEvent(type=0x80, data=b"ok"),
            ApplicationEvent(type=0x81, sender="ann", data=b"ok", seq=7),
            False,
        ),
    ],
)
def test_a_fact_is_a_request_only_under_the_same_name_with_the_same_type_and_bytes(
    request_: Event, fact: Event, is_taken: bool
) -> None:
    outcome = in_doubt(request_).fact(fact)

    assert outcome == (Outcome(1, request_, Fate.ACKNOWLEDGED, 7) if is_taken else None)


@pytest.mark.proves("EP-6.5-17")
def test_what_became_too_long_is_told_and_the_rest_goes_out() -> None:
    long, two, new = (Message(content=text) for text in ("x" * 100, "two", "y" * 100))
    ledger = in_doubt(long, two)
    ledger.add(Request.of(3, new))
    ledger.marker()

    outcomes = ledger.too_long(112)

    assert outcomes == [Outcome(1, long, Fate.TOO_LONG), Outcome(3, new, Fate.TOO_LONG)]
    assert (ledger.next, ledger.tried, ledger.bytes) == (two, 1, 16)
    assert in_doubt(long).too_long(113) == []


@pytest.mark.proves("EP-6.5-15")
def test_at_the_end_each_request_has_its_outcome() -> None:
    said = [Message(content=str(n)) for n in range(3)]
    ledger = in_doubt(*said)
    ledger.marker()
    ledger.handed_out()
    ledger.add(Request.of(4, said[0]))

    fates = [outcome.fate for outcome in ledger.give_up()]

    assert fates == [Fate.UNKNOWN, Fate.NOT_ACCEPTED, Fate.NOT_ACCEPTED, Fate.NEVER_SENT]
    assert len(ledger) == 0


def test_a_refused_request_is_settled_and_the_next_one_is_the_oldest() -> None:
    one, two = Message(content="one"), Message(content="two")
    ledger = in_doubt(one, two)
    error = Error(seq=2, code=99)

    assert ledger.refused(error) == Outcome(1, one, Fate.REFUSED, error=error)
    assert ledger.acknowledged(4) == Outcome(2, two, Fate.ACKNOWLEDGED, 4)
