"""One trade played by itself at the simulated exchange, from its entry's bar to its end.

It is the same trade for every parameter set that would enter there, as long as the few numbers that
manage an open trade ask the same of it on every bar. So it is played once, by the desk's own
`plan_entry`, `manage` and exchange, and kept with the range of those numbers that changes nothing.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf, nan
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.broker import (
    BrokerReport,
    ExecutionReported,
    FlattenPosition,
    Leg,
    OrderEvent,
    OrderReported,
    ReplaceStop,
)
from engine.desk.bars import decision_id_of
from engine.exchange import Exchange, exchange_settings
from engine.execution_quality import Trouble
from engine.kill import KillSwitch
from engine.learning.sweep.tape import Bars, Tape, TapeSession
from engine.learning.sweep.terms import BELIEF, PROFIT, THESIS, TIME, Played, Span, terms_of
from engine.market import MarketRow
from engine.own_scores import template_of
from engine.rules import Rules
from engine.strategies.registry import template
from engine.supervisor import Orders, bracket, order_ref
from engine.trade import (
    Exit,
    ExitKind,
    Filled,
    Tighten,
    Trade,
    TradeClosed,
    TradePlan,
    TradeState,
    manage,
)
from engine.units import Side

Flags = npt.NDArray[np.bool_]

_BAR: Final = timedelta(minutes=1)
_MINUTE: Final = timedelta(minutes=1)
_MINUTE_US: Final = 60_000_000
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RUNNING: Final = KillSwitch()
_DEPOSIT_USD: Final = Decimal(1_000_000)
"""No trade's result depends on it; a set whose own money is nearly gone is not asked here."""


class Opening(NamedTuple):
    """An entry to be played: what a template reads of its own candidate, and whose it is."""

    template: str
    side: int
    stop_ticks: int
    target_ticks: int


def play_alone(
    opening: Opening, place: int, tape: Tape, session: TapeSession, rules: Rules
) -> Played | None:
    """The trade of an entry at the close of a row.

    Null where it cannot be told by itself: it is not over with the session's bars, an order is
    refused, or the desk is killed meanwhile. Such a set has to be replayed.
    """
    lone = _Lone(opening, tape.row(place), tape, session, rules)
    until = min(session.end, session.killed_from)
    while (place := lone.pass_quiet_bars(place + 1, until)) < until:
        lone.live_through(tape.row(place))
        if lone.closed is not None:
            return lone.played(lone.closed, place)
        if lone.is_lost:
            return None
    return None


class _Lone:
    """The trade in the making."""

    def __init__(
        self, opening: Opening, row: MarketRow, tape: Tape, session: TapeSession, rules: Rules
    ) -> None:
        self.rules = rules
        self.tape = tape
        self.session = session
        self.plan = _plan(row, opening, rules)
        self.constraint = template_of(opening.template, rules).constraint
        self.terms = terms_of(opening.template, opening.stop_ticks, rules)
        self.span = Span()
        self.trade = Trade(
            plan=self.plan, state=TradeState.PENDING, stop_price_ticks=self.plan.stop_price_ticks
        )
        self.exchange = Exchange(exchange_settings(rules, _DEPOSIT_USD), seed=session.seed)
        command = bracket(
            self.plan, session.session_date, Orders(), at=row.closes_at, rules=rules.execution
        )
        self.legs = {
            command.entry_ref: Leg.ENTRY,
            command.stop_ref: Leg.STOP,
            command.target_ref: Leg.TARGET,
        }
        self.stop_ref = command.stop_ref
        self.closed: TradeClosed | None = None
        self.is_lost = False
        self.troubles: list[tuple[Trouble, int]] = []
        self._hear(self.exchange.submit(command, row.closes_at))

    def played(self, closed: TradeClosed, free_from: int) -> Played:
        opened_at = closed.opened_at
        return Played(
            closed,
            None if opened_at is None else _us(opened_at),
            int(closed.net_usd * 100),
            free_from,
            tuple(self.troubles),
            *self.span.bounds,
        )

    def pass_quiet_bars(self, place: int, until: int) -> int:
        """The first row from `place` on, or `until`, that may do or ask anything.

        On the rows before it no order is touched and every question of `manage` has its no.
        """
        trade, entry = self.trade, self.trade.entry
        if entry is None or trade.state is not TradeState.OPEN:
            return place
        bars = self.tape.bars(place, until, self.constraint, self.plan.side)
        profit = trade.plan.side * (bars.close_ticks - entry.price_ticks)
        may_protect = self._may_protect(entry)
        loud = self._touched(bars) | self._asked(bars, entry)
        if may_protect:
            loud |= profit >= self.terms.profit_ticks
        quiet = int(loud.argmax()) if loud.any() else loud.size
        if not quiet:
            return place
        self.span.up_to(THESIS, float(bars.held[:quiet].min()))
        self.span.above(BELIEF, float(np.fmax.reduce(bars.other[:quiet], initial=-inf)))
        self.span.above(TIME, (int(bars.closes_us[quiet - 1]) - _us(entry.at)) / _MINUTE_US)
        if may_protect:
            self.span.above(PROFIT, int(profit[:quiet].max()))
        best, worst = bars.high_ticks[:quiet].max(), bars.low_ticks[:quiet].min()
        gained = sorted((trade.gained_ticks(int(best)), trade.gained_ticks(int(worst))))
        self.trade = replace(
            trade,
            mae_ticks=min(trade.mae_ticks, gained[0]),
            mfe_ticks=max(trade.mfe_ticks, gained[1]),
            path_ticks=(*trade.path_ticks, *profit[:quiet].tolist()),
        )
        if quiet == loud.size and place + quiet < until:
            return self.pass_quiet_bars(place + quiet, until)
        return place + quiet

    def _touched(self, bars: Bars) -> Flags:
        """Where the stop or the target could be filled."""
        stop_ticks, target_ticks = self.trade.stop_price_ticks, self.plan.target_price_ticks
        if self.plan.side is Side.LONG:
            return (bars.low_ticks <= stop_ticks) | (bars.high_ticks >= target_ticks)
        return (bars.high_ticks >= stop_ticks) | (bars.low_ticks <= target_ticks)

    def _asked(self, bars: Bars, entry: Filled) -> Flags:
        """Where a question of `manage` but that for profit may have its yes; null is a yes."""
        rules, terms = self.rules, self.terms
        is_over = bars.closes_us - _us(entry.at) >= terms.time_stop_minutes * _MINUTE_US
        volatile_ticks = rules.trade.volatility_atr_multiple * self.plan.entry_atr_14_ticks
        return (
            (bars.minutes_to_close <= rules.session.flatten_minutes_before_end)
            | ~(bars.dvs >= rules.constitution.dvs_hold_min)
            | ~(bars.held >= terms.thesis_min)
            | (bars.other >= terms.belief_min)
            | (bars.atr_14_ticks >= volatile_ticks)
            | is_over
        )

    def _may_protect(self, entry: Filled) -> bool:
        """Whether profit could still move the stop; once it is there nothing comes of asking."""
        side = self.plan.side
        protected_ticks = entry.price_ticks - side * int(-self.plan.friction_ticks // 1)
        return side * (protected_ticks - self.trade.stop_price_ticks) > 0

    def live_through(self, row: MarketRow) -> None:
        """One closed bar: what it did at the exchange, and what it asks of the trade."""
        self._hear(self.exchange.on_bar(row))
        if self.closed is not None or self.is_lost:
            return
        self.trade = self.trade.after_bar(
            row.closes_at - _BAR, row.high_ticks, row.low_ticks, row.close_ticks
        )
        asked = manage(self.trade, row, kill=_RUNNING, eqs=1.0, rules=self.rules)
        if self.trade.state is not TradeState.OPEN:
            self.is_lost = isinstance(asked, Exit) and self.trade.state is TradeState.PENDING
            return
        self._narrow(row, asked)
        if isinstance(asked, Exit):
            self._flatten(asked.kind, row.closes_at)
        elif isinstance(asked, Tighten):
            self.trade = replace(self.trade, stop_price_ticks=asked.stop_price_ticks)
            move = ReplaceStop(ref=self.stop_ref, stop_ticks=asked.stop_price_ticks)
            self._hear(self.exchange.submit(move, row.closes_at))

    def _flatten(self, kind: ExitKind, at: datetime) -> None:
        self.trade = replace(
            self.trade, state=TradeState.CLOSING, exit_kind=self.trade.exit_kind or kind
        )
        ref = order_ref(self.session.session_date, self.plan.decision_id, Leg.FLATTEN, Orders())
        self.legs[ref] = Leg.FLATTEN
        self._hear(self.exchange.submit(FlattenPosition(symbol=self.plan.symbol, ref=ref), at))

    def _narrow(self, row: MarketRow, asked: object) -> None:
        """Keep the terms under which this bar asks the same.

        The template is asked in turn whether its thesis holds, whether the other side is believed
        and whether its time is over; the first yes ends the trade. Profit is asked last.
        """
        entry = self.trade.entry
        kind = asked.kind if isinstance(asked, Exit) else None
        is_doubtful = row.dvs < self.rules.constitution.dvs_hold_min
        if entry is None or is_doubtful or kind is ExitKind.FLATTEN_TIME:
            return
        held = row.effective_belief(self.constraint, self.plan.side)
        other = row.effective_belief(self.constraint, self.plan.side.opposite)
        if kind is ExitKind.THESIS:
            self.span.above(THESIS, -inf if held is None else held)
            return
        self.span.up_to(THESIS, inf if held is None else held)
        if kind is ExitKind.OPPOSITE_BELIEF:
            self.span.up_to(BELIEF, inf if other is None else other)
            return
        self.span.above(BELIEF, -inf if other is None else other)
        minutes = (row.closes_at - entry.at) / _MINUTE
        if kind is ExitKind.TIME_STOP:
            self.span.up_to(TIME, minutes)
            return
        self.span.above(TIME, minutes)
        self._narrow_profit(row, entry)

    def _narrow_profit(self, row: MarketRow, entry: Filled) -> None:
        """Whether profit asks for the stop."""
        if not self._may_protect(entry):
            return
        profit = self.plan.side * (row.close_ticks - entry.price_ticks)
        if profit < self.terms.profit_ticks:
            self.span.above(PROFIT, profit)
        else:
            self.span.up_to(PROFIT, profit)

    def _hear(self, reports: Iterable[BrokerReport]) -> None:
        for report in reports:
            if isinstance(report, ExecutionReported):
                self._fill(report)
            elif isinstance(report, OrderReported):
                self._order(report)

    def _order(self, report: OrderReported) -> None:
        if report.event in {OrderEvent.REJECTED, OrderEvent.LOST_TRACK}:
            self.is_lost = True
        is_entry = self.legs[report.ref] is Leg.ENTRY
        if is_entry and report.event in {OrderEvent.EXPIRED, OrderEvent.CANCELLED}:
            self._close(ExitKind.NEVER_FILLED, report.at, None)

    def _fill(self, fill: ExecutionReported) -> None:
        leg, plan = self.legs[fill.ref], self.plan
        if leg is Leg.ENTRY:
            entry = Filled(at=fill.at, price_ticks=fill.price_ticks)
            self.trade = replace(self.trade, state=TradeState.OPEN, entry=entry)
            patience = timedelta(seconds=self.rules.execution.slow_fill_seconds)
            if fill.at - plan.decided_at > patience:
                self._trouble(Trouble.SLOW_FILL, fill.at)
            slipped = plan.side * (fill.price_ticks - plan.decision_price_ticks)
            self._slip(slipped, fill.at)
            return
        kind = self.trade.exit_kind or ExitKind.KILL
        if leg is Leg.TARGET:
            kind = ExitKind.TARGET
        elif leg is Leg.STOP:
            is_protected = self.trade.is_stop_protected
            kind = ExitKind.PROTECTED_STOP if is_protected else ExitKind.STOP
            self._slip(plan.side * (self.trade.stop_price_ticks - fill.price_ticks), fill.at)
        self._close(kind, fill.at, fill.price_ticks)

    def _slip(self, slipped_ticks: int, at: datetime) -> None:
        bound = self.rules.execution.slippage_surprise_multiple * self.plan.slippage_ticks
        if slipped_ticks > bound:
            self._trouble(Trouble.SLIPPAGE, at)

    def _trouble(self, kind: Trouble, at: datetime) -> None:
        self.troubles.append((kind, int((at - self.session.opens_at).total_seconds()) // 60))

    def _close(self, kind: ExitKind, at: datetime, price_ticks: int | None) -> None:
        trade, instrument = self.trade, self.rules.instrument
        entry = trade.entry
        gross_ticks, fees_usd, excursions = 0, Decimal(0), [0]
        if entry is not None and price_ticks is not None:
            gross_ticks = trade.gained_ticks(price_ticks)
            fees_usd = 2 * instrument.fees.per_side_usd
            excursions.append(gross_ticks)
        gross_usd = instrument.to_usd(gross_ticks)
        self.closed = TradeClosed(
            at=at,
            decision_id=self.plan.decision_id,
            template=self.plan.template,
            side=self.plan.side,
            exit_kind=kind,
            opened_at=None if entry is None else entry.at,
            entry_price_ticks=None if entry is None else entry.price_ticks,
            exit_price_ticks=price_ticks,
            gross_ticks=gross_ticks,
            gross_usd=gross_usd,
            fees_usd=fees_usd,
            net_usd=gross_usd - fees_usd,
            mae_ticks=min(trade.mae_ticks, *excursions),
            mfe_ticks=max(trade.mfe_ticks, *excursions),
            path_ticks=trade.path_ticks,
        )


def _us(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _plan(row: MarketRow, setup: Opening, rules: Rules) -> TradePlan:
    """The plan as the desk makes it; `manage` and the exchange read nothing of the scores."""
    entry = template(setup.template, rules).plan_entry(row, setup, rules)
    return TradePlan(
        decision_id=decision_id_of(row.symbol, row.closes_at),
        decided_at=row.closes_at,
        symbol=row.symbol,
        template=setup.template,
        side=Side(setup.side),
        quantity=rules.constitution.contracts_max,
        decision_price_ticks=row.close_ticks,
        entry_limit_ticks=entry.entry_limit_ticks,
        stop_price_ticks=entry.stop_price_ticks,
        target_price_ticks=entry.target_price_ticks,
        stop_distance_ticks=entry.stop_distance_ticks,
        target_distance_ticks=entry.target_distance_ticks,
        time_stop_minutes=entry.time_stop_minutes,
        entry_atr_14_ticks=row.atr_14_ticks or float(entry.stop_distance_ticks),
        slippage_ticks=row.slippage_ticks or 0.0,
        friction_ticks=row.friction_ticks or 0.0,
        regime=row.regime,
        phase=row.phase,
        dvs=row.dvs,
        belief=nan,
        instability=nan,
        p_win=nan,
        edge=nan,
        euc=nan,
        theta=nan,
    )
