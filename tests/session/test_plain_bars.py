"""A bar that is plain is what `check_bars` would have made of it, and nothing else is plain."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay_market import RULES
from told_bars import PLAIN, SESSION

from engine.bars import BAR_COLUMNS, check_bars
from engine.broker import BarReported
from pipelines.session import bars as session_bars
from pipelines.session.bars import SessionBars
from pipelines.session.plain_bars import plain_row

SOURCE = "session"
quarters = st.integers(-8, 8).map(lambda ticks: 6000.0 + ticks / 4)
prices = st.one_of(
    quarters,
    quarters,
    quarters,
    st.sampled_from([6000.1, 6000.13, 0.0, -0.0, -1.0, -0.1, 6e9, 1e300]),
)
counts = st.sampled_from([0, 1, 120, -1, 2**53, 2**53 + 2])
bars = st.builds(
    BarReported,
    at=st.just(PLAIN.at),
    symbol=st.sampled_from(["MES", "MES", "MES", "MNQ"]),
    opens_at=st.tuples(st.integers(-5, 215), st.sampled_from([0, 0, 0, 5, 0.5])).map(
        lambda at: SESSION.opens_at + timedelta(minutes=at[0], seconds=at[1])
    ),
    open=prices,
    high=st.one_of(st.just(6003.0), prices),
    low=st.one_of(st.just(5997.0), prices),
    close=prices,
    volume=counts,
    trades=st.one_of(st.none(), counts),
    bid=st.one_of(st.none(), prices),
    ask=st.one_of(st.none(), prices),
    is_backfill=st.booleans(),
)


def checked(bar: BarReported) -> list[tuple[object, ...]]:
    """The rows that the columns make of one bar: one, or none when it is refused or outside."""
    raw = pl.DataFrame([session_bars._raw_row(bar, SOURCE)], schema=session_bars._RAW, orient="row")
    return check_bars(raw, RULES.instrument, [SESSION]).bars.rows()


def stored(row: tuple[object, ...] | None) -> list[tuple[object, ...]]:
    return [] if row is None else pl.DataFrame([row], schema=BAR_COLUMNS, orient="row").rows()


@given(bars)
def test_a_bar_is_plain_exactly_when_its_columns_are_without_fault(bar: BarReported) -> None:
    row = plain_row(bar, SESSION, RULES.instrument, SOURCE)

    assert stored(row) == checked(bar)


@pytest.mark.parametrize(
    "changes",
    [
        {"high": 6000.25},
        {"low": 6000.25},
        {"open": 6001.25},
        {"close": 5999.5},
        {"close": 6000.1},
        {"open": float("nan")},
        {"low": 0.0},
        {"low": -0.25},
        {"bid": 6000.1},
        {"volume": -1},
        {"symbol": "MNQ"},
        {"opens_at": SESSION.opens_at + timedelta(seconds=5)},
        {"opens_at": SESSION.closes_at},
    ],
)
def test_a_fault_makes_a_bar_not_plain(changes: dict[str, object]) -> None:
    faulty = replace(PLAIN, **changes)

    assert plain_row(PLAIN, SESSION, RULES.instrument, SOURCE) is not None
    assert plain_row(faulty, SESSION, RULES.instrument, SOURCE) is None


def test_a_quote_of_nothing_is_plain_and_unknown() -> None:
    row = plain_row(replace(PLAIN, bid=-1.0, ask=0.0), SESSION, RULES.instrument, SOURCE)

    (known,) = stored(row)
    quotes = [list(BAR_COLUMNS).index(name) for name in ("bid_ticks", "ask_ticks")]
    assert [known[place] for place in quotes] == [None, None]


def test_bars_that_come_one_by_one_and_all_at_once_are_the_same(tmp_path) -> None:
    minutes = [PLAIN.opens_at + timedelta(minutes=minute) for minute in range(5)]
    told = [replace(PLAIN, opens_at=at, at=at + timedelta(minutes=1)) for at in minutes]
    told[3] = replace(told[3], close=6000.1)
    one_by_one = SessionBars(SESSION, RULES.instrument, tmp_path / "one", source=SOURCE, say=print)
    at_once = SessionBars(SESSION, RULES.instrument, tmp_path / "all", source=SOURCE, say=print)

    for bar in (*told, told[0], replace(told[1], close=6000.75)):
        one_by_one.add([bar])
    at_once.add([*told, replace(told[1], close=6000.75)])

    assert one_by_one.frame["opens_at"].to_list() == [*minutes[:3], minutes[4]]
    assert one_by_one.frame.equals(at_once.frame)
    assert one_by_one.rejected["reason"].to_list() == ["off_grid", "duplicate_conflict"]
