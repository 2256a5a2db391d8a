"""Everything a session knows of earlier sessions, as a few scalars: the only way the past enters a
session.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl

from engine.calendar import Session
from engine.errors import MissingContext
from engine.measures import (
    add_passes,
    atr_passes,
    is_one_session,
    typical_gap,
    vw_deviation,
    with_position,
    within_each,
)
from engine.rules import Rules

HALF_HOURS: Final = 13
ATR_MEDIANS: Final = tuple(f"atr_median_{half:02d}" for half in range(HALF_HOURS))
MEDIAN_SESSIONS: Final = 20
ATR_MEDIAN_SESSIONS_MIN: Final = 3
SEED_BARS: Final = 30
POC_BIN_TICKS: Final = 4

CONTEXT_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "session_minutes": pl.Int32(),
    "prior_session_date": pl.Date(),
    "prior_close_ticks": pl.Int32(),
    "prior_poc_ticks": pl.Int32(),
    "prior_vw_deviation_ticks": pl.Float64(),
    "atr_seed_ticks": pl.Float64(),
    "median_range_ticks": pl.Float64(),
    "prior_sessions": pl.Int32(),
    **dict.fromkeys(ATR_MEDIANS, pl.Float64()),
}
"""Columns of a session's context, in order. Key: symbol, session_date. Everything prior is null
without one.
"""

SUMMARY_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "close_ticks": pl.Int32(),
    "poc_ticks": pl.Int32(),
    "vw_deviation_ticks": pl.Float64(),
    "range_ticks": pl.Int32(),
    "last_true_range_ticks": pl.Float64(),
    **dict.fromkeys(ATR_MEDIANS, pl.Float64()),
}
"""Columns of a session's summary: what later sessions may know of it."""


def session_summaries(
    bars: pl.DataFrame, rules: Rules, earlier: pl.DataFrame | None = None
) -> pl.DataFrame:
    """One row of `SUMMARY_COLUMNS` per session that has bars of the rules' instrument.

    `earlier` are summaries of sessions before these bars: the last one seeds the ATR of the first
    session, so that a partition computed alone equals the same session computed with its history.
    Point of control and deviation are null for a session without volume.
    """
    frame = with_position(bars.filter(pl.col("symbol") == rules.instrument.symbol))
    frame = add_passes(
        frame.with_columns(atr_seed_ticks=_UNKNOWN), atr_passes(within_each, lengths=())
    )
    sessions = _session_scalars(frame).with_columns(
        atr_seed_ticks=pl.col("last_true_range_ticks").shift(fill_value=_seed(frame, earlier))
    )
    return (
        sessions.join(_points_of_control(frame), on="session_key", how="left")
        .join(_atr_medians(frame, sessions["atr_seed_ticks"]), on="session_key", how="left")
        .sort("session_key")
        .select(pl.col(name).cast(dtype) for name, dtype in SUMMARY_COLUMNS.items())
    )


def session_contexts(
    summaries: pl.DataFrame, sessions: Sequence[Session], rules: Rules
) -> pl.DataFrame:
    """One row of `CONTEXT_COLUMNS` per session given, also for one that has no bars yet.

    Reads only summaries of strictly earlier sessions: scalars of the last one that has bars, and
    medians over the last 20, whose number is `prior_sessions`. A median of ATR needs 3 sessions
    that reached the half hour, the median of the range needs one.
    """
    wanted = pl.DataFrame(
        {
            "symbol": [rules.instrument.symbol] * len(sessions),
            "session_date": [session.session_date for session in sessions],
            "session_minutes": [session.minutes for session in sessions],
        },
        schema={
            name: CONTEXT_COLUMNS[name] for name in ("symbol", "session_date", "session_minutes")
        },
    )
    known = _after_each_session(summaries.filter(pl.col("symbol") == rules.instrument.symbol))
    return (
        wanted.sort("session_date")
        .join_asof(
            known,
            left_on="session_date",
            right_on="prior_session_date",
            strategy="backward",
            allow_exact_matches=False,
        )
        .with_columns(pl.col("prior_sessions").fill_null(0))
        .select(pl.col(name).cast(dtype) for name, dtype in CONTEXT_COLUMNS.items())
    )


def join_context(bars: pl.DataFrame, contexts: pl.DataFrame) -> pl.DataFrame:
    """Bars with position in their session, the context's scalars, and `atr_median_ticks` of the
    bar's half hour.

    Bars are sorted by symbol and closes_at. Raises `MissingContext` when a session of the bars has
    no row.
    """
    frame = with_position(bars)
    found = _found(frame, contexts)
    if is_one_session(bars):
        scalars = [found[name].new_from_index(0, bars.height) for name in _SCALARS]
    else:
        scalars = found[_SCALARS][frame["session_key"]].get_columns()
    medians = pl.concat([found[name] for name in ATR_MEDIANS]).alias("atr_median_ticks")
    half_hour = (frame["minute"].to_numpy() // 30).clip(0, HALF_HOURS - 1)
    place = half_hour * found.height + frame["session_key"].to_numpy()
    return frame.hstack([*scalars, medians[place]])


def _found(frame: pl.DataFrame, contexts: pl.DataFrame) -> pl.DataFrame:
    """The row of every session of the frame, in the frame's order."""
    found = _row_of(frame, contexts) if is_one_session(frame) else None
    if found is None:
        is_first = frame["session_bar"].to_numpy() == 0
        keys = frame[["symbol", "session_date"]][np.flatnonzero(is_first)]
        found = keys.join(contexts, on=keys.columns, how="left", maintain_order="left")
    _refuse_missing(found)
    return found


def _row_of(frame: pl.DataFrame, contexts: pl.DataFrame) -> pl.DataFrame | None:
    """The one row of a frame's one session: a join costs more than all the rest of a live bar.

    Cut out, because choosing rows by their places is handed to threads.
    """
    is_here = [(contexts[name] == frame[name][0]).to_numpy() for name in ("symbol", "session_date")]
    rows = np.flatnonzero(np.logical_and.reduce(is_here))
    return contexts.slice(int(rows[0]), 1) if len(rows) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionContext:
    """The context of one session as a value, so that a live run can be pinned to it by hash.

    `atr_medians` are those of the 13 half hours. Null is unknown. `contracts_hash` is that of the
    rules in force.
    """

    symbol: str
    session_date: date
    session_minutes: int
    prior_session_date: date | None
    prior_close_ticks: int | None
    prior_poc_ticks: int | None
    prior_vw_deviation_ticks: float | None
    atr_seed_ticks: float | None
    median_range_ticks: float | None
    prior_sessions: int
    atr_medians: tuple[float | None, ...]
    contracts_hash: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any], contracts_hash: str) -> "SessionContext":
        """The value of one row of `session_contexts`; raises `KeyError` without a column."""
        return cls(
            symbol=row["symbol"],
            session_date=row["session_date"],
            session_minutes=row["session_minutes"],
            **{name: row[name] for name in _SCALARS[1:]},
            atr_medians=tuple(row[name] for name in ATR_MEDIANS),
            contracts_hash=contracts_hash,
        )

    def as_frame(self) -> pl.DataFrame:
        """The row this value was made from, as `join_context` reads it."""
        row = asdict(self)
        row |= zip(ATR_MEDIANS, row.pop("atr_medians"), strict=True)
        return pl.DataFrame([row], schema=CONTEXT_COLUMNS)

    @property
    def content_hash(self) -> str:
        """SHA-256 of every field as canonical JSON; a float is its shortest exact decimal."""
        text = json.dumps(asdict(self), sort_keys=True, default=str, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


_SCALARS: Final = [
    name for name in CONTEXT_COLUMNS if name not in {"symbol", "session_date", *ATR_MEDIANS}
]


_UNKNOWN: Final = pl.lit(None, dtype=pl.Float64)


def _refuse_missing(found: pl.DataFrame) -> None:
    if found["session_minutes"].null_count():
        missing = found.filter(pl.col("session_minutes").is_null())
        first = missing.row(0, named=True)
        raise MissingContext(
            f"expected a context for every session of the bars, {missing.height} have none, the "
            f"first is {first['symbol']} {first['session_date']}; compute the market tables of "
            "these sessions from their bars: run the job recompute_market over them in credence up"
        )


def _session_scalars(frame: pl.DataFrame) -> pl.DataFrame:
    gap = typical_gap(pl.col("open_ticks").first())
    volume = pl.col("volume")
    traded = pl.when(volume.sum() > 0).then(volume.sum())
    return (
        frame.group_by("session_key", maintain_order=True)
        .agg(
            pl.col("symbol", "session_date").first(),
            pl.col("close_ticks").last(),
            (pl.col("high_ticks").max() - pl.col("low_ticks").min()).alias("range_ticks"),
            pl.col("true_range_ticks").tail(SEED_BARS).mean().alias("last_true_range_ticks"),
            ((volume * gap).sum() / traded).alias("mean_gap"),
            ((volume * gap * gap).sum() / traded).alias("mean_gap_squared"),
        )
        .with_columns(vw_deviation_ticks=vw_deviation("mean_gap", "mean_gap_squared"))
    )


def _points_of_control(frame: pl.DataFrame) -> pl.DataFrame:
    """Middle of the 4-tick bin of typical price with most volume; the lowest of equals."""
    typical = pl.col("high_ticks") + pl.col("low_ticks") + pl.col("close_ticks")
    return (
        frame.group_by("session_key", (typical // (3 * POC_BIN_TICKS)).alias("bin"))
        .agg(pl.col("volume").sum())
        .filter(pl.col("volume") > 0)
        .sort("session_key", "volume", "bin", descending=[False, True, False])
        .unique("session_key", keep="first", maintain_order=True)
        .select(
            "session_key", (pl.col("bin") * POC_BIN_TICKS + POC_BIN_TICKS // 2).alias("poc_ticks")
        )
    )


def _seed(frame: pl.DataFrame, earlier: pl.DataFrame | None) -> float | None:
    """Mean true range of the last bars of the session before the frame's first, where known."""
    if earlier is None or frame.is_empty():
        return None
    before = earlier.filter(
        pl.col("symbol") == frame["symbol"][0],
        pl.col("session_date") < frame["session_date"][0],
    )
    ranges: list[float | None] = before.sort("session_date")["last_true_range_ticks"].to_list()
    return ranges[-1] if ranges else None


def _atr_medians(frame: pl.DataFrame, seeds: pl.Series) -> pl.DataFrame:
    """Median ATR14 of each half hour of each session, null where it has no bar."""
    seeded = frame.with_columns(atr_seed_ticks=pl.lit(seeds).gather(pl.col("session_key")))
    half_hour = (pl.col("minute") // 30).clip(0, HALF_HOURS - 1)
    medians = (
        add_passes(seeded, atr_passes(within_each, (14,)))
        .group_by("session_key", half_hour.alias("half_hour"))
        .agg(pl.col("atr_14_ticks").median())
    )
    return medians.group_by("session_key").agg(
        pl.col("atr_14_ticks").filter(pl.col("half_hour") == half).first().alias(name)
        for half, name in enumerate(ATR_MEDIANS)
    )


def _after_each_session(summaries: pl.DataFrame) -> pl.DataFrame:
    """What is known once each summarised session is over, under the names of the context."""
    return summaries.sort("session_date").select(
        prior_session_date="session_date",
        prior_close_ticks="close_ticks",
        prior_poc_ticks="poc_ticks",
        prior_vw_deviation_ticks="vw_deviation_ticks",
        atr_seed_ticks="last_true_range_ticks",
        median_range_ticks=pl.col("range_ticks").rolling_median(MEDIAN_SESSIONS, min_samples=1),
        prior_sessions=pl.int_range(1, pl.len() + 1).clip(upper_bound=MEDIAN_SESSIONS),
        **{
            name: pl.col(name).rolling_median(MEDIAN_SESSIONS, min_samples=ATR_MEDIAN_SESSIONS_MIN)
            for name in ATR_MEDIANS
        },
    )
