"""The ledger against the broker: what trades earned is what the account moved by, or why not."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from engine.broker import AccountReported
from engine.desk import SessionClosed, fact_of
from engine.journal import Event, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDifference:
    """Net result of the trades beside the change of the broker's cash, in US dollars.

    `position` is what the executions leave open; `broker_usd` is null where the broker did not say.
    """

    trades_usd: Decimal
    broker_usd: Decimal | None
    position: int
    unreported_fees: int

    @property
    def difference_usd(self) -> Decimal | None:
        """What the broker's cash moved beyond the trades; null if the broker did not say."""
        return None if self.broker_usd is None else self.broker_usd - self.trades_usd

    @property
    def is_equal(self) -> bool:
        """Whether the trades explain the cash to the last cent, and nothing is left open."""
        return self.difference_usd == 0 and self.position == 0

    @property
    def text(self) -> str:
        """One sentence for a person, with what to look at when the two differ."""
        said = "nothing" if self.broker_usd is None else f"{self.broker_usd:+.2f} USD"
        parts = [f"the trades earned {self.trades_usd:+.2f} USD, the account moved by {said}"]
        if self.position:
            parts.append(f"the executions leave a position of {self.position:+d} open")
        if self.unreported_fees:
            parts.append(f"the fees of {self.unreported_fees} trades are estimates")
        if not self.is_equal:
            parts.append("compare the executions with the broker's statement")
        return "; ".join(parts)


def ledger_difference(
    trades: pl.DataFrame, executions: pl.DataFrame, events: Iterable[Event]
) -> LedgerDifference:
    """One session's trades and executions against the accounts in its journal.

    The account is first looked at before anything trades and last when the session closes; money
    moved in or out meanwhile is a difference, and so is a position without an execution.
    """
    lots = executions.select(pl.col("side").cast(pl.Int64) * pl.col("quantity")).to_series()
    return LedgerDifference(
        trades_usd=sum(trades["net_usd"], Decimal(0)),
        broker_usd=broker_cash_usd(events),
        position=int(lots.sum()),
        unreported_fees=int((~trades["are_fees_reported"]).sum()),
    )


def broker_cash_usd(events: Iterable[Event]) -> Decimal | None:
    """Change of the broker's equity over a session; null unless it was told at both ends."""
    told: list[Decimal] = []
    for event in events:
        if event.kind not in (Kind.ACCOUNT, Kind.SESSION):
            continue
        fact = fact_of(event)
        if isinstance(fact, AccountReported | SessionClosed) and fact.equity_usd is not None:
            told.append(fact.equity_usd)
    return told[-1] - told[0] if told else None
