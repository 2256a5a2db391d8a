"""When bars are due: the regular sessions of the calendar, whatever day and season it is."""

from datetime import datetime

from contracts.calendar import is_session, session_on
from engine.calendar import Session, SessionRules


def regular_session(instant: datetime, rules: SessionRules) -> Session | None:
    """The session that an instant in UTC lies in, or null; a session never spans midnight UTC."""
    if not is_session(instant.date(), rules):
        return None
    session = session_on(instant.date(), rules)
    return session if session.opens_at <= instant < session.closes_at else None
