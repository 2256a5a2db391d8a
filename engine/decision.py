"""The authority ladder at the close of a bar: enter, or the first no, with every score behind it.

What the market alone refuses comes as `row.market_step` and as each setup's own reason; this module
adds what depends on us. An entry needs every layer's yes. Nothing of our own can turn a market's no
into a yes, which is why a bar without `may_enter` needs no full ladder while the desk is quiet.
"""

import json
from enum import StrEnum
from typing import Final, NamedTuple

from engine.ladder import LADDER, LAYER, PASSED, STEP, Reason
from engine.market import MarketRow, Setup
from engine.own_view import ACTIVE, OwnView
from engine.risk import worst_case_usd
from engine.rules import Rules, TemplateRules, Tier
from engine.wording import clock, counterfactual, idea, needs_of, side_name, skip_sentence, usd

FIRST_TEMPLATE_STEP: Final = STEP[Reason.TEMPLATE_NOT_ALLOWED_BY_TIER]
"""From here on the ladder asks about templates; before it, about the bar and the desk."""

_COOLDOWN_STEP: Final = STEP[Reason.COOLDOWN_ACTIVE]


class Action(StrEnum):
    """What the desk did with a bar. The last three are the open trade's."""

    ENTER = "ENTER"
    SKIP = "SKIP"
    HOLD = "HOLD"
    MODIFY = "MODIFY"
    EXIT = "EXIT"


class Score(NamedTuple):
    """A setup as the desk scored it: EUC = edge − uncertainty − cost, in R, and its first no."""

    template: str
    side: int
    belief: float
    p_win: float
    edge: float
    uncertainty: float
    cost: float
    euc: float
    theta: float
    reason: Reason | None


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


_SKIP: Final = tuple((reason, LAYER[reason]) for reason in LADDER)


def decide(row: MarketRow, own: OwnView, rules: Rules) -> Decision:
    """The decision of one bar for a flat desk; for a bar with an open trade see `managed`."""
    if own.is_quiet and not row.may_enter and not row.setups:
        reason, layer = _SKIP[row.market_step]
        return Decision(Action.SKIP, reason, layer, None, (), "", row.sentence, row.counterfactual)
    return decide_in_full(row, own, rules)


def decide_in_full(row: MarketRow, own: OwnView, rules: Rules) -> Decision:
    """The whole ladder, without the shortcut of a quiet bar; the same answer."""
    scores = tuple(_score(setup, row, own, rules) for setup in row.setups)
    refused = _refused_steps(row, own)
    if refused:
        return _refusal(LADDER[refused[0]], refused, scores, row, own, rules)
    best = scores[_nearest(scores)]
    if best.reason is not None:
        return _refusal(best.reason, (), scores, row, own, rules)
    chosen = row.setups[scores.index(best)]
    return Decision(
        Action.ENTER, None, None, chosen, scores, "", _enter_sentence(best, chosen, row, rules), ""
    )


def _refused_steps(row: MarketRow, own: OwnView) -> tuple[int, ...]:
    """Every known no about the bar or the desk, in ladder order; of the market's only the first."""
    steps = list(own.words)
    ends_at = own.cooldown_ends_at
    if ends_at is not None and row.closes_at >= ends_at:
        steps.remove(_COOLDOWN_STEP)
    if row.market_step < FIRST_TEMPLATE_STEP or not row.setups:
        steps.append(row.market_step)
    return tuple(sorted(steps))


def _score(setup: Setup, row: MarketRow, own: OwnView, rules: Rules) -> Score:
    """EUC at decision time. With EQS = 1 and m = 1 it is the market's number to the bit."""
    standing = own.standings.get(setup.template, ACTIVE)
    market_cost = (row.friction_ticks or 0.0) / setup.stop_ticks
    belief = setup.belief * own.eqs_factor
    doubt = rules.decision.weight_eqs * (1.0 - own.eqs)
    doubt += rules.decision.weight_belief * (setup.belief - belief)
    loss_of_edge = rules.beliefs.prior_strength * (setup.belief - belief)
    extra_cost = market_cost * (standing.modifier - 1.0)
    euc = setup.euc - doubt - extra_cost - loss_of_edge
    score = Score(
        template=setup.template,
        side=setup.side,
        belief=belief,
        p_win=setup.p_win,
        edge=setup.edge - loss_of_edge,
        uncertainty=setup.edge - market_cost - setup.euc + doubt,
        cost=market_cost + extra_cost,
        euc=euc,
        theta=setup.theta,
        reason=None,
    )
    return score._replace(reason=_first_no(score, setup, row, own, rules))


def _first_no(
    score: Score, setup: Setup, row: MarketRow, own: OwnView, rules: Rules
) -> Reason | None:
    """The earliest step at which the market or the desk refuses this setup; null when none does."""
    template = _template(setup.template, rules)
    noes = [] if setup.reason is None else [Reason(setup.reason)]
    if own.tier is None or own.tier.name not in template.tiers:
        noes.append(Reason.TEMPLATE_NOT_ALLOWED_BY_TIER)
    elif setup.stop_ticks > _stop_ticks_allowed(row, own.tier, own, rules):
        noes.append(Reason.STOP_EXCEEDS_RISK_BUDGET)
    if score.belief < template.belief_min:
        noes.append(Reason.BELIEF_TOO_LOW)
    if own.standings.get(setup.template, ACTIVE).is_quarantined:
        noes.append(Reason.STRATEGY_QUARANTINED)
    if row.friction_ticks is None:
        noes.append(Reason.FRICTION_TOO_HIGH)
    if score.euc < score.theta:
        noes.append(Reason.EDGE_SCORE_BELOW_THETA)
    return min(noes, key=STEP.__getitem__, default=None)


def _template(template_id: str, rules: Rules) -> TemplateRules:
    return next(t for t in rules.strategies.templates if t.id == template_id)


def _stop_ticks_allowed(row: MarketRow, tier: Tier, own: OwnView, rules: Rules) -> int:
    """Widest stop that constitution, tier and what is left of the loss limits allow, in ticks."""
    law, instrument = rules.constitution, rules.instrument
    per_trade_usd = min(law.loss_usd_per_trade_max, tier.loss_usd_per_trade_max)
    costs_usd = worst_case_usd(0, row.friction_ticks or 0.0, instrument)
    usd_max = min(per_trade_usd, own.budget_usd - costs_usd)
    return min(law.stop_ticks_max, tier.stop_ticks_max, int(usd_max // instrument.tick_value_usd))


def _nearest(scores: tuple[Score, ...]) -> int:
    """Index of the setup that came furthest down the ladder; of equals the best score, then K1."""

    def progress(index: int) -> tuple[int, float, str]:
        score = scores[index]
        step = PASSED if score.reason is None else STEP[score.reason]
        return (-step, -score.euc, score.template)

    return min(range(len(scores)), key=progress)


def _refusal(
    reason: Reason,
    refused: tuple[int, ...],
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
            own.words[step][1] if step in own.words else needs_of(row.counterfactual)
            for step in refused
        ]
        if scores:
            nearest = _nearest(scores)
            needs += _setup_needs(scores[nearest], row.setups[nearest], row, own, rules)
        missing = counterfactual([need for need in needs if need])
    return Decision(Action.SKIP, reason, LAYER[reason], None, scores, "", sentence, missing)


def _skip_text(
    reason: Reason,
    refused: tuple[int, ...],
    scores: tuple[Score, ...],
    row: MarketRow,
    own: OwnView,
) -> str:
    step = STEP[reason]
    if step not in refused:
        nearest = scores[_nearest(scores)]
        detail = (
            f"nearest was {nearest.template} {side_name(nearest.side)} at belief "
            f"{nearest.belief:.2f}, EUC {nearest.euc:.2f} for theta {nearest.theta:.2f}"
        )
        return skip_sentence(row.minute + 1, reason, detail)
    if step in own.words:
        return skip_sentence(row.minute + 1, reason, own.words[step][0])
    return row.sentence


def _setup_needs(
    score: Score, setup: Setup, row: MarketRow, own: OwnView, rules: Rules
) -> list[str]:
    """What this setup lacks for an entry, gate by gate in ladder order; empty when it passes."""
    law, template = rules.strategies, _template(setup.template, rules)
    name = f"{setup.template} {side_name(setup.side)}"
    friction, friction_max = row.friction_ticks, rules.decision.friction_share_max
    needs = []
    if own.tier is not None and own.tier.name not in template.tiers:
        needs.append(f"a tier of {'/'.join(template.tiers)} for {name}, was {own.tier.name}")
    if own.tier is not None:
        allowed = _stop_ticks_allowed(row, own.tier, own, rules)
        if setup.stop_ticks > allowed:
            needs.append(f"a stop of {allowed} ticks for {name}, was {setup.stop_ticks}")
    if score.belief < template.belief_min:
        needs.append(
            f"{template.constraint} {side_name(setup.side)} {template.belief_min:.2f}, "
            f"was {score.belief:.2f}"
        )
    needs += _tradability_needs(row, rules)
    if setup.instability > template.instability_max:
        needs.append(
            f"{name} instability of {template.instability_max:.2f}, was {setup.instability:.2f}"
        )
    if row.f5 is None or row.f5 >= law.noise_veto_belief:
        needs.append(
            f"{law.noise_constraint} below {law.noise_veto_belief:.2f}, was {_two(row.f5)}"
        )
    if own.standings.get(setup.template, ACTIVE).is_quarantined:
        needs.append(f"{setup.template} out of quarantine")
    if friction is None or friction / setup.target_ticks > friction_max:
        most = friction_max * setup.target_ticks
        needs.append(f"friction of {most:.2f} ticks for {name}, was {_two(friction)}")
    if score.euc < score.theta:
        needs.append(f"{name} EUC {score.theta:.2f}, was {score.euc:.2f}")
    return needs


def _tradability_needs(row: MarketRow, rules: Rules) -> list[str]:
    law = rules.strategies
    if row.f6 is not None and row.f6 >= law.tradability_belief_min:
        return []
    least = f"{law.tradability_constraint} {law.tradability_belief_min:.2f}"
    return [f"{least}, was {_two(row.f6)}"]


def _two(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _enter_sentence(score: Score, setup: Setup, row: MarketRow, rules: Rules) -> str:
    template = _template(setup.template, rules)
    risked = worst_case_usd(setup.stop_ticks, row.friction_ticks or 0.0, rules.instrument)
    return (
        f"{clock(row.minute + 1)} enter {setup.template} {side_name(setup.side)} "
        f"({idea(template.name)}): {template.constraint} at {score.belief:.2f} of "
        f"{template.belief_min:.2f}, EUC {score.euc:.2f} over theta {score.theta:.2f}. Stop "
        f"{setup.stop_ticks} ticks, target {setup.target_ticks}, risking {usd(risked)} with costs."
    )


def managed(action: Action, cause: str, sentence: str) -> Decision:
    """The record of a bar with an open trade: HOLD, MODIFY or EXIT, why, and in which words.

    The reason for not entering is `IN_POSITION`; `wording.trade_sentence` makes the sentence.
    """
    reason = Reason.IN_POSITION
    return Decision(action, reason, LAYER[reason], None, (), cause, sentence, "")


def decision_payload(decision: Decision, row: MarketRow, own: OwnView) -> str:
    """JSON text of a decision for the journal; floats to four decimals, keys in a fixed order.

    `market` is the bar's evidence from `narrative`, `own` the desk's gates as `[value, threshold]`.
    """
    chosen, scores = "null", "[]"
    if decision.scores:
        chosen = _json(_rounded(decision.chosen._asdict()) if decision.chosen else None)
        scores = _json([_rounded(score._asdict()) for score in decision.scores])
    return (
        f'{_HEADS[decision.action, decision.reason]}"cause":"{decision.cause}",'
        f'"sentence":"{decision.sentence}","counterfactual":"{decision.counterfactual}",'
        f'"chosen":{chosen},"scores":{scores},"own":{own.gates},'
        f'"market":{row.evidence_json or "null"}}}'
    )


def _head(action: Action, reason: Reason | None) -> str:
    if reason is None:
        return f'{{"action":"{action}","reason":null,"layer":null,'
    return f'{{"action":"{action}","reason":"{reason}","layer":{LAYER[reason]},'


_HEADS: Final = {
    (action, reason): _head(action, reason) for action in Action for reason in (None, *LADDER)
}


def _rounded(fields: dict[str, object]) -> dict[str, object]:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in fields.items()
    }


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
