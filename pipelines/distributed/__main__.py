"""The whole of it on this machine: `python -m pipelines.distributed --sessions 250 --workers 2`.

Makes the market tables of MES and MNQ in one process and again on Celery workers over PostgreSQL
and Redis of its own, and compares every file. Ends with 1 when one differs.
"""

import shutil
import signal
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import typer

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.errors import CredenceError
from pipelines.commands.screen import Screen
from pipelines.distributed.proof import Proof, prove

SYMBOLS: Final = ("MES", "MNQ")
LAST_DATE: Final = date(2025, 10, 31)
YEARS_MAX: Final = 10


def main(
    sessions: Annotated[int, typer.Option(help="Sessions of each symbol, up to 2025-10-31.")] = 250,
    workers: Annotated[int, typer.Option(help="Workers that execute steps.")] = 2,
    sessions_per_run: Annotated[int, typer.Option(help="Sessions in one run.")] = 25,
) -> None:
    """Compare a backfill on workers with the same one in one process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that what was started is ended.
    screen = Screen.of_process()
    known = sessions_between(
        LAST_DATE.replace(year=LAST_DATE.year - YEARS_MAX), LAST_DATE, load_rules().session
    )
    dates = [session.session_date for session in known[-sessions:]]
    screen.say(f"{len(dates)} sessions from {dates[0]} to {dates[-1]} of {' and '.join(SYMBOLS)}")
    folder = Path(tempfile.mkdtemp(prefix="credence-machines-"))
    try:
        proof = prove(
            folder,
            SYMBOLS,
            dates,
            workers=workers,
            sessions_per_run=sessions_per_run,
            say=screen.say,
        )
    except CredenceError as error:
        screen.fail(f"{error}\nlogs and tables are left in {folder}")
        sys.exit(3)
    _show(screen, proof)
    shutil.rmtree(folder)
    sys.exit(1 if proof.different or not proof.files else 0)


def _show(screen: Screen, proof: Proof) -> None:
    steps = ", ".join(f"{name} {count}" for name, count in sorted(proof.steps_by_worker.items()))
    spent = ", ".join(f"{name} {used:.0f}" for name, used in proof.processor_seconds.items())
    rows = [
        ("files", f"{proof.files:,}"),
        ("different files", f"{len(proof.different):,}"),
        ("runs", f"{proof.runs}"),
        ("steps by worker", steps),
        ("one process, s", f"{proof.one_process_seconds:.0f}"),
        ("start of everything, s", f"{proof.start_seconds:.0f}"),
        ("workers, s", f"{proof.backfill_seconds:.0f}"),
        ("processor time, s", spent),
    ]
    screen.table("The same backfill, by one process and by workers", ("", ""), rows)
    for name in proof.different[:10]:
        screen.fail(f"different: {name}")


if __name__ == "__main__":
    typer.run(main)
