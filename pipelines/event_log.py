"""Dagster's event log in SQLite, written many events at a time by a command that runs one job.

Dagster opens the file, compiles its statements and waits for the disk anew for each event, twice
for one of an asset. A backfill tells of every session of every table, so that it spends more time
telling than some tables take. The files stay Dagster's own; the UI reads them as ever.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock, get_ident
from typing import Any, Final

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage

EVENTS_AT_ONCE: Final = "500"


class BatchedEventLog(SqliteEventLogStorage):
    """The same log; what Dagster tells at once is one transaction in each of its files."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._open: dict[str, Any] = {}
        self._batch = ExitStack()
        self._writer: int | None = None
        super().__init__(base_dir, inst_data)
        self._db_lock = RLock()  # type: ignore[assignment]  # A batch has two files open at once.

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "BatchedEventLog":
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        with self._db_lock, ExitStack() as self._batch:
            self._writer, self._open = get_ident(), {}
            self._batch.callback(setattr, self, "_writer", None)
            for event in events:
                self.store_event(event)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Any]:
        """A connection of its own, or for the thread that writes a batch the one it holds open."""
        if self._writer != get_ident():
            with super()._connect(shard) as connection:
                yield connection
            return
        if shard not in self._open:
            self._open[shard] = self._batch.enter_context(super()._connect(shard))
        yield self._open[shard]


@contextmanager
def batching_instance(folder: Path) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a folder, for a command that runs a job in its own process."""
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENTS_AT_ONCE)
    log = {
        "module": __name__,
        "class": BatchedEventLog.__name__,
        "config": {"base_dir": str(folder / "history" / "runs")},
    }
    reference = InstanceRef.from_dir(str(folder), overrides={"event_log_storage": log})
    with dg.DagsterInstance.from_ref(reference) as instance:
        yield instance
