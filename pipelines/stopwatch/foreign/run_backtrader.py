"""The rule in backtrader: a market order with a stop and a limit that cancel each other.

Its own brackets wake one bar late, so that the three orders are sent at once instead.
"""

from datetime import UTC, datetime
from typing import Any

import backtrader as bt
from given import Answer, Bars, Watch, read_given, write_answer

CASH_USD = 10_000_000


class Columns(bt.feed.DataBase):
    """Bars from lists in memory."""

    def __init__(self, bars: Bars) -> None:
        super().__init__()
        self.bars = bars
        self.times = [
            bt.date2num(datetime.fromtimestamp(ns / 1e9, UTC)) for ns in bars.closes_at_ns
        ]
        self.place = 0

    def start(self) -> None:
        super().start()
        self.place = 0

    def _load(self) -> bool:
        at = self.place
        if at >= len(self.bars):
            return False
        self.lines.datetime[0] = self.times[at]
        self.lines.open[0] = self.bars.open[at]
        self.lines.high[0] = self.bars.high[at]
        self.lines.low[0] = self.bars.low[at]
        self.lines.close[0] = self.bars.close[at]
        self.lines.volume[0] = self.bars.volume[at]
        self.lines.openinterest[0] = 0
        self.place = at + 1
        return True


class ChannelBreakout(bt.Strategy):
    """The rule, with the trades it made in `answer`."""

    params = (("bars", None), ("rule", None), ("answer", None))

    def __init__(self) -> None:
        self.upper = bt.ind.Highest(self.data.high(-1), period=self.p.rule.channel_bars)
        self.lower = bt.ind.Lowest(self.data.low(-1), period=self.p.rule.channel_bars)
        self.was_flat = True
        self.legs: list[Any] = []
        self.opened: tuple[int, float, int, float] | None = None

    def next(self) -> None:
        rule, bars = self.p.rule, self.p.bars
        bar = len(self) - 1
        was_flat, self.was_flat = self.was_flat, not self.position.size
        if self.position.size:
            if bars.minutes_left[bar] == rule.flat_minutes:
                self.cancel(self.legs[0])
                self.close().addinfo(bar=bar)
        elif was_flat and rule.may_enter(bars.minute[bar], bars.minutes_left[bar]):
            close = self.data.close[0]
            if close > self.upper[0]:
                self.enter(self.buy, self.sell, close, 1)
            elif close < self.lower[0]:
                self.enter(self.sell, self.buy, close, -1)

    def enter(self, opens: Any, closes: Any, close: float, side: int) -> None:
        """Send the entry and, behind it, its stop and target."""
        rule = self.p.rule
        opens().addinfo(bar=len(self) - 1)
        stop = closes(exectype=bt.Order.Stop, price=close - side * rule.stop_points)
        target = closes(exectype=bt.Order.Limit, price=close + side * rule.target_points, oco=stop)
        self.legs = [stop, target]
        self.was_flat = False

    def notify_order(self, order: Any) -> None:
        if order.status != order.Completed:
            return
        is_market = order.exectype == bt.Order.Market
        bar = order.info["bar"] if is_market and self.p.rule.fills_at_close else len(self) - 1
        done = (bar, order.executed.price)
        if self.opened is None:
            self.opened = (*done, 1 if order.isbuy() else -1, order.executed.comm)
        else:
            entered, price, side, fee = self.opened
            self.p.answer.trade(side, (entered, price), done, fee + order.executed.comm)
            self.opened = None


def main() -> None:
    watch = Watch()
    bars, rule = read_given()
    answer = Answer(version=bt.__version__)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(Columns(bars))
    cerebro.broker.setcash(CASH_USD)
    cerebro.broker.set_coc(rule.fills_at_close)
    cerebro.broker.setcommission(
        commission=rule.fee_usd, mult=rule.point_usd, margin=1.0, stocklike=False
    )
    cerebro.addstrategy(ChannelBreakout, bars=bars, rule=rule, answer=answer)
    answer.setup_seconds = watch.lap()
    cerebro.run()
    answer.run_seconds, answer.cpu_seconds = watch.lap(), watch.cpu_seconds
    write_answer(answer)


if __name__ == "__main__":
    main()
