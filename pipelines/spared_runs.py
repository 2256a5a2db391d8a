"""Runs that outlived the code server they were launched by, watched in its stead.

Dagster sends the wish to end a run to the server that launched it, and that server alone notices
when the run's process dies. For a run it no longer has, both are done here.
"""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from pipelines.instance import is_worker_of


@dataclass(kw_only=True)
class SparedRuns:
    """The runs by the id of their process, as long as they are unfinished."""

    dagster_home: Path
    running: dict[int, str]
    _is_told: set[int] = field(default_factory=set)

    def look(self) -> list[str]:
        """Pass a termination on, and book the end of a run that died; what was done, in words.

        An instance that does not answer is looked at again the next time.
        """
        if not self.running:
            return []
        try:
            with dg.DagsterInstance.from_config(str(self.dagster_home)) as instance:
                looks = [self._looked(instance, *each) for each in list(self.running.items())]
        except Exception as error:  # noqa: BLE001 - The whole desk does not stop for this.
            return [f"runs that were left running could not be looked at: {error}"]
        return [said for said in looks if said is not None]

    def _looked(self, instance: dg.DagsterInstance, pid: int, run_id: str) -> str | None:
        record = instance.get_run_record_by_id(run_id)
        is_alive = record is not None and is_worker_of(record, pid)
        run = instance.get_run_by_id(run_id)  # Only now: it may have ended well in between.
        if run is None or run.is_finished:
            del self.running[pid]
            return None
        is_to_end = run.status is dg.DagsterRunStatus.CANCELING
        if not is_alive:
            del self.running[pid]
            report = instance.report_run_canceled if is_to_end else instance.report_run_failed
            report(run, f"Process {pid} is gone. The next run reconciles first.")
            return f"run {run_id[:8]} of {run.job_name} ended: process {pid} is gone"
        if is_to_end and pid not in self._is_told:
            self._is_told.add(pid)  # Once: a second interrupt would let go without getting flat.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            return f"told run {run_id[:8]} of {run.job_name} to end (process {pid})"
        return None
