"""The session's bars so far: checked as they are told, kept as they were told."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from engine.bars import BAR_COLUMNS, REJECTED_COLUMNS, check_bars
from engine.broker import BarReported
from engine.calendar import Session
from engine.instrument import Instrument
from pipelines.session.plain_bars import plain_row
from pipelines.session.told_log import append_told, read_told

MINUTE: Final = timedelta(minutes=1)
_RAW: Final = {
    "symbol": pl.String(),
    "opens_at": pl.Datetime("us", "UTC"),
    **dict.fromkeys(("open", "high", "low", "close"), pl.Float64()),
    "volume": pl.Int64(),
    "trades": pl.Int64(),
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "arrived_at": pl.Datetime("us", "UTC"),
    "source": pl.String(),
}


class SessionBars:
    """Checked bars of one session and the rejected ones, on disk as they were told.

    `frame` has the columns of `bars`, sorted by time. A minute that is told again with the same
    prices and volume is the same bar; with others it is rejected, and the first one stays. One that
    comes after a later minute was decided is rejected too: what was decided did not know of it.
    `decided` are the closes of the minutes that were. `say` hears of what on disk cannot be read:
    the broker's backfill tells those minutes again. Who only reads them is not `is_ours`.
    """

    def __init__(
        self,
        session: Session,
        instrument: Instrument,
        folder: Path,
        *,
        source: str,
        decided: Iterable[datetime] = (),
        say: Callable[[str], None],
        is_ours: bool = True,
    ) -> None:
        self.folder = folder
        self.frame = pl.DataFrame(schema=BAR_COLUMNS)
        self.rejected = pl.DataFrame(schema=REJECTED_COLUMNS)
        self._session = session
        self._instrument = instrument
        self._source = source
        self._held: dict[datetime, BarReported] = {}
        self._refused: set[BarReported] = set()
        self._decided = set(decided)
        self._decided_until = max(self._decided, default=None)
        self._log = folder / "told.jsonl"
        self._add_all(read_told(self._log, say, is_ours=is_ours))

    def add(self, told: Sequence[BarReported]) -> None:
        """Keep and check what was told; nothing of it is lost, whatever it is."""
        fresh = [bar for bar in told if not self._is_known(bar)]
        if not fresh:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        append_told(self._log, fresh)
        self._add_all(fresh)

    def settle(self, closes: Iterable[datetime]) -> None:
        """Know that the minutes with these closes were decided."""
        self._decided.update(closes)
        self._decided_until = max(self._decided, default=None)

    def store(self) -> tuple[Path, Path]:
        """Write checked and rejected bars as Parquet; returns the two paths."""
        self.folder.mkdir(parents=True, exist_ok=True)
        paths = self.folder / "bars.parquet", self.folder / "rejected_bars.parquet"
        for path, rows in zip(paths, (self.frame, self.rejected), strict=True):
            aside = path.with_suffix(".tmp")
            rows.rechunk().write_parquet(aside, compression="zstd")
            aside.replace(path)
        return paths

    def _is_known(self, bar: BarReported) -> bool:
        held = self._held.get(bar.opens_at)
        return bar in self._refused or (held is not None and _values(held) == _values(bar))

    def _is_late(self, bar: BarReported) -> bool:
        closes_at = bar.opens_at + MINUTE
        is_passed = self._decided_until is not None and closes_at <= self._decided_until
        return is_passed and closes_at not in self._decided

    def _add_all(self, told: Sequence[BarReported]) -> None:
        """Check in rounds in which no minute comes twice: the first one that is a bar is kept."""
        rounds: list[dict[datetime, BarReported]] = [{}]
        for bar in told:
            if bar.opens_at in rounds[-1]:
                rounds.append({})
            rounds[-1][bar.opens_at] = bar
        for bars in rounds:
            self._add([*bars.values()])

    def _add(self, told: Sequence[BarReported]) -> None:
        if not told or self._is_next(told):
            return
        again = [self._held[bar.opens_at] for bar in told if bar.opens_at in self._held]
        raw = pl.DataFrame(
            [_raw_row(bar, self._source) for bar in (*again, *told)], schema=_RAW, orient="row"
        )
        late = [bar.opens_at for bar in told if self._is_late(bar)]
        checked = check_bars(raw, self._instrument, [self._session], too_late=late)
        new = checked.bars.filter(~pl.col("opens_at").is_in([bar.opens_at for bar in again]))
        self.frame = pl.concat([self.frame, new]).sort("closes_at")
        self.rejected = pl.concat([self.rejected, checked.rejected])
        valid = set(new["opens_at"])
        for bar in told:
            if bar.opens_at in valid and bar.opens_at not in self._held:
                self._held[bar.opens_at] = bar
            else:
                self._refused.add(bar)

    def _is_next(self, told: Sequence[BarReported]) -> bool:
        """Take one plain bar that is later than all before it; false leaves what was told as is."""
        bar, *others = told
        newest = self.frame["opens_at"][-1] if self.frame.height else None
        if others or bar in self._refused or (newest is not None and bar.opens_at <= newest):
            return False
        if self._is_late(bar):
            return False
        row = plain_row(bar, self._session, self._instrument, self._source)
        if row is None:
            return False
        new = pl.DataFrame([row], schema=BAR_COLUMNS, orient="row")
        self.frame = pl.concat([self.frame, new], rechunk=True)
        self._held[bar.opens_at] = bar
        return True


def _values(bar: BarReported) -> tuple[object, ...]:
    return bar.symbol, bar.open, bar.high, bar.low, bar.close, bar.volume


def _raw_row(bar: BarReported, source: str) -> tuple[object, ...]:
    prices = (bar.open, bar.high, bar.low, bar.close)
    arrived_at = None if bar.is_backfill else bar.at
    counts_and_quotes = (bar.volume, bar.trades, bar.bid, bar.ask)
    return (bar.symbol, bar.opens_at, *prices, *counts_and_quotes, arrived_at, source)
