"""A session, and one plain bar of it as a broker tells it."""

from datetime import date, timedelta

from replay_market import RULES

from contracts.calendar import session_on
from engine.broker import BarReported

SESSION = session_on(date(2024, 11, 29), RULES.session)
PLAIN = BarReported(
    at=SESSION.opens_at + timedelta(minutes=1),
    symbol="MES",
    opens_at=SESSION.opens_at,
    open=6000.0,
    high=6001.0,
    low=5999.75,
    close=6000.5,
    volume=120,
    trades=30,
    bid=6000.25,
    ask=6000.5,
)
