"""Calibrations as they are stored: every number of them, and whether a map was earned."""

import json
from datetime import date

import polars as pl
from replay_market import RULES
from test_calibration import calibrated, flat, forecasts, rising

from contracts.schemas import columns_of, validate
from engine.learning.calibration_table import CALIBRATION_COLUMNS, calibration_rows

NIGHT = date(2025, 6, 2)


def test_an_earned_map_is_stored_with_its_knots() -> None:
    found = calibrated(forecasts(1, rising, sessions=120))

    rows = calibration_rows([found], NIGHT, RULES)

    whole = rows.row(by_predicate=pl.col("bin") == 0, named=True)
    assert validate("calibration", rows).equals(rows)
    assert found.belief_map is not None
    assert whole["is_map_earned"]
    assert json.loads(whole["map_json"]) == {
        "beliefs": list(found.belief_map.beliefs),
        "p_win": list(found.belief_map.p_win),
    }


def test_a_map_that_was_not_earned_is_kept_and_marked_so() -> None:
    found = calibrated(forecasts(1, flat, sessions=120))

    whole = calibration_rows([found], NIGHT, RULES).row(by_predicate=pl.col("bin") == 0, named=True)

    assert whole["map_json"] is not None
    assert not whole["is_map_earned"]


def test_the_bins_are_the_reliability_table() -> None:
    found = calibrated(forecasts(1, rising, sessions=30))

    rows = calibration_rows([found], NIGHT, RULES)

    assert rows.filter(bin=0)["outcomes"][0] == rows.filter(rows["bin"] > 0)["outcomes"].sum()
    assert rows.height == 1 + found.bins.height
    assert rows["brier"].drop_nulls().len() == 1


def test_the_columns_are_those_of_the_schema() -> None:
    assert columns_of("calibration") == CALIBRATION_COLUMNS
