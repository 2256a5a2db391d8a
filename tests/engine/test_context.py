"""What a session may know of earlier ones."""

from dataclasses import fields, replace
from statistics import fmean, median

import polars as pl
import pytest
from small_market import (
    RULES,
    bar,
    bars_of,
    contexts_of,
    flat_bars,
    random_bars,
    seen,
    session_day,
    some_sessions,
)

from engine.context import (
    ATR_MEDIANS,
    CONTEXT_COLUMNS,
    SUMMARY_COLUMNS,
    SessionContext,
    join_context,
    session_contexts,
    session_summaries,
)
from engine.errors import MissingContext


def context_row(contexts: pl.DataFrame, number: int) -> dict[str, object]:
    return contexts.row(number, named=True)


def test_prior_scalars_are_those_of_the_last_earlier_session() -> None:
    first, second, third = some_sessions(3)
    bars = pl.concat(
        [
            bars_of(first, [bar(100, 110, 90, 104, 10), bar(104, 108, 100, 106, 10)]),
            bars_of(second, [bar(200, 210, 190, 204, 10), bar(204, 230, 200, 222, 90)]),
            bars_of(third, [bar(900, 990, 890, 950, 10)]),
        ]
    )

    known = context_row(contexts_of(bars, [first, second, third]), 2)

    assert known["prior_session_date"] == second.session_date
    assert known["prior_close_ticks"] == 222
    assert known["atr_seed_ticks"] == fmean([20, 30])
    assert known["median_range_ticks"] == median([20, 40])
    assert known["prior_sessions"] == 2
    assert known["session_minutes"] == 390


def test_the_first_session_knows_nothing() -> None:
    sessions = some_sessions(1)
    contexts = contexts_of(random_bars(1, sessions), sessions)

    known = context_row(contexts, 0)

    assert {name for name, value in known.items() if value is not None} == {
        "symbol",
        "session_date",
        "session_minutes",
        "prior_sessions",
    }
    assert known["prior_sessions"] == 0


def test_a_session_without_bars_has_the_context_of_what_came_before() -> None:
    sessions = some_sessions(6)
    bars = random_bars(1, sessions[:5])

    with_today = contexts_of(random_bars(1, sessions), sessions)
    without_today = contexts_of(bars, sessions)

    assert without_today.equals(with_today)


def contexts_that_know_today(
    summaries: pl.DataFrame, contexts: pl.DataFrame, number: int
) -> pl.DataFrame:
    """The planted bug: the context of the session after, given to this one."""
    later = session_contexts(summaries, some_sessions(number + 2), RULES).tail(1)
    today = pl.lit(session_day(number)).alias("session_date")
    return pl.concat([contexts.head(number), later.with_columns(today)])


def test_a_context_that_includes_its_own_session_is_caught() -> None:
    sessions = some_sessions(6)
    bars = random_bars(1, sessions)
    honest = contexts_of(bars, sessions)
    dishonest = contexts_that_know_today(session_summaries(bars, RULES), honest, number=5)

    from_past = contexts_of(bars.filter(pl.col("session_date") < session_day(5)), sessions)

    assert honest.equals(from_past)
    assert not dishonest.equals(from_past)


def test_contexts_do_not_change_when_later_sessions_are_known() -> None:
    sessions = some_sessions(25)
    bars = random_bars(4, sessions, bars=60)
    full = contexts_of(bars, sessions)

    for number in (1, 3, 22):
        known = bars.filter(pl.col("session_date") < session_day(number))

        assert contexts_of(known, sessions[: number + 1]).equals(full.head(number + 1))


def test_medians_look_back_twenty_sessions_and_no_further() -> None:
    sessions = some_sessions(23)
    widths = [1000, 900, *range(1, 22)]
    bars = pl.concat([bars_of(s, [bar(0, w, 0, 0)]) for s, w in zip(sessions, widths, strict=True)])

    known = contexts_of(bars, sessions)

    assert context_row(known, 22)["median_range_ticks"] == median(range(1, 21))
    assert context_row(known, 2)["median_range_ticks"] == 950
    assert context_row(known, 22)["prior_sessions"] == 20


def test_a_half_hour_has_a_median_atr_after_three_sessions_that_reached_it() -> None:
    sessions = some_sessions(5)
    short = [bars_of(s, flat_bars(40 if n == 1 else 70)) for n, s in enumerate(sessions)]

    known = contexts_of(pl.concat(short), sessions)

    assert context_row(known, 2)["atr_median_00"] is None
    assert context_row(known, 3)["atr_median_00"] == pytest.approx(2.0)
    assert context_row(known, 3)["atr_median_02"] is None
    assert context_row(known, 4)["atr_median_02"] == pytest.approx(2.0)
    assert context_row(known, 4)["atr_median_03"] is None


def test_the_median_atr_of_a_half_hour_is_that_of_its_own_sessions() -> None:
    sessions = some_sessions(4)
    bars = random_bars(9, sessions)
    contexts = contexts_of(bars, sessions)

    frame = seen(bars, contexts).filter(pl.col("session_date") < session_day(3))
    of_half_hour = frame.filter(pl.col("minute").is_between(60, 89))
    per_session = of_half_hour.group_by("session_date").agg(pl.col("atr_14_ticks").median())

    assert context_row(contexts, 3)["atr_median_02"] == per_session["atr_14_ticks"].median()


def test_the_point_of_control_is_the_middle_of_the_busiest_bin() -> None:
    first, second = some_sessions(2)
    rows = [
        bar(100, 103, 100, 101, 50),  # Typical price 101.3: bin 100–103.
        bar(104, 107, 104, 106, 70),  # 105.7: bin 104–107.
        bar(101, 103, 100, 102, 30),  # 101.7: bin 100–103, now 80.
    ]

    known = context_row(contexts_of(bars_of(first, rows), [first, second]), 1)

    assert known["prior_poc_ticks"] == 102


def test_a_session_without_volume_leaves_no_value_area() -> None:
    first, second = some_sessions(2)
    bars = bars_of(first, [bar(100, 104, 96, 102, 0)] * 5)

    known = context_row(contexts_of(bars, [first, second]), 1)

    assert known["prior_close_ticks"] == 102
    assert known["prior_poc_ticks"] is None
    assert known["prior_vw_deviation_ticks"] is None


def test_the_deviation_of_a_frozen_session_is_floored_at_two_ticks() -> None:
    first, second = some_sessions(2)
    bars = bars_of(first, [bar(100, 100, 100, 100, 10)] * 5)

    assert context_row(contexts_of(bars, [first, second]), 1)["prior_vw_deviation_ticks"] == 2.0


def test_the_seed_is_the_mean_true_range_of_the_last_thirty_bars() -> None:
    first, second = some_sessions(2)
    rows = [bar(100, 150, 50, 100)] * 30 + [bar(100, 100 + n, 100, 100) for n in range(30)]

    known = context_row(contexts_of(bars_of(first, rows), [first, second]), 1)

    assert known["atr_seed_ticks"] == fmean(range(30))


def test_sessions_summarised_one_by_one_equal_the_batch() -> None:
    sessions = some_sessions(4)
    bars = random_bars(2, sessions, bars=90)
    batch = session_summaries(bars, RULES)

    one_by_one = batch.clear()
    for session in sessions:
        own = bars.filter(pl.col("session_date") == session.session_date)
        one_by_one.extend(session_summaries(own, RULES, earlier=one_by_one))

    assert one_by_one.equals(batch)
    assert not session_summaries(own, RULES).equals(batch.tail(1))


def test_another_instrument_leaves_no_trace() -> None:
    sessions = some_sessions(3)
    bars = random_bars(2, sessions, bars=40)
    other = random_bars(3, sessions, bars=40).with_columns(symbol=pl.lit("AAA"))

    assert session_summaries(pl.concat([other, bars]), RULES).equals(session_summaries(bars, RULES))


def test_no_bars_make_no_summaries_but_a_context_for_each_session() -> None:
    sessions = some_sessions(2)
    nothing = random_bars(1, sessions, bars=1).clear()

    summaries = session_summaries(nothing, RULES)
    contexts = session_contexts(summaries, sessions, RULES)

    assert summaries.schema == SUMMARY_COLUMNS
    assert summaries.height == 0
    assert contexts.schema == CONTEXT_COLUMNS
    assert contexts["prior_sessions"].to_list() == [0, 0]


def test_bars_of_a_session_without_context_are_refused_by_name() -> None:
    sessions = some_sessions(2)
    bars = random_bars(1, sessions, bars=5)
    only_first = contexts_of(bars, sessions[:1])

    with pytest.raises(MissingContext, match=r"MES 2024-03-12; .*run the job recompute_market"):
        join_context(bars, only_first)


def test_joined_bars_carry_the_median_of_their_own_half_hour() -> None:
    sessions = some_sessions(5)
    bars = random_bars(6, sessions)
    contexts = contexts_of(bars, sessions)

    frame = join_context(bars, contexts).filter(pl.col("session_date") == session_day(4))

    known = context_row(contexts, 4)
    expected = [known[ATR_MEDIANS[minute // 30]] for minute in range(390)]
    assert frame["atr_median_ticks"].to_list() == expected
    assert frame["session_bar"].to_list() == list(range(390))
    assert frame["prior_close_ticks"].unique().to_list() == [known["prior_close_ticks"]]


def test_a_context_value_keeps_its_row_and_its_hash() -> None:
    sessions = some_sessions(5)
    contexts = contexts_of(random_bars(6, sessions), sessions)

    values = [SessionContext.from_row(row, "c0ffee") for row in contexts.iter_rows(named=True)]

    assert pl.concat([value.as_frame() for value in values]).equals(contexts)
    assert values[0].content_hash == (
        "fa0b8ecc1b5ddaf061c1859bd525cbc7c9cc3a7ae7dd24d226d1cc90266a2800"
    )


@pytest.mark.parametrize("field", [field.name for field in fields(SessionContext)])
def test_the_hash_of_a_context_changes_with_every_field(field: str) -> None:
    sessions = some_sessions(5)
    contexts = contexts_of(random_bars(6, sessions, bars=60), sessions)
    value = SessionContext.from_row(context_row(contexts, 4), "c0ffee")

    changed = replace(value, **{field: None})

    assert value.content_hash == replace(value).content_hash
    assert changed.content_hash != value.content_hash
