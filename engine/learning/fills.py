"""Fills, and fills matched into round trips from flat to flat.

What nobody decided is matched like everything else: the broker's cash does not ask whose order it
was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

import polars as pl

from engine.broker import BrokerSnapshot
from engine.desk import fact_of
from engine.desk.facts import PositionAdopted
from engine.journal import Event, Kind
from engine.learning.executions import is_of_session
from engine.rules import Rules

_UNIT_USD: Final = Decimal("0.0001")


class Fill(NamedTuple):
    """An execution, or the part of one that belongs to a round trip; lots are counted unsigned."""

    at: datetime
    seq: int
    execution_id: str
    order_ref: str
    decision_id: str | None
    leg: str | None
    side: int
    quantity: int
    price_ticks: int
    fees_usd: Decimal
    is_fee_reported: bool

    def split(self, quantity: int) -> tuple["Fill", "Fill | None"]:
        """The first lots and the rest, if any; their fees add up to those of the whole."""
        if quantity >= self.quantity:
            return self, None
        fees = (self.fees_usd * quantity / self.quantity).quantize(_UNIT_USD)
        rest = self._replace(quantity=self.quantity - quantity, fees_usd=self.fees_usd - fees)
        return self._replace(quantity=quantity, fees_usd=fees), rest


class Held(NamedTuple):
    """The broker's word on the position, signed, where executions may not explain it."""

    at: datetime
    seq: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """From flat to flat: what opened the position, and what closed it."""

    side: int
    opening: tuple[Fill, ...]
    closing: tuple[Fill, ...]

    @property
    def fills(self) -> tuple[Fill, ...]:
        return tuple(sorted((*self.opening, *self.closing)))

    @property
    def quantity(self) -> int:
        """Contracts traded each way."""
        return sum(fill.quantity for fill in self.opening)

    @property
    def gross_ticks(self) -> int:
        """Contracts times ticks won, before fees."""
        return -sum(fill.side * fill.quantity * fill.price_ticks for fill in self.fills)

    @property
    def fees_usd(self) -> Decimal:
        """Fees of every fill, estimated where none is reported yet."""
        return sum((fill.fees_usd for fill in self.fills), Decimal(0))

    @property
    def decision_id(self) -> str | None:
        """The decision whose entry order opened it; null if nobody decided on it."""
        first = self.opening[0]
        return first.decision_id if first.leg == "entry" else None


@dataclass(slots=True)
class Matched:
    """Whole round trips, and fills that belong to none: still open, or without their other side."""

    trips: list[RoundTrip] = field(default_factory=list)
    unmatched: list[Fill] = field(default_factory=list)


def fills_of(executions: pl.DataFrame, rules: Rules) -> list[Fill]:
    """The rows of `executions` as fills; a fee that is not reported yet is the contract's.

    An order of another session belongs to no decision of this one: ids repeat from day to day.
    """
    per_side_usd = rules.instrument.fees.per_side_usd
    return [
        Fill(
            at=row["at"],
            seq=row["seq"],
            execution_id=row["execution_id"],
            order_ref=row["order_ref"],
            decision_id=(
                row["decision_id"] if is_of_session(row["order_ref"], row["session_date"]) else None
            ),
            leg=row["leg"],
            side=row["side"],
            quantity=row["quantity"],
            price_ticks=row["price_ticks"],
            fees_usd=(
                per_side_usd * row["quantity"]
                if row["commission_usd"] is None
                else row["commission_usd"]
            ),
            is_fee_reported=row["commission_usd"] is not None,
        )
        for row in executions.iter_rows(named=True)
    ]


def positions_told(events: Iterable[Event], rules: Rules) -> list[Held]:
    """What the broker held when the session began, and what was taken over without an execution."""
    told: list[Held] = []
    is_first = True
    for event in events:
        if event.kind == Kind.POSITION:
            adopted = fact_of(event)
            if isinstance(adopted, PositionAdopted):
                told.append(Held(adopted.at, event.seq, adopted.found))
        elif event.kind == Kind.RECONCILIATION and is_first:
            snapshot = fact_of(event)
            if isinstance(snapshot, BrokerSnapshot):
                is_first = False
                ours = (p for p in snapshot.positions if p.symbol == rules.instrument.symbol)
                held = sum(position.quantity for position in ours)
                told.append(Held(snapshot.at, event.seq, held))
    return told


def match(fills: Sequence[Fill], told: Sequence[Held] = ()) -> Matched:
    """Round trips in the order of the broker's clock, whatever order the reports came in.

    A fill that goes through flat closes one trip and opens the next. Lots that only the broker's
    word explains have no price, so the fills that close them belong to no trip.
    """
    book = _Book()
    happenings: list[Fill | Held] = [*fills, *told]
    for happened in sorted(happenings, key=lambda each: (each.at, each.seq)):
        if isinstance(happened, Held):
            book.unexplained = happened.position - book.held
        else:
            book.take(happened)
    book.done.unmatched += book.open
    return book.done


class _Book:
    """The position while fills are matched: `held` by fills, `unexplained` without; signed."""

    def __init__(self) -> None:
        self.done = Matched()
        self.open: list[Fill] = []
        self.held = 0
        self.unexplained = 0

    def take(self, fill: Fill) -> None:
        if self.held + self.unexplained == 0 and self.held:
            # The broker held nothing any more: what was open ended without an execution.
            self.done.unmatched += self.open
            self.open, self.held, self.unexplained = [], 0, 0
        rest: Fill | None = fill
        if self.held * fill.side < 0:
            part, rest = fill.split(abs(self.held))
            self.open.append(part)
            self.held += part.side * part.quantity
            if self.held == 0:
                self._close()
        if rest is not None and self.unexplained * rest.side < 0:
            part, rest = rest.split(abs(self.unexplained))
            self.done.unmatched.append(part)
            self.unexplained += part.side * part.quantity
        if rest is not None:
            self.open.append(rest)
            self.held += rest.side * rest.quantity

    def _close(self) -> None:
        side = self.open[0].side
        opening = tuple(fill for fill in self.open if fill.side == side)
        closing = tuple(fill for fill in self.open if fill.side != side)
        self.done.trips.append(RoundTrip(side=side, opening=opening, closing=closing))
        self.open = []
