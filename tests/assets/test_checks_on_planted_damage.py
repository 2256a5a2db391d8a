"""Every blocking check passes on a sound home and fails on the damage that it is there for."""

from collections.abc import Callable

import dagster as dg
import duckdb
import polars as pl
import pytest
from lineage import LAST_DAY, Lineage, tamper

DAY = "2024-07-09"
KNOWN_CHECKS = {
    *("bars_schema", "bars_complete", "rejected_bars_schema"),
    *("context_schema", "context_knows_only_the_past", "preopen_review"),
    *("quality_schema", "dvs"),
    *("signals_schema", "signals_equal_recomputed", "signals_are_causal"),
    *("beliefs_schema", "beliefs_equal_recomputed", "beliefs_are_causal"),
    *("candidates_schema", "candidates_equal_recomputed", "candidates_are_causal"),
    *("outcomes_schema", "outcomes_equal_recomputed"),
    *("decisions_schema", "decisions_equal_journal", "journal_chain", "live_equals_batch"),
    *("executions_schema", "ledger_equals_cash"),
    *("trades_schema", "trades_equal_broker_cash", "profit_is_decomposed"),
    *("attribution_schema", "calibration_schema"),
    *("learning_state_schema", "learning_follows_from_the_night_before"),
}


def failed(evaluation: dg.AssetCheckEvaluation) -> str:
    assert not evaluation.passed
    assert evaluation.blocking
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    return evaluation.description or ""


def in_warehouse(lineage: Lineage, statement: str) -> None:
    with duckdb.connect(str(lineage.wiring.home.warehouse)) as connection:
        connection.execute(statement)


def test_every_check_blocks_and_passes_on_a_sound_home(pristine: Lineage) -> None:
    graph = pristine.definitions.resolve_asset_graph()
    names = {key.name for key in graph.asset_check_keys}

    verdicts = {name: pristine.check(name, LAST_DAY) for name in names - {"preopen_review"}}

    assert names >= KNOWN_CHECKS
    assert {name for name, each in verdicts.items() if not each.passed} == set()
    assert {name for name, each in verdicts.items() if not each.blocking} == set()
    assert all(each.description for each in verdicts.values())


def test_a_check_executed_by_itself_is_about_the_newest_session(damaged: Lineage) -> None:
    for day in (DAY, LAST_DAY):
        damaged.instance.report_runless_asset_event(
            dg.AssetMaterialization("signals", partition=day)
        )
    sound = damaged.check("signals_schema")
    damaged.damage("signals", LAST_DAY, lambda rows: rows.vstack(rows.tail(1)))

    assert sound.description == "390 rows of 1 sessions fit the schema"
    assert "signals" in failed(damaged.check("signals_schema"))


def test_a_check_of_what_was_never_made_says_what_to_do(fresh: Callable[[str], Lineage]) -> None:
    result = fresh("empty").run_check("signals_schema")

    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "materialise one first" in str(event.step_failure_data.user_failure_data.description)


@pytest.mark.parametrize(
    "table", ["bars", "context", "quality", "signals", "beliefs", "candidates", "outcomes"]
)
def test_a_row_stored_twice_breaks_its_schema(damaged: Lineage, table: str) -> None:
    damaged.damage(table, DAY, lambda rows: rows.vstack(rows.tail(1)))

    told = failed(damaged.check(f"{table}_schema", DAY))

    assert table in told


def test_a_column_that_vanished_breaks_its_schema(damaged: Lineage) -> None:
    damaged.damage("rejected_bars", DAY, lambda rows: rows.drop("reason"))

    assert "reason" in failed(damaged.check("rejected_bars_schema", DAY))


def test_a_stored_file_that_is_no_parquet_breaks_its_schema(damaged: Lineage) -> None:
    damaged.path("signals", DAY).write_bytes(b"PAR1 is what it says")

    assert f"{DAY}.parquet" in failed(damaged.check("signals_schema", DAY))


@pytest.mark.parametrize(("table", "column"), [("decisions", "minute"), ("executions", "quantity")])
def test_an_impossible_value_in_the_warehouse_breaks_its_schema(
    damaged: Lineage, table: str, column: str
) -> None:
    in_warehouse(damaged, f"UPDATE {table} SET {column} = -5 WHERE session_date = '{LAST_DAY}'")

    assert column in failed(damaged.check(f"{table}_schema", LAST_DAY))


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("signals", "close_location_value"),
        ("beliefs", "f1_long_belief"),
        ("candidates", "friction_ticks"),
        ("outcomes", "ticks_net"),
    ],
)
def test_one_value_a_billionth_off_is_not_what_the_engine_computes(
    damaged: Lineage, table: str, column: str
) -> None:
    damaged.damage(
        table,
        DAY,
        lambda rows: rows.with_columns(
            pl.when(pl.int_range(pl.len()) == rows[column].arg_max())
            .then(pl.col(column) - 1e-9)
            .otherwise(pl.col(column))
            .alias(column)
        ),
    )

    told = failed(damaged.check(f"{table}_equal_recomputed", DAY))

    assert told.endswith(f"different: {column}")


@pytest.mark.parametrize(
    ("table", "column", "rows_per_bar"),
    [
        ("signals", "micro_trend_5", 1),
        ("beliefs", "f4_long_belief", 1),
        ("candidates", "friction_ticks", 4),
    ],
)
def test_a_value_that_knows_the_next_bar_is_a_leak(
    damaged: Lineage, table: str, column: str, rows_per_bar: int
) -> None:
    damaged.damage(table, DAY, lambda rows: rows.with_columns(pl.col(column).shift(-rows_per_bar)))

    evaluation = damaged.check(f"{table}_are_causal", DAY)

    assert "values knew the future" in failed(evaluation)
    leaking = evaluation.metadata["leaking"].records
    assert {record.data["column"] for record in leaking} == {column}
    assert 31 in {record.data["minute"] for record in leaking}


def test_a_context_that_knew_today_is_found(damaged: Lineage) -> None:
    knowing = damaged.stored("context", LAST_DAY)
    damaged.damage(
        "context",
        DAY,
        lambda rows: knowing.with_columns(rows["session_date"], rows["prior_session_date"]),
    )

    told = failed(damaged.check("context_knows_only_the_past", DAY))

    assert told == f"0 of 1 contexts follow from the bars before them; materialise again: {DAY}"


def test_a_changed_bar_makes_every_later_context_stale(damaged: Lineage) -> None:
    damaged.damage(
        "bars", "2024-07-08", lambda rows: rows.with_columns(close_ticks=pl.col("low_ticks"))
    )

    sound = damaged.check("context_knows_only_the_past", "2024-07-08")
    told = failed(damaged.check("context_knows_only_the_past", DAY, LAST_DAY))

    assert sound.passed
    assert told.startswith("0 of 2 contexts")


def test_one_changed_journal_event_breaks_the_chain_at_its_number(damaged: Lineage) -> None:
    tamper(
        damaged.journal(LAST_DAY),
        "update entries set payload = payload || ' ' where seq = 100",
    )

    assert failed(damaged.check("journal_chain", LAST_DAY)).startswith(
        f"{LAST_DAY}: broken at event 100"
    )


def test_a_journal_cut_at_its_end_is_not_whole(damaged: Lineage) -> None:
    tamper(
        damaged.journal(LAST_DAY),
        "delete from entries where seq = (select max(seq) from entries)",
    )

    assert "the journal was left at event" in failed(damaged.check("journal_chain", LAST_DAY))


def test_a_bar_that_changed_after_the_session_is_not_the_bar_that_was_seen(
    damaged: Lineage,
) -> None:
    damaged.damage(
        "bars",
        LAST_DAY,
        lambda rows: rows.with_columns(
            volume=pl.when(pl.col("minute") == 380)
            .then(pl.col("volume") + 1)
            .otherwise(pl.col("volume"))
        ),
    )

    told = failed(damaged.check("live_equals_batch", LAST_DAY))

    assert f"first {LAST_DAY} 19:51 UTC" in told
    assert damaged.check("journal_chain", LAST_DAY).passed


def test_a_bar_that_vanished_after_the_session_was_decided_all_the_same(damaged: Lineage) -> None:
    damaged.damage("bars", LAST_DAY, lambda rows: rows.filter(pl.col("minute") != 389))

    told = failed(damaged.check("live_equals_batch", LAST_DAY))

    assert told == (
        f"390 bars decided of 389 stored, 1 differ from the batch, first {LAST_DAY} 20:00 UTC"
    )


def test_a_decision_rewritten_in_the_warehouse_is_not_the_one_that_was_made(
    damaged: Lineage,
) -> None:
    in_warehouse(
        damaged,
        "UPDATE decisions SET sentence = 'It was obvious.' "
        f"WHERE session_date = '{LAST_DAY}' AND minute = 17",
    )

    told = failed(damaged.check("decisions_equal_journal", LAST_DAY))

    assert told.endswith(
        f"1 of them not stored as they were made; first at minute 17 of {LAST_DAY}"
    )


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "UPDATE executions SET price_ticks = price_ticks + 1 WHERE leg = 'entry'",
            "USD and +0 lots: compare",
        ),
        (
            "UPDATE executions SET commission_usd = 0 WHERE leg = 'entry'",
            "USD and +0 lots: compare",
        ),
        ("DELETE FROM executions WHERE leg <> 'entry'", "the executions leave a position of "),
    ],
)
def test_an_edited_execution_is_not_what_the_broker_paid(
    damaged: Lineage, statement: str, says: str
) -> None:
    in_warehouse(damaged, statement)

    assert says in failed(damaged.check("ledger_equals_cash", LAST_DAY))


def test_a_session_without_stored_quality_is_not_good_enough(damaged: Lineage) -> None:
    damaged.path("quality", DAY).unlink()

    assert "expected the quality of 1 sessions, found 0" in failed(damaged.check("dvs", DAY))


def test_a_trade_that_earned_a_cent_more_in_the_warehouse_is_not_the_brokers(
    damaged: Lineage,
) -> None:
    in_warehouse(damaged, "UPDATE trades SET net_usd = net_usd + 0.01")

    assert "compare the executions" in failed(damaged.check("trades_equal_broker_cash", LAST_DAY))
    assert "0 of " in failed(damaged.check("profit_is_decomposed", LAST_DAY))


def test_a_state_of_learning_that_follows_from_nothing_is_found(damaged: Lineage) -> None:
    in_warehouse(damaged, "UPDATE learning_state SET shadow_wins = 9 WHERE template = 'K1'")

    told = failed(damaged.check("learning_follows_from_the_night_before", LAST_DAY))

    assert told == (
        "0 of 1 nights follow from the one before; materialise again from 2024-07-10 on"
    )
