"""The desk opens on a green preopen only; green is what Dagster recorded, not what one hopes."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from lineage import LAST_DAY, Lineage

from pipelines.preopen_state import preopen_state
from pipelines.session_request import Green, NotGreen, Preopen

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
