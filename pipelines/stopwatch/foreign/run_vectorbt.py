"""The rule in vectorbt: signals as columns, stop and target as shares of the entry's price.

At this close only: at the next open a column of signals cannot know that a trade ended inside the
bar before, and its stops do not look at the bar of the entry.
"""

from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt
from given import Answer, Rule, Watch, read_given, write_answer
from vectorbt.portfolio.enums import OppositeEntryMode, StopEntryPrice

CASH_USD = 10_000_000
WARM_UP_BARS = 1_000


def simulate(frame: pd.DataFrame, rule: Rule) -> Any:
    """The records of the orders of one run."""
    close = frame["close"]
    minute, left = frame["minute"], frame["minutes_left"]
    upper = frame["high"].rolling(rule.channel_bars).max().shift(1)
    lower = frame["low"].rolling(rule.channel_bars).min().shift(1)
    may_enter = (minute >= rule.channel_bars) & (left > rule.flat_minutes)
    buys, sells = may_enter & (close > upper), may_enter & (close < lower)
    flat = left == rule.flat_minutes
    level = close.to_numpy()
    portfolio = vbt.Portfolio.from_signals(
        close,
        entries=buys,
        exits=flat,
        short_entries=sells,
        short_exits=flat,
        open=frame["open"],
        high=frame["high"],
        low=frame["low"],
        size=rule.point_usd,
        fixed_fees=rule.fee_usd,
        init_cash=CASH_USD,
        sl_stop=np.where(sells, _above(level, rule.stop_points), _below(level, rule.stop_points)),
        tp_stop=np.where(
            sells, _below(level, rule.target_points), _above(level, rule.target_points)
        ),
        stop_entry_price=StopEntryPrice.FillPrice,
        upon_opposite_entry=OppositeEntryMode.Ignore,
        freq="1min",
    )
    return portfolio.orders.records


def _below(level: Any, points: float) -> Any:
    """The share that lies these points below, rounded so that a price at the level reaches it."""
    wanted = level - points
    factor = wanted / level
    factor = np.where(level * factor < wanted, np.nextafter(factor, np.inf), factor)
    return 1 - factor


def _above(level: Any, points: float) -> Any:
    """The share that lies these points above, rounded so that a price at the level reaches it."""
    wanted = level + points
    share = wanted / level - 1
    return np.where(level * (1 + share) > wanted, share - np.finfo(float).eps, share)


def main() -> None:
    watch = Watch()
    bars, rule = read_given()
    columns = ("open", "high", "low", "close", "minute", "minutes_left")
    frame = pd.DataFrame(
        {name: getattr(bars, name) for name in columns},
        index=pd.to_datetime(bars.closes_at_ns, utc=True),
    )
    answer = Answer(version=vbt.__version__, setup_seconds=watch.lap())
    simulate(frame.head(WARM_UP_BARS), rule)
    answer.warm_up_seconds = watch.lap()
    orders = simulate(frame, rule)
    answer.run_seconds, answer.cpu_seconds = watch.lap(), watch.cpu_seconds
    rows = zip(*(orders[name].tolist() for name in ("idx", "price", "side", "fees")), strict=True)
    for entry in rows:
        closing = next(rows)
        answer.trade(1 if entry[2] == 0 else -1, entry[:2], closing[:2], entry[3] + closing[3])
    write_answer(answer)


if __name__ == "__main__":
    main()
