"""Odds that were earned: what the decision makes of them, what it says, and what it refuses."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from decision_cases import CLEAR, RULES, TODAY, row, setup

from engine.canonical import Reader, to_json
from engine.decision import Action, Decision, decide, decision_payload
from engine.desk import Mode, SessionOpened
from engine.errors import InputRefused, JournalError
from engine.ladder import Reason
from engine.odds import BeliefMap, EarnedOdds, PriorOdds
from engine.own_view import OwnFacts, Standing, own_view

NIGHT = TODAY - timedelta(days=1)
SHY = BeliefMap(beliefs=(0.2, 0.8), p_win=(0.20, 0.50))
BOLD = BeliefMap(beliefs=(0.2, 0.8), p_win=(0.30, 0.70))


def earned(belief_map: BeliefMap, side: int = 1, through: date = NIGHT) -> EarnedOdds:
    return EarnedOdds(side=side, through=through, why="as a test says", belief_map=belief_map)


def under(*odds: EarnedOdds | PriorOdds, eqs: float = 1.0) -> OwnFacts:
    return replace(CLEAR, eqs=eqs, standings={"K1": Standing(odds=odds)})


def decided(facts: OwnFacts, **changes: object) -> Decision:
    return decide(row(setup(**changes)), own_view(facts, RULES), RULES)


def test_odds_below_the_prior_turn_an_entry_into_a_skip_and_say_whose_they_are() -> None:
    decision = decided(under(earned(SHY)))

    (score,) = decision.scores
    assert decision.reason is Reason.EDGE_SCORE_BELOW_THETA
    assert score.p_win == pytest.approx(0.45)
    assert score.edge == pytest.approx(0.45 * 1.5 - 0.55)
    assert score.euc == pytest.approx(0.115 - (0.575 - 0.45) * 2.5)
    assert decision.sentence == (
        "10:42 ET skip: edge score below theta. Nearest was K1 long at belief 0.70, p_win 0.45 by "
        "the map of 2026-03-02, EUC -0.20 for theta 0.10."
    )


def test_odds_above_the_prior_turn_a_skip_for_the_score_into_an_entry() -> None:
    wanting = {"euc": 0.04, "reason": "EDGE_SCORE_BELOW_THETA"}

    prior, taught = decided(CLEAR, **wanting), decided(under(earned(BOLD)), **wanting)

    assert prior.action is Action.SKIP
    assert taught.action is Action.ENTER
    assert taught.scores[0].euc == pytest.approx(0.04 + (0.30 + 0.4 * 5 / 6 - 0.575) * 2.5)
    assert "p_win 0.63 by the map of 2026-03-02" in taught.sentence


@pytest.mark.parametrize("reason", ["NOISE_VETO", "STABILITY_NOT_MET", "FRICTION_TOO_HIGH"])
def test_odds_answer_no_other_gate(reason: str) -> None:
    assert decided(under(earned(BOLD)), reason=reason).reason == reason


def test_the_other_side_and_a_map_that_was_not_earned_leave_the_prior() -> None:
    plain = decided(CLEAR)
    waiting = PriorOdds(side=1, through=NIGHT, why="37 outcomes in 9 sessions, of 200 in 20")

    assert decided(under(earned(SHY, side=-1))).scores == plain.scores
    assert decided(under(waiting)).scores == plain.scores
    assert plain.scores[0].p_win_from == "prior"


def test_the_record_of_a_decision_says_where_its_probability_comes_from() -> None:
    view = own_view(under(earned(BOLD)), RULES)
    bar = row(setup())

    payload = json.loads(decision_payload(decide(bar, view, RULES), bar, view))

    assert payload["scores"][0]["p_win"] == pytest.approx(0.6333)
    assert payload["scores"][0]["p_win_from"] == "map of 2026-03-02"


def test_odds_stay_within_the_bounds_of_the_contract() -> None:
    law = RULES.beliefs
    never, ever = (BeliefMap(beliefs=(0.5,), p_win=(p_win,)) for p_win in (0.0, 1.0))

    assert decided(under(earned(never))).scores[0].p_win == law.p_win_min
    assert decided(under(earned(ever))).scores[0].p_win == law.p_win_max


def test_worse_execution_asks_the_map_for_the_belief_that_is_left() -> None:
    worn = decided(under(earned(SHY), eqs=0.375))
    share = 0.375 / RULES.beliefs.applicability_eqs_min

    assert worn.scores[0].p_win == pytest.approx(SHY.at_one(0.70 * share))


@pytest.mark.parametrize(
    ("beliefs", "p_win"),
    [
        ((), ()),
        ((0.2, 0.2), (0.3, 0.4)),
        ((0.2, 0.4), (0.4, 0.3)),
        ((0.2, 0.4), (0.4,)),
        ((0.2, 0.4), (0.4, 1.2)),
        ((0.2, float("nan")), (0.4, 0.5)),
    ],
)
def test_a_map_that_is_none_is_refused(
    beliefs: tuple[float, ...], p_win: tuple[float, ...]
) -> None:
    with pytest.raises(InputRefused, match="belief map: expected"):
        BeliefMap(beliefs=beliefs, p_win=p_win)


def test_one_belief_is_asked_as_many_are() -> None:
    beliefs = np.linspace(0, 1, 101)

    assert [BOLD.at_one(float(each)) for each in beliefs] == BOLD.at(beliefs).tolist()


def opened(*odds: EarnedOdds | PriorOdds) -> SessionOpened:
    at = datetime(2026, 3, 3, 14, 30, tzinfo=UTC)
    return SessionOpened(
        at=at,
        session_date=TODAY,
        symbol="MES",
        opens_at=at,
        closes_at=at + timedelta(minutes=390),
        mode=Mode.REPLAY,
        standings={"K1": Standing(modifier=1.2, odds=odds)},
    )


@pytest.mark.parametrize("through", [TODAY, TODAY + timedelta(days=1)])
def test_a_session_is_not_opened_under_odds_of_itself_or_later(through: date) -> None:
    waiting = PriorOdds(side=1, through=through, why="too few")

    for odds in (earned(BOLD, through=through), waiting):
        with pytest.raises(InputRefused, match="K1: expected odds of nights before session"):
            opened(odds)


def test_odds_survive_the_journal() -> None:
    fact = opened(earned(BOLD), PriorOdds(side=-1, through=NIGHT, why="too few"))

    assert Reader(SessionOpened).from_json(to_json(fact)) == fact


def test_a_journal_from_before_there_were_odds_is_still_read() -> None:
    old = json.loads(to_json(opened()))
    del old["standings"]["K1"]["odds"]
    broken = {**old, "standings": {"K1": {"fact": "Standing", "odd": []}}}

    assert Reader(SessionOpened).from_json(json.dumps(old)) == opened()
    with pytest.raises(JournalError, match="Standing: expected the fields"):
        Reader(SessionOpened).from_json(json.dumps(broken))
