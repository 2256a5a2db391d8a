"""Two sessions of bars whose every price is known: one of history, one to be played."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from engine.bars import BAR_COLUMNS

HISTORY, PLAYED = date(2025, 1, 2), date(2025, 1, 3)
OPENS_AT = datetime(2025, 1, 3, 14, 30, tzinfo=UTC)
BASE = 24_000
"""6,000.00 points."""

MOVES = {
    0: (0, 1, -1, 0),
    1: (0, 1, -1, 0),  # A client that places its bracket after this one has a minute to spare.
    2: (0, 1, -1, 0),
    3: (0, 0, -10, -8),  # An entry at 5,999.00 fills on the way down.
    4: (-8, 10, -9, 8),  # A target at 6,001.00 fills on the way up.
}
"""Open, high, low and close of the first minutes, in ticks from the base; then it rests at +8."""


def planned_bars(minutes: int = 390) -> pl.DataFrame:
    """A calm session of history, and the planned one."""
    before = [_row(HISTORY, minute, (0, 1, -1, 0)) for minute in range(390)]
    played = [_row(PLAYED, minute, MOVES.get(minute, (8, 8, 8, 8))) for minute in range(minutes)]
    return pl.DataFrame([*before, *played], schema=BAR_COLUMNS)


def _row(session_date: date, minute: int, moves: tuple[int, int, int, int]) -> dict[str, object]:
    opens_at = OPENS_AT - (PLAYED - session_date) + timedelta(minutes=minute)
    open_, high, low, close = (BASE + move for move in moves)
    return {
        "symbol": "MES",
        "session_date": session_date,
        "opens_at": opens_at,
        "closes_at": opens_at + timedelta(minutes=1),
        "minute": minute,
        "open_ticks": open_,
        "high_ticks": high,
        "low_ticks": low,
        "close_ticks": close,
        "volume": 600 + minute,
        "trades": 300,
        "bid_ticks": close - 1,
        "ask_ticks": close,
        "arrived_at": None,
        "source": "planned",
    }
