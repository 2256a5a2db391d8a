"""Calibrations as they are stored: what was earned is read back, what was not is not used."""

from datetime import date

import numpy as np
from replay_market import RULES
from test_calibration import calibrated, flat, forecasts, rising

from contracts.schemas import columns_of, validate
from engine.learning.calibration_table import (
    CALIBRATION_COLUMNS,
    calibration_rows,
    earned_maps,
)
from engine.units import Side

NIGHT = date(2025, 6, 2)


def test_an_earned_map_is_read_back_as_it_was() -> None:
    found = calibrated(forecasts(1, rising, sessions=120))

    rows = calibration_rows([found], NIGHT, RULES)

    assert validate("calibration", rows).equals(rows)
    assert earned_maps(rows) == {("K1", Side.LONG): found.belief_map}
    beliefs = np.array([0.3, 0.5])
    assert (np.diff(earned_maps(rows)["K1", Side.LONG].at(beliefs)) > 0).all()


def test_a_map_that_was_not_earned_is_kept_and_not_used() -> None:
    found = calibrated(forecasts(1, flat, sessions=120))

    rows = calibration_rows([found], NIGHT, RULES)

    assert rows.filter(bin=0)["map_json"][0] is not None
    assert earned_maps(rows) == {}


def test_the_bins_are_the_reliability_table() -> None:
    found = calibrated(forecasts(1, rising, sessions=30))

    rows = calibration_rows([found], NIGHT, RULES)

    assert rows.filter(bin=0)["outcomes"][0] == rows.filter(rows["bin"] > 0)["outcomes"].sum()
    assert rows.height == 1 + found.bins.height
    assert rows["brier"].drop_nulls().len() == 1


def test_the_columns_are_those_of_the_schema() -> None:
    assert columns_of("calibration") == CALIBRATION_COLUMNS
