"""The simulated exchange: bars and commands in, broker reports out, the same for the same seed."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from engine.broker import (
    AccountReported,
    BrokerReport,
    BrokerSnapshot,
    Command,
    QueryBroker,
)
from engine.errors import BrokerTimeout, BrokerUnreachable, InputRefused
from engine.exchange.account import Account
from engine.exchange.book import Book, ExchangeSettings
from engine.exchange.commands import execute
from engine.exchange.faults import NO_FAULTS, FaultKind, FaultPlan, Faults, ReportLink
from engine.exchange.matching import ExchangeBar, Matcher, bar_path, is_touched
from engine.exchange.single_orders import PlaceOrder, ReplaceOrder
from engine.exchange.state import ExchangeState, to_plain, to_record
from engine.units import OrderRef, Side

ALIEN_REF = OrderRef("")
"""The ref of an execution that no order of ours led to."""


class Exchange:
    """One account at one market, driven by events and without a clock of its own.

    Every call returns the reports that arrive because of it, in order of arrival; late ones come
    with a later call. Its own books (`truth`, `account`) stay right whatever the faults do.
    """

    def __init__(
        self, settings: ExchangeSettings, *, seed: int = 0, faults: FaultPlan = NO_FAULTS
    ) -> None:
        self._settings = settings
        self._latency = timedelta(milliseconds=settings.order_latency_ms)
        self._bar_length = timedelta(seconds=settings.bar_seconds)
        self._faults = Faults(faults, seed)
        self._link = ReportLink(faults=self._faults)
        self._last_bar_at: datetime | None = None
        self._book = Book(
            account=Account(
                instrument=settings.instrument,
                deposit_usd=settings.deposit_usd,
                margin_usd_per_contract=settings.margin_usd_per_contract,
            )
        )

    @property
    def is_idle(self) -> bool:
        """Whether a bar can change nothing: empty, and no faults."""
        return self.is_empty and not self._faults.rates

    @property
    def is_empty(self) -> bool:
        """Whether no order, position or report is here or on its way, and the link is up."""
        return not (
            self._book.live
            or self._book.account.position
            or self._link.pending
            or not self._link.is_up
        )

    @property
    def is_connected(self) -> bool:
        return self._link.is_up

    # ── Events ──────────────────────────────────────────────────────────────────────────────────

    def on_bar(self, bar: ExchangeBar) -> list[BrokerReport]:
        """Match one closed bar; raises `InputRefused` if it is not later than the one before."""
        if self._last_bar_at is not None and bar.closes_at <= self._last_bar_at:
            raise InputRefused(
                f"{bar.symbol}: expected a bar closing after {self._last_bar_at}, "
                f"got {bar.closes_at}; feed each bar once and in order"
            )
        self._last_bar_at = bar.closes_at
        if self._book.live:
            self._match_bar(bar)
        self._book.account.mark_ticks = bar.close_ticks
        if self._faults.rates:
            self._strike_bar(bar)
        elif not (self._book.told or self._link.pending or not self._link.is_up):
            return []
        return self._link.pass_on(self._book.collect(), bar.closes_at)

    def on_quote(self, at: datetime, bid_ticks: int, ask_ticks: int) -> list[BrokerReport]:
        """Match one quote."""
        self._book.expire(at, inclusive=True)
        self._matcher(None).match_quote(at, bid_ticks, ask_ticks)
        position = self._book.account.position
        self._book.account.mark_ticks = ask_ticks if position < 0 else bid_ticks
        return self._link.pass_on(self._book.collect(), at)

    def on_arrivals(self, at: datetime, bid_ticks: int, ask_ticks: int) -> list[BrokerReport]:
        """Let what was submitted at `at` meet the quote that stands when it arrives.

        Without this an order waits for the next bar or quote. Resting orders are left alone.
        """
        arrives_at = at + self._latency
        matcher = self._matcher(None)
        matcher.match_quote(arrives_at, bid_ticks, ask_ticks, arrived_since=arrives_at)
        return self._link.pass_on(self._book.collect(), at)

    def advance(self, at: datetime) -> list[BrokerReport]:
        """Let time pass: orders expire, late reports arrive, a broken link comes back."""
        self._book.expire(at, inclusive=True)
        return self._link.pass_on(self._book.collect(), at)

    def submit(
        self, command: Command | PlaceOrder | ReplaceOrder, at: datetime
    ) -> list[BrokerReport]:
        """Send one command; it takes hold `order_latency_ms` later.

        Raises `BrokerUnreachable` if nothing was sent, `BrokerTimeout` if a query got no answer and
        `DuplicateOrderRef` for a ref used before. A command that left and was never answered looks
        like any other: no report comes, and the link is down.
        """
        if isinstance(command, QueryBroker):
            answer = self.query(command.cause, at)
            return [*self._link.pass_on((), at), *answer]
        self._demand_link(type(command).__name__, at)
        execute(self._book, command, at + self._latency, self._faults)
        if self._faults.strikes(FaultKind.DISCONNECT_AFTER_SEND):
            self._book.collect()
            self.disconnect(at, seconds=self._faults.plan.outage_seconds)
        return self._link.pass_on(self._book.collect(), at)

    def query(self, cause: str, at: datetime) -> tuple[AccountReported, BrokerSnapshot]:
        """Ask for the whole truth; all of it comes, or `BrokerUnreachable` or `BrokerTimeout`."""
        self._demand_link(f"a query ({cause})", at)
        breaks = self._faults.strikes(FaultKind.DISCONNECT_AFTER_SEND)
        if breaks:
            self.disconnect(at, seconds=self._faults.plan.outage_seconds)
        if breaks or self._faults.strikes(FaultKind.QUERY_TIMEOUT):
            raise BrokerTimeout(
                f"no answer to the query ({cause}) in time; "
                "nothing is known: ask again before acting"
            )
        return self.account(at), self.truth(at)

    # ── Faults by hand ──────────────────────────────────────────────────────────────────────────

    def switch(self, kind: FaultKind, rate: float) -> None:
        """Set a fault's rate from now on; 0 switches it off, 1 makes it certain."""
        self._faults.switch(kind, rate)

    def disconnect(self, at: datetime, *, seconds: int | None = None) -> None:
        """Cut the link now; it comes back after `seconds`, or when `reconnect` is called."""
        until = None if seconds is None else at + timedelta(seconds=seconds)
        self._link.tell_later(self._link.drop(at, until=until))

    def reconnect(self, at: datetime) -> list[BrokerReport]:
        """Restore the link. What was missed is not told again: the desk has to ask."""
        told = self._link.pass_on((), at)
        return told if self._link.is_up else [*told, self._link.restore(at)]

    def open_alien_position(
        self, side: Side, quantity: int, price_ticks: int, at: datetime
    ) -> None:
        """Trade on the account by another hand: the position changes, and no order of ours did."""
        self._book.account.record(at, ALIEN_REF, side, quantity, price_ticks)
        self._book.told.append(self._book.account.position_report(at))

    def set_margin(self, usd_per_contract: Decimal, at: datetime) -> None:
        """Change the margin; with a position open this is how a margin call comes about."""
        self._book.account.margin_usd_per_contract = usd_per_contract
        self._book.told.append(self._book.account.account_report(at))

    # ── Truth and state ─────────────────────────────────────────────────────────────────────────

    def truth(self, at: datetime) -> BrokerSnapshot:
        """What the exchange itself knows, whatever the link does."""
        return self._book.snapshot(at)

    def account(self, at: datetime) -> AccountReported:
        return self._book.account.account_report(at)

    def state(self) -> dict[str, Any]:
        """Everything that decides the future, as plain JSON values."""
        account, link, faults = self._book.account, self._link, self._faults
        state = ExchangeState(
            position=account.position,
            flow_ticks=account.flow_ticks,
            fees_usd=account.fees_usd,
            mark_ticks=account.mark_ticks,
            margin_usd_per_contract=account.margin_usd_per_contract,
            executions=tuple(account.executions),
            executions_today=account.executions_today,
            orders=tuple(self._book.orders.values()),
            groups=self._book.groups,
            told=tuple(self._book.told),
            pending=tuple(link.pending),
            is_up=link.is_up,
            up_again_at=link.up_again_at,
            last_bar_at=self._last_bar_at,
            seed=faults.seed,
            draws=faults.draws,
            rates=faults.rates,
            delay_seconds=faults.plan.delay_seconds,
            outage_seconds=faults.plan.outage_seconds,
        )
        return dict(to_plain(state))

    @classmethod
    def restore(cls, settings: ExchangeSettings, plain: Mapping[str, Any]) -> Self:
        """An exchange that goes on where `state()` was taken; the settings must be the same."""
        state = to_record(ExchangeState, plain)
        plan = FaultPlan(
            rates=state.rates,
            delay_seconds=state.delay_seconds,
            outage_seconds=state.outage_seconds,
        )
        exchange = cls(settings, seed=state.seed, faults=plan)
        exchange._faults.draws = state.draws
        exchange._last_bar_at = state.last_bar_at
        link, book, account = exchange._link, exchange._book, exchange._book.account
        link.is_up, link.up_again_at = state.is_up, state.up_again_at
        link.pending = list(state.pending)
        book.orders = {order.ref: order for order in state.orders}
        book.live = [o for o in state.orders if o.ended is None or o.is_zombie]
        book.groups, book.told = dict(state.groups), list(state.told)
        account.position, account.flow_ticks = state.position, state.flow_ticks
        account.fees_usd, account.mark_ticks = state.fees_usd, state.mark_ticks
        account.margin_usd_per_contract = state.margin_usd_per_contract
        account.executions, account.executions_today = (
            list(state.executions),
            state.executions_today,
        )
        return exchange

    # ── Inside ──────────────────────────────────────────────────────────────────────────────────

    def _demand_link(self, what: str, at: datetime) -> None:
        for report in self._link.pass_on((), at):
            self._link.tell_later(report)
        if self._link.is_up and self._faults.strikes(FaultKind.DISCONNECT_BEFORE_SEND):
            self.disconnect(at, seconds=self._faults.plan.outage_seconds)
        if not self._link.is_up:
            raise BrokerUnreachable(
                f"expected a connection to send {what}, the link is down; "
                "nothing was sent: reconnect and reconcile"
            )

    def _matcher(self, slippage_ticks: float | None) -> Matcher:
        return Matcher(self._book, self._settings, self._faults, slippage_ticks)

    def _match_bar(self, bar: ExchangeBar) -> None:
        book = self._book
        book.expire(bar.closes_at, inclusive=False)
        if any(is_touched(order, bar) for order in book.live):
            path = bar_path(bar, bar.closes_at - self._bar_length)
            self._matcher(bar.slippage_ticks).match_path(path)
        if self._settings.matches_bar_quotes:
            bid, ask = bar.bid_ticks, bar.ask_ticks
            if bid is not None and ask is not None:
                self._matcher(bar.slippage_ticks).match_quote(bar.closes_at, bid, ask)
        book.bury_zombies()
        book.expire(bar.closes_at, inclusive=True)

    def _strike_bar(self, bar: ExchangeBar) -> None:
        """Faults that need no order: a position by another hand, a link that just breaks."""
        if self._faults.strikes(FaultKind.ALIEN_POSITION):
            self.open_alien_position(Side.LONG, 1, bar.close_ticks, bar.closes_at)
        if self._link.is_up and self._faults.strikes(FaultKind.DISCONNECT):
            self.disconnect(bar.closes_at, seconds=self._faults.plan.outage_seconds)
