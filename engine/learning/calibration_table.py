"""Calibrations as rows of the table `calibration`."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import orjson
import polars as pl

from engine.learning.calibration import Calibration
from engine.rules import Rules

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
