"""A minute that comes after a later one was decided: kept with its reason, decided by nobody."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from replay_market import RULES
from told_bars import PLAIN, SESSION

from engine.broker import BarReported
from pipelines.session.bars import SessionBars


def bar(minute: int) -> BarReported:
    opens_at = SESSION.opens_at + timedelta(minutes=minute)
    return replace(PLAIN, at=opens_at + timedelta(minutes=1), opens_at=opens_at)


def closes(*minutes: int) -> list[datetime]:
    return [bar(minute).at for minute in minutes]


def bars_of(folder: Path, decided: Iterable[datetime] = ()) -> SessionBars:
    return SessionBars(
        SESSION, RULES.instrument, folder, source="session", decided=decided, say=print
    )


def minutes(bars: SessionBars) -> list[int]:
    return bars.frame["minute"].to_list()


def test_a_minute_told_after_a_later_one_was_decided_is_rejected_with_its_reason(
    tmp_path: Path,
) -> None:
    bars = bars_of(tmp_path)
    bars.add([bar(0), bar(1), bar(3)])
    bars.settle(closes(0, 1, 3))

    bars.add([replace(bar(2), is_backfill=True)])
    bars.add([bar(4)])

    assert minutes(bars) == [0, 1, 3, 4]
    assert bars.rejected["reason"].to_list() == ["too_late"]
    assert bars.rejected["opens_at_text"][0].startswith("2024-11-29T14:32:00")


def test_a_minute_that_fills_a_gap_before_anything_later_was_decided_is_a_bar(
    tmp_path: Path,
) -> None:
    bars = bars_of(tmp_path)
    bars.add([bar(0), bar(1), bar(3)])
    bars.settle(closes(0, 1))

    bars.add([replace(bar(2), is_backfill=True)])

    assert minutes(bars) == [0, 1, 2, 3]
    assert bars.rejected.is_empty()


def test_the_next_run_rejects_it_again_and_keeps_what_was_decided(tmp_path: Path) -> None:
    bars = bars_of(tmp_path)
    bars.add([bar(0), bar(1), bar(3)])
    bars.settle(closes(0, 1, 3))
    bars.add([bar(2)])

    again = bars_of(tmp_path, closes(0, 1, 3))

    assert again.rejected["reason"].to_list() == ["too_late"]
    assert again.frame.equals(bars.frame)
    assert again.rejected.drop("source_row").equals(bars.rejected.drop("source_row"))


def test_a_decided_minute_whose_own_record_was_lost_is_no_late_one(tmp_path: Path) -> None:
    bars = bars_of(tmp_path, closes(0, 1, 2))

    bars.add([replace(bar(minute), is_backfill=True) for minute in (0, 1, 2, 3)])

    assert minutes(bars) == [0, 1, 2, 3]
    assert bars.rejected.is_empty()
