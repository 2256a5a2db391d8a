"""Seeded MES-like bars of any number of sessions, with the labels of what was put into them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
import polars as pl

from engine.bars import BAR_COLUMNS
from engine.calendar import Session
from engine.errors import CalendarError
from engine.generator.days import FULL_SESSION_MINUTES, Flags, Ints, day_levels
from engine.generator.episodes import NOTES, EpisodeKind, Episodes, write_episodes
from engine.generator.tape import Block, Tape, draw
from engine.instrument import Instrument

_MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketScale:
    """The units of a generated market; changing one changes no shape.

    `level_points` is where prices hover, `tick_multiple` how many ticks one tick of movement
    becomes (the same market on a finer grid), `volume_unit` how many contracts one becomes.
    """

    level_points: Decimal = Decimal(6000)
    tick_multiple: int = 1
    volume_unit: int = 1


USUAL_SCALE: Final = MarketScale()


LABEL_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "kind": pl.String(),
    "from_minute": pl.Int32(),
    "signal_minute": pl.Int32(),
    "until_minute": pl.Int32(),
    "side": pl.Int8(),
    "edge_probability": pl.Float64(),
    "follows_through": pl.Boolean(),
    "note": pl.String(),
}
"""Columns of the labels, in order.

At the close of `signal_minute` the sign is complete; `until_minute` is exclusive. `side` is the
side that wins if the sign comes true (0 for chop), `edge_probability` the odds that it does, and
`follows_through` what was drawn; both are null for chop.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """Bars in `BAR_COLUMNS` and their episodes in `LABEL_COLUMNS`, both in time order."""

    bars: pl.DataFrame
    labels: pl.DataFrame


def generate_bars(
    sessions: Sequence[Session],
    seed: int,
    instrument: Instrument,
    scale: MarketScale = USUAL_SCALE,
) -> Generated:
    """MES-like bars of complete sessions with labelled episodes.

    A session's bars follow from the seed, its date and its length alone, whichever sessions are
    asked for together. Raises `CalendarError` for a weekend date or an impossible length,
    `SettingsError` for a negative seed, `OffGridPrice` for a level off the tick grid.
    """
    tape = _tape(sessions, seed)
    written = write_episodes(tape)
    return Generated(
        bars=_frame(tape, sessions, seed, instrument, scale),
        labels=_labels(written, sessions, instrument),
    )


def random_walk_bars(
    sessions: Sequence[Session],
    seed: int,
    instrument: Instrument,
    scale: MarketScale = USUAL_SCALE,
) -> pl.DataFrame:
    """Bars of the same market without a single episode: whatever finds an edge here is wrong.

    `BAR_COLUMNS`, sorted by closes_at, every minute present. Raises as `generate_bars`.
    """
    return _frame(_tape(sessions, seed), sessions, seed, instrument, scale)


def _labels(
    written: Sequence[Episodes], sessions: Sequence[Session], instrument: Instrument
) -> pl.DataFrame:
    dates = np.array([session.session_date for session in sessions], dtype="datetime64[D]")
    frames = [
        pl.DataFrame(
            {
                "session_date": dates[episodes.rows],
                "from_minute": episodes.from_minute,
                "signal_minute": episodes.signal_minute,
                "until_minute": episodes.until_minute,
                "side": episodes.side,
                "edge_probability": episodes.edge_probability,
                "follows_through": episodes.follows_through,
            }
        ).with_columns(kind=pl.lit(episodes.kind.value), note=pl.lit(NOTES[episodes.kind]))
        for episodes in written
    ]
    has_truth = pl.col("kind") != EpisodeKind.CHOP.value
    return (
        pl.concat(
            [pl.DataFrame(schema=LABEL_COLUMNS).drop("symbol"), *frames], how="diagonal_relaxed"
        )
        .with_columns(
            symbol=pl.lit(instrument.symbol),
            edge_probability=pl.when(has_truth).then("edge_probability"),
            follows_through=pl.when(has_truth).then("follows_through"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in LABEL_COLUMNS.items())
        .sort("session_date", "from_minute")
    )


def _tape(sessions: Sequence[Session], seed: int) -> Tape:
    """The base path of each session, before any episode."""
    minutes = np.array([session.minutes for session in sessions], dtype=np.int64)
    if not len(minutes) or minutes.min() < 1 or minutes.max() > FULL_SESSION_MINUTES:
        raise CalendarError(
            f"generator: expected sessions of 1 to {FULL_SESSION_MINUTES} minutes, "
            f"got {sorted(set(minutes.tolist()))}; check the calendar rules"
        )
    dates = [session.session_date for session in sessions]
    return Tape(day_levels(seed, dates), draw(seed, dates), minutes)


def _frame(
    tape: Tape,
    sessions: Sequence[Session],
    seed: int,
    instrument: Instrument,
    scale: MarketScale,
) -> pl.DataFrame:
    """Read the whole tape as one frame of bars; the minutes after an early close are left out."""
    everything = (slice(None), slice(None))
    block = tape.bars(*everything)
    volume, trades = tape.volumes(*everything, block)
    inside = np.arange(FULL_SESSION_MINUTES) < tape.minutes[:, None]
    minute = np.broadcast_to(np.arange(FULL_SESSION_MINUTES), inside.shape)[inside]
    opens = np.array([session.opens_at.replace(tzinfo=None) for session in sessions])
    opens_us = opens.astype("datetime64[us]").astype(np.int64)
    opens_at = np.repeat(opens_us, tape.minutes) + minute * _MINUTE_US
    dates = np.array([session.session_date for session in sessions], dtype="datetime64[D]")
    base = instrument.to_ticks(scale.level_points)
    prices = _prices(block, inside, base, scale.tick_multiple)
    columns = {
        "session_date": np.repeat(dates, tape.minutes),
        "opens_at": opens_at,
        "closes_at": opens_at + _MINUTE_US,
        "minute": minute,
        **prices,
        "volume": volume[inside] * scale.volume_unit,
        "trades": trades[inside] * scale.volume_unit,
    }
    constants = {
        "symbol": pl.lit(instrument.symbol),
        "arrived_at": pl.lit(None),
        "source": pl.lit(f"generator:{seed}"),
    }
    return (
        pl.DataFrame(columns)
        .with_columns(
            pl.col("opens_at", "closes_at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            **constants,
        )
        .select(pl.col(name).cast(dtype) for name, dtype in BAR_COLUMNS.items())
    )


def _prices(block: Block, inside: Flags, base: int, multiple: int) -> dict[str, Ints]:
    names = ("open", "high", "low", "close", "bid", "ask")
    return {f"{name}_ticks": getattr(block, name)[inside] * multiple + base for name in names}
