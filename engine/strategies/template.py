"""What all entering templates share; a template's own file holds only what is different."""

from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import polars as pl

from engine.errors import ContractError
from engine.rules import Rules, TemplateRules
from engine.strategies.protocol import (
    BarView,
    Detection,
    EntryPlan,
    ExitCause,
    SetupView,
    StopCause,
    StopMove,
    TemplateSummary,
    TradeResult,
    TradeView,
)
from engine.units import Side


class Template:
    """A `Strategy` but for its `detect`: limit in, bracket out, thesis and clock in between."""

    id: ClassVar[str]

    def detect(self, rules: Rules) -> Detection:
        """The setup, its stop and its target; the one thing every template says itself."""
        raise NotImplementedError(f"{type(self).__name__} says what it detects in its own file")

    def rules(self, rules: Rules) -> TemplateRules:
        """This template's block of `contracts/strategies.yaml`; `ContractError` if it has none."""
        for block in rules.strategies.templates:
            if block.id == self.id:
                return block
        raise ContractError(
            f"strategies.yaml: expected a block for template {self.id}, got "
            f"{[block.id for block in rules.strategies.templates]}; add it or remove the file"
        )

    def setting(self, rules: Rules, name: str) -> float:
        """One number that only this template reads; `ContractError` if its block lacks it."""
        settings = self.rules(rules).settings
        if name not in settings:
            raise ContractError(
                f"strategies.yaml: {self.id}: expected settings.{name}, got {sorted(settings)}; "
                "add the number this template reads"
            )
        return settings[name]

    def plan_entry(self, row: BarView, setup: SetupView, rules: Rules) -> EntryPlan:
        """A limit at the far quote, never more marketable than the contract allows."""
        side = Side(setup.side)
        limit_ticks = _entry_limit_ticks(row, side, rules.execution.entry_marketable_ticks_max)
        return EntryPlan(
            template=self.id,
            side=side,
            entry_limit_ticks=limit_ticks,
            stop_price_ticks=limit_ticks - side * setup.stop_ticks,
            target_price_ticks=limit_ticks + side * setup.target_ticks,
            stop_distance_ticks=setup.stop_ticks,
            target_distance_ticks=setup.target_ticks,
            time_stop_minutes=self.rules(rules).time_stop_minutes,
        )

    def plan_exit(self, trade: TradeView, row: BarView, rules: Rules) -> ExitCause | None:
        """Out when the thesis is gone or unknown, when the other side is believed, or on time."""
        template = self.rules(rules)
        held = row.effective_belief(template.constraint, trade.side)
        if held is None or held < rules.strategies.thesis_belief_min:
            return ExitCause.THESIS
        opposite = row.effective_belief(template.constraint, trade.side.opposite)
        if opposite is not None and opposite >= template.belief_min:
            return ExitCause.OPPOSITE_BELIEF
        if row.closes_at - trade.opened_at >= timedelta(minutes=template.time_stop_minutes):
            return ExitCause.TIME_STOP
        return None

    def plan_management(self, trade: TradeView, row: BarView, rules: Rules) -> StopMove | None:
        """The tighter of what volatility and profit ask for, if it is tighter than the stop."""
        wanted = [
            move
            for move in (_volatility_stop(trade, row, rules), _profit_stop(trade, row, rules))
            if move is not None
        ]
        if not wanted:
            return None
        best = max(wanted, key=lambda move: trade.side * move.stop_price_ticks)
        is_closer = trade.side * (best.stop_price_ticks - trade.stop_price_ticks) > 0
        return best if is_closer else None

    def post_trade_update(self, summary: TemplateSummary, result: TradeResult) -> TemplateSummary:
        """Count the trade. A trade that nets exactly nothing is no win."""
        is_win = result.net_ticks > 0
        return replace(
            summary,
            trades=summary.trades + 1,
            wins=summary.wins + is_win,
            consecutive_losses=0 if is_win else summary.consecutive_losses + 1,
            net_r=summary.net_r + result.net_ticks / result.stop_distance_ticks,
        )


def _entry_limit_ticks(row: BarView, side: Side, marketable_ticks_max: int) -> int:
    """The quote to lift or hit, or one step through the close when unknown, bounded either way."""
    bound_ticks = row.close_ticks + side * marketable_ticks_max
    quote_ticks = row.ask_ticks if side is Side.LONG else row.bid_ticks
    if quote_ticks is None or side * (bound_ticks - quote_ticks) < 0:
        return bound_ticks
    return quote_ticks


def _entry_limits(side: pl.Expr, marketable_ticks_max: int) -> pl.Expr:
    """`_entry_limit_ticks` of every bar."""
    bound = pl.col("close_ticks") + side * marketable_ticks_max
    quote = pl.when(side > 0).then("ask_ticks").otherwise("bid_ticks")
    return pl.when(side * (bound - quote) >= 0).then(quote).otherwise(bound)


def _volatility_stop(trade: TradeView, row: BarView, rules: Rules) -> StopMove | None:
    """When ATR has grown beyond its multiple since entry: one ATR behind price, whole ticks."""
    atr_ticks = row.atr_14_ticks
    if atr_ticks is None or (
        atr_ticks < rules.trade.volatility_atr_multiple * trade.entry_atr_14_ticks
    ):
        return None
    behind_ticks = _ceil(rules.trade.volatility_stop_atr * atr_ticks)
    return StopMove(
        stop_price_ticks=row.close_ticks - trade.side * behind_ticks, cause=StopCause.VOLATILITY
    )


def _profit_stop(trade: TradeView, row: BarView, rules: Rules) -> StopMove | None:
    """At +1 R the stop goes to entry plus friction, so that the trade can no longer cost."""
    profit_ticks = trade.side * (row.close_ticks - trade.entry_price_ticks)
    if profit_ticks < rules.trade.profit_protection_r * trade.stop_distance_ticks:
        return None
    protected_ticks = trade.entry_price_ticks + trade.side * _ceil(trade.friction_ticks)
    return StopMove(stop_price_ticks=protected_ticks, cause=StopCause.PROFIT_PROTECTION)


def _ceil(ticks: float) -> int:
    return -int(-ticks // 1)


def recent(event: str, value: pl.Expr, bars: int) -> pl.Expr:
    """`value` of the newest of the last `bars` bars, this one included, with `event` ≠ 0."""
    marked = pl.when(pl.col(event) != 0).then(value)
    return pl.coalesce(
        pl.when(pl.col("session_bar") >= back).then(marked.shift(back)) if back else marked
        for back in range(bars)
    )


def within(happened: pl.Expr, bars: int) -> pl.Expr:
    """Did it happen on one of the last `bars` bars of the session, this one included?"""
    return pl.any_horizontal(
        happened.shift(back) & (pl.col("session_bar") >= back) if back else happened
        for back in range(bars)
    )


def beyond_extreme(
    name: str,
    *,
    event: str,
    extreme: str,
    bars: int,
    beyond_ticks: float,
    target_r: float,
    marketable_ticks_max: int,
) -> Detection:
    """Trade away from an extreme that did not hold: stop beyond it, target in stops.

    The stop is measured from the limit of the entry, as its price will be: from the close it would
    lie nearer by what the limit gives. Once a close is past the extreme after all, there is nothing
    to put the stop behind.
    """
    away, reached = pl.col(f"_{name}_away"), pl.col(f"_{name}_reached_ticks")

    def stop_ticks(side: pl.Expr) -> pl.Expr:
        is_inside = side * (pl.col("close_ticks") - reached) >= 0
        needed = side * (_entry_limits(side, marketable_ticks_max) - reached) + beyond_ticks
        return pl.when((away == side) & is_inside).then(needed)

    return Detection(
        columns=(
            recent(event, pl.col(event).sign(), bars).alias(f"_{name}_away"),
            recent(event, pl.col(extreme), bars).alias(f"_{name}_reached_ticks"),
        ),
        side=away,
        stop_ticks=stop_ticks,
        target_ticks=lambda _side, stop: target_r * stop,
    )
