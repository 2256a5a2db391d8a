"""What a Celery worker of the desk runs: `celery -A pipelines.distributed.workers worker -Q steps`.

The queue `runs` takes whole runs, which hand out their steps and wait; `dagster` takes the steps. A
worker serves one of them: a run that waited in the place of its own steps would wait for ever.
"""

from dagster_celery.config import DEFAULT_CONFIG
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task, create_task

from pipelines.distributed.queues import Queues

_QUEUES = Queues.from_environment()

app = make_app(
    {
        "broker": _QUEUES.broker,
        "backend": _QUEUES.backend,
        # A worker that holds a second task back while it executes one keeps it from a free worker.
        "config_source": {**DEFAULT_CONFIG, "worker_disable_prefetch": True},
    }
)
execute_step = create_task(app)
execute_run = create_execute_job_task(app)
resume_run = create_resume_job_task(app)
