"""Where the Dagster instance of a data home lives, and whether it is in use; without Dagster.

Importing Dagster takes seconds, and a status or an ingest on a home without an instance needs none.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

REPOSITORY: Final = Path(__file__).resolve().parents[1]
INSTANCE_FILE: Final = REPOSITORY / "dagster_home" / "dagster.yaml"
DEFAULT_HOME: Final = REPOSITORY / "data"


def dagster_folder_of(home: Path) -> Path:
    """Folder that the Dagster instance of a data home has or will have; nothing is created.

    The default home uses the repository's `dagster_home/`; any other home carries its own beside
    its data. `DAGSTER_HOME`, if set, wins.
    """
    stated = os.environ.get("DAGSTER_HOME")
    if stated:
        return Path(stated)
    if home.resolve() == DEFAULT_HOME:
        return INSTANCE_FILE.parent
    return home.resolve() / "dagster"


def dagster_home_of(home: Path) -> Path:
    """The folder of `dagster_folder_of`, created with its `dagster.yaml`."""
    folder = dagster_folder_of(home)
    folder.mkdir(parents=True, exist_ok=True)
    instance_file = folder / INSTANCE_FILE.name
    if not instance_file.exists():
        shutil.copyfile(INSTANCE_FILE, instance_file)
    return folder


def has_instance(home: Path) -> bool:
    """Whether an instance of this home has ever been opened: its history is there."""
    folder = dagster_folder_of(home)
    return (folder / INSTANCE_FILE.name).is_file() and (folder / "history").is_dir()


def lock_of(dagster_home: Path) -> FileLock:
    """The lock that a running `credence up` holds on an instance."""
    return FileLock(dagster_home / ".credence-up.lock")


def is_up(home: Path) -> bool:
    """Whether a `credence up` runs on the instance of this home."""
    lock = lock_of(dagster_folder_of(home))
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
