"""The rule in backtesting.py: orders with `sl` and `tp`, fills at this close or the next open."""

from typing import Any

import backtesting
import pandas as pd
from backtesting import Backtest, Strategy
from given import Answer, Bars, Rule, Watch, read_given, write_answer

CASH_USD = 10_000_000


def strategy_of(bars: Bars, rule: Rule) -> type[Strategy]:
    """A strategy class, because this engine makes its strategies itself."""
    minute, left = bars.minute, bars.minutes_left
    stop, target, size = rule.stop_points, rule.target_points, rule.point_usd

    class ChannelBreakout(Strategy):
        def init(self) -> None:
            self.upper = self.I(_highest, self.data.High, rule.channel_bars)
            self.lower = self.I(_lowest, self.data.Low, rule.channel_bars)
            self.was_flat = True

        def next(self) -> None:
            bar = len(self.data) - 1
            was_flat, self.was_flat = self.was_flat, not self.position
            if self.position:
                if left[bar] == rule.flat_minutes:
                    self.flatten()
            elif was_flat and rule.may_enter(minute[bar], left[bar]):
                close = self.data.Close[-1]
                if close > self.upper[-1]:
                    self.buy(size=size, sl=close - stop, tp=close + target)
                    self.was_flat = False
                elif close < self.lower[-1]:
                    self.sell(size=size, sl=close + stop, tp=close - target)
                    self.was_flat = False

        def flatten(self) -> None:
            """Close at market; an opposite order, for `close` knows only the next open."""
            trade = self.trades[0]
            trade.sl = trade.tp = None
            (self.sell if trade.is_long else self.buy)(size=size)

    return ChannelBreakout


def _highest(high: Any, bars: int) -> Any:
    return pd.Series(high).rolling(bars).max().shift(1)


def _lowest(low: Any, bars: int) -> Any:
    return pd.Series(low).rolling(bars).min().shift(1)


def main() -> None:
    watch = Watch()
    bars, rule = read_given()
    frame = pd.DataFrame(
        {
            "Open": bars.open,
            "High": bars.high,
            "Low": bars.low,
            "Close": bars.close,
            "Volume": bars.volume,
        },
        index=pd.to_datetime(bars.closes_at_ns, utc=True),
    )
    backtest = Backtest(
        frame,
        strategy_of(bars, rule),
        cash=CASH_USD,
        commission=(rule.fee_usd, 0.0),
        trade_on_close=rule.fills_at_close,
    )
    answer = Answer(version=backtesting.__version__, setup_seconds=watch.lap())
    trades = backtest.run()["_trades"]
    answer.run_seconds, answer.cpu_seconds = watch.lap(), watch.cpu_seconds
    for row in trades.itertuples():
        answer.trade(
            1 if row.Size > 0 else -1,
            (int(row.EntryBar), float(row.EntryPrice)),
            (int(row.ExitBar), float(row.ExitPrice)),
            float(row.Commission),
        )
    write_answer(answer)


if __name__ == "__main__":
    main()
