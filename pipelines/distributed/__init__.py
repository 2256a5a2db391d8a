"""The same definitions on many machines: a code location per symbol, steps on Celery workers."""
