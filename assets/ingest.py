"""From a source to stored bars, session by session; what is stored stays when a later one fails.

The one implementation: `credence ingest` calls it with dates, the asset with the sessions of its
partitions. It knows nothing of Dagster, so that the command answers at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Final

import polars as pl

from assets.as_seen import SEEN, after_seen, as_seen, seen_otherwise
from assets.ports import BarSource, MarketStore, SeenBars
from contracts.calendar import prior_session, sessions_between
from engine.bars import check_bars
from engine.calendar import Session
from engine.errors import CalendarError, SourceError
from engine.rules import Rules
from engine.zone import SESSIONS_JUDGED, refuse_wrong_zone

INVENTED: Final = "generator"
"""The kind of source whose bars nobody traded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestedSession:
    """What one session brought; `changed` is false when the same bars were already stored.

    Rows of the closed days before it count with it: `rejected_by_reason` holds those that claim a
    session on such a day. `sha256` is the content of the stored bars, null where none were stored.
    `bars_before` were stored until now, and `minutes_lost` of them are not in the source; a refused
    session keeps them, and nothing of it was written. `seen` minutes are stored as the desk saw
    them when it traded; of `seen_otherwise` the source says something else, or nothing.
    """

    session_date: date
    bars: int
    expected_bars: int
    rejected_by_reason: Mapping[str, int]
    outside_rth: int
    out_of_order: int
    changed: bool
    sha256: str | None
    bars_before: int
    minutes_lost: int
    is_refused: bool
    seen: int
    seen_otherwise: int

    @property
    def rejected(self) -> int:
        return sum(self.rejected_by_reason.values())

    @property
    def is_stored(self) -> bool:
        """Whether what the source has of it is what is stored now."""
        return self.bars > 0 and not self.is_refused

    @property
    def loss(self) -> str:
        """What was stored and what the source has instead, in words."""
        return (
            f"{self.session_date}: {self.bars_before} bars are stored, the source has {self.bars} "
            f"and lacks {self.minutes_lost} of the stored minutes"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an ingest did; `missing` are sessions of the range for which the source had no bar.

    `refused` are sessions that would have lost stored minutes; they are as they were.
    """

    source: str
    symbol: str
    sessions: tuple[IngestedSession, ...]
    missing: tuple[date, ...]
    refused: tuple[IngestedSession, ...]

    @property
    def bars(self) -> int:
        return sum(session.bars for session in self.sessions)

    @property
    def rejected(self) -> int:
        return sum(session.rejected for session in self.sessions)

    @property
    def changed_sessions(self) -> int:
        return sum(session.changed for session in self.sessions)


Progress = Callable[[IngestedSession, int], None]
"""Called after each session with what it brought and the number of sessions in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """The dates read together: a session and the closed days before it, so no row is skipped."""

    session: Session
    first_date: date
    last_date: date


def ingest(
    source: BarSource,
    rules: Rules,
    store: MarketStore,
    first_date: date | None = None,
    last_date: date | None = None,
    progress: Progress | None = None,
    *,
    replace_other_source: bool = False,
    seen: SeenBars | None = None,
) -> IngestReport:
    """Read, check and store every session of the range; the source's own range if none is given.

    Raises `SourceError` when the source cannot be read, has nothing in the range or states the
    wrong zone; the sessions before the faulty one are stored. Bars of another kind of source are
    replaced, and real ones stored next to generated ones, only on request: without it the whole
    range is refused before anything is written. So is a session of which the source lacks minutes
    that are stored, but the others go through.

    What the desk decided stays as it saw it, by `seen`: history is told otherwise afterwards, with
    other volumes and without quotes, and its decisions must follow from the bars that are stored.
    Minutes after the last one it saw are the source's, and on request all of them.
    """
    stretches = _stretches(*_range_of(source, first_date, last_date), rules)
    symbol = rules.instrument.symbol
    if not replace_other_source:
        _refuse_other_source(source, symbol, store, stretches)
        _refuse_beside_invented(source, symbol, store, stretches)
    _refuse_wrong_zone(source, symbol, stretches)
    done: list[IngestedSession] = []
    for stretch in stretches:
        try:
            session = _ingest_session(
                source,
                rules,
                store,
                stretch,
                None if replace_other_source else seen,
                may_lose=replace_other_source,
            )
        except SourceError as error:
            raise SourceError(f"{error} ({_kept(done)})") from error
        done.append(session)
        if progress is not None:
            progress(session, len(stretches))
    report = IngestReport(
        source=source.name,
        symbol=symbol,
        sessions=tuple(session for session in done if session.is_stored),
        missing=tuple(each.session_date for each in done if not each.bars and not each.is_refused),
        refused=tuple(session for session in done if session.is_refused),
    )
    if not report.bars and not report.refused:
        raise SourceError(_nothing_found(source, stretches))
    return report


def _range_of(
    source: BarSource, first_date: date | None, last_date: date | None
) -> tuple[date, date]:
    has = source.date_range()
    first = first_date or (has and has[0])
    last = last_date or (has and has[1])
    if not first or not last:
        raise SourceError(f"{source.name}: it has any date; say which: --from DATE --to DATE")
    if last < first:
        raise SourceError(
            f"{source.name}: expected --from before --to, got {first} and {last}"
            + (f"; the source has {has[0]} to {has[1]}" if has else "")
        )
    return first, last


def _stretches(first_date: date, last_date: date, rules: Rules) -> list[_Stretch]:
    sessions = sessions_between(first_date, last_date, rules.session)
    if not sessions:
        raise CalendarError(
            f"no session from {first_date} to {last_date}: all of these days are closed; "
            "widen the range"
        )
    starts = [first_date] + [each.session_date + timedelta(days=1) for each in sessions[:-1]]
    ends = [each.session_date for each in sessions[:-1]] + [last_date]
    return [
        _Stretch(session=session, first_date=start, last_date=end)
        for session, start, end in zip(sessions, starts, ends, strict=True)
    ]


def _refuse_other_source(
    source: BarSource, symbol: str, store: MarketStore, stretches: list[_Stretch]
) -> None:
    """History would change silently, and every table and journal made from it would not."""
    dates = [stretch.session.session_date for stretch in stretches]
    stored = store.read("bars", symbol, dates[0], dates[-1])
    kind = pl.col("source").str.split(":").list.first()
    others = stored.filter(~kind.is_in([kind_of(source.name), SEEN])).select(
        pl.col("session_date").unique().sort(), kind.unique().sort().str.join(", ").alias("kinds")
    )
    if others.height:
        raise SourceError(
            f"{source.name}: {others.height} of these sessions, first {others['session_date'][0]}, "
            f"are stored from another source ({others['kinds'][0]}). Nothing was written. Use that "
            "source, or replace them on purpose: --replace, or replace_other_source: true in the "
            "run configuration"
        )


def _refuse_beside_invented(
    source: BarSource, symbol: str, store: MarketStore, stretches: list[_Stretch]
) -> None:
    """The context of a real session would be made from bars that nobody traded, or the reverse."""
    first, last = stretches[0].session.session_date, stretches[-1].session.session_date
    stored = store.session_dates("bars", symbol)
    before = max((day for day in stored if day < first), default=None)
    after = min((day for day in stored if day > last), default=None)
    for day in (before, after):
        kinds = set() if day is None else {*store.read("bars", symbol, day, day)["source"]}
        for kind in sorted({kind_of(each) for each in kinds} - {SEEN}):
            if (kind == INVENTED) != (kind_of(source.name) == INVENTED):
                raise SourceError(
                    f"{source.name}: the bars of {day}, next to these sessions, are from {kind}: "
                    "invented bars and real ones do not follow each other. Nothing was written. "
                    "Keep each in a home of its own (CREDENCE_HOME), or store them on purpose: "
                    "--replace"
                )


def kind_of(source: str) -> str:
    """The word of a source's name that says what it is: `lean` of `lean:DIR`."""
    return source.partition(":")[0]


def _refuse_wrong_zone(source: BarSource, symbol: str, stretches: list[_Stretch]) -> None:
    """Judge the first sessions that have rows, before anything is stored."""
    sample = list(islice(_with_rows(source, symbol, stretches), SESSIONS_JUDGED))
    if sample:
        refuse_wrong_zone(
            pl.concat([rows for _, rows in sample]), [session for session, _ in sample], source.name
        )


def _with_rows(
    source: BarSource, symbol: str, stretches: list[_Stretch]
) -> Iterator[tuple[Session, pl.DataFrame]]:
    for stretch in stretches:
        try:
            rows = source.read(symbol, stretch.session.session_date, stretch.session.session_date)
        except SourceError:
            return  # It will be raised in its turn, when the sessions before it are stored.
        if rows.height:
            yield stretch.session, rows


def _ingest_session(
    source: BarSource,
    rules: Rules,
    store: MarketStore,
    stretch: _Stretch,
    seen: SeenBars | None,
    *,
    may_lose: bool,
) -> IngestedSession:
    session, symbol = stretch.session, rules.instrument.symbol
    raw = source.read(symbol, stretch.first_date, stretch.last_date)
    before = prior_session(session.session_date, rules.session)
    checked = check_bars(raw, rules.instrument, [*([before] if before else []), session])
    known = checked.bars.clear() if seen is None else seen.of(session)
    bars, rejected = as_seen(checked.bars, known), checked.rejected
    stored = store.read("bars", symbol, session.session_date, session.session_date)
    has_rows = bars.height > 0 or (rejected["session_date"] == session.session_date).any()
    lost = _minutes_lost(stored, bars, known, has_rows=has_rows)
    is_refused = lost > 0 and not may_lose
    changed, sha256 = (
        (False, None) if is_refused else _store(bars, rejected, symbol, store, stretch)
    )
    return IngestedSession(
        session_date=session.session_date,
        bars=bars.height,
        expected_bars=session.minutes,
        rejected_by_reason=dict(rejected.group_by("reason").len().sort("reason").iter_rows()),
        outside_rth=checked.outside_rth,
        out_of_order=checked.out_of_order,
        changed=changed,
        sha256=sha256,
        bars_before=stored.height,
        minutes_lost=lost,
        is_refused=is_refused,
        seen=known.height,
        seen_otherwise=seen_otherwise(checked.bars, known),
    )


def _minutes_lost(
    stored: pl.DataFrame, bars: pl.DataFrame, seen: pl.DataFrame, *, has_rows: bool
) -> int:
    """Stored minutes that would be gone; none where there is no row to write.

    A minute that the desk never saw is not among them: it decided those after it without.
    """
    if not stored.height or not has_rows:
        return 0
    return after_seen(stored, seen).join(bars, on="minute", how="anti").height


def _store(
    bars: pl.DataFrame,
    rejected_rows: pl.DataFrame,
    symbol: str,
    store: MarketStore,
    stretch: _Stretch,
) -> tuple[bool, str | None]:
    """Replace the partitions of the dates read; a session without any row keeps what it had.

    Answers whether anything differed, and the content of the bars.
    """
    session_date = stretch.session.session_date
    rejected = rejected_rows.partition_by("session_date", as_dict=True)
    none_rejected = rejected_rows.clear()
    changed, sha256 = [], None
    if bars.height or (session_date,) in rejected:
        written = store.write("bars", bars, symbol=symbol, session_date=session_date)
        rejected.setdefault((session_date,), none_rejected)
        changed.append(written.changed)
        sha256 = written.sha256
    for (day,), rows in rejected.items():
        written = store.write("rejected_bars", rows, symbol=symbol, session_date=day)
        changed.append(written.changed)
    changed += [
        store.remove("rejected_bars", symbol=symbol, session_date=day)
        for day in _closed_days(stretch)
        if (day,) not in rejected
    ]
    return any(changed), sha256


def _closed_days(stretch: _Stretch) -> Iterator[date]:
    """The dates of the stretch on which no session was held; rows may claim one all the same."""
    for offset in range((stretch.last_date - stretch.first_date).days + 1):
        day = stretch.first_date + timedelta(days=offset)
        if day != stretch.session.session_date:
            yield day


def _kept(done: list[IngestedSession]) -> str:
    if not done:
        return "nothing was stored"
    return f"the {len(done)} sessions up to {done[-1].session_date} are stored"


def _nothing_found(source: BarSource, stretches: list[_Stretch]) -> str:
    first, last = stretches[0].session.session_date, stretches[-1].session.session_date
    has = source.date_range()
    found = f"; the source has {has[0]} to {has[1]}" if has else ""
    return f"{source.name}: expected bars of sessions {first} to {last}, got none{found}"
