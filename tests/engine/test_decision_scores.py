"""What the desk's own execution, learning and past do to a score, and how a decision is told."""

import json
from datetime import timedelta

import pytest
from decision_cases import GOOD_SETUP, NOW, RULES, entered, own, row, setup

from engine.decision import Action, decide, decision_payload, managed
from engine.errors import InputRefused
from engine.ladder import Reason
from engine.own_scores import Score
from engine.own_view import Standing


def test_with_perfect_execution_and_no_learning_the_score_is_the_markets_to_the_bit() -> None:
    odd = setup(euc=0.1 + 0.2 - 0.15, edge=1 / 3)

    score = decide(row(odd), own(), RULES).scores[0]

    assert (score.euc, score.edge, score.p_win, score.belief) == (
        odd.euc,
        odd.edge,
        odd.p_win,
        odd.belief,
    )


def test_a_learning_modifier_multiplies_the_cost() -> None:
    # Given friction 2 and stop 8: a cost of 0.25 R, half of it again is 0.125
    decision = decide(row(setup(euc=0.30)), own(standings={"K1": Standing(modifier=1.5)}), RULES)

    assert decision.scores[0].cost == pytest.approx(0.375)
    assert decision.scores[0].euc == pytest.approx(0.175)


def test_a_lower_eqs_adds_its_share_of_uncertainty() -> None:
    decision = decide(row(setup(euc=0.30)), own(eqs=0.80), RULES)

    assert decision.action is Action.ENTER
    assert decision.scores[0].euc == pytest.approx(0.30 - 0.25 * 0.20)


def test_below_its_gate_the_eqs_takes_from_belief_and_odds_as_well() -> None:
    # Given an EQS of two thirds of what lets a belief count in full
    score = decide(row(GOOD_SETUP), own(eqs=0.50), RULES).scores[0]

    assert score.belief == pytest.approx(0.70 * 2 / 3)
    assert score.p_win == pytest.approx(GOOD_SETUP.p_win - 0.5 * 0.70 / 3)
    assert score.edge == pytest.approx(score.p_win * 1.5 - (1 - score.p_win))
    assert score.reason is Reason.BELIEF_TOO_LOW


def test_learning_cannot_lower_a_cost() -> None:
    for modifier in (0.99, 0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputRefused, match="at least 1"):
            Standing(modifier=modifier)


def test_a_cooldown_ends_at_its_minute_and_says_when() -> None:
    waiting = own(risk=entered(minutes_ago=30))
    over = row(GOOD_SETUP, closes_at=NOW + timedelta(minutes=30))

    decision = decide(row(GOOD_SETUP), waiting, RULES)

    assert decision.sentence == (
        "10:42 ET skip: cooling down after the last entry. Until 11:12 ET."
    )
    assert decision.counterfactual == "needs the cooldown to end at 11:12 ET"
    assert decide(over, waiting, RULES).action is Action.ENTER


def test_when_several_gates_fail_the_counterfactual_says_that_no_single_change_would_do() -> None:
    waiting = own(risk=entered(minutes_ago=30), eqs=0.70)

    decision = decide(row(), waiting, RULES)

    assert decision.counterfactual == (
        "it would have taken all of: the cooldown to end at 11:12 ET; EQS 0.75, was 0.70; "
        "F2 long 0.65, was 0.61"
    )


def test_a_market_that_lacks_two_things_is_not_told_as_one_by_an_unquiet_desk() -> None:
    two = row(counterfactual="it would have taken all of: F1 long 0.65, was 0.61; a K1 long setup")

    decision = decide(two, own(eqs=0.90), RULES)

    assert decision.counterfactual == two.counterfactual


def test_a_bar_without_text_gets_none() -> None:
    silent = row(setup(reason="NOISE_VETO"), sentence="", counterfactual="")

    decision = decide(silent, own(eqs=0.90), RULES)

    assert (decision.reason, decision.sentence, decision.counterfactual) == (
        Reason.NOISE_VETO,
        "",
        "",
    )


def test_the_payload_of_a_quiet_bar_is_json_with_the_markets_own_text() -> None:
    quiet, view = row(), own()

    payload = json.loads(decision_payload(decide(quiet, view, RULES), quiet, view))

    assert payload["action"] == "SKIP"
    assert payload["reason"] == "BELIEF_TOO_LOW"
    assert payload["layer"] == 6
    assert payload["sentence"] == quiet.sentence
    assert payload["counterfactual"] == quiet.counterfactual
    assert payload["market"] == {"dvs": [1.0, 0.8]}
    assert payload["own"]["net_usd_today"] == [0.0, -30.0]
    assert payload["own"]["eqs"] == [1.0, 0.75]
    assert (payload["chosen"], payload["scores"]) == (None, [])


def test_the_payload_of_an_entry_holds_every_score_to_four_decimals() -> None:
    bar = row(setup(euc=1 / 3), setup(template="K2", reason="NOISE_VETO"))
    view = own()

    payload = json.loads(decision_payload(decide(bar, view, RULES), bar, view))

    assert (payload["action"], payload["reason"], payload["chosen"]) == ("ENTER", None, "K1")
    assert [score["template"] for score in payload["scores"]] == ["K1", "K2"]
    assert [tuple(score) for score in payload["scores"]] == [Score._fields, Score._fields]
    assert payload["scores"][0]["euc"] == 0.3333
    assert payload["scores"][1]["reason"] == "NOISE_VETO"


def test_the_record_of_an_open_trade_names_its_cause() -> None:
    bar, view = row(), own(is_flat=False)

    decision = managed(Action.EXIT, "time_stop", "11:12 ET exit K1 long: +2 ticks (+0.25 R).")
    payload = json.loads(decision_payload(decision, bar, view))

    assert (payload["action"], payload["cause"]) == ("EXIT", "time_stop")
    assert payload["reason"] == "IN_POSITION"
