"""Where a trade's money came from: signal + timing + slippage − fees = net, to the last digit.

Signal is what the decisions would have earned had both been done at mid the moment they were made;
timing what the market moved between a decision and its fill; slippage what the fill gave away
against the mid at that moment. A stop and a target were decided beforehand at their own price, so
with them nothing is timing. Where there are no quotes, or no decision, the nearest price that is
known stands in, and the parts still sum.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from engine.broker import Leg
from engine.instrument import Instrument
from engine.learning.conduct import Conduct
from engine.learning.fills import Fill, RoundTrip
from engine.learning.tape import Tape


class Reference(NamedTuple):
    """What a fill is held against, in half ticks: at the decision, and at the fill."""

    decided: int
    filled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposition:
    """The parts of a trade's gross result in half ticks of all lots; positive earned money."""

    signal: int
    timing: int
    slippage: int

    def in_usd(self, instrument: Instrument) -> dict[str, Decimal]:
        """The parts as columns of `trades`, exact."""
        return {
            f"{field.name}_usd": instrument.to_usd(getattr(self, field.name)) / 2
            for field in fields(self)
        }


def decompose(trip: RoundTrip, conduct: Conduct | None, tape: Tape) -> Decomposition:
    """The parts of one round trip; they sum to its gross result whatever the references are."""
    side = trip.side
    entry = entry_reference(trip, conduct, tape)
    signal, timing, slippage = -side * trip.quantity * entry, 0, 0
    for fill in trip.opening:
        market = _mid_at(tape, fill.at, entry)
        timing += side * fill.quantity * (entry - market)
        slippage += side * fill.quantity * (market - 2 * fill.price_ticks)
    for fill in trip.closing:
        reference = exit_reference(fill, conduct, tape)
        signal += side * fill.quantity * reference.decided
        timing += side * fill.quantity * (reference.filled - reference.decided)
        slippage += side * fill.quantity * (2 * fill.price_ticks - reference.filled)
    return Decomposition(signal=signal, timing=timing, slippage=slippage)


def entry_reference(trip: RoundTrip, conduct: Conduct | None, tape: Tape) -> int:
    """The mid in half ticks when the entry was decided."""
    first = trip.opening[0]
    if conduct is None:
        return _mid_at(tape, first.at, 2 * first.price_ticks)
    return _mid_at(tape, conduct.plan.decided_at, 2 * conduct.plan.decision_price_ticks)


def exit_reference(fill: Fill, conduct: Conduct | None, tape: Tape) -> Reference:
    """The price that a closing fill was decided at, and the one that it met."""
    if conduct is not None and fill.leg == Leg.STOP:
        stop = 2 * conduct.stop_at(fill.at)
        return Reference(stop, stop)
    if conduct is not None and fill.leg == Leg.TARGET:
        target = 2 * conduct.plan.target_price_ticks
        return Reference(target, target)
    market = _mid_at(tape, fill.at, 2 * fill.price_ticks)
    asked_at = None if conduct is None else conduct.asked_at(fill.at)
    return Reference(market if asked_at is None else _mid_at(tape, asked_at, market), market)


def _mid_at(tape: Tape, instant: datetime, otherwise: int) -> int:
    """The mid of the newest closed bar in half ticks; something else before the first."""
    index = tape.closed_by(instant)
    return otherwise if index < 0 else int(tape.mid[index])
