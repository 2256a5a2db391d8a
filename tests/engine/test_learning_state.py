"""What a night leaves for the next session: a function of the night before and the session."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from replay_market import RULES

from contracts.schemas import columns_of, validate
from engine.errors import MissingContext
from engine.learning.learning_state import (
    LEARNING_COLUMNS,
    Night,
    next_learning,
    reliabilities,
    standings,
)
from engine.learning.reliability import Trust
from engine.learning.shadow_trades import SHADOW_COLUMNS

NOTHING = pl.DataFrame(schema=LEARNING_COLUMNS)
FIRST = date(2025, 1, 2)
TRADE: dict[str, Any] = {
    "template": pl.String(),
    "regime": pl.String(),
    "phase": pl.Int8(),
    "closed_at": pl.Datetime("us", "UTC"),
    "net_r": pl.Float64(),
    "entry_slippage_ticks": pl.Float64(),
}


def at(day: int, minute: int) -> datetime:
    return datetime(2025, 1, 2, 15, 0, tzinfo=UTC) + timedelta(days=day, minutes=minute)


def trades(day: int, *net_r: float, template: str = "K1") -> pl.DataFrame:
    rows = [
        (template, "range", 2 + number % 2, at(day, number), each, 0.5)
        for number, each in enumerate(net_r)
    ]
    return pl.DataFrame(rows, schema=TRADE, orient="row")


def shadows(day: int, *net_r: float, template: str = "K1") -> pl.DataFrame:
    rows = [
        {
            "symbol": "MES",
            "session_date": FIRST + timedelta(days=day),
            "template": template,
            "side": 1,
            "decided_at": at(day, number),
            "regime": "trend",
            "phase": 3,
            "stop_ticks": 10,
            "target_ticks": 20,
            "exit_kind": "target",
            "bars_held": 3,
            "ticks_net": 10 * each,
            "net_r": each,
        }
        for number, each in enumerate(net_r)
    ]
    return pl.DataFrame(rows, schema=SHADOW_COLUMNS, orient="row")


def night(before: pl.DataFrame, day: int, real: pl.DataFrame, shadow: pl.DataFrame) -> Night:
    return next_learning(before, real, shadow, FIRST + timedelta(days=day), RULES)


def own(state: pl.DataFrame, template: str = "K1") -> dict[str, Any]:
    return state.row(
        by_predicate=(pl.col("template") == template) & pl.col("trust").is_not_null(), named=True
    )


def test_the_first_night_has_a_row_of_every_template_even_without_a_trade() -> None:
    state = night(NOTHING, 0, trades(0), shadows(0)).state

    assert dict(state.schema) == LEARNING_COLUMNS == columns_of("learning_state")
    assert validate("learning_state", state).equals(state)
    assert state["template"].to_list() == ["K1", "K2", "K3", "K4"]
    assert set(state["trust"]) == {"active"}
    assert {each.modifier for each in standings(state, RULES).values()} == {1.0}


def test_two_losses_quarantine_from_the_next_session_on_with_the_numbers_that_caused_it() -> None:
    done = night(NOTHING, 0, trades(0, 1.5, -1.1, -1.0), shadows(0, 2.0))

    row = own(done.state)
    assert row["trust"] == "quarantined"
    assert row["trigger"] == "losses_in_a_row"
    assert (row["results"], row["shadow_results"], row["wins"]) == (3, 0, 1)
    assert row["win_rate"] == pytest.approx(1 / 3)
    assert row["expectancy_r"] == pytest.approx(-0.2)
    assert row["profit_factor"] == pytest.approx(1.5 / 2.1)
    assert row["streak"] == -2
    assert row["drawdown_r"] == pytest.approx(2.1)
    assert row["win_rate_low"] == pytest.approx(0.0615, abs=1e-4)
    assert row["win_rate_high"] == pytest.approx(0.7923, abs=1e-4)
    assert row["change"] == done.changes[0].text
    assert standings(done.state, RULES)["K1"].is_quarantined
    assert not standings(done.state, RULES)["K2"].is_quarantined


def test_shadow_trades_bring_a_quarantined_template_back_and_teach_no_other() -> None:
    first = night(NOTHING, 0, trades(0, 3.0, -1.1, -1.0), shadows(0))

    second = night(first.state, 1, trades(1), shadows(1, 1.8, 1.9))
    other = night(NOTHING, 0, trades(0), shadows(0, -1.0, -1.0, -1.0))

    assert own(second.state)["trust"] == "probation"
    assert own(second.state)["shadow_results"] == 2
    assert [change.after for change in second.changes] == [Trust.PROBATION]
    assert own(other.state)["results"] == 0


def test_shadow_trades_of_the_session_that_quarantined_do_not_count() -> None:
    done = night(NOTHING, 0, trades(0, -1.0, -1.0), shadows(0, 2.0, 2.0))

    assert own(done.state)["trust"] == "quarantined"
    assert own(done.state)["shadow_results"] == 0


def test_cells_say_where_results_came_from() -> None:
    state = night(NOTHING, 0, trades(0, 1.0, -1.0, 2.0), shadows(0)).state

    assert validate("learning_state", state).equals(state)
    cells = state.filter(pl.col("regime").is_not_null()).select(
        "template", "regime", "phase", "results", "wins", "trust"
    )
    assert cells.rows() == [("K1", "range", 2, 2, 2, None), ("K1", "range", 3, 1, 0, None)]


def test_nights_in_a_row_remember_and_forget_the_oldest() -> None:
    state = NOTHING
    for day in range(15):
        state = night(state, day, trades(day, 1.0, 0.5), shadows(day)).state

    assert own(state)["results"] == RULES.learning.reliability.window
    assert own(state)["streak"] == 20
    cells = state.filter(pl.col("phase") == 2)
    assert cells["results"].to_list() == [15]


def test_a_night_done_again_changes_nothing_and_a_corrected_trade_changes_the_nights_after() -> (
    None
):
    first = night(NOTHING, 0, trades(0, -1.0), shadows(0)).state
    second = night(first, 1, trades(1, -1.0), shadows(1)).state

    again = night(first, 1, trades(1, -1.0), shadows(1)).state
    corrected = night(NOTHING, 0, trades(0, 0.4), shadows(0)).state
    after = night(corrected, 1, trades(1, -1.0), shadows(1)).state

    assert again.equals(second)
    assert own(second)["trust"] == "quarantined"
    assert own(after)["trust"] == "active"


def test_a_trade_nobody_decided_on_teaches_nothing() -> None:
    foreign = trades(0, -1.0, -1.0).with_columns(template=pl.lit(None, pl.String))

    state = night(NOTHING, 0, foreign, shadows(0)).state

    assert state["results"].sum() == 0


def test_a_state_without_a_template_is_refused() -> None:
    state = night(NOTHING, 0, trades(0), shadows(0)).state

    with pytest.raises(MissingContext, match="expected a row of template K3"):
        standings(state.filter(pl.col("template") != "K3"), RULES)


def test_what_was_stored_is_what_is_read() -> None:
    state = night(NOTHING, 0, trades(0, 1.0, -1.0), shadows(0)).state

    (first, *_) = reliabilities(state)

    assert [result.net_r for result in first.window] == [1.0, -1.0]
    assert [result.slippage_ticks for result in first.window] == [0.5, 0.5]
    assert first.window[0].session_date == FIRST


def test_a_night_of_before_whose_results_still_have_a_weight_can_be_built_upon() -> None:
    old = night(NOTHING, 0, trades(0, 2.0, -1.0), shadows(0)).state.with_columns(
        pl.col("results_json").str.replace_all('"net_r"', '"weight":0.1,"net_r"')
    )

    row = own(night(old, 1, trades(1, -1.0, 2.0), shadows(1)).state)

    assert '"weight"' in own(old)["results_json"]
    assert row["win_rate"] == pytest.approx(1 / 2)
    assert row["expectancy_r"] == pytest.approx(1 / 2)
