"""Raise alerts so that they are heard: written down first, told at once where the book refuses."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from engine.errors import CredenceError
from pipelines.alerts.alert import alert_saying
from pipelines.alerts.book import AlertBook
from pipelines.alerts.follower import begin_all, tell_pending, tell_unwritten
from pipelines.alerts.outbox import Outbox


def raise_and_tell(
    book: AlertBook, outboxes: Sequence[Outbox], texts: Sequence[str], *, at: datetime
) -> list[str]:
    """Write these alerts down and tell whatever is untold; returns what went wrong, in words.

    A text that the book refuses is told to every target at once and is in no journal. A target that
    is new hears of these texts, and of nothing earlier.
    """
    problems = begin_all(outboxes)
    try:
        for text in texts:
            problems += _written_or_told(book, outboxes, text, at)
    finally:
        problems += [told.problem for told in tell_pending(outboxes) if told.problem]
    return problems


def _written_or_told(
    book: AlertBook, outboxes: Sequence[Outbox], text: str, at: datetime
) -> list[str]:
    try:
        book.raise_alert(text, at=at)
    except (CredenceError, OSError, sqlite3.Error) as error:
        refused = f"{book.path}: an alert could not be written down ({error}): {text}"
        return [refused, *tell_unwritten(outboxes, alert_saying(text))]
    return []
