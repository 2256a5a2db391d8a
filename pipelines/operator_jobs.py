"""A person's levers in the Dagster UI: the functions that `credence halt` and the others call."""

import time
from typing import Final

import dagster as dg
from pydantic import Field

from engine.desk import OperatorVerb
from pipelines.commands.lonely_lever import desk_of
from pipelines.session.inbox import Outcome
from pipelines.session.levers import LeverDesk, pull_lever
from pipelines.session.lock import last_held_mode
from pipelines.wiring import Wiring

BY: Final = "a person in the Dagster UI"
TAGS: Final = {"dagster/max_retries": "0", "dagster/priority": "100"}


class LeverConfig(dg.Config):
    """Run configuration of a lever."""

    reason: str = Field(
        default="", description="Why, in your words: it is journalled, and a resume owes one."
    )
    patience_seconds: float = Field(
        default=120.0,
        gt=0,
        description="How long to wait for the last word, such as the broker saying flat.",
    )


def _lever_job(name: str, verb: OperatorVerb, description: str) -> dg.JobDefinition:
    """The job that pulls one lever; it fails when the desk refuses, or is not seen flat in time."""

    @dg.op(name=f"{name}_lever", description=description)
    def lever(
        context: dg.OpExecutionContext, config: LeverConfig, wiring: dg.ResourceParam[Wiring]
    ) -> None:
        _pull(context, verb, config, wiring)

    @dg.job(name=name, description=description, tags=TAGS, executor_def=dg.in_process_executor)
    def job() -> None:
        lever()

    return job


def _pull(
    context: dg.OpExecutionContext, verb: OperatorVerb, config: LeverConfig, wiring: Wiring
) -> None:
    deadline = time.monotonic() + config.patience_seconds
    answer = pull_lever(
        lever_desk(wiring),
        verb,
        by=BY,
        reason=config.reason,
        say=context.log.info,
        gives_up=lambda: time.monotonic() > deadline,
    )
    if answer.outcome is Outcome.REFUSED:
        raise dg.Failure(f"{verb} refused: {answer.text}")
    if not answer.is_final:
        raise dg.Failure(
            f"{verb}: {answer.text}. It stays in force; look at the account, and see "
            "credence status"
        )
    context.log.info("%s: %s", verb, answer.text)


def lever_desk(wiring: Wiring) -> LeverDesk:
    """The desk of this home: in the mode it runs in or was struck in, else as the settings say."""
    mode = last_held_mode(wiring.session_files, wiring.settings.symbol) or wiring.mode
    return desk_of(wiring.settings, mode, is_simulated=False)


halt = _lever_job(
    "halt",
    OperatorVerb.HALT,
    "No new entries from now on; an open trade is managed to its end. Works with a session or "
    "without one.",
)
resume = _lever_job(
    "resume",
    OperatorVerb.RESUME,
    "Let a halted or killed desk trade again. Owes a reason; after a kill the broker must have "
    "been seen flat.",
)
kill_and_flatten = _lever_job(
    "kill_and_flatten",
    OperatorVerb.KILL,
    "Cancel everything, flatten at market, see the broker flat, stay down. A run takes seconds to "
    "start; `credence kill` in a shell is faster.",
)

OPERATOR_JOBS: Final = (halt, resume, kill_and_flatten)
