"""The pages a trader reads: a session's report, and the review before the open. Without Dagster."""
