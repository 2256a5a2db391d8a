"""Calibrations as they are stored: every number of them, and whether a map was earned."""

import json
from collections.abc import Callable
from datetime import date

import polars as pl
import pytest
from replay_market import RULES
from test_calibration import calibrated, flat, forecasts, rising

from contracts.schemas import columns_of, validate
from engine.learning.calibration_table import CALIBRATION_COLUMNS, calibration_rows, with_odds
from engine.odds import EarnedOdds, Floats, Odds, PriorOdds
from engine.own_view import Standing

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


def odds_after(rows: pl.DataFrame) -> dict[tuple[str, int], Odds]:
    told = with_odds({"K1": Standing(modifier=1.2), "K2": Standing()}, rows, NIGHT, RULES)
    assert told["K1"].modifier == 1.2
    return {(name, each.side): each for name, known in told.items() for each in known.odds}


def stored(outcome: Callable[[Floats], Floats], **changes: object) -> pl.DataFrame:
    """The rows of K1 long after 120 sessions, with columns changed by hand."""
    rows = calibration_rows([calibrated(forecasts(1, outcome, sessions=120))], NIGHT, RULES)
    return rows.with_columns(**{name: pl.lit(value) for name, value in changes.items()})


def test_an_earned_map_reaches_the_standing_of_its_side_alone() -> None:
    found = calibrated(forecasts(1, rising, sessions=120))

    odds = odds_after(stored(rising))

    earned = odds["K1", 1]
    assert isinstance(earned, EarnedOdds)
    assert earned.belief_map == found.belief_map
    assert earned.source == "map of 2025-06-02"
    assert f"{found.outcomes} outcomes in 120 sessions" in earned.why
    others = [each for key, each in odds.items() if key != ("K1", 1)]
    assert {each.why for each in others} == {"no outcome of it is known"}
    assert all(isinstance(each, PriorOdds) for each in others)


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        (stored(flat), "its map is not surely better ahead than the share of wins"),
        (stored(rising, is_map_earned=False), "its map is not surely better ahead"),
        (stored(rising, map_json=None), "of 200 in 20 asked for"),
        (stored(rising, map_json="{"), "its stored map cannot be read"),
        (stored(rising, map_json='{"beliefs":[0.4,0.2],"p_win":[0.1,0.2]}'), "cannot be read"),
        (stored(rising, map_json='{"beliefs":[0.4],"p_win":["x"]}'), "cannot be read"),
        (stored(rising, map_json="[]"), "cannot be read"),
        (stored(rising).clear(), "no outcome of it is known"),
    ],
)
def test_a_map_that_is_missing_unearned_or_damaged_leaves_the_prior_and_says_why(
    spoiled: pl.DataFrame, why: str
) -> None:
    odds = odds_after(spoiled)["K1", 1]

    assert isinstance(odds, PriorOdds)
    assert why in odds.why
