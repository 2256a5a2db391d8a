"""Where the Celery workers and those who hand them work meet; from the environment."""

import os
from dataclasses import dataclass
from typing import Final, Self

from engine.errors import SettingsError

BROKER: Final = "DAGSTER_CELERY_BROKER"
BACKEND: Final = "DAGSTER_CELERY_BACKEND"

RUNS: Final = "runs"
"""The queue of whole runs; `dagster_home/distributed/dagster.yaml` names it too."""

STEPS: Final = "dagster"
"""The queue of steps, by the name that `dagster_celery` gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queues:
    """Where tasks wait (`broker`) and where their results are left (`backend`): two URLs."""

    broker: str
    backend: str

    @classmethod
    def from_environment(cls) -> Self:
        """As `DAGSTER_CELERY_BROKER` and `DAGSTER_CELERY_BACKEND` say; raises `SettingsError`."""
        for name in (BROKER, BACKEND):
            if not os.environ.get(name):
                raise SettingsError(
                    f"{name}: expected the URL of the Celery queues, such as "
                    "redis://:PASSWORD@HOST:6379/0; docs/many-machines.md says how to set it"
                )
        return cls(broker=os.environ[BROKER], backend=os.environ[BACKEND])
