"""What a sweep came to as rows of the table `sweep`, and which set did best of so many."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from contracts.schemas import columns_of
from engine.learning.evolution import (
    Proposal,
    best_proposal,
    deflated_sharpe,
    sharpe,
    sharpe_of_luck,
)
from engine.rules import Rules
from pipelines.sweep import Cents, SetResult, Sweep


def sweep_rows(swept: Sweep, rules: Rules, *, seed: int, source: str) -> pl.DataFrame:
    """One row a set, in the schema's columns; `source` is that of the bars."""
    today = _in_r(swept.sets[0].net_cents, rules)
    gains = [_in_r(each.net_cents, rules) - today for each in swept.sets]
    is_long_enough = today.size > 1
    sharpes = np.array([sharpe(gain) if is_long_enough else 0.0 for gain in gains])
    luck = sharpe_of_luck(sharpes[[bool(gain.any()) for gain in gains]])
    agreed = {each.number for each in swept.checked if each.difference is None}
    rows = [
        {
            **_plain(each),
            "gain_r": float(gain.mean()),
            "sharpe": float(ratio),
            "deflated_sharpe": deflated_sharpe(gain, luck) if is_long_enough else 0.0,
            "is_checked": each.chosen.number in agreed,
        }
        for each, gain, ratio in zip(swept.sets, gains, sharpes, strict=True)
    ]
    dates = swept.session_dates
    every = {
        "symbol": rules.instrument.symbol,
        "session_date": dates[-1],
        "source": source,
        "first_session_date": dates[0],
        "sessions": len(dates),
        "seed": seed,
    }
    return pl.DataFrame([{**every, **row} for row in rows], schema=columns_of("sweep"))


def best_of(swept: Sweep, rules: Rules) -> Proposal | None:
    """The best set by the same judge as the weekly proposals; null where none gains anything."""
    tried = {str(each.chosen.number): _in_r(each.net_cents, rules) for each in swept.sets[1:]}
    today = _in_r(swept.sets[0].net_cents, rules)
    return best_proposal(today, tried, rules.learning.evolution)


def _plain(result: SetResult) -> Mapping[str, Any]:
    chosen = result.chosen
    changes = {f"{each.file}.{each.key}": each.after for each in chosen.changes}
    return {
        "number": chosen.number,
        "changes_json": json.dumps(changes),
        "trades": result.trades,
        "wins": result.wins,
        "unfilled": result.unfilled,
        "net_usd": _usd(result.net_cents.sum()),
        "drawdown_usd": _usd(_drawdown(result.net_cents)),
        "is_replayed": result.why_replayed is not None,
    }


def _drawdown(net_cents: Cents) -> int:
    account = np.concatenate([[0], net_cents.cumsum()])
    return int((np.maximum.accumulate(account) - account).max())


def _usd(cents: int) -> Decimal:
    return Decimal(int(cents)).scaleb(-2)


def _in_r(net_cents: Cents, rules: Rules) -> np.ndarray[Any, np.dtype[np.float64]]:
    return net_cents / float(100 * rules.constitution.loss_usd_per_trade_max)
