"""One trade played by itself, from its entry's bar to its end.

It is the same trade for every parameter set that would enter there, as long as the few numbers that
manage an open trade ask the same of it on every bar. So it is played once, by the desk's own
`plan_entry` and `manage`, and kept with the range of those numbers that changes nothing.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from math import nan
from typing import Final, NamedTuple

from engine.broker import Leg
from engine.desk.bars import Judged, plan_of
from engine.exchange.book import ExchangeSettings, exchange_settings
from engine.execution_quality import Trouble
from engine.kill import KillSwitch
from engine.learning.sweep.lone_bracket import MINUTE_US, Fill, LoneBracket, Prices
from engine.learning.sweep.questions import Questions
from engine.learning.sweep.tape import Bars, Tape, TapeSession, instant_of, instant_us
from engine.learning.sweep.terms import Played
from engine.market import MarketRow
from engine.measures import MANY_RULES, per_rules
from engine.rules import Rules
from engine.strategies.registry import template
from engine.supervisor import Orders, order_ref
from engine.trade import (
    Exit,
    ExitKind,
    Filled,
    Hold,
    Tighten,
    Trade,
    TradeClosed,
    TradeState,
    manage,
)

_BAR: Final = timedelta(minutes=1)
_RUNNING: Final = KillSwitch()
_DEPOSIT_USD: Final = Decimal(1_000_000)
"""No trade's result depends on it; a set whose own money is nearly gone is not asked here."""

_UNJUDGED: Final = Judged(*[nan] * len(Judged._fields))
"""`manage` and the exchange read nothing of the score."""


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

    Null where it cannot be told by itself: it is not over with the session's bars, it still waits
    for its fill at the flatten time, or the desk is killed meanwhile. Such a set has to be
    replayed.
    """
    lone = _Lone(opening, tape.row(place), tape, session, rules)
    until = min(session.end, session.killed_from)
    place += 1
    while place < until and not lone.is_lost:
        closed = lone.trade_through(place)
        if closed is not None:
            return lone.played(closed, place)
        place = lone.live_through(place, until)
    return None


class _Lone:
    """The trade in the making."""

    def __init__(
        self, opening: Opening, row: MarketRow, tape: Tape, session: TapeSession, rules: Rules
    ) -> None:
        self.rules = rules
        self.tape = tape
        self.session = session
        strategy = template(opening.template, rules)
        self.plan = plan = plan_of(strategy, row, opening, _UNJUDGED, rules)
        self.questions = Questions(plan, rules)
        self.trade = Trade(
            plan=plan, state=TradeState.PENDING, stop_price_ticks=plan.stop_price_ticks
        )
        ref_of = partial(order_ref, session.session_date, plan.decision_id, orders=Orders())
        self.bracket = LoneBracket(
            Prices(
                plan.side, plan.entry_limit_ticks, plan.stop_price_ticks, plan.target_price_ticks
            ),
            instant_us(row.closes_at),
            rules.execution.entry_life_seconds * 1_000_000,
            _exchange(rules),
            (session.seed, ref_of),
        )
        self.is_lost = False
        self.troubles: list[tuple[Trouble, int]] = []

    def played(self, closed: TradeClosed, free_from: int) -> Played:
        opened_at = closed.opened_at
        return Played(
            closed,
            None if opened_at is None else instant_us(opened_at),
            int(closed.net_usd * 100),
            free_from,
            tuple(self.troubles),
            *self.questions.span.bounds,
        )

    def trade_through(self, place: int) -> TradeClosed | None:
        """What a bar does at the exchange; null while the trade is not over."""
        closed = None
        for fill in self.bracket.on_bar(self.tape.bracket_bar(place)):
            closed = self._filled(fill)
        if self.bracket.ended_us is not None:
            return self._closed(ExitKind.NEVER_FILLED, self.bracket.ended_us, None)
        return closed

    def live_through(self, place: int, until: int) -> int:
        """What the bar just traded through asks for; the next row that may do or ask anything."""
        trade, entry = self.trade, self.trade.entry
        if entry is None:
            self.is_lost = isinstance(self._manage(self.tape.row(place)), Exit)
            return place + 1
        if trade.state is not TradeState.OPEN:
            return place + 1
        bars = self.tape.bars(place, until, self.questions.constraint, self.plan.side)
        quiet = self.questions.quiet_bars(trade, entry, bars)
        if quiet:
            self.trade = _after(trade, entry, Bars._make([column[:quiet] for column in bars]))
            return place + quiet
        self._answer(entry, self.tape.row(place))
        return place + 1

    def _answer(self, entry: Filled, row: MarketRow) -> None:
        """Let the desk ask one bar, and do what it asks for."""
        self.trade = trade = self.trade.after_bar(
            row.closes_at - _BAR, row.high_ticks, row.low_ticks, row.close_ticks
        )
        asked = self._manage(row)
        self.questions.narrow(trade, entry, row, asked)
        if isinstance(asked, Exit):
            self.trade = replace(trade, state=TradeState.CLOSING, exit_kind=asked.kind)
            self.bracket.flatten(instant_us(row.closes_at))
        elif isinstance(asked, Tighten):
            self.trade = replace(trade, stop_price_ticks=asked.stop_price_ticks)
            self.bracket.move_stop(asked.stop_price_ticks)

    def _manage(self, row: MarketRow) -> Hold | Tighten | Exit:
        return manage(self.trade, row, kill=_RUNNING, eqs=1.0, rules=self.rules)

    def _filled(self, fill: Fill) -> TradeClosed | None:
        """A leg traded; the closed trade unless it was the entry."""
        leg, plan = fill.leg, self.plan
        if leg is Leg.ENTRY:
            entry = Filled(at=instant_of(fill.at_us), price_ticks=fill.price_ticks)
            self.trade = replace(self.trade, state=TradeState.OPEN, entry=entry)
            if entry.at - plan.decided_at > timedelta(
                seconds=self.rules.execution.slow_fill_seconds
            ):
                self._trouble(Trouble.SLOW_FILL, fill.at_us)
            self._slip(plan.side * (fill.price_ticks - plan.decision_price_ticks), fill.at_us)
            return None
        kind = self.trade.exit_kind or ExitKind.KILL
        if leg is Leg.TARGET:
            kind = ExitKind.TARGET
        elif leg is Leg.STOP:
            is_protected = self.trade.is_stop_protected
            kind = ExitKind.PROTECTED_STOP if is_protected else ExitKind.STOP
            slipped = plan.side * (self.trade.stop_price_ticks - fill.price_ticks)
            self._slip(slipped, fill.at_us)
        return self._closed(kind, fill.at_us, fill.price_ticks)

    def _slip(self, slipped_ticks: int, at_us: int) -> None:
        bound = self.rules.execution.slippage_surprise_multiple * self.plan.slippage_ticks
        if slipped_ticks > bound:
            self._trouble(Trouble.SLIPPAGE, at_us)

    def _trouble(self, kind: Trouble, at_us: int) -> None:
        self.troubles.append((kind, (at_us - self.session.opens_us) // MINUTE_US))

    def _closed(self, kind: ExitKind, at_us: int, price_ticks: int | None) -> TradeClosed:
        trade, instrument = self.trade, self.rules.instrument
        entry = trade.entry
        gross_ticks, fees_usd, excursions = 0, Decimal(0), [0]
        if entry is not None and price_ticks is not None:
            gross_ticks = trade.gained_ticks(price_ticks)
            fees_usd = 2 * instrument.fees.per_side_usd
            excursions.append(gross_ticks)
        gross_usd = instrument.to_usd(gross_ticks)
        return TradeClosed(
            at=instant_of(at_us),
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


@partial(per_rules, kept_max=MANY_RULES)
def _exchange(rules: Rules) -> ExchangeSettings:
    return exchange_settings(rules, _DEPOSIT_USD)


def _after(trade: Trade, entry: Filled, bars: Bars) -> Trade:
    """The trade after some bars, as `Trade.after_bar` has it after each of them."""
    side = trade.plan.side
    path = (side * (bars.close_ticks - entry.price_ticks)).tolist()
    extremes = [*path]
    # Of the fill's own bar only the close is surely later than the fill.
    since = int(bars.closes_us[0] - MINUTE_US < instant_us(entry.at))
    if since < len(path):
        high, low = int(bars.high_ticks[since:].max()), int(bars.low_ticks[since:].min())
        extremes += [trade.gained_ticks(high), trade.gained_ticks(low)]
    return replace(
        trade,
        mae_ticks=min(trade.mae_ticks, *extremes),
        mfe_ticks=max(trade.mfe_ticks, *extremes),
        path_ticks=(*trade.path_ticks, *path),
    )
