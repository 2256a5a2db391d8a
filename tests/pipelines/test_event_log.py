"""The event log that is written many events at a time: it says what Dagster's own would say."""

from pathlib import Path

import dagster as dg
import pytest

from assets.partitions import accepted_previews
from pipelines.dagster_home import dagster_home_of
from pipelines.event_log import batching_instance

FIRST, LAST = "2024-01-01", "2024-01-12"
TAGS = {
    "dagster/asset_partition_range_start": FIRST,
    "dagster/asset_partition_range_end": LAST,
}
DAYS = dg.DailyPartitionsDefinition(FIRST)


def backfill() -> dg.JobDefinition:
    """One run that tells of twelve days of an asset and of one check."""
    with accepted_previews():

        @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
        def rows(context: dg.AssetExecutionContext) -> None:
            for number, day in enumerate(context.partition_keys):
                context.add_asset_metadata({"number": number}, "rows", day)

    @dg.asset_check(asset=rows)
    def counted() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    job = dg.define_asset_job("backfill", selection="*", executor_def=dg.in_process_executor)
    return dg.Definitions(assets=[rows], asset_checks=[counted], jobs=[job]).resolve_job_def(
        "backfill"
    )


def told_in(home: Path, run_id: str) -> tuple[list[tuple[object, ...]], dict[str, object]]:
    """What a run left for the UI to read: its events in order, and each day's number."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        events = [
            (each.event_log_entry.dagster_event_type, each.event_log_entry.step_key)
            for each in instance.get_records_for_run(run_id, limit=1_000).records
        ]
        made = instance.fetch_materializations(dg.AssetKey("rows"), limit=100).records
        checked = instance.get_records_for_run(
            run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        numbers = {
            each.partition_key or "": each.asset_materialization.metadata["number"].value
            for each in made
            if each.asset_materialization is not None
        }
        assert len(checked) == 1
        assert instance.get_materialized_partitions(dg.AssetKey("rows")) == set(numbers)
    return events, numbers


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of a batch is left in the environment of the process."""
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "5")


def test_a_batched_log_says_what_dagsters_own_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, batched = (dagster_home_of(tmp_path / name) for name in ("plain", "batched"))

    with batching_instance(batched) as instance:
        ours = backfill().execute_in_process(instance=instance, tags=TAGS).run_id
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    with dg.DagsterInstance.from_config(str(plain)) as instance:
        own = backfill().execute_in_process(instance=instance, tags=TAGS).run_id

    assert told_in(batched, ours) == told_in(plain, own)
    assert sorted(told_in(batched, ours)[1].items())[::11] == [(FIRST, 0), (LAST, 11)]


def test_a_batch_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    home = dagster_home_of(tmp_path)
    with batching_instance(home) as instance:
        run_id = backfill().execute_in_process(instance=instance, tags=TAGS).run_id
        log = instance.event_log_storage
        whole = [each.event_log_entry for each in log.get_records_for_run(run_id, limit=99).records]
        spoilt = [*whole[:3], "no event"]

        with pytest.raises(Exception, match="EventLogEntry"):
            log.store_event_batch(spoilt)  # type: ignore[arg-type]  # It is the fault.

        kept = log.get_records_for_run(run_id, limit=99).records
        log.store_event_batch(whole[:3])
        more = log.get_records_for_run(run_id, limit=99).records

    assert len(kept) == len(whole)
    assert len(more) == len(whole) + 3
