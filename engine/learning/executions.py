"""Executions as the journal has them: the one source of quantity and price, each counted once.

A correction stands in the place of what it corrects; what a session before told of already is none
of this one's.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final, NamedTuple

import polars as pl

from engine.broker import CommissionReported, ExecutionReported
from engine.desk import fact_of
from engine.journal import Event, Kind
from engine.ledger import Ledger
from engine.supervisor import read_ref

MONEY: Final = pl.Decimal(18, 4)
_OF_FILLS: Final = frozenset({Kind.EXECUTION, Kind.COMMISSION})

EXECUTION_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "seq": pl.Int64(),
    "at": pl.Datetime("us", "UTC"),
    "execution_id": pl.String(),
    "order_ref": pl.String(),
    "decision_id": pl.String(),
    "leg": pl.String(),
    "side": pl.Int8(),
    "quantity": pl.Int32(),
    "price_ticks": pl.Int32(),
    "commission_usd": MONEY,
}
"""Columns of `executions`. Decision and leg are null for an order that is not ours."""


class Corrected(NamedTuple):
    """An execution of an earlier session as it was known, and what the broker now says of it."""

    seq: int
    was: ExecutionReported
    now: ExecutionReported


def execution_rows(events: Iterable[Event], before: Iterable[Event] = ()) -> pl.DataFrame:
    """`EXECUTION_COLUMNS` of journalled executions, with the commission reported for each if any.

    A duplicate leaves no second row; a correction takes the row of what it corrects. What `before`,
    the journal of the sessions before, tells of already is none of this one's, corrected or not; it
    is read only where something may be as old.
    """
    told = [event for event in events if event.kind in _OF_FILLS]
    earlier = _told_before(told, before)
    ledger = Ledger()
    told_by: dict[str, Event] = {}
    for event in told:
        fact = fact_of(event)
        if isinstance(fact, ExecutionReported) and _as_known(fact, earlier) is None:
            ledger = ledger.with_execution(fact)
            told_by.setdefault(fact.execution_id, event)
        elif isinstance(fact, CommissionReported):
            ledger = ledger.with_commission(fact.execution_id, fact.commission_usd)
    rows = [_row(fill, told_by[fill.execution_id], ledger) for fill in ledger.executions]
    return pl.DataFrame(rows, schema=EXECUTION_COLUMNS, orient="row")


def corrected_since(events: Iterable[Event], before: Iterable[Event]) -> list[Corrected]:
    """What these events tell anew of executions that sessions before told, in their order."""
    told = [event for event in events if event.kind == Kind.EXECUTION]
    earlier = _told_before(told, before)
    found: list[Corrected] = []
    for event in told:
        fact = fact_of(event)
        if not isinstance(fact, ExecutionReported) or earlier.knows(fact):
            continue
        was = _as_known(fact, earlier)
        if was is not None:
            found.append(Corrected(event.seq, was, fact))
            earlier = earlier.with_execution(fact)
    return found


def _as_known(fill: ExecutionReported, earlier: Ledger) -> ExecutionReported | None:
    """The execution of an earlier session that this is, or corrects; null for a new one.

    An exchange that numbers its executions anew each day gives one id to several orders.
    """
    return next((was for was in earlier.corrected_by(fill) if was.ref == fill.ref), None)


def _told_before(told: Sequence[Event], before: Iterable[Event]) -> Ledger:
    """The executions of `before` that some of these may tell again; none is sought in vain."""
    facts = [(event, fact_of(event)) for event in told if event.kind == Kind.EXECUTION]
    doubtful = Ledger()
    for event, fact in facts:
        if isinstance(fact, ExecutionReported) and _may_be_older(fact, event.session_date):
            doubtful = doubtful.with_execution(fact)
    earlier = Ledger()
    if not doubtful.executions:
        return earlier
    for event in before:
        fact = fact_of(event) if event.kind == Kind.EXECUTION else None
        if isinstance(fact, ExecutionReported) and doubtful.corrected_by(fact):
            earlier = earlier.with_execution(fact)
    return earlier


def _may_be_older(fill: ExecutionReported, session_date: str) -> bool:
    """Whether a session before may have told of it: by its time, its order or its revision."""
    is_ours = read_ref(fill.ref) is not None
    revision = fill.execution_id.rpartition(".")[2]
    return (
        fill.at.date().isoformat() < session_date
        or (is_ours and not is_of_session(fill.ref, session_date))
        or (revision.isdigit() and int(revision) > 1)
    )


def is_of_session(ref: str, session_date: date | str) -> bool:
    """Whether an order of ours is named after a decision of this session."""
    return ref.startswith(f"{session_date}/")


def _row(fill: ExecutionReported, event: Event, ledger: Ledger) -> dict[str, object]:
    decision_id, leg = read_ref(fill.ref) or (None, None)
    return {
        "symbol": fill.symbol,
        "session_date": date.fromisoformat(event.session_date),
        "seq": event.seq,
        "at": fill.at,
        "execution_id": fill.execution_id,
        "order_ref": fill.ref,
        "decision_id": decision_id,
        "leg": None if leg is None else leg.value,
        "side": int(fill.side),
        "quantity": fill.quantity,
        "price_ticks": fill.price_ticks,
        "commission_usd": ledger.commission_usd(fill),
    }
