"""The ledger against the broker: what trades earned is what the account moved by, or why not.

Whoever judges a session's books asks here: the checks of the night, the page, `credence verify`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

import polars as pl

from engine.broker import AccountReported, BrokerSnapshot
from engine.desk import SessionClosed, SessionOpened, fact_of
from engine.journal import Event, Kind
from engine.learning.acceptance import (
    DifferenceAccepted,
    difference_text,
    newest_for,
    to_cents,
)
from engine.learning.executions import MONEY, Corrected, corrected_since, execution_rows
from engine.learning.fills import Fill, Matched, fills_of, match, positions_told
from engine.ledger import flow_ticks_of, lots_of
from engine.modes import Mode
from engine.rules import Rules
from engine.wording import clock_at, times

OF_BOOKS: Final = (
    *(Kind.ACCOUNT, Kind.SESSION, Kind.RECONCILIATION, Kind.POSITION),
    *(Kind.EXECUTION, Kind.COMMISSION),
)
"""The kinds of events that the books are made from; no others are asked for."""

_OF_LOOK: Final = frozenset({Kind.ACCOUNT, Kind.SESSION, Kind.RECONCILIATION})

RESULT_COLUMNS: Final[dict[str, pl.DataType]] = {
    "closed_at": pl.Datetime("us", "UTC"),
    "net_usd": MONEY,
    "are_fees_reported": pl.Boolean(),
}
"""What the books ask of `trades`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDifference:
    """Net result of the trades beside the change of the broker's money, in US dollars.

    `trades_usd` holds what corrections of earlier sessions' fills came to, and nothing that was
    over before the desk first looked: the account had moved by then. `broker_usd` is null where the
    broker did not say. `position` is what the broker held at the first look and the executions
    since leave open; `unmatched` are fills without their other side, whose result nobody knows.
    `accepted` is a person's word on this very difference, `lapsed` one on another. Of a shadow's
    trades the account knows nothing: only what they leave open is judged.
    """

    trades_usd: Decimal
    broker_usd: Decimal | None
    position: int
    unreported_fees: int
    before_usd: Decimal = Decimal(0)
    corrections_usd: Decimal = Decimal(0)
    unmatched: tuple[str, ...] = ()
    accepted: DifferenceAccepted | None = None
    lapsed: DifferenceAccepted | None = None
    is_shadow: bool = False

    @property
    def difference_usd(self) -> Decimal | None:
        """What the broker's cash moved beyond the trades; null if the broker did not say."""
        if self.is_shadow:
            return Decimal(0)
        return None if self.broker_usd is None else self.broker_usd - self.trades_usd

    @property
    def is_equal(self) -> bool:
        """Whether the trades explain the cash to the last cent, and nothing is left open."""
        return self.difference_usd == 0 and self.position == 0

    @property
    def is_settled(self) -> bool:
        """Whether the night may build on it: equal, or its difference accepted by a person."""
        return self.is_equal or self.accepted is not None

    @property
    def difference_text(self) -> str:
        """`-12.34 USD and 0 lots`: what a person would have to accept."""
        return difference_text(to_cents(self.difference_usd), self.position)

    @property
    def text(self) -> str:
        """One sentence for a person, with what to look at when the two differ."""
        said = "nothing" if self.broker_usd is None else f"{self.broker_usd:+.2f} USD"
        parts = [f"the trades earned {self.trades_usd:+.2f} USD, the account moved by {said}"]
        if self.is_shadow:
            parts = [f"the shadow's trades would have earned {self.trades_usd:+.2f} USD"]
        if self.before_usd:
            parts.append(f"{self.before_usd:+.2f} USD more were over before the desk first looked")
        if self.corrections_usd:
            parts.append(
                f"{self.corrections_usd:+.2f} USD of it are corrections of earlier sessions' fills"
            )
        if self.position:
            parts.append(f"the executions leave a position of {self.position:+d} open")
        if self.unmatched:
            parts.append(f"{'; '.join(self.unmatched)}: no execution tells the other side")
        if self.unreported_fees:
            parts.append(f"the fees of {times(self.unreported_fees, 'trade')} are estimates")
        if self.accepted is not None:
            parts.append(self.accepted.text)
        elif not self.is_equal:
            parts.append(self._advice())
        return "; ".join(parts)

    def _advice(self) -> str:
        advice = (
            f"the difference is {self.difference_text}: compare the executions with the broker's "
            "statement, then say why with credence accept-difference"
        )
        if self.lapsed is None:
            return advice
        named = difference_text(self.lapsed.usd, self.lapsed.lots)
        return f"{self.lapsed.by} accepted {named}, which it no longer is; {advice}"


def ledger_difference(
    events: Sequence[Event],
    rules: Rules,
    *,
    executions: pl.DataFrame | None = None,
    trades: pl.DataFrame | None = None,
    before: Iterable[Event] = (),
    accepted: Sequence[DifferenceAccepted] = (),
) -> LedgerDifference:
    """One session's journal against the accounts in it, with the rows that are stored of it.

    `events` are those `OF_BOOKS`, or more. Rows that are null are made from the journal. `before`
    is what the sessions before journalled of executions, `accepted` what people accepted. The
    account is first looked at before anything trades and last when the session closes; money moved
    in or out meanwhile is a difference, and so is a position without an execution.
    """
    known = before if executions is not None else list(before)
    filled = execution_rows(events, known) if executions is None else executions
    matched = match(fills_of(filled, rules), positions_told(events, rules))
    results = _results(matched, rules) if trades is None else trades
    look = _Look.of(events, rules)
    corrected = [each for each in corrected_since(events, known) if each.seq > look.seq]
    is_before = pl.col("closed_at") < look.at
    counted, over = results.filter(~is_before), results.filter(is_before)
    corrections_usd = sum((_worth_usd(each, rules) for each in corrected), Decimal(0))
    found = LedgerDifference(
        trades_usd=sum(counted["net_usd"], corrections_usd),
        broker_usd=look.moved_usd,
        position=look.position + _lots_since(filled, look) + _lots_corrected(corrected),
        unreported_fees=int((~counted["are_fees_reported"]).sum()),
        before_usd=sum(over["net_usd"], Decimal(0)),
        corrections_usd=corrections_usd,
        unmatched=tuple(_told(fill, rules) for fill in matched.unmatched),
        is_shadow=mode_of(events) is Mode.OBSERVE,
    )
    return _judged(found, events, rules, accepted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """The first look of a session at the account and the position, and what followed of money.

    What was executed before it is in its position already, and its result in its money. `seq` is
    the number of the first account's event. A session without either is taken from its beginning.
    """

    at: datetime
    seq: int
    position: int
    execution_ids: frozenset[str]
    moved_usd: Decimal | None

    @classmethod
    def of(cls, events: Iterable[Event], rules: Rules) -> "_Look":
        told: list[tuple[Event, Decimal]] = []
        snapshot: BrokerSnapshot | None = None
        for event in events:
            if event.kind not in _OF_LOOK:
                continue
            fact = fact_of(event)
            if isinstance(fact, AccountReported | SessionClosed) and fact.equity_usd is not None:
                told.append((event, fact.equity_usd))
            elif isinstance(fact, BrokerSnapshot) and snapshot is None:
                snapshot = fact
        symbol = rules.instrument.symbol
        held = () if snapshot is None else snapshot.positions
        return cls(
            at=datetime.fromisoformat(told[0][0].at) if told else _BEGINNING,
            seq=told[0][0].seq if told else 0,
            position=sum(each.quantity for each in held if each.symbol == symbol),
            execution_ids=frozenset(
                () if snapshot is None else (each.execution_id for each in snapshot.executions)
            ),
            moved_usd=told[-1][1] - told[0][1] if told else None,
        )


_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


def _results(matched: Matched, rules: Rules) -> pl.DataFrame:
    """`RESULT_COLUMNS` of round trips."""
    rows = [
        (
            trip.fills[-1].at,
            rules.instrument.to_usd(trip.gross_ticks) - trip.fees_usd,
            all(fill.is_fee_reported for fill in trip.fills),
        )
        for trip in matched.trips
    ]
    return pl.DataFrame(rows, schema=RESULT_COLUMNS, orient="row")


def _lots_since(executions: pl.DataFrame, look: _Look) -> int:
    since = executions.filter(~pl.col("execution_id").is_in(list(look.execution_ids)))
    return int((since["side"].cast(pl.Int64) * since["quantity"]).sum())


def _lots_corrected(corrected: Iterable[Corrected]) -> int:
    return sum(lots_of((each.now,)) - lots_of((each.was,)) for each in corrected)


def _worth_usd(corrected: Corrected, rules: Rules) -> Decimal:
    """What another price of an earlier fill came to; another size is a position, not a result."""
    was, now = (corrected.was,), (corrected.now,)
    if lots_of(was) != lots_of(now):
        return Decimal(0)
    return rules.instrument.to_usd(flow_ticks_of(now) - flow_ticks_of(was))


def _told(fill: Fill, rules: Rules) -> str:
    price = rules.instrument.to_points(fill.price_ticks)
    what = f"{'bought' if fill.side > 0 else 'sold'} {fill.quantity} at {price:.2f}"
    return f"{what}, {clock_at(fill.at, rules)}, by {fill.order_ref or 'an order without a ref'}"


def _judged(
    found: LedgerDifference,
    events: Sequence[Event],
    rules: Rules,
    accepted: Sequence[DifferenceAccepted],
) -> LedgerDifference:
    """The difference with a person's word on it, if it has one and is as that names it."""
    mode = mode_of(events)
    if found.is_equal or mode is None:
        return found
    act = newest_for(
        accepted,
        session_date=date.fromisoformat(events[0].session_date),
        symbol=rules.instrument.symbol,
        mode=mode,
    )
    if act is None:
        return found
    if (act.usd, act.lots) != (to_cents(found.difference_usd), found.position):
        return replace(found, lapsed=act)
    return replace(found, accepted=act)


def mode_of(events: Iterable[Event]) -> Mode | None:
    """Where a session's orders went, as its journal says; null for one that was never opened."""
    for event in events:
        if event.kind == Kind.SESSION and isinstance(fact := fact_of(event), SessionOpened):
            return fact.mode
    return None
