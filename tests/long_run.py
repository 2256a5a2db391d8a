"""Definitions with one job: it says where it runs and goes on until a file is there.

The folder of both files is `LONG_RUN_FOLDER`.
"""

import os
import time
from pathlib import Path

import dagster as dg

ENDS_AFTER_SECONDS = 240.0


@dg.op
def goes_on() -> None:
    folder = Path(os.environ["LONG_RUN_FOLDER"])
    aside = folder / "pid.new"
    aside.write_text(str(os.getpid()))
    aside.replace(folder / "pid")
    deadline = time.monotonic() + ENDS_AFTER_SECONDS
    while not (folder / "enough").exists() and time.monotonic() < deadline:
        time.sleep(0.1)


@dg.job(executor_def=dg.in_process_executor)
def long_run() -> None:
    goes_on()


defs = dg.Definitions(jobs=[long_run])
