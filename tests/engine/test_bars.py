"""What is a bar, and what becomes of a row that is none."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import BAR_COLUMNS, REJECTED_COLUMNS, CheckedBars, RejectReason, check_bars
from engine.errors import CalendarError, OffGridPrice, SourceError
from engine.instrument import Instrument

RULES = load_rules()
MES = RULES.instrument
SESSIONS = sessions_between(date(2013, 10, 7), date(2013, 10, 8), RULES.session)
OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
GOOD = {"open": "1669", "high": "1670.25", "low": "1668.50", "close": "1669.75"}


def row(minute: float, **changes: object) -> dict[str, object]:
    """One good raw row, `minute` minutes after the open, with the given values changed."""
    return {
        "symbol": "MES",
        "opens_at": OPEN + timedelta(minutes=minute),
        **GOOD,
        "volume": "120",
        "bid": "1669.50",
        "ask": "1669.75",
        "source": "test",
        **changes,
    }


def raw(*rows: dict[str, object]) -> pl.DataFrame:
    schema = {
        "symbol": pl.String(),
        "opens_at": pl.Datetime("us", "UTC"),
        **dict.fromkeys(("open", "high", "low", "close", "volume", "bid", "ask"), pl.String()),
        "source": pl.String(),
    }
    return pl.DataFrame(list(rows), schema=schema)


def check(*rows: dict[str, object]) -> CheckedBars:
    return check_bars(raw(*rows), MES, SESSIONS)


def reasons(checked: CheckedBars) -> list[str]:
    return checked.rejected["reason"].to_list()


def with_tick(tick: str) -> Instrument:
    return Instrument(
        symbol="MES",
        name="",
        exchange="",
        currency="USD",
        tick_size=Decimal(tick),
        tick_value_usd=Decimal(1),
        price_band_share=0.07,
        round_number_points=Decimal(50),
        roll_days_before_expiry=8,
        fees=MES.fees,
    )


def test_a_good_row_becomes_a_bar_in_ticks_of_its_session() -> None:
    checked = check(row(389))

    assert dict(checked.bars.schema) == BAR_COLUMNS
    assert checked.bars.row(0, named=True) == {
        "symbol": "MES",
        "session_date": date(2013, 10, 7),
        "opens_at": datetime(2013, 10, 7, 19, 59, tzinfo=UTC),
        "closes_at": datetime(2013, 10, 7, 20, 0, tzinfo=UTC),
        "minute": 389,
        "open_ticks": 6676,
        "high_ticks": 6681,
        "low_ticks": 6674,
        "close_ticks": 6679,
        "volume": 120,
        "trades": None,
        "bid_ticks": 6678,
        "ask_ticks": 6679,
        "arrived_at": None,
        "source": "test",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"high": "1669.50"}, RejectReason.INCONSISTENT_OHLC),
        ({"low": "1669.25"}, RejectReason.INCONSISTENT_OHLC),
        ({"close": "1669.80"}, RejectReason.OFF_GRID),
        ({"open": "1669.0000000000000001"}, RejectReason.BAD_PRICE),
        ({"high": None}, RejectReason.MISSING_PRICE),
        ({"low": "NaN"}, RejectReason.MISSING_PRICE),
        ({"close": ""}, RejectReason.MISSING_PRICE),
        ({"close": "inf"}, RejectReason.BAD_PRICE),
        ({"close": "1,669.75"}, RejectReason.BAD_PRICE),
        ({"high": "9999999999"}, RejectReason.BAD_PRICE),
        ({"low": "0"}, RejectReason.BAD_PRICE),
        ({"low": "-0.25"}, RejectReason.BAD_PRICE),
        ({**dict.fromkeys(GOOD, "0")}, RejectReason.BAD_PRICE),
        ({"volume": "-1"}, RejectReason.NEGATIVE_VOLUME),
        ({"volume": "1.5"}, RejectReason.BAD_VOLUME),
        ({"volume": "many"}, RejectReason.BAD_VOLUME),
        ({"volume": None}, RejectReason.MISSING_VOLUME),
        ({"bid": "1669.60"}, RejectReason.BAD_QUOTE),
        ({"symbol": "NQ"}, RejectReason.WRONG_SYMBOL),
        ({"symbol": None}, RejectReason.WRONG_SYMBOL),
        ({"opens_at": OPEN + timedelta(seconds=90)}, RejectReason.OFF_MINUTE),
        ({"opens_at": OPEN + timedelta(microseconds=1)}, RejectReason.OFF_MINUTE),
        ({"opens_at": None}, RejectReason.MISSING_TIME),
    ],
)
def test_a_row_that_is_no_bar_is_kept_with_its_reason(
    changes: dict[str, object], reason: RejectReason
) -> None:
    checked = check(row(0), row(5, **changes))

    assert reasons(checked) == [reason]
    assert checked.bars["minute"].to_list() == [0]
    assert dict(checked.rejected.schema) == REJECTED_COLUMNS


@pytest.mark.parametrize("nothing", ["0", "-1", "-0.25", "-0.1"])
def test_a_quote_of_nothing_is_unknown(nothing: str) -> None:
    checked = check(row(0, bid=nothing), row(1, ask=nothing))

    assert checked.rejected.is_empty()
    assert checked.bars.select("bid_ticks", "ask_ticks").rows() == [(None, 6679), (6678, None)]


def test_a_rejected_row_keeps_its_raw_text_and_place_in_the_source() -> None:
    checked = check(row(0), row(1, close="1669.80", ask=None))

    kept = checked.rejected.row(0, named=True)
    assert kept["session_date"] == date(2013, 10, 7)
    assert kept["source_row"] == 1
    assert (kept["symbol"], kept["symbol_text"]) == ("MES", "MES")
    assert (kept["close_text"], kept["low_text"], kept["ask_text"]) == ("1669.80", "1668.50", None)
    assert kept["opens_at_text"] == "2013-10-07T13:31:00+00:00"


def test_a_row_of_another_symbol_is_kept_under_the_symbol_asked_for() -> None:
    checked = check(row(1, symbol="NQ"))

    assert checked.rejected.select("symbol", "symbol_text").row(0) == ("MES", "NQ")


def test_a_missing_quote_stays_unknown_and_does_not_reject_the_bar() -> None:
    checked = check(row(0, bid=None, ask="NaN"))

    assert checked.rejected.height == 0
    assert checked.bars.select("bid_ticks", "ask_ticks").row(0) == (None, None)


def test_a_crossed_quote_is_a_bar_because_quality_judges_it() -> None:
    checked = check(row(0, bid="1670.00", ask="1669.75"))

    assert checked.bars.select("bid_ticks", "ask_ticks").row(0) == (6680, 6679)


def test_of_two_rows_for_one_minute_the_first_valid_one_stays() -> None:
    checked = check(
        row(3, close="1669.80"), row(3, volume="7"), row(3, volume="7"), row(3, volume="8")
    )

    assert checked.bars["volume"].to_list() == [7]
    assert list(zip(checked.rejected["source_row"], reasons(checked), strict=True)) == [
        (0, "off_grid"),
        (2, "duplicate_identical"),
        (3, "duplicate_conflict"),
    ]


def test_the_same_values_written_differently_are_an_identical_duplicate() -> None:
    checked = check(row(3), row(3, open="1669.00", volume="120.0"))

    assert reasons(checked) == ["duplicate_identical"]


def test_a_quote_that_differs_makes_the_duplicate_a_conflict() -> None:
    checked = check(row(3), row(3, bid=None))

    assert reasons(checked) == ["duplicate_conflict"]


def test_rows_out_of_order_are_sorted_and_the_fact_is_counted() -> None:
    checked = check(row(2), row(0), row(3), row(1))

    assert checked.bars["minute"].to_list() == [0, 1, 2, 3]
    assert checked.out_of_order == 2


def test_overnight_rows_are_counted_and_not_judged() -> None:
    checked = check(row(-1), row(0), row(390, close="nonsense"), row(390 + 120))

    assert checked.bars["minute"].to_list() == [0]
    assert checked.outside_rth == 3
    assert checked.rejected.height == 0


def test_a_regular_hour_of_a_closed_day_is_rejected_and_its_evening_is_overnight() -> None:
    thanksgiving = datetime(2013, 11, 28, 15, 0, tzinfo=UTC)
    sessions = sessions_between(date(2013, 11, 27), date(2013, 11, 29), RULES.session)

    checked = check_bars(
        raw(
            row(0, opens_at=thanksgiving),
            row(0, opens_at=thanksgiving + timedelta(hours=9)),
            row(0, opens_at=thanksgiving + timedelta(days=1)),
        ),
        MES,
        sessions,
    )

    assert checked.rejected.select("session_date", "reason").rows() == [
        (date(2013, 11, 28), "no_session")
    ]
    assert checked.outside_rth == 1
    assert checked.bars["session_date"].to_list() == [date(2013, 11, 29)]


@pytest.mark.parametrize(
    ("day", "closes_at_utc"),
    [(date(2013, 11, 29), 18), (date(2024, 7, 3), 17)],
)
def test_a_half_day_ends_after_210_minutes(day: date, closes_at_utc: int) -> None:
    sessions = sessions_between(day, day, RULES.session)
    last = datetime(day.year, day.month, day.day, closes_at_utc, tzinfo=UTC)

    checked = check_bars(
        raw(row(0, opens_at=last - timedelta(minutes=1)), row(0, opens_at=last)), MES, sessions
    )

    assert checked.bars["minute"].to_list() == [209]
    assert checked.outside_rth == 1


@pytest.mark.parametrize(
    ("day", "opens_at_utc"),
    [
        (date(2024, 3, 8), "14:30"),
        (date(2024, 3, 11), "13:30"),
        (date(2024, 11, 1), "13:30"),
        (date(2024, 11, 4), "14:30"),
    ],
)
def test_minute_0_follows_the_daylight_saving_of_new_york(day: date, opens_at_utc: str) -> None:
    sessions = sessions_between(date(2024, 3, 1), date(2024, 11, 8), RULES.session)

    checked = check_bars(
        raw(row(0, opens_at=datetime.fromisoformat(f"{day}T{opens_at_utc}+00:00"))), MES, sessions
    )

    assert checked.bars.select("session_date", "minute").row(0) == (day, 0)


@pytest.mark.parametrize(
    ("first", "day"), [("2025-10-31", "2025-11-03"), ("2025-03-07", "2025-03-10")]
)
def test_the_morning_after_the_clock_changed_is_before_the_open(first: str, day: str) -> None:
    sessions = sessions_between(date.fromisoformat(first), date.fromisoformat(day), RULES.session)
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    morning = [row(0, opens_at=noon + timedelta(minutes=minute)) for minute in range(600)]

    checked = check_bars(raw(*morning), MES, sessions)

    assert checked.rejected.is_empty()
    assert (checked.bars.height, checked.outside_rth) == (390, 210)


def test_a_row_without_a_time_is_filed_under_the_row_before_it() -> None:
    next_day = row(0, opens_at=OPEN + timedelta(days=1))

    checked = check(row(0), next_day, row(0, opens_at=None))

    assert checked.rejected["session_date"].to_list() == [date(2013, 10, 8)]


def test_a_row_without_a_time_at_the_top_is_filed_under_the_next_dated_row() -> None:
    checked = check(row(0, opens_at=None), row(0, opens_at=OPEN + timedelta(days=1)))

    assert checked.rejected["session_date"].to_list() == [date(2013, 10, 8)]


def test_a_price_that_int_division_gets_wrong_is_exact() -> None:
    cents = with_tick("0.01")
    prices = pl.DataFrame(
        {"price": [70.07, 70.075, 0.29, 1.1]}, schema={"price": pl.Float64()}
    ).select(
        pl.lit("MES").alias("symbol"),
        pl.Series("opens_at", [OPEN + timedelta(minutes=i) for i in range(4)]).cast(
            pl.Datetime("us", "UTC")
        ),
        *(pl.col("price").alias(name) for name in GOOD),
        pl.lit(1).alias("volume"),
        pl.lit("test").alias("source"),
    )

    checked = check_bars(prices, cents, SESSIONS)

    assert checked.bars["close_ticks"].to_list() == [7007, 29, 110]
    assert reasons(checked) == ["off_grid"]


@given(
    ticks=st.integers(1, 2**31 - 1),
    tick=st.sampled_from(["0.25", "0.01", "0.1", "0.005", "0.015625", "1", "5", "0.03125"]),
    nudge=st.sampled_from([0, 1, -1]),
)
def test_a_price_is_on_the_grid_exactly_when_the_decimal_is(
    ticks: int, tick: str, nudge: int
) -> None:
    instrument = with_tick(tick)
    smallest = Decimal(tick) / 100
    price = ticks * Decimal(tick) + nudge * smallest
    text = f"{price:f}"
    cells = dict.fromkeys(GOOD, text)

    checked = check_bars(raw(row(0, **cells, bid=None, ask=None)), instrument, SESSIONS)

    try:
        expected = [instrument.to_ticks(price)]
    except OffGridPrice:
        expected = []
    if len(price.normalize().as_tuple().digits) <= 15:
        assert checked.bars["close_ticks"].to_list() == expected
    else:
        assert reasons(checked) == ["bad_price"]


@given(ticks=st.integers(1, 2**31 - 1), tick=st.sampled_from(["0.25", "0.01", "0.005"]))
def test_the_double_nearest_to_a_grid_price_is_on_the_grid(ticks: int, tick: str) -> None:
    nearest = float(Fraction(ticks) * Fraction(Decimal(tick)))
    frame = raw(row(0, bid=None, ask=None)).with_columns(
        pl.lit(nearest).alias(name) for name in GOOD
    )

    checked = check_bars(frame, with_tick(tick), SESSIONS)

    assert checked.bars["close_ticks"].to_list() == [ticks]


CELLS = st.sampled_from(["1669", "1669.25", "1669.3", "", "x", "-3", "NaN", None, "1e3"])
RAW_ROWS = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["MES", "MES", "MES", "NQ", None]),
        "opens_at": st.one_of(
            st.none(),
            st.integers(-300, 2200).map(lambda minute: OPEN + timedelta(minutes=minute)),
            st.integers(0, 5).map(lambda minute: OPEN + timedelta(minutes=minute)),
            st.integers(0, 90_000).map(lambda second: OPEN + timedelta(seconds=second)),
        ),
        **dict.fromkeys(("open", "high", "low", "close", "volume", "bid", "ask"), CELLS),
        "source": st.just("test"),
    }
)


@given(rows=st.lists(RAW_ROWS, max_size=30))
def test_every_row_in_is_a_bar_or_rejected_or_outside(rows: list[dict[str, object]]) -> None:
    checked = check(*rows)

    assert checked.bars.height + checked.rejected.height + checked.outside_rth == len(rows)
    assert checked.rejected["reason"].is_in([reason.value for reason in RejectReason]).all()
    assert checked.rejected["session_date"].null_count() == 0
    assert checked.rejected["source_row"].is_sorted()
    assert checked.bars.select("symbol", "closes_at").is_unique().all()
    assert checked.bars["closes_at"].is_sorted()
    in_order = pl.col("low_ticks").is_between(0, pl.min_horizontal("open_ticks", "close_ticks"))
    assert checked.bars.select(in_order.all()).item() is True
    assert checked.bars["volume"].ge(0).all()


@given(rows=st.lists(RAW_ROWS, max_size=20), seed=st.integers(0, 5))
def test_the_kept_bars_do_not_depend_on_the_order_of_other_minutes(
    rows: list[dict[str, object]], seed: int
) -> None:
    checked = check(*rows)

    swapped = check_bars(
        raw(*rows).sort("opens_at", descending=bool(seed % 2), maintain_order=True), MES, SESSIONS
    )

    assert swapped.bars.equals(checked.bars)


def test_a_result_that_lost_a_row_refuses_to_exist() -> None:
    checked = check(row(0), row(1))

    with pytest.raises(AssertionError, match="lost rows: 3 in, 2 bars"):
        CheckedBars(
            bars=checked.bars, rejected=checked.rejected, rows=3, outside_rth=0, out_of_order=0
        )


def test_times_without_utc_are_refused_whole() -> None:
    naive = raw(row(0)).with_columns(pl.col("opens_at").dt.replace_time_zone(None))
    local = raw(row(0)).with_columns(pl.col("opens_at").dt.convert_time_zone("America/New_York"))

    for frame in (naive, local):
        with pytest.raises(SourceError, match=r"expected opens_at as Datetime.*UTC.*, got"):
            check_bars(frame, MES, SESSIONS)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(SourceError, match="missing close, volume; got symbol"):
        check_bars(raw(row(0)).drop("close", "volume"), MES, SESSIONS)


def test_a_range_without_sessions_is_refused() -> None:
    with pytest.raises(CalendarError, match="at least one session"):
        check_bars(raw(row(0)), MES, [])
