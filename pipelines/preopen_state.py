"""Whether today's preopen is green, read from what Dagster recorded of it."""

from datetime import date
from typing import Final

import dagster as dg

from assets.made_from import OF_BARS, bars_before, beside, newest_metadata
from pipelines.session_request import Green, NotGreen, Preopen

CONTEXT: Final = dg.AssetKey("session_context")
CHECKS: Final = frozenset({"context_schema", "context_knows_only_the_past", "preopen_review"})
PARTITION_TAG: Final = "dagster/partition"


def preopen_state(instance: dg.DagsterInstance, session_date: date, contracts_hash: str) -> Preopen:
    """Green when the context of the date is there, on these contracts, and every check passed.

    A check counts by its newest evaluation for that date since the context was made; a warning
    that did not pass is not green either, because the desk opens on evidence.
    """
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(CONTEXT, asset_partitions=[str(session_date)]), limit=1
    ).records
    made = found[0].asset_materialization if found else None
    if made is None:
        return NotGreen(f"no context of {session_date} was made; launch preopen")
    hashed = made.metadata.get("contracts_hash")
    if hashed is None or hashed.value != contracts_hash:
        return NotGreen(
            f"the context of {session_date} was made under other contracts; launch preopen"
        )
    if is_outdated(instance, session_date):
        return NotGreen(
            f"the bars were corrected since the context of {session_date} was made; "
            "launch preopen again"
        )
    verdicts = _verdicts(instance, session_date, since=found[0].timestamp)
    missing = sorted(CHECKS - verdicts.keys())
    if missing:
        return NotGreen(f"not checked: {', '.join(missing)}; launch preopen")
    failed = sorted(name for name, verdict in verdicts.items() if not verdict.passed)
    if failed:
        told = "; ".join(f"{name}: {verdicts[name].description}" for name in failed)
        return NotGreen(f"not passed: {told}")
    return Green(f"the context of {session_date} is there, {len(verdicts)} checks passed")


def is_outdated(instance: dg.DagsterInstance, session_date: date) -> bool:
    """Whether the bars that the newest context of a session was made from were corrected since.

    The run makes its context from the bars as they are: it would open under one nobody reviewed.
    """
    key = str(session_date)
    told = newest_metadata(instance, CONTEXT, [key]).get(key, {})
    now = bars_before(instance, beside(CONTEXT, "bars"), [key])[key]
    return OF_BARS in told and told[OF_BARS] != now


def _verdicts(
    instance: dg.DagsterInstance, session_date: date, *, since: float
) -> dict[str, dg.AssetCheckEvaluation]:
    """The newest evaluation of each check in the runs of this partition, by name."""
    runs = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: str(session_date)}))
    evaluated = [
        (record.timestamp, record.event_log_entry.asset_check_evaluation)
        for run in runs
        for record in instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
    ]
    newest: dict[str, dg.AssetCheckEvaluation] = {}
    for at, evaluation in sorted(evaluated, key=lambda each: each[0]):
        if at >= since and evaluation is not None and evaluation.asset_key == CONTEXT:
            newest[evaluation.check_name] = evaluation
    return newest
