"""The stages as plain functions on tiny frames, and what every asset says of itself."""

from datetime import date
from functools import cache

import dagster as dg
import polars as pl
import pytest
from lineage import Lineage

from assets import told
from assets.beliefs import beliefs, strengths
from assets.candidates import candidate_rows, candidates
from assets.market import causality_check
from assets.outcomes import outcomes
from assets.quality import event_counts, quality
from assets.signals import signal_shares, signals
from assets.tables import NUMBERS, session_numbers
from contracts import load_rules
from contracts.calendar import session_on
from contracts.schemas import columns_of
from engine.context import session_contexts, session_summaries
from engine.generator import generate_bars
from engine.market import market_frame

RULES = load_rules()
DAY = date(2024, 7, 2)
BARS = 40


@cache
def tiny() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first bars of one generated session, and its context without history."""
    session = session_on(DAY, RULES.session)
    bars = generate_bars([session], 7, RULES.instrument).bars.head(BARS)
    return bars, session_contexts(session_summaries(bars.clear(), RULES), [session], RULES)


@pytest.mark.parametrize(
    ("asset", "table", "rows_per_bar"),
    [
        (quality, "quality", 1),
        (signals, "signals", 1),
        (beliefs, "beliefs", 1),
        (candidates, "candidates", 4),
        (outcomes, "outcomes", 8),
    ],
)
def test_a_stage_is_a_function_of_bars_contexts_and_rules(
    asset: dg.AssetsDefinition, table: str, rows_per_bar: int
) -> None:
    bars, contexts = tiny()

    result = asset(bars, contexts, rules=RULES)

    assert result.value.columns == list(columns_of(table))
    assert result.value.height == BARS * rows_per_bar
    assert result.value["closes_at"].unique().sort().equals(bars["closes_at"])


def test_quality_shows_the_picture_of_one_session_first() -> None:
    bars, contexts = tiny()

    metadata = quality(bars, contexts, rules=RULES).metadata

    assert list(metadata) == ["price_and_dvs", "events"]
    assert metadata["price_and_dvs"].value.startswith("![price and DVS](data:image/png;base64,")


def test_events_are_counted_bar_by_bar() -> None:
    rows = pl.DataFrame({"quality_events": ["", "zero_volume", "crossed_quote,zero_volume"]})

    assert event_counts(rows).rows() == [("crossed_quote", 1), ("zero_volume", 2)]


def test_a_signal_tells_how_often_it_is_unknown_or_at_its_bound() -> None:
    bars, contexts = tiny()
    rows = signals(bars, contexts, rules=RULES).value
    at_bound = rows.with_columns(rejection_wick_n=pl.lit(1.0), vol_z=pl.lit(None, pl.Float64))

    shares = {row["signal"]: row for row in signal_shares(at_bound).to_dicts()}

    assert shares["rejection_wick_n"]["at_bound_share"] == 1.0
    assert shares["vol_z"]["unknown_share"] == 1.0
    assert shares["vwap_z"]["low"] == -3.0
    assert len(shares) == 35


def test_a_belief_tells_how_often_it_is_strong() -> None:
    rows = pl.DataFrame({"f1_long_effective": [0.2, 0.7, None], "f5_effective": [0.1, 0.1, 0.4]})

    assert strengths(rows).rows() == [
        ("f1_long", pytest.approx(0.45), 0.7, pytest.approx(0.5)),
        ("f5", pytest.approx(0.2), 0.4, 0.0),
    ]


def test_numbers_of_a_session_leave_out_what_is_unknown() -> None:
    bars, contexts = tiny()
    rows = candidate_rows(market_frame(contexts, bars, RULES), RULES)

    numbers = session_numbers("candidates", rows, RULES)

    assert numbers["setups"] == rows.filter(pl.col("side") != 0).height
    assert ("best_euc" in numbers) == (rows["euc"].count() > 0)
    assert session_numbers("candidates", rows.clear(), RULES) == {}
    assert session_numbers("bars", bars, RULES) == {}


def test_tables_round_floats_and_keep_what_is_unknown() -> None:
    rows = pl.DataFrame({"share": [0.123456, None], "day": [DAY, DAY], "bars": [1, 2]})

    value = told.table(rows)

    assert [dict(record.data) for record in value.records] == [
        {"share": 0.1235, "day": "2024-07-02", "bars": 1},
        {"share": None, "day": "2024-07-02", "bars": 2},
    ]
    assert [(column.name, column.type) for column in value.schema.columns] == [
        ("share", "float"),
        ("day", "string"),
        ("bars", "int"),
    ]


def test_a_stage_that_reads_the_next_bar_is_caught_though_batch_and_store_agree(
    damaged: Lineage,
) -> None:
    def leaky(frame: pl.DataFrame, _rules: object) -> pl.DataFrame:
        return frame.select(*list(columns_of("signals"))[:4], knows=pl.col("close_ticks").shift(-1))

    wiring, day = damaged.wiring, date(2024, 7, 9)
    bars, contexts = (wiring.market.read(name, "MES", day, day) for name in ("bars", "context"))
    leaking = leaky(market_frame(contexts, bars, wiring.rules), None)
    leaking.write_parquet(damaged.path("signals", str(day)))

    @dg.asset(name="signals", partitions_def=signals.partitions_def)
    def planted_signals() -> None:
        """Already stored."""

    planted = dg.Definitions(
        assets=[planted_signals],
        asset_checks=[causality_check("signals", leaky)],
        resources={"market": wiring.market, "rules": wiring.rules},
    )

    result = planted.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=damaged.instance, partition_key=str(day), raise_on_error=False
    )

    (evaluation,) = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert {record.data["column"] for record in evaluation.metadata["leaking"].records} == {"knows"}


def test_every_asset_says_what_it_is(pristine: Lineage) -> None:
    specs = {spec.key.path[-1]: spec for spec in pristine.definitions.resolve_all_asset_specs()}

    assert {name for name, spec in specs.items() if not spec.description} == set()
    assert {name for name, spec in specs.items() if not spec.kinds} == set()
    assert {tuple(spec.owners) for spec in specs.values()} == {("team:desk",)}
    tables = specs.keys() - {"trading_session", "published_warehouse"}
    without = {name for name in tables if not specs[name].metadata["dagster/column_schema"].columns}
    assert without == set()
    assert {specs[name].group_name for name in ("bars", "rejected_bars")} == {"bars"}
    assert specs["published_warehouse"].group_name == "warehouse"
    assert specs.keys() >= (NUMBERS.keys() - {"context"}) | {"session_context"}


def test_every_job_and_schedule_says_what_it_is(pristine: Lineage) -> None:
    repository = pristine.definitions.get_repository_def()

    named = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]

    assert {job.name for job in named} >= {"market_day", "preopen", "rehearse_session"}
    assert [job.name for job in named if not job.description] == []
    assert [each.name for each in repository.schedule_defs if not each.description] == []
