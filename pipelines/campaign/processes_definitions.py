"""The desk's code location as the campaign serves it: the time is the gateway's, ticks are quick.

Assets, jobs, resources, run launcher and the session sensor's rule are those of every day.
"""

import os
from datetime import datetime
from typing import Final

import dagster as dg

from pipelines.definitions import definitions_for
from pipelines.gateway.control import ask_gateway
from pipelines.jobs import trading_session_job
from pipelines.sensors import session_run
from pipelines.wiring import Wiring

CONTROL_PORT: Final = "CAMPAIGN_CONTROL_PORT"
TICK_SECONDS: Final = 5
"""As often as the daemon looks at its sensors at all; every day it is 30."""


@dg.sensor(
    job=trading_session_job,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def session_sensor(
    context: dg.SensorEvaluationContext, wiring: dg.ResourceParam[Wiring]
) -> dg.RunRequest | dg.SkipReason:
    """The run of the session the gateway plays, or why there is none to launch now."""
    return session_run(context.instance, wiring)


def told_by_gateway() -> datetime:
    """The time of the gateway's market."""
    status = ask_gateway(int(os.environ[CONTROL_PORT]), {"do": "status"})
    return datetime.fromisoformat(status["now"])


defs = definitions_for(
    Wiring(settings=Wiring.from_environment().settings, clock=told_by_gateway), [session_sensor]
)
