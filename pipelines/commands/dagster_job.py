"""One Dagster job of the desk in this process, with a bar that follows its progress."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from pipelines.commands.screen import Advance, Screen

if TYPE_CHECKING:
    import dagster as dg

    from pipelines.wiring import Wiring

POLL_SECONDS: Final = 0.2
PAGE_EVENTS: Final = 500
LINE_LETTERS: Final = 60
FAILED_RUNS: Final = "failed_runs"
"""Folder of what Dagster said of runs that failed, under the folder of its instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run: whether it succeeded, and what its checks said; one that only warns has passed.

    `warnings` are the names and words of those that do.
    """

    job: str
    succeeded: bool
    checks: tuple[tuple[str, bool, str], ...]
    warnings: tuple[tuple[str, str], ...] = ()


def run_job(
    wiring: "Wiring",
    screen: Screen,
    job: str,
    *,
    partition: str | None = None,
    tags: dict[str, str] | None = None,
    ops: Mapping[str, Any] | None = None,
    lines: int = 0,
    what: str = "",
    again: str = "",
) -> Ran:
    """Run one job in this process on the home's instance, with a bar that follows its progress.

    `ops` is run configuration of its steps; `lines` is about how many lines the run will write into
    its log besides ending them. Of a run that failed the screen is told where, why and in which
    file the whole log is; `what` names what failed, and `again` what to do afterwards.
    """
    from pipelines.dagster_home import dagster_home_of
    from pipelines.definitions import definitions_for
    from pipelines.event_log import batching_instance

    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    definition = definitions_for(wiring).resolve_job_def(job)
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if ops is not None:
        config["ops"] = dict(ops)
    total = len(definition.nodes) + lines
    folder = dagster_home_of(wiring.settings.home)
    with (
        batching_instance(folder) as instance,
        screen.progress(f"{job:17s}", total) as advance,
        _following(instance, advance),
    ):
        result = definition.execute_in_process(
            instance=instance,
            partition_key=partition,
            tags=tags,
            run_config=config,
            raise_on_error=False,
        )
    if not result.success:
        log = _kept_log(folder, job, result)
        screen.fail(
            f"{what or f'the job {job}'} failed {_why(result)}; the whole log is {log}"
            f"{f'; {again}' if again else ''}"
        )
    return _told_by(result, job)


def _told_by(result: "dg.ExecuteInProcessResult", job: str) -> Ran:
    """The run in the words of its checks."""
    import dagster as dg

    checks, warnings = [], []
    for each in result.get_asset_check_evaluations():
        said, warns = each.description or "", each.severity is dg.AssetCheckSeverity.WARN
        checks.append((each.check_name, each.passed or warns, said))
        if warns and not each.passed:
            warnings.append((each.check_name, said))
    return Ran(job=job, succeeded=result.success, checks=tuple(checks), warnings=tuple(warnings))


def _why(result: "dg.ExecuteInProcessResult") -> str:
    """At which steps and by what, in words; steps that failed by the same are named together."""
    steps: dict[str, list[str]] = {}
    for event in _failures(result):
        steps.setdefault(_cause(event), []).append(event.step_key or "its start")
    return "; ".join(f"at {', '.join(names)}: {text}" for text, names in steps.items())


def _failures(result: "dg.ExecuteInProcessResult") -> "Sequence[dg.DagsterEvent]":
    """The steps that failed, or where none did the failure of the run itself."""
    events = result.all_events
    steps = [event for event in events if event.is_step_failure]
    return steps or [event for event in events if event.is_job_failure]


def _cause(event: "dg.DagsterEvent") -> str:
    """The first line of the error that is behind all others; an error of the desk as it is put."""
    if not event.is_step_failure:
        return (event.message or "for no reason that was told").splitlines()[0]
    told = event.step_failure_data
    if told.user_failure_data is not None and told.user_failure_data.description:
        return str(told.user_failure_data.description)
    error = told.error
    while error is not None and error.cause is not None:
        error = error.cause
    text = "no error was told" if error is None else error.message.strip().splitlines()[0]
    kind, _, rest = text.partition(": ")
    return rest if kind.startswith("engine.errors.") else text


def _kept_log(folder: Path, job: str, result: "dg.ExecuteInProcessResult") -> Path:
    """Write what Dagster says of the failures, with where in the code, into a file."""
    log = folder / FAILED_RUNS / f"{job}-{result.run_id[:8]}.log"
    log.parent.mkdir(exist_ok=True)
    told = [
        event.step_failure_data.error_display_string if event.is_step_failure else event.message
        for event in _failures(result)
    ]
    log.write_text("\n\n".join(text or "" for text in told) + "\n")
    return log


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
