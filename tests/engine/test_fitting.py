"""The fit recipe: what it promises, what it refuses, and how rare beliefs are on real bars."""

from dataclasses import replace
from datetime import date
from math import exp
from pathlib import Path

import polars as pl
import pytest
from small_market import RULES, contexts_of, random_bars, some_sessions

from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.beliefs import streams
from engine.calendar import Session
from engine.errors import InputRefused
from engine.fitting import FittedConstraint, fit_beliefs, with_fit
from engine.generator import generate_bars
from engine.market import market_frame
from engine.rules import ConstraintRules, Rules
from pipelines.sources.lean import LeanSource

SESSIONS = some_sessions(4)


def framed(rules: Rules = RULES) -> pl.DataFrame:
    bars = random_bars(2, SESSIONS)
    return market_frame(contexts_of(bars, SESSIONS), bars, rules)


def likelihood(fitted: FittedConstraint, evidence: float) -> float:
    return 1 / (1 + exp(-fitted.slope * evidence - fitted.intercept))


def pooled(frame: pl.DataFrame, constraint: ConstraintRules) -> pl.Series:
    known = frame.filter(pl.col(f"{constraint.id.lower()}_coverage") >= 0.6)
    return pl.concat([known[f"{prefix}_evidence"] for prefix, _ in streams(constraint)])


def test_the_median_and_the_strong_evidence_get_their_likelihoods() -> None:
    frame = framed()

    fitted = fit_beliefs(frame, RULES.beliefs)

    for fit, constraint in zip(fitted, RULES.beliefs.constraints, strict=True):
        evidence = pooled(frame, constraint)
        assert fit.values == evidence.len()
        assert fit.evidence_median == evidence.median()
        beyond = evidence if not constraint.is_gate else -evidence
        tail = fit.evidence_tail if not constraint.is_gate else -fit.evidence_tail
        assert (beyond > tail).sum() <= 0.01 * evidence.len() + 1
        assert (beyond >= tail).sum() >= 0.01 * evidence.len()
        at_median, at_tail = (0.65, 0.20) if constraint.is_gate else (0.35, 0.80)
        assert likelihood(fit, fit.evidence_median) == pytest.approx(at_median, abs=1e-4)
        assert likelihood(fit, fit.evidence_tail) == pytest.approx(at_tail, abs=1e-4)


def test_a_fit_does_not_depend_on_the_fit_before_it() -> None:
    fitted = fit_beliefs(framed(), RULES.beliefs)
    other = with_fit(RULES.beliefs, fitted, source="test", session_dates=[date(2024, 3, 11)])

    again = fit_beliefs(framed(replace(RULES, beliefs=other)), other)

    assert again == fitted


def test_the_contract_block_records_its_training_sessions() -> None:
    dates = [session.session_date for session in SESSIONS]
    fitted = fit_beliefs(framed(), RULES.beliefs)

    beliefs = with_fit(RULES.beliefs, fitted, source="generator:2", session_dates=dates)

    assert beliefs.fit == replace(
        RULES.beliefs.fit,
        source="generator:2",
        first_session_date=dates[0],
        last_session_date=dates[-1],
        sessions=4,
    )
    assert [c.slope for c in beliefs.constraints] == [fit.slope for fit in fitted]
    assert [c.intercept for c in beliefs.constraints] == [fit.intercept for fit in fitted]


def test_evidence_without_spread_is_refused_by_name() -> None:
    frame = framed().with_columns(f5_evidence=pl.lit(0.1))

    with pytest.raises(InputRefused, match=r"F5.*more sessions"):
        fit_beliefs(frame, RULES.beliefs)


def test_evidence_that_is_never_covered_is_refused_by_name() -> None:
    frame = framed().with_columns(f3_coverage=pl.lit(0.5))

    with pytest.raises(InputRefused, match="F3"):
        fit_beliefs(frame, RULES.beliefs)


def fitted_frame(bars: pl.DataFrame, sessions: list[Session]) -> pl.DataFrame:
    """The market frame of bars under beliefs fitted on the same bars."""
    contexts = contexts_of(bars, sessions)
    fitted = fit_beliefs(market_frame(contexts, bars, RULES), RULES.beliefs)
    dates = [session.session_date for session in sessions]
    beliefs = with_fit(RULES.beliefs, fitted, source="test", session_dates=dates)
    return market_frame(contexts, bars, replace(RULES, beliefs=beliefs))


def believed_bars(frame: pl.DataFrame, prefix: str, least: float = 0.65) -> float:
    """Bars per session on which an effective belief reaches a bound, the mean of both sides."""
    bars = sum((frame[f"{prefix}_{side}_effective"] >= least).sum() for side in ("long", "short"))
    return bars / 2 / frame["session_date"].n_unique()


def test_strong_beliefs_are_as_rare_on_real_bars_as_the_recipe_means(real_bars_dir: Path) -> None:
    source = LeanSource(folder=real_bars_dir)
    first, last = source.date_range() or (date.min, date.max)
    sessions = sessions_between(first, last, RULES.session)
    raw = source.read("ES", first, last).with_columns(symbol=pl.lit(RULES.instrument.symbol))

    frame = fitted_frame(check_bars(raw, RULES.instrument, sessions).bars, sessions)

    assert frame["session_date"].n_unique() == 6
    assert 8 <= believed_bars(frame, "f1") <= 13
    assert 3 <= believed_bars(frame, "f2") <= 10
    assert 3 <= believed_bars(frame, "f3") <= 10
    assert 3 <= believed_bars(frame, "f4") <= 5
    assert believed_bars(frame, "f4", least=0.70) >= 1


def test_strong_beliefs_are_rare_and_reachable_on_generated_bars() -> None:
    sessions = sessions_between(date(2025, 4, 1), date(2025, 5, 8), RULES.session)
    bars = generate_bars(sessions, 7, RULES.instrument).bars

    frame = fitted_frame(bars, sessions)

    for prefix in ("f1", "f2", "f3", "f4"):
        assert 1 <= believed_bars(frame, prefix) <= 30, prefix


def test_the_shipped_beliefs_are_fitted_and_hold_on_sessions_they_did_not_see() -> None:
    fit = RULES.beliefs.fit
    assert fit.sessions >= 60
    assert fit.last_session_date is not None
    sessions = sessions_between(date(2025, 4, 1), date(2025, 6, 30), RULES.session)
    assert sessions[0].session_date > fit.last_session_date
    bars = generate_bars(sessions, 7, RULES.instrument).bars

    unseen = fit_beliefs(market_frame(contexts_of(bars, sessions), bars, RULES), RULES.beliefs)

    shipped = {constraint.id: constraint for constraint in RULES.beliefs.constraints}
    for fitted in unseen:
        constraint = shipped[fitted.id]
        ours = replace(fitted, slope=constraint.slope, intercept=constraint.intercept)
        at_median, at_tail = (0.65, 0.20) if constraint.is_gate else (0.35, 0.80)
        assert likelihood(ours, fitted.evidence_median) == pytest.approx(at_median, abs=0.12)
        assert likelihood(ours, fitted.evidence_tail) == pytest.approx(at_tail, abs=0.12)
