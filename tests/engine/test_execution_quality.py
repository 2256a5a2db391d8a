"""The EQS: what each trouble costs, how it is forgiven, and that a quiet desk is exactly quiet."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import load_rules
from engine.execution_quality import REMEMBERED_MAX, ExecutionQuality, Trouble

RULES = load_rules().execution
CALM = ExecutionQuality()

histories = st.lists(
    st.tuples(st.sampled_from(Trouble), st.integers(min_value=0, max_value=400)), max_size=30
).map(lambda troubles: sorted(troubles, key=lambda trouble: trouble[1]))


def after(troubles: list[tuple[Trouble, int]]) -> ExecutionQuality:
    quality = CALM
    for kind, bar_number in troubles:
        quality = quality.impaired(kind, bar_number)
    return quality


def test_a_desk_without_trouble_scores_exactly_one() -> None:
    assert CALM.eqs(0, RULES) == 1.0
    assert CALM.eqs(10_000, RULES) == 1.0


@pytest.mark.parametrize(
    ("kind", "amount", "half_life_bars"),
    [
        (Trouble.REJECT, 0.15, 20),
        (Trouble.SLOW_FILL, 0.08, 15),
        (Trouble.SLIPPAGE, 0.10, 15),
        (Trouble.PARTIAL, 0.10, 20),
        (Trouble.UNKNOWN_STATE, 0.25, 30),
        (Trouble.DISCONNECT, 0.30, 40),
    ],
)
def test_a_trouble_costs_its_amount_and_half_of_it_after_its_half_life(
    kind: Trouble, amount: float, half_life_bars: int
) -> None:
    quality = CALM.impaired(kind, 100)

    assert quality.eqs(100, RULES) == pytest.approx(1 - amount)
    assert quality.eqs(100 + half_life_bars, RULES) == pytest.approx(1 - amount / 2)
    assert quality.eqs(100 + 2 * half_life_bars, RULES) == pytest.approx(1 - amount / 4)


def test_every_loss_of_the_contract_has_a_trouble_and_every_trouble_a_loss() -> None:
    assert set(RULES.eqs_losses) == {kind.value for kind in Trouble}


def test_troubles_add_up_and_the_score_stops_at_zero() -> None:
    two = CALM.impaired(Trouble.REJECT, 10).impaired(Trouble.PARTIAL, 10)
    many = after([(Trouble.DISCONNECT, 10)] * 5)

    assert two.eqs(10, RULES) == pytest.approx(0.75)
    assert many.eqs(10, RULES) == 0.0


def test_a_lone_disconnect_stops_entries_and_is_forgiven_enough_after_eleven_bars() -> None:
    quality = CALM.impaired(Trouble.DISCONNECT, 0)
    entry_min = load_rules().constitution.eqs_entry_min

    assert quality.eqs(10, RULES) < entry_min
    assert quality.eqs(11, RULES) >= entry_min


def test_a_forgiven_trouble_leaves_exactly_one_and_nothing_to_remember() -> None:
    quality = CALM.impaired(Trouble.SLOW_FILL, 0)
    last_bar = max(bar for bar in range(400) if quality.eqs(bar, RULES) < 1.0)

    assert quality.eqs(last_bar + 1, RULES) == 1.0
    assert quality.pruned(last_bar, RULES) is quality
    assert quality.pruned(last_bar + 1, RULES) == CALM


def test_the_memory_is_bounded() -> None:
    quality = after([(Trouble.REJECT, bar) for bar in range(1_000)])

    assert len(quality.impairments) == REMEMBERED_MAX
    assert quality.impairments[-1].bar_number == 999


@given(histories, st.integers(min_value=400, max_value=1_200))
def test_the_score_stays_in_its_range_and_only_time_raises_it(
    history: list[tuple[Trouble, int]], bar_number: int
) -> None:
    quality = after(history)

    now, later = quality.eqs(bar_number, RULES), quality.eqs(bar_number + 1, RULES)

    assert 0.0 <= now <= later <= 1.0


@given(histories, st.sampled_from(Trouble), st.integers(min_value=400, max_value=1_200))
def test_one_more_trouble_never_raises_the_score(
    history: list[tuple[Trouble, int]], kind: Trouble, bar_number: int
) -> None:
    quality = after(history)

    assert quality.impaired(kind, bar_number).eqs(bar_number, RULES) <= quality.eqs(
        bar_number, RULES
    )


@given(histories, st.integers(min_value=400, max_value=1_200))
def test_pruning_never_changes_a_later_score(
    history: list[tuple[Trouble, int]], bar_number: int
) -> None:
    quality = after(history)
    pruned = quality.pruned(bar_number, RULES)

    for later in (bar_number, bar_number + 1, bar_number + 100):
        assert pruned.eqs(later, RULES) == quality.eqs(later, RULES)


def test_the_law_would_catch_a_score_that_forgets_at_once() -> None:
    law = RULES.eqs_losses["reject"]
    forgetful = replace(RULES, eqs_losses={**RULES.eqs_losses, "reject": replace(law, amount=0.0)})

    assert CALM.impaired(Trouble.REJECT, 0).eqs(0, forgetful) != pytest.approx(0.85)
