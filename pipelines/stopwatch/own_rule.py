"""The rule on our own simulated exchange, without the desk: what the other engines are held to."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

import polars as pl

from engine.broker import (
    BrokerReport,
    CommissionReported,
    ExecutionReported,
    FlattenPosition,
    OrderKind,
)
from engine.exchange import Exchange, ExchangeSettings, PlaceOrder, PriceBar
from engine.instrument import Instrument
from engine.units import OrderRef, Side
from pipelines.stopwatch.rule import Fills, RaceRule
from pipelines.stopwatch.trades import RuleTrade

DEPOSIT_USD: Final = Decimal(10_000_000)


def plain_exchange(instrument: Instrument) -> Exchange:
    """The exchange with what the other engines assume: no slippage, no delay, fills on touch."""
    return Exchange(
        ExchangeSettings(
            instrument=instrument,
            deposit_usd=DEPOSIT_USD,
            slippage_ticks=0,
            slippage_ticks_max=0,
            limit_fills_on_touch=True,
            order_latency_ms=0,
        )
    )


def play_rule(
    bars: pl.DataFrame, rule: RaceRule, fills: Fills, exchange: Exchange, symbol: str
) -> list[RuleTrade]:
    """The trades of the rule on bars of `rule_bars`."""
    player = _Player(rule, fills, exchange, symbol)
    for number, (bar, signal, minutes_left) in enumerate(_signalled(bars, rule, symbol)):
        player.play(number, bar, signal, minutes_left)
    return player.trades()


def _signalled(
    bars: pl.DataFrame, rule: RaceRule, symbol: str
) -> Iterator[tuple[PriceBar, int, int]]:
    """Each bar with its signal (1 buy, -1 sell, 0 none) and the minutes left after it."""
    close, channel = pl.col("close_ticks"), rule.channel_bars
    upper = pl.col("high_ticks").rolling_max(channel).shift(1)
    lower = pl.col("low_ticks").rolling_min(channel).shift(1)
    may_enter = (pl.col("minute") >= channel) & (pl.col("minutes_left") > rule.flat_minutes)
    signal = (close > upper).cast(pl.Int8) - (close < lower).cast(pl.Int8)
    rows = bars.select(
        "closes_at",
        "open_ticks",
        "high_ticks",
        "low_ticks",
        "close_ticks",
        signal=pl.when(may_enter).then(signal).otherwise(0).fill_null(0),
        minutes_left=pl.col("minutes_left"),
    )
    for closes_at, first, high, low, last, side, minutes_left in rows.iter_rows():
        yield PriceBar(symbol, closes_at, first, high, low, last), side, minutes_left


class _Player:
    """One account at the exchange, following the rule."""

    def __init__(self, rule: RaceRule, fills: Fills, exchange: Exchange, symbol: str) -> None:
        self.rule = rule
        self.fills = fills
        self.exchange = exchange
        self.symbol = symbol
        self.orders = 0
        self.is_open = False
        self.was_flat = True
        self.executions: list[tuple[int, ExecutionReported]] = []
        self.fees_usd: list[Decimal] = []

    def play(self, number: int, bar: PriceBar, signal: int, minutes_left: int) -> None:
        """One bar: what it did at the exchange, then what the rule wants at its close."""
        if not self.exchange.is_idle:
            self._hear(self.exchange.on_bar(bar), number)
        was_flat, self.was_flat = self.was_flat, not self.is_open
        if self.is_open:
            if minutes_left == self.rule.flat_minutes:
                flatten = FlattenPosition(symbol=self.symbol, ref=self._ref())
                self.exchange.submit(flatten, bar.closes_at)
                self._fill_at_close(number, bar)
        elif was_flat and signal:
            self.was_flat = False
            self._enter(Side(signal), bar.close_ticks, bar.closes_at)
            self._fill_at_close(number, bar)

    def trades(self) -> list[RuleTrade]:
        """The round trips that are closed, in order."""
        told = zip(self.executions, self.fees_usd, strict=True)
        return [
            RuleTrade(
                side=entry.side,
                entry_bar=entry_bar,
                entry_ticks=entry.price_ticks,
                exit_bar=exit_bar,
                exit_ticks=closing.price_ticks,
                fees_usd=entry_fee + closing_fee,
            )
            for ((entry_bar, entry), entry_fee), ((exit_bar, closing), closing_fee) in zip(
                told, told, strict=False
            )
        ]

    def _enter(self, side: Side, close_ticks: int, at: datetime) -> None:
        """A market order with its stop and its target."""
        entry = self._order(side, OrderKind.MARKET)
        stop_ticks = close_ticks - side * self.rule.stop_ticks
        target_ticks = close_ticks + side * self.rule.target_ticks
        stop = self._order(side.opposite, OrderKind.STOP_MARKET, stop_ticks, entry.ref)
        target = self._order(side.opposite, OrderKind.LIMIT, target_ticks, entry.ref)
        for order in (entry, stop, target):
            self.exchange.submit(order, at)

    def _order(
        self,
        side: Side,
        kind: OrderKind,
        price_ticks: int | None = None,
        parent: OrderRef | None = None,
    ) -> PlaceOrder:
        return PlaceOrder(
            ref=self._ref(),
            symbol=self.symbol,
            side=side,
            kind=kind,
            quantity=1,
            price_ticks=price_ticks,
            parent_ref=parent,
        )

    def _fill_at_close(self, number: int, bar: PriceBar) -> None:
        """Let what was just sent meet the close, if that is how this run fills."""
        if self.fills is Fills.THIS_CLOSE:
            close = bar.close_ticks
            self._hear(self.exchange.on_arrivals(bar.closes_at, close, close), number)

    def _hear(self, reports: Iterable[BrokerReport], number: int) -> None:
        for report in reports:
            if isinstance(report, ExecutionReported):
                self.executions.append((number, report))
                self.is_open = not self.is_open
            elif isinstance(report, CommissionReported):
                self.fees_usd.append(report.commission_usd)

    def _ref(self) -> OrderRef:
        self.orders += 1
        return OrderRef(f"rule/{self.orders}")
