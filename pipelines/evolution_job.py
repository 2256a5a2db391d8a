"""The weekly search as a Dagster job; `credence evolve` is the same by hand."""

import dagster as dg

from pipelines.evolution import evolve, shadowed
from pipelines.schedules import NEW_YORK
from pipelines.wiring import Wiring


@dg.op(
    name="search",
    description="Replays every small change of the parameters, and keeps what it proposes.",
)
def search(context: dg.OpExecutionContext, wiring: dg.ResourceParam[Wiring]) -> None:
    """Tries every variant; a proposal is only ever written into a contract by a person."""
    done = evolve(wiring, lambda name: context.log.debug("tried %s", name))
    said = done.why_not or f"proposed: {done.best.name if done.best else ''}"
    context.log.info("%d variants on %d sessions: %s", done.tried, done.sessions, said)
    for each in shadowed(wiring):
        context.log.info(
            "%s, proposed after %s: %+.3f R a session over %d sessions since",
            each.variant.name,
            each.through,
            each.gain_r,
            each.sessions,
        )


@dg.job(
    name="evolution",
    description="Weekly: which small change of the parameters would have been better, and whether "
    "that may be luck. It proposes; `credence promote` is a person's.",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_retries": "0"},
)
def evolution() -> None:
    """The weekly search."""
    search()


evolution_schedule = dg.ScheduleDefinition(
    name="evolution_schedule",
    job=evolution,
    cron_schedule="0 18 * * 5",
    execution_timezone=NEW_YORK,
    description="Friday 18:00 New York, after the week's last close.",
)
