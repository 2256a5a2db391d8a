"""A backfill of sessions and symbols, handed to Dagster's daemon and followed to its end."""

import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import dagster as dg
from dagster._core.definitions.selector import (
    PartitionRangeSelector,
    PartitionsByAssetSelector,
    PartitionsSelector,
)
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.utils import make_new_backfill_id
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

from engine.errors import InstanceBusy

POLL_SECONDS: Final = 0.5
_ENDED: Final = frozenset(
    {
        BulkActionStatus.COMPLETED_SUCCESS,
        BulkActionStatus.COMPLETED,
        BulkActionStatus.COMPLETED_FAILED,
        BulkActionStatus.FAILED,
        BulkActionStatus.CANCELED,
    }
)


def launch_backfills(
    instance: dg.DagsterInstance,
    workspace: Path,
    symbols: Sequence[str],
    session_dates: Sequence[date],
    stages: Sequence[str],
) -> list[str]:
    """Ask for these stages of these sessions, one backfill per symbol; their ids.

    The daemon makes runs of them as the lineage allows: bars of all sessions first, for a context
    reads the sessions before its own.
    """
    target = WorkspaceFileTarget(paths=[str(workspace)])
    with WorkspaceProcessContext(instance, target) as context:
        graph = context.create_request_context().asset_graph
    span = PartitionRangeSelector(start=str(min(session_dates)), end=str(max(session_dates)))
    asked = []
    for symbol in symbols:
        backfill = PartitionBackfill.from_partitions_by_assets(
            backfill_id=make_new_backfill_id(),
            asset_graph=graph,
            backfill_timestamp=time.time(),
            tags={"credence/symbol": symbol},
            dynamic_partitions_store=instance,
            partitions_by_assets=[
                PartitionsByAssetSelector(
                    asset_key=dg.AssetKey([symbol.lower(), stage]),
                    partitions=PartitionsSelector(ranges=[span]),
                )
                for stage in stages
            ],
            title=f"{symbol}: {len(session_dates)} sessions",
            description=None,
            run_config=None,
        )
        instance.add_backfill(backfill)
        asked.append(backfill.backfill_id)
    return asked


def await_backfill(
    instance: dg.DagsterInstance,
    backfill_id: str,
    *,
    seconds_max: float,
    still_well: Callable[[], None],
) -> PartitionBackfill:
    """The backfill when it has ended; `still_well` is asked meanwhile and may raise.

    Raises `InstanceBusy` when it fails, with what failed first, or does not end in time.
    """
    deadline = time.monotonic() + seconds_max
    while True:
        backfill = instance.get_backfill(backfill_id)
        if backfill is not None and backfill.status in _ENDED:
            break
        still_well()
        if time.monotonic() > deadline:
            raise InstanceBusy(
                f"backfill {backfill_id} did not end within {seconds_max:.0f} s: {backfill}"
            )
        time.sleep(POLL_SECONDS)
    if backfill.status is not BulkActionStatus.COMPLETED_SUCCESS:
        raise InstanceBusy(
            f"backfill {backfill_id} ended as {backfill.status.value}: "
            f"{backfill.error or _first_failure(instance, backfill_id)}"
        )
    return backfill


def runs_of(instance: dg.DagsterInstance, backfill_id: str) -> Sequence[dg.RunRecord]:
    """The runs of a backfill, oldest first."""
    mine = dg.RunsFilter(tags={"dagster/backfill": backfill_id})
    return instance.get_run_records(mine, ascending=True)


def _first_failure(instance: dg.DagsterInstance, backfill_id: str) -> str:
    for record in runs_of(instance, backfill_id):
        for entry in instance.all_logs(record.dagster_run.run_id):
            event = entry.dagster_event
            if event is not None and event.is_failure:
                data = event.event_specific_data
                return f"{entry.step_key or 'run'}: {getattr(data, 'error', None) or entry.message}"
    return "no run says why"
