"""What a refusal saved or cost is read off the outcomes of the setups it refused."""

from functools import cache

import polars as pl
import pytest
from replay_market import RULES, market

from engine.learning.vetoes import VETO_COLUMNS, vetoes
from engine.market import market_frame
from engine.outcomes import outcomes


@cache
def night() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A market frame of twenty generated sessions, and its outcomes."""
    played = market(20)
    frame = market_frame(played.contexts, played.bars, RULES)
    return frame, outcomes(frame, RULES)


def skipped(frame: pl.DataFrame) -> pl.DataFrame:
    """A decision to skip every bar, for the market's own reason or, without one, a person's."""
    reason = pl.coalesce("k1_reason", pl.lit("HALTED"))
    return frame.select("closes_at", action=pl.lit("SKIP"), reason=reason)


def test_a_refused_setup_is_counted_once_with_what_it_would_have_come_to() -> None:
    frame, ended = night()
    session = frame["session_date"].unique().sort()[5]
    day = frame.filter(pl.col("session_date") == session)

    rows = vetoes(day, ended, skipped(day), RULES).filter(template="K1")

    assert dict(rows.schema) == VETO_COLUMNS
    firsts, before = [], 0
    for bar in day.iter_rows(named=True):
        if bar["k1_side"] != 0 and bar["k1_side"] != before:
            firsts.append((bar["closes_at"], bar["k1_side"]))
        before = bar["k1_side"]
    followed = [
        outcome
        for at, side in firsts
        for outcome in ended.filter(template="K1", side=side, closes_at=at).to_dicts()
        if outcome["exit_kind"] != "no_data"
    ]
    assert firsts
    assert rows["setups"].sum() == len(followed)
    assert rows["wins"].sum() == sum(outcome["ticks_net"] > 0 for outcome in followed)
    assert rows["net_r"].sum() == pytest.approx(
        sum(outcome["ticks_net"] / outcome["stop_ticks"] for outcome in followed)
    )


def test_a_bar_on_which_the_desk_entered_is_no_veto() -> None:
    frame, ended = night()
    decisions = skipped(frame)
    entered = decisions.with_columns(action=pl.lit("ENTER"))

    assert vetoes(frame, ended, decisions, RULES).height > 0
    assert vetoes(frame, ended, entered, RULES).is_empty()


def test_the_reason_is_the_one_the_desk_gave() -> None:
    frame, ended = night()
    killed = skipped(frame).with_columns(reason=pl.lit("KILL_SWITCH_ACTIVE"))

    rows = vetoes(frame, ended, killed, RULES)

    assert rows["reason"].unique().to_list() == ["KILL_SWITCH_ACTIVE"]
    assert rows["setups"].sum() == vetoes(frame, ended, skipped(frame), RULES)["setups"].sum()
