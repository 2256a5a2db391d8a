"""What a strategy template is: five verbs, and the few plain values that pass through them.

Templates come before candidates and know neither the desk nor its trades: they read a bar and a
trade through the narrow views below.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import polars as pl

from engine.rules import Rules
from engine.units import Side


class ExitCause(StrEnum):
    """Why a template wants out before its stop or target is touched."""

    THESIS = "thesis"
    OPPOSITE_BELIEF = "opposite_belief"
    TIME_STOP = "time_stop"


class StopCause(StrEnum):
    """Why a stop moves toward profit."""

    VOLATILITY = "volatility"
    PROFIT_PROTECTION = "profit_protection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What a template sees in every bar, as causal expressions over the signals.

    `side` is the sign of the setup's geometry (0 or null: none), before any belief is asked.
    `stop_ticks(side)` is the distance from the entry that the stop needs, not yet rounded up or
    floored; null where that side has none. `target_ticks(side, stop)` is the distance of the target
    for a stop in whole ticks; a fraction is rounded up. `columns` are computed first, for the
    others to read; their names start with `_` and the template's id.
    """

    columns: tuple[pl.Expr, ...] = ()
    side: pl.Expr
    stop_ticks: Callable[[pl.Expr], pl.Expr]
    target_ticks: Callable[[pl.Expr, pl.Expr], pl.Expr]


class BarView(Protocol):
    """What a template reads of one closed bar; `engine.market.MarketRow` is one."""

    @property
    def closes_at(self) -> datetime: ...
    @property
    def close_ticks(self) -> int: ...
    @property
    def bid_ticks(self) -> int | None: ...
    @property
    def ask_ticks(self) -> int | None: ...
    @property
    def atr_14_ticks(self) -> float | None: ...

    def effective_belief(self, constraint: str, side: Side) -> float | None:
        """Effective belief of a directional constraint (`"F1"`); null is unknown."""
        ...


class SetupView(Protocol):
    """What a template reads of its own candidate; `engine.market.Setup` is one."""

    @property
    def side(self) -> int: ...
    @property
    def stop_ticks(self) -> int: ...
    @property
    def target_ticks(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPlan:
    """Prices of an entry and its bracket, in ticks.

    Stop and target are measured from the entry limit, so a fill at the limit risks exactly
    `stop_distance_ticks` and a better fill risks less.
    """

    template: str
    side: Side
    entry_limit_ticks: int
    stop_price_ticks: int
    target_price_ticks: int
    stop_distance_ticks: int
    target_distance_ticks: int
    time_stop_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeView:
    """What a template reads of the open trade. `stop_distance_ticks` is the risk at entry (1 R)."""

    template: str
    side: Side
    opened_at: datetime
    entry_price_ticks: int
    stop_price_ticks: int
    stop_distance_ticks: int
    entry_atr_14_ticks: float
    friction_ticks: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopMove:
    """A new price for the working stop, always closer to profit than the one before."""

    stop_price_ticks: int
    cause: StopCause


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeResult:
    """A closed trade as its template is told of it; `net_ticks` is after all costs."""

    template: str
    stop_distance_ticks: int
    net_ticks: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSummary:
    """A template's trades so far; `net_r` is their sum in units of the risk each one took."""

    template: str
    trades: int = 0
    wins: int = 0
    consecutive_losses: int = 0
    net_r: float = 0.0


class Strategy(Protocol):
    """One template. It proposes; the authority ladder disposes."""

    @property
    def id(self) -> str:
        """`"K1"`: the key of its contract block and the prefix of its columns."""
        ...

    def detect(self, rules: Rules) -> Detection:
        """The setup, its stop and its target as expressions over the frame of signals."""
        ...

    def plan_entry(self, row: BarView, setup: SetupView, rules: Rules) -> EntryPlan:
        """Prices for a candidate that every layer has agreed to."""
        ...

    def plan_management(self, trade: TradeView, row: BarView, rules: Rules) -> StopMove | None:
        """Where the stop should go now, or null when it stays."""
        ...

    def plan_exit(self, trade: TradeView, row: BarView, rules: Rules) -> ExitCause | None:
        """Why the trade should be closed now, or null when it should be held."""
        ...

    def post_trade_update(self, summary: TemplateSummary, result: TradeResult) -> TemplateSummary:
        """The template's summary after one more closed trade."""
        ...


class Veto(Protocol):
    """A template that never enters, and can forbid every entry of a bar."""

    @property
    def id(self) -> str: ...

    def vetoes(self, rules: Rules) -> pl.Expr:
        """True where no entry may be made; null is unknown and forbids as well."""
        ...
