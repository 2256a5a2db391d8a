"""The authority ladder at the close of a bar: enter, or the first no, with every score behind it.

What the market alone refuses comes as `row.market_step` and as each setup's own reason; this module
adds what depends on us. An entry needs every layer's yes. Nothing of our own can turn a market's no
into a yes but odds that were earned, and those only its last one, the score by the prior. A bar
without a setup has no score, which is why it needs no full ladder while the desk is quiet.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from engine.ladder import LADDER, LAYER, PASSED, STEP, Reason
from engine.market import MarketRow, Setup
from engine.own_scores import Score, score_setup, setup_needs, template_of
from engine.own_view import OwnView, Refusals
from engine.risk import worst_case_usd
from engine.rules import Rules
from engine.wording import (
    ALL_OF,
    AND,
    clock,
    counterfactual,
    idea,
    needs_of,
    side_name,
    skip_sentence,
    skip_tail,
    usd,
)

FIRST_TEMPLATE_STEP: Final = STEP[Reason.TEMPLATE_NOT_ALLOWED_BY_TIER]
"""From here on the ladder asks about templates; before it, about the bar and the desk."""

SCORE_STEP: Final = STEP[Reason.EDGE_SCORE_BELOW_THETA]
"""The one step of the market that earned odds may answer in its place."""

_COOLDOWN_STEP: Final = STEP[Reason.COOLDOWN_ACTIVE]


class Action(StrEnum):
    """What the desk did with a bar. The last three are the open trade's."""

    ENTER = "ENTER"
    SKIP = "SKIP"
    HOLD = "HOLD"
    MODIFY = "MODIFY"
    EXIT = "EXIT"


class Decision(NamedTuple):
    """The one record of a closed bar. `reason` and `layer` are null for an entry.

    `cause` names what made an open trade move or close; it is empty for ENTER and SKIP.
    """

    action: Action
    reason: Reason | None
    layer: int | None
    chosen: Setup | None
    scores: tuple[Score, ...]
    cause: str
    sentence: str
    counterfactual: str


_new: Final = tuple.__new__
"""Makes a NamedTuple from its fields at half the price of a call of its class."""

_SKIP: Final = Action.SKIP


def decide(row: MarketRow, own: OwnView, rules: Rules) -> Decision:
    """The decision of one bar for a flat desk; for a bar with an open trade see `managed`."""
    if row.setups or row.may_enter:
        return decide_in_full(row, own, rules)
    refused = refusals(row.market_step, own, is_cooling=in_cooldown(row.closes_at, own))
    sentence = row.sentence
    if not sentence:
        return _new(Decision, (_SKIP, refused.reason, refused.layer, None, (), "", "", ""))
    sentence, missing = refused.words(row.minute, sentence, row.counterfactual)
    return _new(Decision, (_SKIP, refused.reason, refused.layer, None, (), "", sentence, missing))


def could_enter(row: MarketRow) -> bool:
    """Whether the market refuses nothing, or at most the score by the prior; see `EarnedOdds`."""
    return row.may_enter or row.market_step == SCORE_STEP


def in_cooldown(closes_at: datetime, own: OwnView) -> bool:
    """Whether the last entry still forbids another one at the close of a bar."""
    ends_at = own.cooldown_ends_at
    return ends_at is not None and closes_at < ends_at


def refusals(market_step: int, own: OwnView, *, is_cooling: bool) -> Refusals:
    """What a bar without a setup is refused by, known from the view and the market's step alone.

    Six bars of seven are such bars, so what they share is kept with the view; `decide_in_full`
    gives the same answer.
    """
    key = (market_step, is_cooling)
    known = own.refusals.get(key)
    if known is None:
        known = own.refusals[key] = _refusals(market_step, own, is_cooling=is_cooling)
    return known


def _refusals(market_step: int, own: OwnView, *, is_cooling: bool) -> Refusals:
    steps = sorted([*_own_steps(own, is_cooling=is_cooling), market_step])
    reason, place = LADDER[steps[0]], steps.index(market_step)
    needs = [own.words[step][1] for step in steps if step != market_step]
    before, after = (AND.join(side) for side in (needs[:place], needs[place:]))
    return Refusals(
        reason,
        LAYER[reason],
        skip_tail(reason, own.words[steps[0]][0]) if steps[0] in own.noes else None,
        f"{ALL_OF}{before}{AND if before else ''}",
        f"{AND if after else ''}{after}",
        counterfactual(needs),
    )


def decide_in_full(row: MarketRow, own: OwnView, rules: Rules) -> Decision:
    """The whole ladder, without the shortcut of a quiet bar; the same answer."""
    scores = tuple([score_setup(setup, row, own, rules) for setup in row.setups])
    refused = _refused_steps(row, own)
    if refused:
        return _refusal(LADDER[refused[0]], refused, scores, row, own, rules)
    nearest = _nearest(scores)
    best, chosen = scores[nearest], row.setups[nearest]
    if best.reason is not None:
        return _refusal(best.reason, refused, scores, row, own, rules)
    sentence = _enter_sentence(best, row, rules)
    return Decision(Action.ENTER, None, None, chosen, scores, "", sentence, "")


def _refused_steps(row: MarketRow, own: OwnView) -> list[int]:
    """Every known no about the bar or the desk, in ladder order; of the market's only the first."""
    steps = _own_steps(own, is_cooling=in_cooldown(row.closes_at, own))
    if row.market_step < FIRST_TEMPLATE_STEP or not row.setups:
        steps.append(row.market_step)
    steps.sort()
    return steps


def _own_steps(own: OwnView, *, is_cooling: bool) -> list[int]:
    """The desk's own noes; a cooldown that is over is none."""
    return [step for step in own.noes if is_cooling or step != _COOLDOWN_STEP]


def _nearest(scores: tuple[Score, ...]) -> int:
    """Index of the setup that came furthest down the ladder; of equals the best score, then K1."""
    if len(scores) == 1:
        return 0

    def progress(index: int) -> tuple[int, float, str]:
        score = scores[index]
        step = PASSED if score.reason is None else STEP[score.reason]
        return (-step, -score.euc, score.template)

    return min(range(len(scores)), key=progress)


def _refusal(
    reason: Reason,
    refused: list[int],
    scores: tuple[Score, ...],
    row: MarketRow,
    own: OwnView,
    rules: Rules,
) -> Decision:
    """A SKIP; its text is made only where the row carries text."""
    sentence = missing = ""
    if row.sentence:
        sentence = _skip_text(reason, refused, scores, row, own)
        needs = [
            own.words[step][1] if step in own.noes else needs_of(row.counterfactual)
            for step in refused
        ]
        if scores:
            nearest = _nearest(scores)
            needs += setup_needs(scores[nearest], row.setups[nearest], row, own, rules)
        missing = counterfactual([need for need in needs if need])
    return Decision(Action.SKIP, reason, LAYER[reason], None, scores, "", sentence, missing)


def _skip_text(
    reason: Reason,
    refused: list[int],
    scores: tuple[Score, ...],
    row: MarketRow,
    own: OwnView,
) -> str:
    step = STEP[reason]
    if step not in refused:
        nearest = scores[_nearest(scores)]
        detail = (
            f"nearest was {nearest.template} {side_name(nearest.side)} at belief "
            f"{nearest.belief:.2f}, {_odds_words(nearest)}, EUC {nearest.euc:.2f} "
            f"for theta {nearest.theta:.2f}"
        )
        return skip_sentence(row.minute + 1, reason, detail)
    if step in own.noes:
        return skip_sentence(row.minute + 1, reason, own.words[step][0])
    return row.sentence


def _enter_sentence(score: Score, row: MarketRow, rules: Rules) -> str:
    template = template_of(score.template, rules)
    risked = worst_case_usd(score.stop_ticks, row.friction_ticks or 0.0, rules.instrument)
    return (
        f"{clock(row.minute + 1)} enter {score.template} {side_name(score.side)} "
        f"({idea(template.name)}): {template.constraint} at {score.belief:.2f} of "
        f"{template.belief_min:.2f}, {_odds_words(score)}, EUC {score.euc:.2f} over theta "
        f"{score.theta:.2f}. Stop "
        f"{score.stop_ticks} ticks, target {score.target_ticks}, risking {usd(risked)} with costs."
    )


def _odds_words(score: Score) -> str:
    """`p_win 0.46 by the map of 2024-12-27`."""
    return f"p_win {score.p_win:.2f} by the {score.p_win_from}"


def managed(action: Action, cause: str, sentence: str) -> Decision:
    """The record of a bar with an open trade: HOLD, MODIFY or EXIT, why, and in which words.

    The reason for not entering is `IN_POSITION`; `wording.trade_sentence` makes the sentence.
    """
    reason = Reason.IN_POSITION
    return Decision(action, reason, LAYER[reason], None, (), cause, sentence, "")


def decision_payload(decision: Decision, row: MarketRow, own: OwnView) -> str:
    """JSON text of a decision for the journal; floats to four decimals, keys in a fixed order.

    `chosen` is the template that enters; `market` the bar's evidence from `narrative`, `own` the
    desk's gates as `[value, threshold]`.
    """
    action, reason, _, entered, scored, cause, sentence, missing = decision
    chosen, scores = "null", "[]"
    if scored:
        chosen = f'"{entered.template}"' if entered else "null"
        scores = f"[{','.join(map(_score_json, scored))}]"
    return (
        f'{_HEADS[action, reason]}"cause":"{cause}",'
        f'"sentence":"{sentence}","counterfactual":"{missing}",'
        f'"chosen":{chosen},"scores":{scores},"own":{own.gates},'
        f'"market":{row.evidence_json or "null"}}}'
    )


def skip_payload(
    reason: Reason, sentence: str, missing: str, own: OwnView, evidence_json: str
) -> str:
    """`decision_payload` of a bar without a setup, of which no decision was made on its own."""
    return (
        f'{_HEADS[_SKIP, reason]}"cause":"","sentence":"{sentence}","counterfactual":"{missing}",'
        f'"chosen":null,"scores":[],"own":{own.gates},"market":{evidence_json or "null"}}}'
    )


def _head(action: Action, reason: Reason | None) -> str:
    if reason is None:
        return f'{{"action":"{action}","reason":null,"layer":null,'
    return f'{{"action":"{action}","reason":"{reason}","layer":{LAYER[reason]},'


_HEADS: Final = {
    (action, reason): _head(action, reason) for action in Action for reason in (None, *LADDER)
}


def _score_json(score: Score) -> str:
    """A score as a JSON object, floats to four decimals."""
    template, side, stop, target, belief, instability, p_win, source, *rest, reason = score
    edge, uncertainty, cost, euc, theta = rest
    verdict = "null" if reason is None else f'"{reason.value}"'
    return (
        f'{{"template":"{template}","side":{side:d},"stop_ticks":{stop},"target_ticks":{target},'
        f'"belief":{round(belief, 4)},"instability":{round(instability, 4)},'
        f'"p_win":{round(p_win, 4)},"p_win_from":"{source}","edge":{round(edge, 4)},'
        f'"uncertainty":{round(uncertainty, 4)},"cost":{round(cost, 4)},"euc":{round(euc, 4)},'
        f'"theta":{round(theta, 4)},"reason":{verdict}}}'
    )
