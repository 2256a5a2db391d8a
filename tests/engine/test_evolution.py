"""Proposals: small, never of the constitution, and not fooled by the luckiest of many."""

from dataclasses import fields
from math import sqrt

import numpy as np
import pytest
from scipy.stats import norm

from contracts import load_rules
from contracts.ceilings import check_ranges
from engine.errors import InputRefused
from engine.learning.evolution import (
    Floats,
    best_proposal,
    deflated_sharpe,
    gain_ahead,
    sharpe,
    sharpe_of_luck,
)
from engine.learning.variants import variants
from engine.rules import Rules

RULES = load_rules("MES")
LAW = RULES.learning.evolution


def noise(seed: int, *, sessions: int = 250, count: int = 80) -> tuple[Floats, dict[str, Floats]]:
    """Results of variants that differ from today's on a few sessions, and by luck alone."""
    random = np.random.default_rng(seed)
    today = random.choice([-1.1, 0.0, 1.9], sessions, p=[0.35, 0.4, 0.25])
    tried = {}
    for number in range(count):
        differs = random.uniform(size=sessions) < random.uniform(0.0, 0.2)
        tried[f"v{number}"] = today + differs * random.choice([-1.5, 1.5], sessions)
    return today, tried


def test_noise_is_promoted_no_more_often_than_stated() -> None:
    found = [best_proposal(*noise(seed), LAW) for seed in range(300)]

    promoted = sum(proposal is not None and proposal.is_worth_it for proposal in found)
    assert promoted / 300 <= 0.05


def test_the_best_of_many_would_have_been_promoted_by_its_plain_sharpe_ratio() -> None:
    seeds = range(100)

    fooled = 0
    for seed in seeds:
        today, tried = noise(seed)
        best = max(tried.values(), key=lambda results: sharpe(results - today))
        fooled += deflated_sharpe(best - today, 0.0) >= LAW.confidence

    assert fooled / len(seeds) > 0.5


def test_a_variant_that_is_truly_better_is_found() -> None:
    today, tried = noise(1)
    random = np.random.default_rng(99)
    helps = random.uniform(size=today.size) < 0.3
    better = today + helps * random.choice([-0.5, 1.5], today.size)

    proposal = best_proposal(today, {**tried, "better": better}, LAW)

    assert proposal is not None
    assert proposal.name == "better"
    assert proposal.is_worth_it
    assert proposal.tried == len(tried) + 1
    assert proposal.gain_ahead_r > 0


def test_variants_that_change_nothing_propose_nothing() -> None:
    today, _ = noise(1)

    assert best_proposal(today, {"same": today.copy()}, LAW) is None
    assert best_proposal(today[:5], {"short": today[:5] + 1}, LAW) is None


def test_results_of_other_sessions_are_refused() -> None:
    today, _ = noise(1)

    with pytest.raises(InputRefused, match="short: expected results of 250 sessions, got 9"):
        best_proposal(today, {"short": today[:9]}, LAW)


def test_the_gain_ahead_follows_only_what_was_known_before() -> None:
    gains = np.array([[1.0, 1.0, -2.0, -2.0, -2.0, -2.0], [0.0, 0.0, 3.0, 3.0, 3.0, 3.0]])

    ahead = gain_ahead(gains, 3)

    # Fold 2 follows the first variant (-2); by then the second is ahead and fold 3 follows it (+3).
    assert ahead == pytest.approx((-2 - 2 + 3 + 3) / 4)
    assert ahead < gains.mean(axis=1).max()


def test_the_deflated_sharpe_ratio_is_that_of_its_paper() -> None:
    random = np.random.default_rng(4)
    results = random.normal(0.1, 1.0, 1250)
    ratio = results.mean() / results.std(ddof=1)
    standard = (results - results.mean()) / results.std(ddof=1)
    skewness, kurtosis = (standard**3).mean(), (standard**4).mean()
    sharpes = random.normal(0.0, 0.05, 100)
    gamma = 0.5772156649015329
    luck = sharpes.std(ddof=1) * (
        (1 - gamma) * norm.ppf(1 - 1 / 100) + gamma * norm.ppf(1 - 1 / (100 * np.e))
    )
    expected = norm.cdf(
        (ratio - luck) * sqrt(1249) / sqrt(1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2)
    )

    assert sharpe_of_luck(sharpes) == pytest.approx(luck)
    assert deflated_sharpe(results, luck) == pytest.approx(expected)


def _numbers(rules: Rules) -> dict[str, float]:
    """Every number that a variant may touch, by the key that it is called by."""
    found: dict[str, float] = {}
    for block in rules.beliefs.constraints:
        found[f"constraints[{block.id}].memory"] = block.memory
        for term in block.evidence:
            found[f"constraints[{block.id}].evidence[{term.signal}].weight"] = term.weight
    for template in rules.strategies.templates:
        found[f"templates[{template.id}].belief_min"] = template.belief_min
        found[f"templates[{template.id}].time_stop_minutes"] = template.time_stop_minutes
    return found


def test_each_variant_changes_the_one_number_it_names_by_one_step() -> None:
    today = _numbers(RULES)

    made = variants(RULES, LAW)

    assert len({variant.name for variant, _ in made}) == len(made) > 80
    for variant, changed in made:
        now = _numbers(changed)
        assert {key for key in now if now[key] != today[key]} == {variant.key}
        assert (variant.before, variant.after) == (today[variant.key], now[variant.key])
        step = {
            "memory": LAW.memory_step,
            "weight": LAW.weight_step,
            "belief_min": LAW.threshold_step,
            "time_stop_minutes": LAW.time_stop_step_minutes,
        }[variant.key.rpartition(".")[2]]
        assert abs(variant.after - variant.before) == pytest.approx(step)


def test_no_variant_touches_anything_but_beliefs_and_templates() -> None:
    may_change = {"beliefs", "strategies"}

    for _, changed in variants(RULES, LAW):
        kept = [field.name for field in fields(Rules) if field.name not in may_change]
        assert all(getattr(changed, name) is getattr(RULES, name) for name in kept)


def test_every_variant_would_load_as_a_contract() -> None:
    for _, changed in variants(RULES, LAW):
        check_ranges("beliefs", changed.beliefs)
        check_ranges("strategies", changed.strategies)
