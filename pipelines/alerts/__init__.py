"""Alerts: what a person must hear of, written down first and then told until it was heard."""

from pipelines.alerts.alert import Alert, Urgency, alert_of
from pipelines.alerts.book import AlertBook
from pipelines.alerts.follower import alerts_told, tell_pending
from pipelines.alerts.outbox import Outbox, Told
from pipelines.alerts.raising import raise_and_tell
from pipelines.alerts.target import Target, targets_of

__all__ = [
    "Alert",
    "AlertBook",
    "Outbox",
    "Target",
    "Told",
    "Urgency",
    "alert_of",
    "alerts_told",
    "raise_and_tell",
    "targets_of",
    "tell_pending",
]
