"""One trade played by itself, from its entry's bar to its end.

It is the same trade for every parameter set that would enter there, as long as the few numbers that
manage an open trade ask the same of it on every bar. So it is played once, by the desk's own
`plan_entry` and `manage`, and kept with the range of those numbers that changes nothing.
"""

from decimal import Decimal
from functools import partial
from math import nan
from typing import Final, NamedTuple

from engine.broker import Leg
from engine.desk.bars import Judged, plan_of
from engine.exchange.book import ExchangeSettings, exchange_settings
from engine.execution_quality import Trouble
from engine.kill import KillSwitch
from engine.learning.sweep.lone_bracket import MINUTE_US, SECOND_US, Fill, LoneBracket, Prices
from engine.learning.sweep.questions import Held, Questions
from engine.learning.sweep.tape import Tape, TapeSession, instant_of, instant_us
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
    lone = _Lone(opening, place, tape, session, rules)
    place += 1
    while place < lone.until and not lone.is_lost:
        closed = lone.trade_through(place)
        if closed is not None:
            return lone.played(closed, place)
        place = lone.live_through(place)
    return None


class _Lone:
    """The trade in the making.

    What `Trade` holds stands here in plain numbers: one is made when the desk is to be asked.
    """

    def __init__(
        self, opening: Opening, place: int, tape: Tape, session: TapeSession, rules: Rules
    ) -> None:
        self.rules = rules
        self.tape = tape
        self.session = session
        row = tape.row(place)
        strategy = template(opening.template, rules)
        self.plan = plan = plan_of(strategy, row, opening, _UNJUDGED, rules)
        self.questions = Questions(plan, rules)
        self.until = min(session.end, session.killed_from)
        self.ahead = tape.ahead(place + 1, self.until, self.questions.constraint, plan.side)
        self.entry: Filled | None = None
        self.entry_us = 0
        self.stop_ticks = plan.stop_price_ticks
        self.exit_kind: ExitKind | None = None
        self.mae_ticks = self.mfe_ticks = 0
        self.path_ticks: list[int] = []
        self.decided_us = instant_us(row.closes_at)
        ref_of = partial(order_ref, session.session_date, plan.decision_id, orders=Orders())
        self.bracket = LoneBracket(
            Prices(
                plan.side, plan.entry_limit_ticks, plan.stop_price_ticks, plan.target_price_ticks
            ),
            self.decided_us,
            rules.execution.entry_life_seconds * SECOND_US,
            _exchange(rules),
            (session.seed, ref_of),
        )
        self.is_lost = False
        self.troubles: list[tuple[Trouble, int]] = []

    def played(self, closed: TradeClosed, free_from: int) -> Played:
        return Played(
            closed,
            None if self.entry is None else self.entry_us,
            int(closed.net_usd * 100),
            free_from,
            tuple(self.troubles),
            *self.questions.span.bounds,
        )

    def trade_through(self, place: int) -> TradeClosed | None:
        """What a bar does at the exchange; null while the trade is not over."""
        nth = place - self.ahead.start
        if nth == len(self.ahead.closes_us):
            constraint, side = self.questions.constraint, self.plan.side
            self.ahead, nth = self.tape.ahead(place, self.until, constraint, side), 0
        closed = None
        for fill in self.bracket.on_bar(self.ahead.bracket_bar(nth)):
            closed = self._filled(fill)
        if self.bracket.ended_us is not None:
            return self._closed(ExitKind.NEVER_FILLED, self.bracket.ended_us, None)
        return closed

    def live_through(self, place: int) -> int:
        """What the bar just traded through asks for; the next row that may do or ask anything."""
        entry = self.entry
        if entry is None:
            asked = self._manage(TradeState.PENDING, self.tape.row(place))
            self.is_lost = isinstance(asked, Exit)
            return place + 1
        if self.exit_kind is not None:
            return place + 1
        nth = place - self.ahead.start
        held = Held(entry.price_ticks, self.entry_us, self.stop_ticks)
        quiet = self.questions.quiet_bars(held, self.ahead, nth)
        if quiet:
            self._pass(nth, nth + quiet, entry)
            return place + quiet
        self._pass(nth, nth + 1, entry)
        self._answer(held, self.tape.row(place))
        return place + 1

    def _answer(self, held: Held, row: MarketRow) -> None:
        """Let the desk ask one bar, and do what it asks for."""
        asked = self._manage(TradeState.OPEN, row)
        self.questions.narrow(held, row, asked)
        if isinstance(asked, Exit):
            self.exit_kind = asked.kind
            self.bracket.flatten(instant_us(row.closes_at))
        elif isinstance(asked, Tighten):
            self.stop_ticks = asked.stop_price_ticks
            self.bracket.move_stop(asked.stop_price_ticks)

    def _manage(self, state: TradeState, row: MarketRow) -> Hold | Tighten | Exit:
        trade = Trade(
            plan=self.plan,
            state=state,
            stop_price_ticks=self.stop_ticks,
            entry=self.entry,
            mae_ticks=self.mae_ticks,
            mfe_ticks=self.mfe_ticks,
            path_ticks=tuple(self.path_ticks),
        )
        return manage(trade, row, kill=_RUNNING, eqs=1.0, rules=self.rules)

    def _pass(self, first: int, until: int, entry: Filled) -> None:
        """Some bars ahead are over, as `Trade.after_bar` has it after each of them."""
        side, paid_ticks, ahead = self.plan.side, entry.price_ticks, self.ahead
        path = [side * (close - paid_ticks) for close in ahead.close_ticks[first:until]]
        extremes = [*path]
        # Of the fill's own bar only the close is surely later than the fill.
        since = first + (ahead.closes_us[first] - MINUTE_US < self.entry_us)
        if since < until:
            extremes.append(side * (max(ahead.high_ticks[since:until]) - paid_ticks))
            extremes.append(side * (min(ahead.low_ticks[since:until]) - paid_ticks))
        self.mae_ticks = min(self.mae_ticks, *extremes)
        self.mfe_ticks = max(self.mfe_ticks, *extremes)
        self.path_ticks += path

    def _filled(self, fill: Fill) -> TradeClosed | None:
        """A leg traded; the closed trade unless it was the entry."""
        leg, plan = fill.leg, self.plan
        if leg is Leg.ENTRY:
            self.entry = Filled(at=instant_of(fill.at_us), price_ticks=fill.price_ticks)
            self.entry_us = fill.at_us
            waited_us = fill.at_us - self.decided_us
            if waited_us > self.rules.execution.slow_fill_seconds * SECOND_US:
                self._trouble(Trouble.SLOW_FILL, fill.at_us)
            self._slip(plan.side * (fill.price_ticks - plan.decision_price_ticks), fill.at_us)
            return None
        kind = self.exit_kind or ExitKind.KILL
        if leg is Leg.TARGET:
            kind = ExitKind.TARGET
        elif leg is Leg.STOP:
            is_protected = self.stop_ticks != plan.stop_price_ticks
            kind = ExitKind.PROTECTED_STOP if is_protected else ExitKind.STOP
            self._slip(plan.side * (self.stop_ticks - fill.price_ticks), fill.at_us)
        return self._closed(kind, fill.at_us, fill.price_ticks)

    def _slip(self, slipped_ticks: int, at_us: int) -> None:
        bound = self.rules.execution.slippage_surprise_multiple * self.plan.slippage_ticks
        if slipped_ticks > bound:
            self._trouble(Trouble.SLIPPAGE, at_us)

    def _trouble(self, kind: Trouble, at_us: int) -> None:
        self.troubles.append((kind, (at_us - self.session.opens_us) // MINUTE_US))

    def _closed(self, kind: ExitKind, at_us: int, price_ticks: int | None) -> TradeClosed:
        entry, instrument = self.entry, self.rules.instrument
        gross_ticks, fees_usd, excursions = 0, Decimal(0), [0]
        if entry is not None and price_ticks is not None:
            gross_ticks = self.plan.side * (price_ticks - entry.price_ticks)
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
            mae_ticks=min(self.mae_ticks, *excursions),
            mfe_ticks=max(self.mfe_ticks, *excursions),
            path_ticks=tuple(self.path_ticks),
        )


@partial(per_rules, kept_max=MANY_RULES)
def _exchange(rules: Rules) -> ExchangeSettings:
    return exchange_settings(rules, _DEPOSIT_USD)
