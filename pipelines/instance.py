"""The Dagster instance of a data home: who may use it, and what a power cut left.

One `credence up` per instance holds an OS lock, because two daemons on one home both launch runs.
After a power cut a run stays STARTED for ever and blocks the next one, so a run whose process is
gone is failed before the daemon starts. After a SIGKILL of `credence up` its webserver, daemon and
code server live on without the lock, so they are remembered and ended before new ones start; the
runs that the code server was executing go on.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dagster as dg
import psutil
from filelock import Timeout

from engine.errors import InstanceBusy
from pipelines.dagster_home import lock_of

UNFINISHED: Final = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
START_SLACK_SECONDS: Final = 5.0
END_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanedRun:
    """A run that the instance believes alive and whose process is gone."""

    run_id: str
    job_name: str
    pid: int | None
    why: str


@contextmanager
def only_one(dagster_home: Path) -> Iterator[None]:
    """Hold the OS lock of an instance; raises `InstanceBusy` when another process holds it."""
    lock = lock_of(dagster_home)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InstanceBusy(
            f"expected to be the only desk on {dagster_home}, but another `credence up` holds its "
            "lock; open the one that runs, or stop it first"
        ) from error
    try:
        yield
    finally:
        lock.release()


def remember(dagster_home: Path, pids: Mapping[str, int]) -> None:
    """Leave word of the processes that serve this instance, with the instants they began."""
    began = {name: (pid, psutil.Process(pid).create_time()) for name, pid in pids.items()}
    path = _remembered(dagster_home)
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(began))
    aside.replace(path)  # In one step: half a file would keep the next desk from starting.


def end_leftovers(dagster_home: Path, spared: Collection[int] = ()) -> list[str]:
    """End the processes that were remembered and still run; returns their names.

    `spared` are ids of processes among theirs that go on, with their own children. Only for the
    holder of the lock: whoever remembered them is gone.
    """
    path = _remembered(dagster_home)
    if not path.exists():
        return []
    ended = []
    for name, (pid, began) in json.loads(path.read_text()).items():
        try:
            process = psutil.Process(pid)
            if process.create_time() == began:
                end_tree(process, spared=spared)
                ended.append(name)
        except psutil.NoSuchProcess:
            continue
    path.unlink()
    return ended


def end_tree(
    process: psutil.Process,
    *,
    spared: Collection[int] = (),
    seconds_max: float = END_SECONDS_MAX,
) -> None:
    """SIGTERM, then SIGKILL for what has not ended within the bound, children included."""
    family = _family(process, spared)
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.terminate()
    _, alive = psutil.wait_procs(family, timeout=seconds_max)
    for member in alive:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def _family(process: psutil.Process, spared: Collection[int]) -> list[psutil.Process]:
    """The process and its descendants, without those that are spared and theirs."""
    if process.pid in spared:
        return []
    with suppress(psutil.NoSuchProcess):
        children = process.children()
        return [process, *(each for child in children for each in _family(child, spared))]
    return []


def _remembered(dagster_home: Path) -> Path:
    return dagster_home / "credence-up.json"


def living_workers(instance: dg.DagsterInstance) -> dict[int, dg.DagsterRun]:
    """The unfinished runs whose process is alive, by its id.

    A code server starts each run in a process of its own, which needs it no more: the run writes
    its events to the instance itself and ends by itself when its code server is gone.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=list(UNFINISHED)))
    return {
        pid: record.dagster_run
        for record in records
        if (pid := _worker_pid(instance, record.dagster_run.run_id)) is not None
        and is_worker_of(record, pid)
    }


def reap_orphans(instance: dg.DagsterInstance) -> list[OrphanedRun]:
    """Fail every unfinished run whose process is gone; runs that are alive are left alone."""
    orphans = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(UNFINISHED))):
        orphan = _orphan(instance, record)
        if orphan:
            instance.report_run_failed(
                record.dagster_run, f"Reaped at start: {orphan.why}. The next run reconciles first."
            )
            orphans.append(orphan)
    return orphans


def _orphan(instance: dg.DagsterInstance, record: dg.RunRecord) -> OrphanedRun | None:
    run = record.dagster_run
    pid = _worker_pid(instance, run.run_id)
    if pid is None:
        why = "its launch never reached a process"
    elif is_worker_of(record, pid):
        return None
    else:
        why = f"process {pid} is gone"
    return OrphanedRun(run_id=run.run_id, job_name=run.job_name, pid=pid, why=why)


def is_worker_of(record: dg.RunRecord, pid: int) -> bool:
    """Whether the process is alive and the one that began with this run."""
    return _is_worker(pid, started_at=record.start_time or record.create_timestamp.timestamp())


def _worker_pid(instance: dg.DagsterInstance, run_id: str) -> int | None:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        if entry.dagster_event:
            pid = entry.dagster_event.engine_event_data.metadata.get("pid")
            if pid is not None:
                return int(str(pid.value))
    return None


def _is_worker(pid: int, *, started_at: float) -> bool:
    """Whether the process is still the one that started then, not a later one with its number."""
    try:
        process = psutil.Process(pid)
        is_dead = process.status() == psutil.STATUS_ZOMBIE
        return not is_dead and process.create_time() <= started_at + START_SLACK_SECONDS
    except psutil.NoSuchProcess:
        return False
