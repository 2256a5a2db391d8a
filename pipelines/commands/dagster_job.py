"""One Dagster job of the desk in this process, with a bar that follows its progress."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from pipelines.commands.screen import Advance, Screen

if TYPE_CHECKING:
    import dagster as dg

    from pipelines.wiring import Wiring

POLL_SECONDS: Final = 0.2
PAGE_EVENTS: Final = 500
LINE_LETTERS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run: whether it succeeded, and what its checks said; one that only warns has passed."""

    job: str
    succeeded: bool
    checks: tuple[tuple[str, bool, str], ...]


def run_job(
    wiring: "Wiring",
    screen: Screen,
    job: str,
    *,
    partition: str | None = None,
    tags: dict[str, str] | None = None,
    ops: Mapping[str, Any] | None = None,
    lines: int = 0,
) -> Ran:
    """Run one job in this process on the home's instance, with a bar that follows its progress.

    `ops` is run configuration of its steps; `lines` is about how many lines the run will write into
    its log besides ending them.
    """
    import dagster as dg

    from pipelines.dagster_home import dagster_home_of
    from pipelines.definitions import definitions_for
    from pipelines.event_log import batching_instance

    logging.getLogger("dagster").setLevel(logging.ERROR)
    definition = definitions_for(wiring).resolve_job_def(job)
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    if ops is not None:
        config["ops"] = dict(ops)
    total = len(definition.nodes) + lines
    folder = dagster_home_of(wiring.settings.home)
    with batching_instance(folder) as instance:
        with screen.progress(f"{job:17s}", total) as advance, _following(instance, advance):
            result = definition.execute_in_process(
                instance=instance,
                partition_key=partition,
                tags=tags,
                run_config=config,
                raise_on_error=False,
            )
        checks = tuple(
            (
                each.check_name,
                each.passed or each.severity is dg.AssetCheckSeverity.WARN,
                each.description or "",
            )
            for each in result.get_asset_check_evaluations()
        )
    return Ran(job=job, succeeded=result.success, checks=checks)


class _following:  # noqa: N801 - used as a verb, in a `with`.
    """Advance a progress bar with what the newest run logs and ends; stops with the block."""

    def __init__(self, instance: "dg.DagsterInstance", advance: Advance) -> None:
        self._instance = instance
        self._advance = advance
        self._ended = Event()
        self._known = {run.run_id for run in instance.get_runs(limit=10)}
        self._thread = Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        run_id: str | None = None
        cursor: str | None = None
        while not self._ended.wait(POLL_SECONDS):
            run_id = run_id or self._fresh_run()
            if run_id is None:
                continue
            page = self._instance.get_records_for_run(run_id, cursor=cursor, limit=PAGE_EVENTS)
            cursor = page.cursor
            for record in page.records:
                entry = record.event_log_entry
                if entry.dagster_event is None:
                    self._advance(entry.user_message[:LINE_LETTERS])
                elif entry.dagster_event.is_step_success:
                    self._advance(entry.step_key or "")

    def _fresh_run(self) -> str | None:
        newest = next(iter(self._instance.get_runs(limit=1)), None)
        return None if newest is None or newest.run_id in self._known else newest.run_id
