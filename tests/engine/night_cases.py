"""A session told by hand for the night: its bars, its journal, and the rows they become."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from contracts import load_rules
from engine.broker import (
    AccountReported,
    BrokerSnapshot,
    CommissionReported,
    ExecutionReported,
    OrderEvent,
    OrderReported,
    PlaceBracket,
    PositionReported,
)
from engine.desk import Fact, Mode, SessionClosed, SessionOpened
from engine.desk.encoding import entry_of
from engine.desk.facts import IntentRecorded, PositionAdopted
from engine.journal import Chain, Event, Stamp
from engine.learning.acceptance import DifferenceAccepted
from engine.learning.executions import execution_rows
from engine.learning.ledger_check import LedgerDifference, ledger_difference
from engine.learning.round_trips import round_trips
from engine.trade import ExitKind, TradeChanged, TradeEvent, TradePlan, TradePlanned, TradeState
from engine.units import DecisionId, OrderRef, Side

RULES = load_rules("MES")
DAY = date(2024, 1, 3)
OPENS_AT = datetime(2024, 1, 3, 14, 30, tzinfo=UTC)
FEE = RULES.instrument.fees.per_side_usd
PRICE = 20_000

Price = tuple[int, int, int, int]
FLAT: Price = (PRICE, PRICE + 1, PRICE - 1, PRICE)


def at(minute: float) -> datetime:
    """Minutes after the open."""
    return OPENS_AT + timedelta(minutes=minute)


def market_of(*prices: Price, quotes: bool = True, **columns: Any) -> pl.DataFrame:
    """Bars from the open on, calm and believed in unless `columns` says otherwise, per bar."""
    opens_at = [at(minute) for minute in range(len(prices))]
    frame = pl.DataFrame(
        {
            "symbol": "MES",
            "session_date": DAY,
            "opens_at": opens_at,
            "closes_at": [instant + timedelta(minutes=1) for instant in opens_at],
            "open_ticks": [price[0] for price in prices],
            "high_ticks": [price[1] for price in prices],
            "low_ticks": [price[2] for price in prices],
            "close_ticks": [price[3] for price in prices],
            "bid_ticks": [price[3] if quotes else None for price in prices],
            "ask_ticks": [price[3] + 1 if quotes else None for price in prices],
            "dvs": 1.0,
            "quality_events": "",
            "is_shock": False,
            "regime": "range",
            **{
                f"f{number}_{side}_effective": 0.7
                for number in (1, 2, 3, 4)
                for side in ("long", "short")
            },
        },
        schema_overrides={
            "opens_at": pl.Datetime("us", "UTC"),
            "closes_at": pl.Datetime("us", "UTC"),
            "bid_ticks": pl.Int32(),
            "ask_ticks": pl.Int32(),
        },
    )
    return frame.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


def plan_of(**changes: Any) -> TradePlan:
    """K1 long, decided at the close of the tenth bar: a stop of 8 and a target of 12 ticks."""
    plan: dict[str, Any] = {
        "decision_id": DecisionId("MES-1440"),
        "decided_at": at(10),
        "symbol": "MES",
        "template": "K1",
        "side": Side.LONG,
        "quantity": 1,
        "decision_price_ticks": PRICE,
        "entry_limit_ticks": PRICE,
        "stop_price_ticks": PRICE - 8,
        "target_price_ticks": PRICE + 12,
        "stop_distance_ticks": 8,
        "target_distance_ticks": 12,
        "time_stop_minutes": 30,
        "entry_atr_14_ticks": 6.0,
        "slippage_ticks": 0.5,
        "friction_ticks": 2.0,
        "regime": "range",
        "phase": 2,
        "dvs": 1.0,
        "belief": 0.7,
        "instability": 0.01,
        "p_win": 0.5,
        "edge": 0.4,
        "euc": 0.2,
        "theta": 0.1,
    }
    return TradePlan(**plan | changes)


@dataclass(slots=True)
class Night:
    """Collects the facts of a session in the order in which they were told."""

    market: pl.DataFrame
    facts: list[Fact] = field(default_factory=list)
    fills: int = 0

    def planned(self, plan: TradePlan | None = None) -> "Night":
        """The plan, its bracket on the way, and the bracket accepted."""
        plan = plan or plan_of()
        sent_at, sides = plan.decided_at, {leg: ref_of(leg, plan) for leg in LEGS}
        self.facts += [
            TradePlanned(at=sent_at, plan=plan),
            IntentRecorded(
                at=sent_at,
                decision_id=plan.decision_id,
                command=PlaceBracket(
                    decision_id=plan.decision_id,
                    symbol="MES",
                    side=plan.side,
                    quantity=plan.quantity,
                    entry_ref=sides["entry"],
                    stop_ref=sides["stop"],
                    target_ref=sides["target"],
                    entry_limit_ticks=plan.entry_limit_ticks,
                    stop_ticks=plan.stop_price_ticks,
                    target_ticks=plan.target_price_ticks,
                    entry_expires_at=sent_at + timedelta(seconds=90),
                ),
            ),
            *(
                OrderReported(at=sent_at, ref=ref, event=OrderEvent.ACCEPTED)
                for ref in sides.values()
            ),
        ]
        return self

    def filled(
        self,
        minute: float,
        leg: str,
        side: int,
        price_ticks: int,
        *,
        quantity: int = 1,
        execution_id: str | None = None,
        fee_usd: Decimal | None = FEE,
        ref: str | None = None,
    ) -> "Night":
        """An execution, and its commission unless that is not told."""
        self.fills += 1
        execution_id = execution_id or f"0001.{self.fills:04d}.01"
        self.facts.append(
            ExecutionReported(
                at=at(minute),
                execution_id=execution_id,
                ref=ref_of(leg) if ref is None else OrderRef(ref),
                symbol="MES",
                side=Side(side),
                quantity=quantity,
                price_ticks=price_ticks,
            )
        )
        if fee_usd is not None:
            self.charged(minute, execution_id, fee_usd * quantity)
        return self

    def charged(self, minute: float, execution_id: str, usd: Decimal) -> "Night":
        return self.told(
            CommissionReported(at=at(minute), execution_id=execution_id, commission_usd=usd)
        )

    def told(self, *facts: Fact) -> "Night":
        self.facts += facts
        return self

    def asked_out(self, minute: float, kind: ExitKind) -> "Night":
        """A market exit asked for."""
        return self.told(
            TradeChanged(
                at=at(minute),
                decision_id=DecisionId("MES-1440"),
                event=TradeEvent.EXIT_REQUESTED,
                before=TradeState.OPEN,
                after=TradeState.CLOSING,
                exit_kind=kind,
            )
        )

    def holding(self, minute: float, position: int) -> "Night":
        """The broker's word at an instant, without an execution that explains it."""
        position_now = PositionReported(at=at(minute), symbol="MES", quantity=position)
        return self.told(
            BrokerSnapshot(
                at=at(minute), positions=(position_now,), working=(), completed=(), executions=()
            )
        )

    def adopted(self, minute: float, expected: int, found: int) -> "Night":
        return self.told(PositionAdopted(at=at(minute), expected=expected, found=found))

    def accounts(self, moved_usd: Decimal) -> "Night":
        """The broker's money before the first fact and after the last."""
        before = AccountReported(
            at=at(0), equity_usd=Decimal(5000), available_funds_usd=Decimal(5000)
        )
        self.facts.insert(0, before)
        return self.told(
            SessionClosed(at=at(390), position=0, equity_usd=Decimal(5000) + moved_usd)
        )

    @property
    def events(self) -> list[Event]:
        stamp = Stamp(DAY, RULES.contracts_hash, "test")
        return Chain().seal(map(entry_of, self.facts), stamp)

    @property
    def executions(self) -> pl.DataFrame:
        return execution_rows(self.events)

    def trades(self) -> pl.DataFrame:
        return round_trips(self.executions, NO_DECISIONS, self.events, self.market, RULES)

    def trade(self) -> dict[str, Any]:
        """The only trade."""
        (row,) = self.trades().to_dicts()
        return row

    def opened(self, mode: Mode = Mode.PAPER) -> "Night":
        """The session was opened in a mode, before anything else."""
        self.facts.insert(
            0,
            SessionOpened(
                at=at(-5),
                session_date=DAY,
                symbol="MES",
                opens_at=OPENS_AT,
                closes_at=at(390),
                mode=mode,
                standings={},
            ),
        )
        return self

    def ledger(
        self, *accepted: DifferenceAccepted, before: "Night | None" = None
    ) -> LedgerDifference:
        """The books; `before` is the night of the session before."""
        told = [] if before is None else before.events
        return ledger_difference(
            self.events,
            RULES,
            executions=execution_rows(self.events, told),
            trades=self.trades(),
            before=told,
            accepted=accepted,
        )


LEGS = ("entry", "stop", "target")

NO_DECISIONS = pl.DataFrame(
    schema={
        "decision_id": pl.String(),
        "template": pl.String(),
        "scores_json": pl.String(),
        "gates_json": pl.String(),
    }
)


def ref_of(leg: str, plan: TradePlan | None = None) -> OrderRef:
    decision_id = "MES-1440" if plan is None else plan.decision_id
    return OrderRef(f"{DAY}/{decision_id}/{leg}")
