"""The laws of the whole market frame: causal, and the same bits in a batch, alone and live.

The checks are those the signals are held to (`test_signal_laws`); here every column goes through.
"""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_market import RULES, contexts_of, random_bars, some_sessions
from test_signal_laws import changed_columns, columns_that_look_ahead, without_key

from contracts.calendar import sessions_between
from engine.generator import generate_bars
from engine.market import MarketRow, market_frame, market_rows

SESSIONS = some_sessions(5, minutes=130)
WARM_BAR = 4 * 130 + 62
"""From here on nothing in the last session is warming up, lost bars aside."""

markets = st.builds(
    lambda seed, wild: random_bars(seed, SESSIONS, wild=wild),
    st.integers(0, 10_000),
    st.booleans(),
)
cuts = st.integers(WARM_BAR, 649) | st.integers(1, 649)


def framed(bars: pl.DataFrame, contexts: pl.DataFrame) -> pl.DataFrame:
    return market_frame(contexts, bars, RULES)


def generated(count: int, seed: int = 11) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bars of generated sessions with episodes, and their contexts."""
    first, last = SESSIONS[0].session_date, SESSIONS[0].session_date.replace(month=12)
    sessions = sessions_between(first, last, RULES.session)[:count]
    bars = generate_bars(sessions, seed, RULES.instrument).bars
    return bars, contexts_of(bars, sessions)


@settings(max_examples=12)
@given(bars=markets, cut=cuts)
def test_no_row_changes_when_later_bars_are_known(bars: pl.DataFrame, cut: int) -> None:
    contexts = contexts_of(bars, SESSIONS)

    assert columns_that_look_ahead(framed, bars, contexts, min(cut, bars.height - 1)) == []


@pytest.mark.parametrize(
    "leak",
    [
        pl.col("f1_long_belief").shift(-1).fill_null(0.5),
        pl.when(pl.col("k1_side") != 0).then(pl.col("close_ticks").shift(-3).fill_null(0)),
        pl.col("f4_long_evidence") - pl.col("f4_long_evidence").mean().over("session_key"),
    ],
    ids=["next belief", "close after a setup", "mean of the whole session"],
)
def test_a_planted_look_ahead_is_caught_by_its_name(leak: pl.Expr) -> None:
    bars, contexts = generated(2)

    def leaky(bars: pl.DataFrame, contexts: pl.DataFrame) -> pl.DataFrame:
        return framed(bars, contexts).with_columns(leak.alias("leak"))

    setups = framed(bars, contexts)["k1_side"].to_numpy().nonzero()[0]
    cut = int(setups[-1]) + 1
    assert columns_that_look_ahead(leaky, bars, contexts, cut) == ["leak"]


def columns_that_differ_live(bars: pl.DataFrame, contexts: pl.DataFrame) -> set[str]:
    """Columns of a live session's newest rows that differ from the rows of the batch.

    Each session is computed alone, with all its bars and with only the bars so far.
    """
    batch = without_key(framed(bars, contexts))
    wrong: set[str] = set()
    for session_date in bars["session_date"].unique(maintain_order=True):
        is_here = pl.col("session_date") == session_date
        own_bars, own_context = bars.filter(is_here), contexts.filter(is_here)
        own_batch = batch.filter(is_here)
        wrong |= set(changed_columns(own_batch, without_key(framed(own_bars, own_context))))
        for known in (1, 2, 31, 62, own_bars.height - 1):
            newest = without_key(framed(own_bars.head(known), own_context)).tail(1)
            wrong |= set(changed_columns(own_batch.slice(known - 1, 1), newest))
    return wrong


def test_live_rows_equal_the_batch_to_the_bit() -> None:
    bars = random_bars(4, SESSIONS, wild=True)

    assert columns_that_differ_live(bars, contexts_of(bars, SESSIONS)) == set()


def test_live_rows_of_generated_sessions_equal_the_batch_to_the_bit() -> None:
    assert columns_that_differ_live(*generated(3)) == set()


def test_a_planted_memory_that_crosses_sessions_is_caught() -> None:
    bars, contexts = generated(3)
    memory = pl.col("f5_evidence").fill_null(0.0).ewm_mean(alpha=0.2, adjust=False).alias("memory")
    is_last = pl.col("session_date") == bars["session_date"][-1]

    batch = framed(bars, contexts).with_columns(memory).filter(is_last)
    alone = framed(bars.filter(is_last), contexts).with_columns(memory)

    assert changed_columns(without_key(batch), without_key(alone)) == ["memory"]


def test_rows_for_the_desk_say_what_the_frame_says() -> None:
    bars, contexts = generated(3)
    frame = framed(bars, contexts)

    rows = market_rows(frame)

    for row, expected in zip(rows, frame.iter_rows(named=True), strict=True):
        assert {name: getattr(row, name) for name in PLAIN} == {n: expected[n] for n in PLAIN}
        assert row.phase == expected["session_phase"]
        assert row.f1_long == expected["f1_long_effective"]
        assert row.f6 == expected["f6_effective"]
        assert [setup.template for setup in row.setups] == [
            name.upper() for name in ("k1", "k2", "k3", "k4") if expected[f"{name}_side"]
        ]
        for setup in row.setups:
            for field, value in zip(setup._fields[1:], setup[1:], strict=True):
                assert value == expected[f"{setup.template.lower()}_{field}"]
    assert sum(len(row.setups) for row in rows) > 20


PLAIN = (
    *MarketRow._fields[: MarketRow._fields.index("phase")],
    "minutes_to_close",
    "slippage_ticks",
    "friction_ticks",
    "vwap_ticks",
    "market_step",
    "may_enter",
)


def test_an_entry_is_never_possible_where_a_gate_of_the_market_refuses() -> None:
    bars, contexts = generated(5)
    frame = framed(bars, contexts)

    may_enter = frame.filter("may_enter")

    passes = pl.any_horizontal(
        (pl.col(f"k{n}_side") != 0) & pl.col(f"k{n}_reason").is_null() for n in (1, 2, 3, 4)
    )
    assert may_enter.height > 0
    assert may_enter.filter(~passes).is_empty()
    late = RULES.session.no_entry_minutes_before_end
    assert may_enter.filter(pl.col("dvs") < RULES.constitution.dvs_entry_min).is_empty()
    assert may_enter.filter(pl.col("minutes_to_close") <= late).is_empty()
