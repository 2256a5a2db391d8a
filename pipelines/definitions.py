"""The code location: every asset, check, job and schedule of the desk, on one data home."""

from collections.abc import Sequence

import dagster as dg

from pipelines.evolution_job import evolution, evolution_schedule
from pipelines.jobs import JOBS
from pipelines.nights import nightly_schedule, nightly_sensor
from pipelines.operator_jobs import OPERATOR_JOBS
from pipelines.resources import resources_of
from pipelines.schedules import market_day_schedule, preopen_schedule
from pipelines.sensors import SENSORS
from pipelines.stages import STAGES
from pipelines.wiring import Wiring


def definitions_for(
    wiring: Wiring, sensors: Sequence[dg.SensorDefinition] = SENSORS
) -> dg.Definitions:
    """The definitions of one desk; tests, the demo and the campaign pass their own."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules(STAGES),
        asset_checks=dg.load_asset_checks_from_modules(STAGES),
        jobs=[*JOBS, *OPERATOR_JOBS, evolution],
        schedules=[market_day_schedule, preopen_schedule, nightly_schedule, evolution_schedule],
        sensors=[*sensors, nightly_sensor],
        executor=dg.in_process_executor,
        resources={**resources_of(wiring), "session_runs": wiring.sessions, "wiring": wiring},
    )


defs = definitions_for(Wiring.from_environment())
