"""The desk opens on a green preopen only; green is what Dagster recorded, not what one hopes."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
import pytest
from lineage import RANGE_FIRST, RANGE_LAST, Lineage

from assets.made_from import BARS_CONTENT
from pipelines.preopen_state import preopen_state
from pipelines.schedules import preopen_schedule
from pipelines.session_request import Green, NotGreen, Preopen

FIRST_DAY, LAST_DAY = "2024-06-05", "2024-07-10"
"""The sessions that the context of the last of them reads are those from the first on."""

TODAY = date.fromisoformat(LAST_DAY)
BEFORE = "2024-07-09"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """On disk, as the desk's own."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as stored:
        yield stored


def run(lineage: Lineage, instance: dg.DagsterInstance, job: str, day: str) -> bool:
    definition = lineage.definitions.resolve_job_def(job)
    return definition.execute_in_process(
        instance=instance, partition_key=day, raise_on_error=False
    ).success


def state(lineage: Lineage, instance: dg.DagsterInstance) -> Preopen:
    return preopen_state(instance, TODAY, lineage.wiring.rules.contracts_hash)


def test_a_preopen_that_passed_is_green_under_the_contracts_it_was_made_under(
    pristine: Lineage, instance: dg.DagsterInstance
) -> None:
    assert run(pristine, instance, "preopen", LAST_DAY)

    assert state(pristine, instance) == Green(
        f"the context of {LAST_DAY} is there, 3 checks passed"
    )
    assert preopen_state(instance, TODAY, "another hash") == NotGreen(
        f"the context of {LAST_DAY} was made under other contracts; launch preopen"
    )


def test_without_a_preopen_nothing_is_green(
    pristine: Lineage, instance: dg.DagsterInstance
) -> None:
    assert state(pristine, instance) == NotGreen(
        f"no context of {LAST_DAY} was made; launch preopen"
    )


def test_the_preopen_of_another_day_is_not_todays(
    pristine: Lineage, instance: dg.DagsterInstance
) -> None:
    assert run(pristine, instance, "preopen", BEFORE)

    assert isinstance(state(pristine, instance), NotGreen)


def test_a_context_without_its_review_is_not_green(
    pristine: Lineage, instance: dg.DagsterInstance
) -> None:
    assert run(pristine, instance, "market_day", LAST_DAY)

    assert state(pristine, instance) == NotGreen("not checked: preopen_review; launch preopen")


def test_a_preopen_is_green_no_more_once_bars_were_corrected_and_is_again_when_done_again(
    fresh: Callable[..., Lineage], instance: dg.DagsterInstance
) -> None:
    lineage = fresh("corrected")
    ranged = {RANGE_FIRST: FIRST_DAY, RANGE_LAST: BEFORE}
    market = lineage.definitions.resolve_job_def("market_day")
    assert market.execute_in_process(instance=instance, tags=ranged).success
    assert run(lineage, instance, "preopen", LAST_DAY)
    green = state(lineage, instance)

    correct_a_bar(lineage, instance)
    corrected, asked = state(lineage, instance), strike(lineage, instance, "09:20")
    assert run(lineage, instance, "preopen", LAST_DAY)
    again, calm = state(lineage, instance), strike(lineage, instance, "09:30")
    tell_of_bars(instance, LAST_DAY, "those of the session itself, once it is over")

    assert isinstance(green, Green)
    assert corrected == NotGreen(
        f"the bars were corrected since the context of {LAST_DAY} was made; launch preopen again"
    )
    assert isinstance(asked, dg.RunRequest)
    assert (asked.run_key, asked.partition_key) == (f"preopen {LAST_DAY} 09:20", LAST_DAY)
    assert again == state(lineage, instance) == green
    assert calm == f"the context of {LAST_DAY} is there"


def correct_a_bar(lineage: Lineage, instance: dg.DagsterInstance) -> None:
    """An ingest brings the day before with a high that was five ticks higher."""
    bars = lineage.stored("bars", BEFORE)
    higher = pl.when(pl.col("high_ticks") == bars["high_ticks"].max())
    high = higher.then(pl.col("high_ticks") + 5).otherwise("high_ticks").cast(pl.Int32)
    written = lineage.wiring.market.write(
        "bars",
        bars.with_columns(high_ticks=high),
        symbol="MES",
        session_date=date.fromisoformat(BEFORE),
    )
    tell_of_bars(instance, BEFORE, written.sha256)


def tell_of_bars(instance: dg.DagsterInstance, day: str, content: str) -> None:
    """What every ingest tells Dagster."""
    told = {BARS_CONTENT: content}
    event = dg.AssetMaterialization("bars", partition=day, metadata=told)
    instance.report_runless_asset_event(event)


def strike(lineage: Lineage, instance: dg.DagsterInstance, clock: str) -> dg.RunRequest | str:
    """What the schedule asks for at a time of the day in New York, or says instead."""
    at = datetime.fromisoformat(f"{LAST_DAY} {clock}").replace(tzinfo=ZoneInfo("America/New_York"))
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=at,
        repository_def=lineage.definitions.get_repository_def(),
    ) as context:
        outcome = preopen_schedule.evaluate_tick(context)
    asked = list(outcome.run_requests or [])
    return asked[0] if asked else outcome.skip_message or ""


def test_a_review_that_failed_is_not_green_until_a_later_one_passes(
    damaged: Lineage, instance: dg.DagsterInstance
) -> None:
    sound = damaged.stored("bars", BEFORE)
    damaged.damage("bars", BEFORE, lambda rows: rows.with_columns(volume=pl.col("volume") * 9))

    assert not run(damaged, instance, "preopen", LAST_DAY)
    failed = state(damaged, instance)
    damaged.damage("bars", BEFORE, lambda _rows: sound)
    assert run(damaged, instance, "preopen", LAST_DAY)

    assert isinstance(failed, NotGreen)
    assert failed.why.startswith(f"not passed: preopen_review: {BEFORE}: ")
    assert isinstance(state(damaged, instance), Green)
