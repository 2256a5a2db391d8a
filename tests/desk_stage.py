"""A stage for tests of the desk: bars by a few numbers, reports by a few words.

Its desk keeps a journal, and can be struck down and woken from it.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from contracts import load_rules
from engine.broker import (
    AccountReported,
    BrokerSnapshot,
    Command,
    CompletedOrder,
    ExecutionReported,
    OrderEvent,
    OrderKind,
    OrderReported,
    PlaceBracket,
    PositionReported,
    WorkingOrder,
)
from engine.desk import (
    EMPTY,
    BarClosed,
    ClockTicked,
    Desk,
    DeskState,
    Input,
    Mode,
    Recording,
    SessionOpened,
    fact_of,
    fold,
)
from engine.journal import Chain, Entry, Event, Stamp
from engine.ladder import PASSED, STEP, Reason
from engine.market import MarketRow, Setup
from engine.units import OrderRef, Side

RULES = load_rules("MES")
OPENS_AT = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
SESSION_DATE = date(2024, 3, 5)
PRICE = 24_000


def at(minute: float) -> datetime:
    """An instant so many minutes after the open."""
    return OPENS_AT + timedelta(minutes=minute)


def setup(side: int = 1, template: str = "K1", **changes: Any) -> Setup:
    """A candidate that passes every gate unless it is changed."""
    usual = Setup(
        template=template,
        side=side,
        stop_ticks=8,
        target_ticks=12,
        belief=0.8,
        instability=0.02,
        p_win=0.6,
        edge=0.5,
        theta=0.1,
        euc=0.4,
        reason=None,
    )
    return usual._replace(**changes)


def row(minute: int, close: int = PRICE, *setups: Setup, **changes: Any) -> MarketRow:
    """A clean bar of one tick's range; with setups it may be an entry."""
    opens_at = at(minute)
    usual = MarketRow(
        symbol="MES",
        session_date=opens_at.date(),
        minute=minute,
        closes_at=opens_at + timedelta(minutes=1),
        open_ticks=close,
        high_ticks=close + 1,
        low_ticks=close - 1,
        close_ticks=close,
        bid_ticks=close,
        ask_ticks=close + 1,
        atr_14_ticks=6.0,
        dvs=1.0,
        is_shock=False,
        regime="range",
        phase=2,
        minutes_to_close=390 - minute - 1,
        slippage_ticks=0.5,
        friction_ticks=2.0,
        vwap_ticks=float(close + 12),
        market_step=PASSED if setups else STEP[Reason.BELIEF_TOO_LOW],
        may_enter=bool(setups),
        **{f"f{n}_{side}": 0.5 for n in (1, 2, 3, 4) for side in ("long", "short")},
        f5=0.3,
        f6=0.6,
        setups=setups,
        bar_json=f'{{"high_ticks":{close + 1},"low_ticks":{close - 1},"close_ticks":{close}}}',
        evidence_json="{}",
        sentence="a quiet bar",
        counterfactual="",
    )
    row = usual._replace(**changes)
    bar = f'"high_ticks":{row.high_ticks},"low_ticks":{row.low_ticks}'
    return row._replace(bar_json=f'{{{bar},"close_ticks":{row.close_ticks}}}')


def opened(**changes: Any) -> SessionOpened:
    usual = {
        "at": OPENS_AT,
        "session_date": SESSION_DATE,
        "symbol": "MES",
        "opens_at": OPENS_AT,
        "closes_at": at(390),
        "mode": Mode.PAPER,
        "recording": Recording.FULL,
        "standings": {},
    }
    return SessionOpened(**{**usual, **changes})


def account(
    equity: str | None = "5000", funds: str | None = "5000", minute: float = 0
) -> AccountReported:
    return AccountReported(
        at=at(minute),
        equity_usd=None if equity is None else Decimal(equity),
        available_funds_usd=None if funds is None else Decimal(funds),
    )


def snapshot(
    minute: float,
    *,
    position: int = 0,
    working: Iterable[WorkingOrder] = (),
    completed: Iterable[CompletedOrder] = (),
    executions: Iterable[ExecutionReported] = (),
) -> BrokerSnapshot:
    held = PositionReported(at=at(minute), symbol="MES", quantity=position)
    return BrokerSnapshot(
        at=at(minute),
        positions=(held,) if position else (),
        working=tuple(working),
        completed=tuple(completed),
        executions=tuple(executions),
    )


def told(ref: OrderRef, event: OrderEvent, minute: float) -> OrderReported:
    return OrderReported(at=at(minute), ref=ref, event=event)


def fill(
    ref: OrderRef, side: Side, price: int, minute: float, *, name: str = "x.1.01", lots: int = 1
) -> ExecutionReported:
    return ExecutionReported(
        at=at(minute),
        execution_id=name,
        ref=ref,
        symbol="MES",
        side=side,
        quantity=lots,
        price_ticks=price,
    )


def working(
    ref: OrderRef | None, side: Side, price: int, kind: OrderKind, **more: Any
) -> WorkingOrder:
    return WorkingOrder(
        ref=ref, symbol="MES", side=side, kind=kind, quantity=1, price_ticks=price, **more
    )


class Stage:
    """A desk, its journal and what it asked of the broker."""

    def __init__(self) -> None:
        self.desk = Desk(RULES)
        self.state: DeskState = EMPTY
        self.entries: list[Entry] = []
        self.commands: list[Command] = []
        self.states: list[tuple[int, DeskState]] = []

    def tell(self, *inputs: Input | MarketRow) -> list[Command]:
        """Give the desk these inputs; returns the commands they led to."""
        asked: list[Command] = []
        for happened in inputs:
            given = BarClosed(happened) if isinstance(happened, MarketRow) else happened
            step = self.desk.step(self.state, given)
            self.state = step.state
            self.entries += step.entries
            asked += step.commands
            self.states.append((len(self.entries), self.state))
        self.commands += asked
        return asked

    def tick(self, minute: float) -> list[Command]:
        return self.tell(ClockTicked(at=at(minute)))

    def events(self) -> list[Event]:
        return Chain().seal(self.entries, Stamp(SESSION_DATE, RULES.contracts_hash, "test"))

    def wake(self) -> None:
        """Lose all memory and come back from the journal alone."""
        self.state = fold(map(fact_of, self.events()), RULES)
        self.desk = Desk(RULES)

    def kinds(self) -> list[str]:
        return [str(entry.kind) for entry in self.entries]

    def facts(self, name: str) -> list[Any]:
        """Facts of one class that are in the journal, in order."""
        facts = [fact_of(event) for event in self.events()]
        return [fact for fact in facts if type(fact).__name__ == name]

    def open_session(self, equity: str | None = "5000") -> None:
        """Session open, reconciled, and the account known."""
        self.tell(opened())
        self.tell(account(equity), snapshot(0.01))

    def enter(self, minute: int = 40, side: int = 1, **changes: Any) -> PlaceBracket:
        """Decide, reconcile, and send a bracket; the entry is not filled yet."""
        self.tell(row(minute, PRICE, setup(side, **changes)))
        asked = self.tell(snapshot(minute + 1.01))
        bracket = asked[-1]
        assert isinstance(bracket, PlaceBracket)
        refs = (bracket.entry_ref, bracket.stop_ref, bracket.target_ref)
        self.tell(*(told(ref, OrderEvent.ACCEPTED, minute + 1.02) for ref in refs))
        return bracket

    def hold(self, minute: int = 40, side: int = 1, **changes: Any) -> PlaceBracket:
        """As `enter`, and filled at the limit."""
        bracket = self.enter(minute, side, **changes)
        self.tell(
            fill(bracket.entry_ref, Side(side), bracket.entry_limit_ticks, minute + 1.1),
            told(bracket.entry_ref, OrderEvent.FILLED, minute + 1.1),
        )
        return bracket
