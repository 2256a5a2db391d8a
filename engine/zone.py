"""The one mistake that reads well: bars in the wrong time zone. Volume gives it away.

Regular hours carry most of a day's volume. If the rows moved by whole hours would put clearly more
of it inside regular hours, the stated zone is wrong.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import polars as pl

from engine.calendar import Session
from engine.errors import SourceError

SHIFTS_HOURS: Final = tuple(range(-14, 15))
GAIN_MIN: Final = 0.10
"""Share of the volume that a shift must bring into regular hours before the zone is refused."""

SESSIONS_JUDGED: Final = 5
ROWS_MIN: Final = 60
"""Fewer rows say nothing about the shape of a day, except when none is inside regular hours."""


def refuse_wrong_zone(raw: pl.DataFrame, sessions: Sequence[Session], source: str) -> None:
    """Raise `SourceError` when the rows look as if they were read in the wrong zone.

    `raw` is as `engine.bars.check_bars` wants it; the first five sessions with rows are judged.
    """
    with_date = raw.with_columns(pl.col("opens_at").dt.date().alias("_date"))
    dates = set(with_date["_date"].unique())
    sessions = [each for each in sessions if each.session_date in dates][:SESSIONS_JUDGED]
    times = with_date.filter(pl.col("_date").is_in([each.session_date for each in sessions]))
    if times.height == 0:
        return
    inside_rows = int(times.select(_inside(sessions, 0).sum()).item())
    if inside_rows == 0:
        raise SourceError(
            f"{source}: 0 of {times.height} rows fall inside RTH ({_times_text(times, sessions)}); "
            "is the zone right? State it, for example csv:PATH?tz=America/Chicago"
        )
    if times.height < ROWS_MIN:
        return
    shares = _volume_shares(times, sessions)
    best = max(SHIFTS_HOURS, key=lambda hours: (shares[hours], -abs(hours)))
    if shares[best] - shares[0] > GAIN_MIN:
        raise SourceError(
            f"{source}: {shares[0]:.0%} of the volume falls inside RTH, but {shares[best]:.0%} "
            f"would if the times were {best:+d} h ({_times_text(times, sessions)}); "
            "is the zone right? State another with tz="
        )


def _inside(sessions: Sequence[Session], shift_hours: int) -> pl.Expr:
    moved = pl.col("opens_at") + timedelta(hours=shift_hours)
    return pl.any_horizontal(
        moved.is_between(session.opens_at, session.closes_at, closed="left") for session in sessions
    )


def _volume_shares(times: pl.DataFrame, sessions: Sequence[Session]) -> dict[int, float]:
    volume = pl.col("volume").cast(pl.Float64, strict=False).fill_nan(None)
    row = times.select(
        (pl.when(_inside(sessions, hours)).then(volume).sum() / volume.sum()).alias(str(hours))
        for hours in SHIFTS_HOURS
    ).row(0, named=True)
    return {hours: float(row[str(hours)] or 0.0) for hours in SHIFTS_HOURS}


def _times_text(times: pl.DataFrame, sessions: Sequence[Session]) -> str:
    first, session = times["opens_at"][0], sessions[0]
    return (
        f"first row {first:%Y-%m-%d %H:%M} UTC, "
        f"first session {session.opens_at:%Y-%m-%d %H:%M} to {session.closes_at:%H:%M} UTC"
    )
