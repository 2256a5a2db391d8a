"""Calibrations as rows of the table `calibration`, and the odds that these rows allow."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

import orjson
import polars as pl

from engine.errors import InputRefused
from engine.learning.calibration import Calibration
from engine.odds import BeliefMap, EarnedOdds, Odds, PriorOdds
from engine.own_view import Standing
from engine.rules import Rules
from engine.units import Side

CALIBRATION_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "template": pl.String(),
    "side": pl.Int8(),
    "bin": pl.Int32(),
    "belief_from": pl.Float64(),
    "belief_until": pl.Float64(),
    "outcomes": pl.Int64(),
    "sessions": pl.Int32(),
    "p_win_mean": pl.Float64(),
    "win_rate": pl.Float64(),
    "win_rate_low": pl.Float64(),
    "win_rate_high": pl.Float64(),
    "brier": pl.Float64(),
    "brier_low": pl.Float64(),
    "brier_high": pl.Float64(),
    "brier_base": pl.Float64(),
    "calibration_error": pl.Float64(),
    "calibration_error_low": pl.Float64(),
    "calibration_error_high": pl.Float64(),
    "brier_map_ahead": pl.Float64(),
    "brier_base_ahead": pl.Float64(),
    "is_map_earned": pl.Boolean(),
    "map_json": pl.String(),
}
"""Columns of `calibration`. Key: symbol, session_date, template, side, bin.

Bin 0 is the template's side as a whole: it alone has scores and a map. The others are the rows of
its reliability table, by belief.
"""


def calibration_rows(
    calibrations: Sequence[Calibration], session_date: date, rules: Rules
) -> pl.DataFrame:
    """`CALIBRATION_COLUMNS` of what was known after a session."""
    key = {"symbol": rules.instrument.symbol, "session_date": session_date}
    rows: list[dict[str, Any]] = []
    for each in calibrations:
        of_side = {**key, "template": each.template, "side": each.side}
        rows.append({**of_side, **_whole(each)})
        bins = each.bins.with_row_index("bin", offset=1).to_dicts()
        rows += [{**of_side, **row} for row in bins]
    return pl.DataFrame(rows, schema=CALIBRATION_COLUMNS, orient="row")


def _whole(each: Calibration) -> dict[str, Any]:
    fitted = each.belief_map
    knots = None if fitted is None else {"beliefs": fitted.beliefs, "p_win": fitted.p_win}
    return {
        "bin": 0,
        "belief_from": 0.0,
        "belief_until": 1.0,
        "outcomes": each.outcomes,
        "sessions": each.sessions,
        "p_win_mean": each.p_win_mean,
        "win_rate": each.base_rate,
        "brier": each.brier.value,
        "brier_low": each.brier.low,
        "brier_high": each.brier.high,
        "brier_base": each.brier_base,
        "calibration_error": each.calibration_error.value,
        "calibration_error_low": each.calibration_error.low,
        "calibration_error_high": each.calibration_error.high,
        "brier_map_ahead": each.brier_map_ahead,
        "brier_base_ahead": each.brier_base_ahead,
        "is_map_earned": each.is_earned,
        "map_json": None if knots is None else orjson.dumps(knots).decode(),
    }


def with_odds(
    standings: Mapping[str, Standing], rows: pl.DataFrame, night: date, rules: Rules
) -> Mapping[str, Standing]:
    """Standings that also say what a night made of each side's odds.

    `rows` are the night's `CALIBRATION_COLUMNS`. A side whose map is missing, has not been earned
    or cannot be read keeps the prior, and says why.
    """
    wholes = {(row["template"], row["side"]): row for row in rows.filter(bin=0).to_dicts()}
    return {
        template: replace(
            standing,
            odds=tuple(_odds(wholes.get((template, side)), side, night, rules) for side in Side),
        )
        for template, standing in standings.items()
    }


def _odds(row: Mapping[str, Any] | None, side: Side, night: date, rules: Rules) -> Odds:
    law, number = rules.learning.calibration, int(side)

    def prior(why: str) -> Odds:
        return PriorOdds(side=number, through=night, why=why)

    if row is None:
        return prior("no outcome of it is known")
    needed = rules.beliefs.calibration_outcomes_min
    if row["map_json"] is None:
        return prior(
            f"{row['outcomes']} outcomes in {row['sessions']} sessions, of {needed} in "
            f"{law.sessions_min} asked for"
        )
    if not row["is_map_earned"]:
        return prior("its map is not surely better ahead than the share of wins")
    try:
        knots = orjson.loads(row["map_json"])
        fitted = BeliefMap(beliefs=tuple(knots["beliefs"]), p_win=tuple(knots["p_win"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, InputRefused) as error:
        return prior(f"its stored map cannot be read ({error})")
    why = (
        f"Brier score {row['brier_map_ahead']:.4f} ahead against {row['brier_base_ahead']:.4f}, "
        f"{row['outcomes']} outcomes in {row['sessions']} sessions"
    )
    return EarnedOdds(side=number, through=night, why=why, belief_map=fitted)
