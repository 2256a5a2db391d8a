"""Probes of the broker: connection, clock, data, account, agreement, and a bracket far away."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from engine.broker import (
    BarReported,
    CancelOrder,
    FeedReported,
    FeedState,
    Leg,
    LiveBroker,
    PlaceBracket,
    QuoteReported,
)
from engine.desk import DeskState, Mode
from engine.errors import CredenceError
from engine.risk import tier_of
from engine.rules import Rules
from engine.supervisor import Orders, order_ref
from engine.units import DecisionId, Side
from pipelines.checklist.line import Failed, Found, Passed, Skipped
from pipelines.session.authority import PAPER_PREFIX

SKEW_SECONDS_MAX: Final = 2.0
"""The broker tells its time in whole seconds; an order's life is reckoned by it."""

POLL_SECONDS: Final = 0.05

FAR_SHARE: Final = Decimal("0.02")
"""How far below the market the trial entry rests: out of reach, within what IB lets stand."""

BRACKET_TICKS: Final = 12
TRIAL_LIFE: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long a probe waits at most, in wall seconds; more than a minute for the next bar."""

    data_seconds: float = 75.0
    order_seconds: float = 10.0
    drill_seconds: float = 30.0


@dataclass(kw_only=True)
class BrokerProbes:
    """Questions to one connected broker; later ones build on what earlier ones saw.

    `state` is what the desk's own journal says. A verb's error passes through to the caller.
    """

    broker: LiveBroker
    rules: Rules
    mode: Mode
    state: DeskState
    has_own_time: bool
    bounds: Bounds = field(default_factory=Bounds)
    bid: Decimal | None = field(default=None, init=False)
    is_agreed: bool = field(default=False, init=False)

    # ── What is only read ───────────────────────────────────────────────────────────────────────

    def connection(self) -> Found:
        """The broker answers, and its account fits the mode."""
        self.broker.connect()
        account = self.broker.account_id
        if self.mode is Mode.PAPER and not self._is_paper:
            return Failed(
                f"mode paper expected an account that begins with {PAPER_PREFIX}, the broker says "
                f"{account}: that may be real money; log in to the paper account"
            )
        return Passed(f"account {account}, broker time {self.broker.now():%Y-%m-%d %H:%M:%S} UTC")

    def clock(self) -> Found:
        """Our clock and the broker's agree."""
        if self.has_own_time:
            return Skipped("a simulated gateway has no clock of its own to be asked")
        skew = (self.broker.now() - datetime.now(UTC)).total_seconds()
        if abs(skew) > SKEW_SECONDS_MAX:
            return Failed(
                f"the broker's clock is {skew:+.1f} s from ours, at most {SKEW_SECONDS_MAX} s may "
                "be; switch on time synchronisation (chrony, systemd-timesyncd)"
            )
        return Passed(f"{skew:+.1f} s apart")

    def data(self) -> Found:
        """Quotes of the instrument flow, and the feed says that they are live."""
        symbol = self.rules.instrument.symbol
        self.broker.subscribe(symbol)
        feed: FeedReported | None = None
        quote: QuoteReported | BarReported | None = None
        began = time.monotonic()
        while time.monotonic() - began < self.bounds.data_seconds:
            self.broker.wait(0.2)
            for told in self.broker.told():
                if isinstance(told, FeedReported):
                    feed = told
                elif isinstance(told, QuoteReported | BarReported) and told.bid and told.ask:
                    quote = told
            self.broker.caught_up()
            if feed is not None and (feed.state is not FeedState.LIVE or quote is not None):
                break
        return self._data_found(feed, quote, time.monotonic() - began)

    def _data_found(
        self, feed: FeedReported | None, quote: QuoteReported | BarReported | None, waited: float
    ) -> Found:
        if feed is not None and feed.state is not FeedState.LIVE:
            return Failed(f"the feed is {feed.state}: {feed.text or 'no reason was told'}")
        if feed is None or quote is None or quote.bid is None:
            return Failed(
                f"no live quote of {self.rules.instrument.symbol} in {waited:.0f} s; is the market "
                "open (Sunday 18:00 to Friday 17:00 New York, a break at 17:00), and subscribed?"
            )
        self.bid = Decimal(str(quote.bid))
        return Passed(f"feed live, {quote.bid} x {quote.ask} after {waited:.1f} s")

    def account(self) -> Found:
        """The money is known, and it is enough for a tier."""
        told = self.broker.account()
        if told.equity_usd is None or told.available_funds_usd is None:
            return Failed("the broker does not say what the account holds; nothing is entered then")
        if told.available_funds_usd < 0:
            return Failed(f"available funds are {told.available_funds_usd} USD: a margin call")
        tier = tier_of(told.equity_usd, self.rules.constitution)
        return Passed(
            f"equity {told.equity_usd} USD, tier {tier.name}, available {told.available_funds_usd}"
        )

    def agreement(self) -> Found:
        """What the desk's journal says is held and working is what the broker says."""
        symbol = self.rules.instrument.symbol
        held = {each.symbol: each.quantity for each in self.broker.positions() if each.quantity}
        known = {order.ref for order in self.state.orders.live}
        working = self.broker.open_orders()
        strange = [order for order in working if order.ref not in known]
        if held.pop(symbol, 0) != self.state.position or held or strange:
            others = [f"{quantity:+d} {name}" for name, quantity in held.items()]
            orders = [f"{each.ref or 'an order of somebody else'}" for each in strange]
            return Failed(
                f"the journal says {self.state.position:+d} {symbol}, the broker "
                f"{self._position():+d}; also held: {', '.join(others) or 'nothing'}; orders not "
                f"ours: {', '.join(orders) or 'none'}. Clear them up before the desk trades here"
            )
        self.is_agreed = True
        return Passed(f"position {self.state.position:+d} in both, {len(working)} orders, all ours")

    # ── What sends an order ─────────────────────────────────────────────────────────────────────

    def bracket(self) -> Found:
        """A bracket far from the market is seen working, is cancelled, and is seen gone."""
        barred = self.barred_from_orders
        if barred is not None:
            return Skipped(barred)
        trial = self.trial("bracket")
        began = time.monotonic()
        try:
            lack = self.lack_of(trial)
            seen_at = time.monotonic()
        finally:
            gone = self.cancelled(trial)
        if lack is not None:
            return Failed(lack)
        if not gone:
            return Failed(f"{trial.entry_ref} was cancelled and still works: cancel it by hand now")
        if self._position():
            return Failed(f"position {self._position():+d} after a trial {FAR_SHARE:.0%} away")
        return Passed(
            f"3 legs at {self._points(trial.entry_limit_ticks)} seen after {seen_at - began:.2f} s,"
            f" cancelled and gone after {time.monotonic() - seen_at:.2f} s"
        )

    def lack_of(self, trial: PlaceBracket) -> str | None:
        """Place it; why its three orders were not seen working, null when they were."""
        refs = {trial.entry_ref, trial.stop_ref, trial.target_ref}
        self.broker.place_bracket(trial)
        if self._until(lambda: refs <= self._working_refs()):
            return None
        return f"3 orders were sent, the broker did not list them all: {self._why()}"

    @property
    def barred_from_orders(self) -> str | None:
        """Why no order may be sent from here; null when one may."""
        if not self._is_paper:
            return f"{self.broker.account_id} is no paper account: no trial order is sent to it"
        if self.mode is Mode.OBSERVE:
            return "mode observe sends no orders; ask again with CREDENCE_MODE=paper"
        if self.bid is None:
            return "without a live quote nobody knows what is far from the market"
        if self.state.position or self.state.orders.live:
            return "the desk has an open trade"
        return None

    def trial(self, name: str) -> PlaceBracket:
        """A bracket of one contract to buy, too far below the market to fill."""
        now = self.broker.now()
        bid = self.bid or Decimal(0)
        entry = self.rules.instrument.to_ticks(self._on_grid(bid * (1 - FAR_SHARE)))
        decision = DecisionId(f"checklist-{name}-{datetime.now(UTC):%H%M%S%f}")
        entry_ref, stop_ref, target_ref = (
            order_ref(now.date(), decision, leg, Orders())
            for leg in (Leg.ENTRY, Leg.STOP, Leg.TARGET)
        )
        return PlaceBracket(
            decision_id=decision,
            symbol=self.rules.instrument.symbol,
            side=Side.LONG,
            quantity=1,
            entry_ref=entry_ref,
            stop_ref=stop_ref,
            target_ref=target_ref,
            entry_limit_ticks=entry,
            stop_ticks=entry - BRACKET_TICKS,
            target_ticks=entry + BRACKET_TICKS,
            entry_expires_at=now + TRIAL_LIFE,
        )

    def cancelled(self, trial: PlaceBracket) -> bool:
        """Cancel whatever of the trial works; whether nothing of it does in the end."""
        refs = {trial.entry_ref, trial.stop_ref, trial.target_ref}
        with suppress(CredenceError):  # Never placed, or gone: the list of orders says which.
            self.broker.cancel(CancelOrder(ref=trial.entry_ref))
        return self._until(lambda: not refs & self._working_refs())

    def _working_refs(self) -> set[str]:
        return {str(order.ref) for order in self.broker.open_orders()}

    def _position(self) -> int:
        symbol = self.rules.instrument.symbol
        return sum(each.quantity for each in self.broker.positions() if each.symbol == symbol)

    def _why(self) -> str:
        """What the broker told of orders meanwhile."""
        texts = [text for report in self.broker.reports() if (text := getattr(report, "text", ""))]
        return "; ".join(dict.fromkeys(texts)) or "it said nothing"

    @property
    def _is_paper(self) -> bool:
        return self.broker.account_id.startswith(PAPER_PREFIX)

    def _points(self, ticks: int) -> Decimal:
        return self.rules.instrument.to_points(ticks)

    def _on_grid(self, price: Decimal) -> Decimal:
        size = self.rules.instrument.tick_size
        return (price // size) * size

    def _until(self, what: Callable[[], bool]) -> bool:
        """Ask until it is so; false when it is not within the bound."""
        deadline = time.monotonic() + self.bounds.order_seconds
        while not what():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True
