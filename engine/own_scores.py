"""A setup as the desk scores it: the market's score, less what our execution and learning cost.

Nothing here lowers a threshold, and a score can only be raised by odds that were earned: they take
the prior's place, so the market's verdict on the score, which is the prior's, is asked again. The
first no of a setup is the market's or ours, whichever the ladder asks first.
"""

from typing import Final, NamedTuple

from engine.ladder import STEP, Reason
from engine.market import MarketRow, Setup
from engine.odds import PRIOR, EarnedOdds
from engine.own_view import ACTIVE, OwnView
from engine.risk import worst_case_usd
from engine.rules import Rules, TemplateRules
from engine.wording import lacking, side_name

_LOSS_LIMIT_STEPS: Final = frozenset(
    STEP[reason]
    for reason in (
        Reason.DAILY_LOSS_LIMIT,
        Reason.WEEKLY_LOSS_LIMIT,
        Reason.MONTHLY_LOSS_LIMIT,
    )
)


class Score(NamedTuple):
    """A setup as the desk scored it: EUC = edge − uncertainty − cost, in R, and its first no.

    `p_win_from` is `odds.PRIOR`, or names the map by the last session it was fitted on.
    """

    template: str
    side: int
    stop_ticks: int
    target_ticks: int
    belief: float
    instability: float
    p_win: float
    p_win_from: str
    edge: float
    uncertainty: float
    cost: float
    euc: float
    theta: float
    reason: Reason | None


def score_setup(setup: Setup, row: MarketRow, own: OwnView, rules: Rules) -> Score:
    """EUC at decision time. With EQS = 1, m = 1 and the prior it is the market's to the bit."""
    standing = own.standings.get(setup.template, ACTIVE)
    market_cost = (row.friction_ticks or 0.0) / setup.stop_ticks
    extra_cost = market_cost * (standing.modifier - 1.0)
    belief = setup.belief * own.eqs_factor
    less_belief = setup.belief - belief
    odds = standing.earned_on(setup.side)
    less_p_win = rules.beliefs.prior_strength * less_belief
    p_win = setup.p_win - less_p_win
    if odds is not None:
        p_win = _mapped(odds, belief, rules)
        less_p_win = setup.p_win - p_win
    less_edge = less_p_win * (setup.target_ticks / setup.stop_ticks + 1.0)
    doubt = rules.decision.weight_eqs * (1.0 - own.eqs) + rules.decision.weight_belief * less_belief
    euc = setup.euc - doubt - extra_cost - less_edge
    return Score(
        setup.template,
        setup.side,
        setup.stop_ticks,
        setup.target_ticks,
        belief,
        setup.instability,
        p_win,
        PRIOR if odds is None else odds.source,
        setup.edge - less_edge,
        setup.edge - market_cost - setup.euc + doubt,
        market_cost + extra_cost,
        euc,
        setup.theta,
        _first_no(setup, belief, euc, row, own, rules),
    )


def _mapped(odds: EarnedOdds, belief: float, rules: Rules) -> float:
    """The probability that an earned map gives a belief, within the contract's bounds."""
    law = rules.beliefs
    return min(max(odds.belief_map.at_one(belief), law.p_win_min), law.p_win_max)


def _first_no(
    setup: Setup, belief: float, euc: float, row: MarketRow, own: OwnView, rules: Rules
) -> Reason | None:
    """The earliest step at which the market or the desk refuses this setup; null when none does."""
    template = template_of(setup.template, rules)
    standing = own.standings.get(setup.template, ACTIVE)
    noes = [] if setup.reason is None else [Reason(setup.reason)]
    if noes == [Reason.EDGE_SCORE_BELOW_THETA] and standing.earned_on(setup.side) is not None:
        noes = []  # The prior's verdict, and a setup's last step: the score below answers it.
    if own.tier is None or own.tier.name not in template.tiers:
        noes.append(Reason.TEMPLATE_NOT_ALLOWED_BY_TIER)
    if _exceeds_budget(setup, row, own, rules):
        noes.append(Reason.STOP_EXCEEDS_RISK_BUDGET)
    if belief < template.belief_min:
        noes.append(Reason.BELIEF_TOO_LOW)
    if standing.is_quarantined:
        noes.append(Reason.STRATEGY_QUARANTINED)
    if euc < setup.theta:
        noes.append(Reason.EDGE_SCORE_BELOW_THETA)
    return min(noes, key=STEP.__getitem__) if noes else None


def template_of(template_id: str, rules: Rules) -> TemplateRules:
    """The contract block of a template."""
    for template in rules.strategies.templates:
        if template.id == template_id:
            return template
    raise AssertionError(f"{template_id} is a setup of a template that the rules do not hold")


def _exceeds_budget(setup: Setup, row: MarketRow, own: OwnView, rules: Rules) -> bool:
    """Is the stop wider than the caps, or its worst case more than the loss limits leave?"""
    if setup.stop_ticks > own.stop_ticks_max or row.friction_ticks is None:
        return True
    if setup.stop_ticks + row.friction_ticks < own.ample_ticks:
        return False
    worst_usd = worst_case_usd(setup.stop_ticks, row.friction_ticks, rules.instrument)
    return worst_usd > own.budget_usd


def _stop_ticks_allowed(row: MarketRow, own: OwnView, rules: Rules) -> int:
    """Widest stop that the caps and what is left of the loss limits allow, in ticks; at least 0."""
    instrument = rules.instrument
    costs_usd = worst_case_usd(0, row.friction_ticks or 0.0, instrument)
    affordable = int((own.budget_usd - costs_usd) // instrument.tick_value_usd)
    return max(0, min(own.stop_ticks_max, affordable))


def setup_needs(
    score: Score, setup: Setup, row: MarketRow, own: OwnView, rules: Rules
) -> list[str]:
    """What this setup lacks for an entry, gate by gate in ladder order; empty when it passes."""
    law, template = rules.strategies, template_of(setup.template, rules)
    side = side_name(setup.side)
    name = f"{setup.template} {side}"
    friction_max = rules.decision.friction_share_max * setup.target_ticks
    needs = _capital_needs(name, setup, row, own, rules)
    if score.belief < template.belief_min:
        needs.append(lacking(f"{template.constraint} {side}", template.belief_min, score.belief))
    if row.f6 is None or row.f6 < law.tradability_belief_min:
        needs.append(lacking(law.tradability_constraint, law.tradability_belief_min, row.f6))
    if setup.instability > template.instability_max:
        needs.append(lacking(f"{name} instability", template.instability_max, setup.instability))
    if row.f5 is None or row.f5 >= law.noise_veto_belief:
        needs.append(lacking(f"{law.noise_constraint} below", law.noise_veto_belief, row.f5))
    if own.standings.get(setup.template, ACTIVE).is_quarantined:
        needs.append(f"{setup.template} out of quarantine")
    if row.friction_ticks is None or (
        row.friction_ticks / setup.target_ticks > rules.decision.friction_share_max
    ):
        needs.append(lacking(f"{name} friction in ticks", friction_max, row.friction_ticks))
    if score.euc < score.theta:
        needs.append(lacking(f"{name} EUC", score.theta, score.euc))
    return needs


def _capital_needs(
    name: str, setup: Setup, row: MarketRow, own: OwnView, rules: Rules
) -> list[str]:
    """What tier and budget ask of a setup; a loss limit that refuses every trade asked before."""
    tiers = template_of(setup.template, rules).tiers
    if own.tier is None:
        return []
    needs = []
    if own.tier.name not in tiers:
        needs.append(f"a tier of {' or '.join(tiers)} for {name}, was {own.tier.name}")
    is_within_caps = setup.stop_ticks <= own.stop_ticks_max
    has_asked = is_within_caps and not _LOSS_LIMIT_STEPS.isdisjoint(own.noes)
    if not has_asked and _exceeds_budget(setup, row, own, rules):
        allowed = _stop_ticks_allowed(row, own, rules)
        needs.append(f"a stop of {allowed} ticks for {name}, was {setup.stop_ticks}")
    return needs
