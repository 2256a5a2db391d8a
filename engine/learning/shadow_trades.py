"""Trades that a template would have made: how one in quarantine can show that it is better now.

They come from the counterfactual outcomes, with slippage and fees, under the limits that a real
trade would have met: one at a time, a pause between entries, so many a day. Their score is what the
desk's would have been: by the odds under which the session was opened.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import polars as pl

from engine.decision import FIRST_TEMPLATE_STEP
from engine.ladder import Reason
from engine.odds import EarnedOdds
from engine.outcomes import ExitKind
from engine.own_view import ACTIVE, Standing
from engine.risk import RiskState, cooldown_ends_at
from engine.rules import Constitution, Rules, TemplateRules
from engine.units import Side

SHADOW_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "template": pl.String(),
    "side": pl.Int8(),
    "decided_at": pl.Datetime("us", "UTC"),
    "regime": pl.String(),
    "phase": pl.Int8(),
    "stop_ticks": pl.Int32(),
    "target_ticks": pl.Int32(),
    "exit_kind": pl.String(),
    "bars_held": pl.Int32(),
    "ticks_net": pl.Float64(),
    "net_r": pl.Float64(),
}
"""Columns of shadow trades; `net_r` is the result after costs in multiples of the stop."""

_BAR: Final = timedelta(minutes=1)


def shadow_trades(
    frame: pl.DataFrame, outcomes: pl.DataFrame, standings: Mapping[str, Standing], rules: Rules
) -> pl.DataFrame:
    """`SHADOW_COLUMNS` of every template over a market frame and the `outcomes` of its bars.

    An entry is a bar on which the desk would have let the template enter, had it been in full
    trust: of `standings`, under which these sessions were opened, only the odds count. One that
    could not be followed to its end is not counted. Sorted by template and instant.
    """
    kept: list[Mapping[str, Any]] = []
    for block in sorted(rules.strategies.templates, key=lambda block: block.id):
        entries = _entries(frame, block, standings.get(block.id, ACTIVE), rules).join(
            outcomes, on=["symbol", "session_date", "closes_at", "template", "side"]
        )
        rows = entries.filter(pl.col("exit_kind") != ExitKind.NO_DATA.value).sort("closes_at")
        kept += _one_at_a_time(rows.iter_rows(named=True), rules.constitution)
    shadows = pl.DataFrame(kept, schema_overrides={"closes_at": pl.Datetime("us", "UTC")})
    if shadows.is_empty():
        return pl.DataFrame(schema=SHADOW_COLUMNS)
    net_r = pl.col("ticks_net") / pl.col("stop_ticks")
    named = shadows.with_columns(net_r=net_r, decided_at=pl.col("closes_at"))
    return named.select(pl.col(name).cast(kind) for name, kind in SHADOW_COLUMNS.items())


def _entries(
    frame: pl.DataFrame, block: TemplateRules, standing: Standing, rules: Rules
) -> pl.DataFrame:
    name = block.id.lower()
    of_sides = [
        _by_prior(frame, name, side) if odds is None else _by_map(frame, name, odds, rules)
        for side in Side
        for odds in [standing.earned_on(side)]
    ]
    return pl.concat(of_sides).select(
        "symbol",
        "session_date",
        "closes_at",
        "regime",
        pl.col("session_phase").alias("phase"),
        template=pl.lit(block.id),
        side=pl.col(f"{name}_side"),
    )


def _by_prior(frame: pl.DataFrame, name: str, side: Side) -> pl.DataFrame:
    """Bars on which the market, whose score is the prior's, lets the template enter."""
    passes = pl.col("may_enter") & pl.col(f"{name}_reason").is_null()
    return frame.filter(passes & (pl.col(f"{name}_side") == int(side)))


def _by_map(frame: pl.DataFrame, name: str, odds: EarnedOdds, rules: Rules) -> pl.DataFrame:
    """Bars on which the market refuses nothing but the score at most, and the score by the map
    reaches theta.
    """
    is_open = pl.col("market_step") >= FIRST_TEMPLATE_STEP
    refused = pl.col(f"{name}_reason")
    is_scored = refused.is_null() | (refused == Reason.EDGE_SCORE_BELOW_THETA.value)
    rows = frame.filter(is_open & is_scored & (pl.col(f"{name}_side") == odds.side))
    law = rules.beliefs
    mapped = odds.belief_map.at(rows[f"{name}_belief"].to_numpy())
    p_win = pl.Series(mapped, dtype=pl.Float64).clip(law.p_win_min, law.p_win_max)
    reward = rows[f"{name}_target_ticks"] / rows[f"{name}_stop_ticks"]
    euc = rows[f"{name}_euc"] - (rows[f"{name}_p_win"] - p_win) * (reward + 1.0)
    return rows.filter(euc >= rows[f"{name}_theta"])


def _one_at_a_time(rows: Iterable[Mapping[str, Any]], law: Constitution) -> list[Mapping[str, Any]]:
    """Those a template could have made one after the other, as the desk counts its entries."""
    kept: list[Mapping[str, Any]] = []
    risk = RiskState(session_date=None)
    held_until: datetime | None = None
    for row in rows:
        at = row["closes_at"]
        risk = risk.new_session(row["session_date"])
        pauses_until = cooldown_ends_at(risk, law)
        waits = any(until is not None and at < until for until in (pauses_until, held_until))
        if waits or risk.trades_today >= law.trades_per_day_max:
            continue
        kept.append(row)
        risk = risk.entered(at)
        held_until = at + (row["bars_held"] + 1) * _BAR
    return kept
