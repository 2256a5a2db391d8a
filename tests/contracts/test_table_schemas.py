"""Every stored table has a schema; the market's frames satisfy it, a planted bad row does not."""

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaError as PanderaSchemaError
from pandera.errors import SchemaErrors as PanderaSchemaErrors

from contracts import load_rules
from contracts.calendar import sessions_between
from contracts.schemas import (
    DESK_TABLES,
    JOURNAL_TABLES,
    MARKET_TABLES,
    TABLES,
    columns_of,
    table,
    validate,
)
from contracts.schemas.table import NEVER, Column
from engine.bars import BAR_COLUMNS, REJECTED_COLUMNS
from engine.beliefs import add_beliefs
from engine.candidates import SETUP_COLUMNS, add_candidates
from engine.context import CONTEXT_COLUMNS, join_context, session_contexts, session_summaries
from engine.errors import SchemaError
from engine.generator import generate_bars
from engine.journal import Event
from engine.learning.attribution import ATTRIBUTION_COLUMNS
from engine.learning.executions import EXECUTION_COLUMNS
from engine.learning.round_trips import TRADE_COLUMNS
from engine.outcomes import OUTCOME_COLUMNS, outcomes
from engine.quality import add_quality
from engine.signals import add_signals

RULES: Final = load_rules()
DAY: Final = date(2025, 9, 4)


def _market() -> Mapping[str, pl.DataFrame]:
    """Three generated sessions through every stage, each table as its asset stores it."""
    sessions = sessions_between(date(2025, 9, 2), DAY, RULES.session)
    bars = generate_bars(sessions, 7, RULES.instrument).bars
    contexts = session_contexts(session_summaries(bars, RULES), sessions, RULES)
    quality = add_quality(join_context(bars, contexts), RULES)
    signals = add_signals(quality, RULES)
    beliefs = add_beliefs(signals, RULES)
    frame = add_candidates(beliefs, RULES)
    return {
        "bars": bars,
        "context": contexts,
        "quality": quality,
        "signals": signals,
        "beliefs": beliefs,
        "candidates": _by_template(frame),
        "outcomes": outcomes(frame, RULES),
    }


def _by_template(frame: pl.DataFrame) -> pl.DataFrame:
    own = [name for name in columns_of("candidates") if name in frame.columns]
    return pl.concat(
        frame.select(
            *own,
            pl.lit(block.id).alias("template"),
            *(pl.col(f"{block.id.lower()}_{name}").alias(name) for name in SETUP_COLUMNS),
        )
        for block in RULES.strategies.templates
    )


MARKET: Final = _market()


def rows_of(name: str) -> pl.DataFrame:
    """The last session's rows of a table, in its own columns."""
    rows = MARKET[name].filter(pl.col("session_date") == DAY)
    return rows.select(*columns_of(name))


def fill() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": ["MES"],
            "session_date": [DAY],
            "seq": [41],
            "at": [datetime(2025, 9, 4, 14, 5, tzinfo=UTC)],
            "execution_id": ["0001.01"],
            "order_ref": ["2025-09-04/MES-1404/entry"],
            "decision_id": ["MES-1404"],
            "leg": ["entry"],
            "side": [1],
            "quantity": [1],
            "price_ticks": [24_000],
            "commission_usd": [None],
        },
        schema=columns_of("executions"),
    )


def test_the_tables_of_the_engine_are_the_tables_of_the_schemas() -> None:
    assert columns_of("bars") == BAR_COLUMNS
    assert columns_of("rejected_bars") == REJECTED_COLUMNS
    assert columns_of("context") == CONTEXT_COLUMNS
    assert dict(sorted(columns_of("outcomes").items())) == dict(sorted(OUTCOME_COLUMNS.items()))
    assert columns_of("executions") == EXECUTION_COLUMNS
    assert columns_of("trades") == TRADE_COLUMNS
    assert columns_of("attribution") == ATTRIBUTION_COLUMNS
    assert tuple(columns_of("events")) == Event._fields
    assert SETUP_COLUMNS.items() <= columns_of("candidates").items()
    assert (*MARKET_TABLES, *DESK_TABLES, *JOURNAL_TABLES) == TABLES


@pytest.mark.parametrize("name", MARKET)
def test_generated_sessions_fit_the_schema_of_every_market_table(name: str) -> None:
    rows = MARKET[name].select(*columns_of(name))

    assert validate(name, rows).equals(rows)


@pytest.mark.parametrize(
    ("name", "before"), [("quality", "bars"), ("signals", "quality"), ("beliefs", "signals")]
)
def test_a_stage_adds_no_column_that_its_table_leaves_out(name: str, before: str) -> None:
    shared = {"session_key", "session_bar", "atr_median_ticks", *CONTEXT_COLUMNS}

    added = set(MARKET[name].columns) - set(MARKET[before].columns) - shared

    assert {column for column in added if not column.startswith("_")} <= set(columns_of(name))


@pytest.mark.parametrize("name", TABLES)
def test_every_column_says_type_unit_null_policy_and_meaning(name: str) -> None:
    columns = table(name).columns

    assert set(table(name).key) <= {column.name for column in columns}
    for column in columns:
        assert column.unit, column.name
        assert column.null, column.name
        assert column.meaning.endswith((".", "?")), column.name
        pandera_column = table(name).schema.columns[column.name]
        assert pandera_column.description == column.meaning
        assert pandera_column.nullable == (column.null != NEVER)


def test_the_order_of_columns_means_nothing() -> None:
    shuffled = rows_of("bars").select(*reversed(BAR_COLUMNS))

    assert validate("bars", shuffled).columns == list(BAR_COLUMNS)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("bars", {"high_ticks": pl.col("low_ticks") - 1}, "high_ticks is the highest price"),
        ("bars", {"low_ticks": pl.col("high_ticks") + 1}, "high_ticks is the highest price"),
        ("bars", {"volume": -pl.col("volume") - 1}, "volume >= 0"),
        ("bars", {"minute": pl.lit(390, pl.Int32)}, "minute <= 389"),
        ("bars", {"source": pl.lit(None, pl.String)}, "source is not null"),
        ("bars", {"symbol": pl.lit("mes ")}, "symbol looks like"),
        ("bars", {"opens_at": pl.col("closes_at")}, "a bar lasts one minute"),
        ("quality", {"dvs": pl.lit(1.01)}, "dvs <= 1"),
        ("quality", {"dvs": pl.lit(float("nan"))}, "dvs is finite"),
        ("quality", {"quality_events": pl.lit("late_bar,bad")}, "quality_events looks like"),
        ("quality", {"bar_score": pl.lit(0.0)}, "dvs is at most bar_score"),
        ("signals", {"vwap_z": pl.lit(3.1)}, "vwap_z <= 3"),
        ("signals", {"regime": pl.lit("calm")}, "regime is one of shock"),
        ("signals", {"friction_ticks": pl.lit(0.0)}, "covers the slippage"),
        ("beliefs", {"f1_long_belief": pl.lit(None, pl.Float64)}, "f1_long_belief is not null"),
        ("beliefs", {"f6_evidence": pl.lit(-1.1)}, "f6_evidence >= -1"),
        ("candidates", {"stop_ticks": pl.lit(8, pl.Int32)}, "exactly where there is a setup"),
        ("candidates", {"reason": pl.lit("MOOD")}, "reason is one of"),
        ("candidates", {"may_enter": ~pl.col("may_enter")}, "no step of the ladder refuses"),
        ("outcomes", {"side": pl.lit(0, pl.Int8)}, "an outcome has a side"),
        ("outcomes", {"ticks_net": pl.lit(None, pl.Float64)}, "could be followed"),
        ("context", {"prior_session_date": pl.col("session_date")}, "is before session_date"),
    ],
)
def test_a_bad_row_is_refused_with_its_rule(
    name: str, change: dict[str, pl.Expr], message: str
) -> None:
    rows = rows_of(name)
    spoiled = pl.concat([rows.head(1).with_columns(**change), rows.tail(-1)])

    with pytest.raises(SchemaError) as caught:
        validate(name, spoiled)

    assert message in str(caught.value)
    assert f"1 of {rows.height} rows" in str(caught.value)
    assert "row=0" in str(caught.value)


def test_a_second_row_for_a_key_is_refused() -> None:
    rows = rows_of("bars")

    with pytest.raises(SchemaError, match=r"\(symbol, closes_at\) is unique, but 2 of 391 rows"):
        validate("bars", pl.concat([rows, rows.tail(1)]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop("volume"), "missing column volume"),
        (lambda rows: rows.with_columns(mood=1), "unknown column mood"),
        (lambda rows: rows.cast({"minute": pl.Int64}), "column minute: expected Int32, got Int64"),
        (lambda rows: rows.lazy(), "expected an eager DataFrame, got LazyFrame"),
    ],
)
def test_another_structure_is_refused(change, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SchemaError) as caught:
        validate("bars", change(rows_of("bars")))

    assert message in str(caught.value)


def test_pandera_passes_a_bad_row_of_a_lazy_frame_and_so_only_eager_frames_are_validated() -> None:
    bad = rows_of("bars").with_columns(volume=pl.lit(-1, pl.Int64))
    schema = table("bars").schema

    schema.validate(bad.lazy()).collect()

    with pytest.raises((PanderaSchemaError, PanderaSchemaErrors)):
        schema.validate(bad)
    with pytest.raises(SchemaError):
        validate("bars", bad)


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(SchemaError, match="expected a table of bars, rejected_bars"):
        validate("moods", pl.DataFrame())


def test_an_execution_is_stored_with_its_fill() -> None:
    assert validate("executions", fill()).height == 1

    with pytest.raises(SchemaError, match="leg is one of entry, stop, target, flatten"):
        validate("executions", fill().with_columns(leg=pl.lit("tail")))


def test_an_entry_without_a_template_and_a_skip_without_a_reason_are_refused() -> None:
    key = rows_of("bars").select("symbol", "session_date", "closes_at", "minute").row(0, named=True)
    skip: dict[str, object] = dict.fromkeys(columns_of("decisions")) | key
    skip |= {"seq": 2, "action": "SKIP", "reason": "NO_CANDIDATE", "layer": 8, "cause": ""}
    skip |= {"sentence": "", "counterfactual": "", "scores_json": "[]", "gates_json": "{}"}

    def stored(**change: object) -> pl.DataFrame:
        return validate("decisions", pl.DataFrame([skip | change], schema=columns_of("decisions")))

    assert stored().height == 1
    with pytest.raises(SchemaError, match="an ENTER has no reason, and everything else has one"):
        stored(reason=None)
    with pytest.raises(SchemaError, match="decision_id is known exactly for an ENTER"):
        stored(action="ENTER", reason=None, layer=None)


def _spoiled(column: Column, rows: pl.DataFrame, how: str) -> pl.DataFrame:
    worst = {"null": None, "low": column.low, "high": column.high}[how]
    if how != "null" and worst is not None:
        worst = worst - 1 if how == "low" else worst + 1
    value = pl.lit(worst).cast(column.dtype, strict=False)
    first = pl.int_range(pl.len()) == 0
    return rows.with_columns(pl.when(first).then(value).otherwise(column.name).alias(column.name))


@settings(max_examples=20)
@given(st.data(), st.sampled_from(sorted(MARKET)), st.sampled_from(("null", "low", "high")))
def test_the_fused_check_refuses_exactly_what_the_pandera_schema_refuses(
    data: st.DataObject, name: str, how: str
) -> None:
    column = data.draw(st.sampled_from(table(name).columns))
    spoiled = _spoiled(column, rows_of(name).head(30), how)

    try:
        table(name).schema.validate(spoiled)
    except (PanderaSchemaError, PanderaSchemaErrors):
        with pytest.raises(SchemaError):
            validate(name, spoiled)
    else:
        assert validate(name, spoiled).equals(spoiled)


@pytest.mark.parametrize("name", MARKET)
def test_a_session_is_validated_in_milliseconds(name: str) -> None:
    rows = rows_of(name)
    validate(name, rows)

    def seconds() -> float:
        started = time.perf_counter()
        validate(name, rows)
        return time.perf_counter() - started

    # Measured 4 to 9 ms alone on two cores; the bound leaves room for a busy machine.
    assert min(seconds() for _ in range(10)) < 0.05
