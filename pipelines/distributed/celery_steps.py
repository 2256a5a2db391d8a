"""The executor of the locations: every step of a run is a task for the next free Celery worker.

The run itself is a Celery task too (`CeleryRunLauncher`), on a queue of its own: it hands out
steps, holds the pools of the instance and waits.
"""

from collections.abc import Iterator

import dagster as dg
from celery.result import allow_join_result
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster_celery.executor import CELERY_CONFIG, CeleryExecutor

from pipelines.distributed.queues import Queues


class _CeleryStepsExecutor(CeleryExecutor):
    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Hand out the steps; a task may wait for them, because they are another queue's."""
        with allow_join_result():
            yield from super().execute(plan_context, execution_plan)


@dg.executor(
    name="celery",
    config_schema=CELERY_CONFIG,
    requirements=dg.multiple_process_executor_requirements(),
)
def celery_steps(init_context: dg.InitExecutorContext) -> dg.Executor:
    """Celery with the queues that the environment names; a stated broker or backend wins."""
    config, queues = init_context.executor_config, Queues.from_environment()
    return _CeleryStepsExecutor(
        broker=config.get("broker") or queues.broker,
        backend=queues.backend,
        include=config.get("include"),
        config_source=config.get("config_source"),
        retries=RetryMode.DISABLED,
    )
