"""Forecasts and shadow trades: read off the market's columns and the counterfactual outcomes."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise

import polars as pl
import pytest
from decision_cases import CLEAR
from replay_market import RULES, market

from engine.decision import FIRST_TEMPLATE_STEP
from engine.learning.calibration import FORECAST_COLUMNS
from engine.learning.forecasts import forecasts
from engine.learning.shadow_trades import SHADOW_COLUMNS, _entries, shadow_trades
from engine.market import market_frame, market_rows
from engine.odds import BeliefMap, EarnedOdds
from engine.outcomes import outcomes
from engine.own_scores import score_setup
from engine.own_view import ACTIVE, Standing, own_view
from engine.rules import TemplateRules


@cache
def night() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A market frame of thirty generated sessions, and its outcomes."""
    played = market(30)
    frame = market_frame(played.contexts, played.bars, RULES)
    return frame, outcomes(frame, RULES)


def test_a_forecast_says_the_belief_of_its_bar_and_whether_the_target_was_reached() -> None:
    frame, ended = night()

    rows = forecasts(frame, ended, RULES)

    assert dict(rows.schema) == FORECAST_COLUMNS
    believed = frame.filter(pl.col("f4_short_effective") > 0).select("closes_at")
    won = ended.filter(pl.col("exit_kind") == "target", template="K4", side=-1)
    one = won.join(believed, on="closes_at").row(0, named=True)
    bar = frame.filter(pl.col("closes_at") == one["closes_at"]).row(0, named=True)
    belief = bar["f4_short_effective"]
    p_win = one["stop_ticks"] / (one["stop_ticks"] + one["target_ticks"]) + 0.5 * (belief - 0.35)
    expected = {"template": "K4", "side": -1, "belief": belief, "is_win": True}
    found = rows.filter(pl.col("belief") == belief, template="K4", side=-1)
    assert found.drop("session_date", "p_win").row(0, named=True) == expected
    assert abs(found["p_win"][0] - min(max(p_win, 0.02), 0.90)) < 1e-12


def test_what_is_not_over_not_believed_or_has_no_stop_of_its_own_is_no_forecast() -> None:
    frame, ended = night()

    rows = forecasts(frame, ended, RULES)

    k2 = rows.filter(template="K2")
    own_stops = ended.filter(~pl.col("is_fallback_stop"), template="K2").height
    assert 0 < k2.height <= own_stops
    assert (rows["belief"] > 0).all()
    assert rows.height < ended.height


def test_only_the_target_counts_as_a_win() -> None:
    frame, ended = night()
    timed_out = ended.filter(
        (pl.col("exit_kind") == "time") & (pl.col("ticks_net") > 0), template="K1"
    )

    rows = forecasts(frame, timed_out, RULES)

    assert rows.height > 0
    assert not rows["is_win"].any()


def test_a_shadow_trade_is_an_entry_the_market_would_have_allowed_with_its_outcome() -> None:
    frame, ended = night()

    trades = shadow_trades(frame, ended, {}, RULES)

    assert dict(trades.schema) == SHADOW_COLUMNS
    assert trades.height > 10
    for trade in trades.iter_rows(named=True):
        name = trade["template"].lower()
        bar = frame.row(by_predicate=pl.col("closes_at") == trade["decided_at"], named=True)
        assert bar["may_enter"]
        assert bar[f"{name}_reason"] is None
        assert bar[f"{name}_side"] == trade["side"]
        outcome = ended.row(
            by_predicate=(pl.col("closes_at") == trade["decided_at"])
            & (pl.col("template") == trade["template"])
            & (pl.col("side") == trade["side"]),
            named=True,
        )
        assert trade["net_r"] == outcome["ticks_net"] / outcome["stop_ticks"]


def test_shadow_trades_keep_as_far_apart_as_the_desk_keeps_its_entries() -> None:
    frame, ended = night()
    law = RULES.constitution

    trades = shadow_trades(frame, ended, {}, RULES)

    own = pl.col("decided_at").diff().over("template", "session_date")
    apart = trades.sort("template", "decided_at").select(own).drop_nulls().to_series().to_list()
    an_hour = timedelta(hours=1) / law.entries_per_hour_max
    assert len(apart) > 0
    assert min(apart) >= max(an_hour, timedelta(minutes=law.minutes_between_entries_min))


BOLD = BeliefMap(beliefs=(0.5,), p_win=(0.75,))
SHY = BeliefMap(beliefs=(0.5, 0.9), p_win=(0.2, 0.5))


@pytest.mark.parametrize("belief_map", [BOLD, SHY])
@pytest.mark.parametrize("sides", [(-1,), (-1, 1)])
def test_shadow_trades_are_scored_as_the_desk_scores_by_the_odds_of_the_session(
    belief_map: BeliefMap, sides: tuple[int, ...]
) -> None:
    frame, ended = night()
    odds = tuple(
        EarnedOdds(side=side, through=date(2023, 12, 29), why="by hand", belief_map=belief_map)
        for side in sides
    )
    standings = dict.fromkeys(("K1", "K2", "K3", "K4"), Standing(odds=odds))
    plain, taught = (
        {(block.id, at) for block in BLOCKS for at in _allowed(frame, block, known)}
        for known in ({}, standings)
    )

    trades = shadow_trades(frame, ended, standings, RULES)

    assert taught == _scored_by_the_desk(frame, standings)
    assert plain == _scored_by_the_desk(frame, {})
    assert taught != plain
    assert {*trades.select("template", "decided_at").iter_rows()} <= taught


BLOCKS = RULES.strategies.templates


def _allowed(
    frame: pl.DataFrame, block: TemplateRules, standings: Mapping[str, Standing]
) -> list[datetime]:
    standing = standings.get(block.id, ACTIVE)
    return list(_entries(frame, block, standing, RULES)["closes_at"])


def _scored_by_the_desk(
    frame: pl.DataFrame, standings: Mapping[str, Standing]
) -> set[tuple[str, datetime]]:
    """Every setup to which the desk itself, flat and rich, would say yes."""
    rich = replace(CLEAR, standings=standings, equity_usd=Decimal(1_000_000))
    own = own_view(rich, RULES)
    return {
        (setup.template, row.closes_at)
        for row in market_rows(frame)
        if row.market_step >= FIRST_TEMPLATE_STEP
        for setup in row.setups
        if score_setup(setup, row, own, RULES).reason is None
    }


def test_quarantine_and_friction_do_not_keep_a_template_from_its_shadow_trades() -> None:
    frame, ended = night()
    shut = dict.fromkeys(("K1", "K2", "K3", "K4"), Standing(modifier=1.5, is_quarantined=True))

    trades = shadow_trades(frame, ended, shut, RULES)

    assert trades.equals(shadow_trades(frame, ended, {}, RULES))


def test_a_template_makes_one_shadow_trade_at_a_time_with_a_pause_and_a_daily_limit() -> None:
    frame, ended = night()
    law = RULES.constitution

    trades = shadow_trades(frame, ended, {}, RULES)

    for _, own in trades.group_by("template", maintain_order=True):
        rows = own.rows(named=True)
        for before, after in pairwise(rows):
            gap = after["decided_at"] - before["decided_at"]
            assert gap >= timedelta(minutes=law.minutes_between_entries_min)
            assert gap > timedelta(minutes=before["bars_held"])
        a_day = own.group_by("session_date").len()["len"]
        assert int(a_day.max() or 0) <= law.trades_per_day_max  # type: ignore[call-overload]
    assert _would_break_the_limits(frame)


def _would_break_the_limits(frame: pl.DataFrame) -> bool:
    """Whether there are more allowed bars in a day than a template may trade."""
    allowed = frame.filter(pl.col("may_enter") & (pl.col("k1_side") != 0))
    most = allowed.group_by("session_date").len()["len"].max()
    return isinstance(most, int) and most > RULES.constitution.trades_per_day_max


def test_a_market_without_an_entry_has_no_shadow_trades() -> None:
    frame, ended = night()

    trades = shadow_trades(frame.head(20), ended, {}, RULES)

    assert trades.is_empty()
    assert dict(trades.schema) == SHADOW_COLUMNS
