"""Names that must exist elsewhere: in another contract file, or in the engine's own registries."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from math import inf, log
from typing import Final

from contracts.ceilings import TEMPLATE_EQUITY_USD_MIN
from contracts.within import contradiction, tier_floors
from engine.biases import NotExpressed
from engine.errors import ContractError
from engine.execution_quality import Trouble
from engine.quality import QUALITY_EVENTS
from engine.rules import BeliefRules, Rules, StrategyRules, TemplateRules
from engine.signals import COMPANIONS, SIGNALS
from engine.strategies.registry import templates

EXECUTION_TROUBLES: Final = tuple(trouble.value for trouble in Trouble)


EVIDENCE_INPUTS: Final = (*SIGNALS, COMPANIONS["failed_break"].name)
"""What evidence and biases may read: the numbered signals, and the one that F2 needs beside."""


def check_across(rules: Rules, signals: Collection[str]) -> None:
    """Raise `ContractError` at the first name without its counterpart.

    `signals` are the names that evidence and biases may use.
    """
    _check_names("data", "penalties", rules.data.penalties, QUALITY_EVENTS)
    _check_names("execution", "eqs_losses", rules.execution.eqs_losses, EXECUTION_TROUBLES)
    _check_vetoes(rules.strategies, rules.beliefs)
    _check_pairs(rules.strategies, rules.beliefs)
    _check_evidence_counts(rules.strategies, rules.beliefs)
    _check_template_tiers(rules)
    _check_signals(rules, signals)
    _check_settings(rules)
    if rules.strategies.stop_ticks_min > min(
        tier.stop_ticks_max for tier in rules.constitution.tiers
    ):
        raise contradiction(
            "strategies", "stop_ticks_min", "at most the stop_ticks_max of every tier"
        )


def _check_vetoes(strategies: StrategyRules, beliefs: BeliefRules) -> None:
    without_side = {item.id for item in beliefs.constraints if not item.is_directional}
    for key in ("noise_constraint", "tradability_constraint"):
        if getattr(strategies, key) not in without_side:
            raise contradiction("strategies", key, "a constraint of beliefs.yaml without a side")


def _check_pairs(strategies: StrategyRules, beliefs: BeliefRules) -> None:
    """Every template trades on a question with sides, a question's own template on that one.

    Another template may trade on the same question, so that adding one takes no second block.
    """
    constraint_by_template = {item.id: item.constraint for item in strategies.templates}
    with_sides = {item.id for item in beliefs.constraints if item.is_directional}
    for template, constraint in constraint_by_template.items():
        if constraint not in with_sides:
            raise contradiction(
                "strategies",
                f"templates[{template}].constraint",
                "a constraint of beliefs.yaml with sides",
            )
    for item in beliefs.constraints:
        if item.template is None:
            continue
        if item.template not in constraint_by_template:
            raise contradiction(
                "beliefs",
                f"constraints[{item.id}].template",
                f"a template of strategies.yaml ({', '.join(constraint_by_template)})",
            )
        if constraint_by_template[item.template] != item.id:
            raise contradiction(
                "strategies",
                f"templates[{item.template}].constraint",
                f"{item.id}, the constraint of beliefs.yaml whose template is {item.template}",
            )


def _check_evidence_counts(strategies: StrategyRules, beliefs: BeliefRules) -> None:
    """No belief lets an entry through without evidence, and the strongest can shut the noise veto.

    Evidence is a mean of signals, weighed to 1 at most in all.
    """
    least = {block.constraint: block.belief_min for block in strategies.templates}
    least[strategies.tradability_constraint] = strategies.tradability_belief_min
    for item in beliefs.constraints:
        key = f"constraints[{item.id}]"
        if item.id in least and item.intercept >= _log_odds(least[item.id]):
            raise contradiction(
                "beliefs",
                f"{key}.intercept",
                f"less than {_log_odds(least[item.id]):.4f}, the log-odds of {least[item.id]:g} "
                f"from which it lets an entry through, got {item.intercept:g}",
            )
        veto = _log_odds(strategies.noise_veto_belief)
        if item.id == strategies.noise_constraint and item.slope + item.intercept < veto:
            raise contradiction(
                "beliefs",
                f"{key}.slope",
                f"at least {veto - item.intercept:.4f}, or no evidence could make noise veto at "
                f"{strategies.noise_veto_belief:g}, got {item.slope:g}",
            )


def _log_odds(probability: float) -> float:
    return log(probability / (1.0 - probability)) if probability < 1.0 else inf


def _check_template_tiers(rules: Rules) -> None:
    floor_by_name = {tier.name: floor for tier, floor in tier_floors(rules.constitution)}
    most = max(TEMPLATE_EQUITY_USD_MIN.values())
    for template in rules.strategies.templates:
        key = f"templates[{template.id}].tiers"
        least = TEMPLATE_EQUITY_USD_MIN.get(template.id, most)
        for name in template.tiers:
            if name not in floor_by_name:
                raise contradiction("strategies", key, f"tiers among {', '.join(floor_by_name)}")
            if floor_by_name[name] < least:
                raise contradiction(
                    "strategies",
                    key,
                    f"no tier below ${least} of equity (hard ceiling), got {name}",
                )


def _check_signals(rules: Rules, signals: Collection[str]) -> None:
    named = [
        ("beliefs", f"constraints[{constraint.id}].evidence[{term.signal}].signal", term.signal)
        for constraint in rules.beliefs.constraints
        for term in constraint.evidence
    ]
    named += [
        ("biases", f"catalogue[{bias.id}].expression.signal", bias.expression.signal)
        for bias in rules.biases.catalogue
        if not isinstance(bias.expression, NotExpressed)
    ]
    for file, key, signal in named:
        if signal not in signals:
            raise contradiction(file, key, f"the name of a signal, got {signal}")


class _Read(Mapping[str, float]):
    """A template's settings, remembering which of them were read."""

    def __init__(self, settings: Mapping[str, float]) -> None:
        self._settings = settings
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> float:
        self.names.add(name)
        return self._settings[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)


def _check_settings(rules: Rules) -> None:
    """Every template finds its settings, and no setting is left that none reads."""
    read = {block.id: _Read(block.settings) for block in rules.strategies.templates}

    def watched(block: TemplateRules) -> TemplateRules:
        return replace(block, settings=read[block.id])

    blocks = tuple(watched(block) for block in rules.strategies.templates)
    observed = replace(rules, strategies=replace(rules.strategies, templates=blocks))
    for template in templates(observed):
        template.detect(observed)
        if unread := sorted(set(read[template.id]) - read[template.id].names):
            raise ContractError(
                f"strategies.yaml: unknown key 'templates[{template.id}].settings.{unread[0]}'; "
                "the template never reads it, remove it"
            )


def _check_names(file: str, key: str, names: Iterable[str], known: Collection[str]) -> None:
    given = set(names)
    if unknown := sorted(given - set(known)):
        raise contradiction(file, f"{key}.{unknown[0]}", f"names among {', '.join(sorted(known))}")
    if missing := sorted(set(known) - given):
        raise contradiction(file, f"{key}.{missing[0]}", "a value for every name; it is missing")
