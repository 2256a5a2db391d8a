"""Beliefs: evidence by hand, the recursion against a loop, and what not knowing does."""

from dataclasses import replace
from math import exp

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_market import RULES, contexts_of, random_bars, seen, some_sessions

from engine.beliefs import add_beliefs, starting_belief, streams
from engine.calendar import Phase
from engine.errors import ContractError
from engine.rules import ConstraintRules, EvidenceTerm, Rules
from engine.signals import SIGNALS

SESSIONS = some_sessions(3, minutes=120)
NEUTRAL = {
    "dvs": 1.0,
    "session_phase": float(Phase.MID_MORNING),
    "session_key": 0,
    "session_bar": 0,
    "failed_break": 0.0,
}


def signals_of(*bars: dict[str, float | int | None]) -> pl.DataFrame:
    """Bars of one session in which every signal is in the middle of its range unless said."""
    middle = {name: (signal.low + signal.high) / 2 for name, signal in SIGNALS.items()}
    rows = [{**middle, **NEUTRAL, "session_bar": place, **bar} for place, bar in enumerate(bars)]
    floats = {name: pl.Float64() for name in (*middle, "failed_break")}
    return pl.DataFrame(rows, schema_overrides={**floats, "session_key": pl.Int32()})


def believed(*bars: dict[str, float | int | None], rules: Rules = RULES) -> pl.DataFrame:
    return add_beliefs(signals_of(*bars), rules)


def constraint(id_: str, rules: Rules = RULES) -> ConstraintRules:
    return next(known for known in rules.beliefs.constraints if known.id == id_)


def with_constraint(changed: ConstraintRules) -> Rules:
    constraints = tuple(
        changed if known.id == changed.id else known for known in RULES.beliefs.constraints
    )
    return replace(RULES, beliefs=replace(RULES.beliefs, constraints=constraints))


def test_evidence_is_the_weighted_mean_of_inputs_scaled_by_their_ranges() -> None:
    bar = {
        "vwap_z": -2.0,
        "micro_trend_5": 0.5,
        "rejection_wick_n": 0.2,
        "close_location_value": -0.4,
        "hhll_trend_strength": -0.3,
        "range_compression": 0.5,
    }

    row = believed(bar).row(0, named=True)

    absolute_trend, compression = 2 * 0.3 - 1, 0.5 - 1
    steady = -0.15 * absolute_trend - 0.10 * compression
    turning = -0.40 * (-2 / 3) - 0.10 * 0.5 + 0.15 * 0.2 + 0.10 * -0.4
    assert row["f1_long_evidence"] == pytest.approx(steady + turning, abs=1e-12)
    assert row["f1_short_evidence"] == pytest.approx(steady - turning, abs=1e-12)
    assert row["f1_coverage"] == 1.0


@pytest.mark.parametrize("known", RULES.beliefs.constraints, ids=lambda known: known.id)
@pytest.mark.parametrize("extreme", [1, -1])
def test_evidence_reaches_one_when_every_input_is_at_its_end(
    known: ConstraintRules, extreme: int
) -> None:
    bar = {term.signal: end_of(term, extreme) for term in known.evidence}

    row = believed(bar).row(0, named=True)

    prefix = streams(known)[0][0]
    assert row[f"{prefix}_evidence"] == pytest.approx(extreme, abs=1e-12)


def end_of(term: EvidenceTerm, extreme: int) -> float:
    """Value of the signal at which its term contributes `extreme` times its weight."""
    wanted = extreme if term.weight > 0 else -extreme
    if term.signal == "failed_break":
        return float(wanted)
    signal = SIGNALS[term.signal]
    low, high = (0.0, signal.high) if term.absolute else (signal.low, signal.high)
    return high if wanted > 0 else low


def test_an_input_that_is_unknown_drops_out_and_lowers_coverage() -> None:
    row = believed({"vwap_z": None, "rejection_wick_n": 1.0}).row(0, named=True)

    neutral_trend = -0.15 * 2 * 0.0 + 0.15  # |S5| = 0 is the lowest of its range: +0.15.
    assert row["f1_coverage"] == pytest.approx(0.6)
    assert row["f1_long_evidence"] == pytest.approx((0.15 + neutral_trend) / 0.6)
    assert row["f1_long_likelihood"] is not None


def test_too_little_coverage_leaves_no_likelihood_and_no_effective_belief() -> None:
    row = believed({"vwap_z": None, "micro_trend_5": None}).row(0, named=True)

    assert row["f1_coverage"] == pytest.approx(0.5)
    assert row["f1_long_evidence"] is not None
    assert row["f1_long_likelihood"] is None
    assert row["f1_long_effective"] is None


def test_nothing_known_is_null_evidence_not_zero() -> None:
    bar: dict[str, float | int | None] = {term.signal: None for term in constraint("F1").evidence}

    row = believed(bar).row(0, named=True)

    assert row["f1_coverage"] == 0.0
    assert row["f1_long_evidence"] is None


def test_an_unknown_likelihood_lets_the_belief_fall_back_to_its_start() -> None:
    strong: dict[str, float | int | None] = {"vwap_z": -3.0, "rejection_wick_n": 1.0}
    unknown: dict[str, float | int | None] = {"vwap_z": None, "micro_trend_5": None}

    frame = believed(*[strong] * 30, *[unknown] * 60)

    start = starting_belief(constraint("F1"))
    assert frame["f1_long_belief"][29] > start + 0.2
    assert frame["f1_long_belief"][89] == pytest.approx(start, abs=1e-5)
    assert frame["f1_long_effective"][30:].null_count() == 60


def test_the_first_belief_remembers_where_every_session_starts() -> None:
    row = believed({"vwap_z": -3.0}).row(0, named=True)

    start, memory = starting_belief(constraint("F1")), constraint("F1").memory
    expected = memory * start + (1 - memory) * row["f1_long_likelihood"]
    assert row["f1_long_belief"] == pytest.approx(expected, abs=1e-15)
    assert row["f1_long_instability"] == pytest.approx(abs(expected - start), abs=1e-15)


@settings(max_examples=12)
@given(seed=st.integers(0, 500), wild=st.booleans())
def test_beliefs_equal_a_loop_that_restarts_every_session(seed: int, wild: bool) -> None:
    bars = random_bars(seed, SESSIONS, wild=wild)
    frame = add_beliefs(seen(bars, contexts_of(bars, SESSIONS)), RULES)

    for known in RULES.beliefs.constraints:
        for prefix, _ in streams(known):
            beliefs, instabilities = looped(frame, known, prefix)
            assert frame[f"{prefix}_belief"].to_list() == pytest.approx(beliefs, abs=1e-12)
            assert frame[f"{prefix}_instability"].to_list() == pytest.approx(
                instabilities, abs=1e-12
            )


def looped(
    frame: pl.DataFrame, known: ConstraintRules, prefix: str
) -> tuple[list[float], list[float]]:
    """Beliefs and instabilities, one bar after the other."""
    start, alpha = 1 / (1 + exp(-known.intercept)), RULES.beliefs.instability_alpha
    beliefs: list[float] = []
    instabilities: list[float] = []
    columns = frame.select("session_bar", f"{prefix}_evidence", f"{known.id.lower()}_coverage")
    for session_bar, evidence, coverage in columns.iter_rows():
        is_known = coverage >= RULES.beliefs.coverage_min - 1e-9
        likelihood = 1 / (1 + exp(-known.slope * evidence - known.intercept)) if is_known else start
        before = beliefs[-1] if session_bar else start
        beliefs.append(known.memory * before + (1 - known.memory) * likelihood)
        change = abs(beliefs[-1] - before)
        shaken = (1 - alpha) * instabilities[-1] + alpha * change if session_bar else change
        instabilities.append(shaken)
    return beliefs, instabilities


def test_a_belief_counts_for_nothing_outside_its_phases() -> None:
    row = believed({"session_phase": float(Phase.LUNCH)}).row(0, named=True)

    assert Phase.LUNCH not in constraint("F4").phases
    assert row["f4_long_effective"] == 0.0
    assert row["f1_long_effective"] == row["f1_long_belief"]


def test_doubtful_data_takes_its_share_of_a_belief() -> None:
    half_dvs = RULES.beliefs.applicability_dvs_min / 2

    row = believed({"dvs": half_dvs}).row(0, named=True)

    assert row["f1_long_effective"] == pytest.approx(row["f1_long_belief"] / 2)


def test_evidence_of_a_name_that_is_no_signal_is_refused() -> None:
    term = EvidenceTerm(signal="moon_phase", weight=1.0)
    rules = with_constraint(replace(constraint("F5"), evidence=(term,)))

    with pytest.raises(ContractError, match="moon_phase"):
        believed({}, rules=rules)
