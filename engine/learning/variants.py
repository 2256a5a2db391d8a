"""Small changes of one number that the night may try: never of the constitution, never by more than
a step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine.rules import (
    ConstraintRules,
    EvidenceTerm,
    EvolutionRules,
    Rules,
    TemplateRules,
)

_DIGITS = 6
"""A step added to a contract's number is written as a person would write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One number of a contract file, and what it would be changed to.

    `key` is its path as the contract's page writes it: `constraints[F1].memory`.
    """

    file: str
    key: str
    before: float
    after: float

    @property
    def name(self) -> str:
        return f"{self.file}.{self.key} {self.before:g} → {self.after:g}"


def variants(rules: Rules, law: EvolutionRules) -> list[tuple[Variant, Rules]]:
    """Every single step in either direction with the rules it would make, in a fixed order.

    A step that would leave a number's sense (a probability outside 0 to 1, a weight of the other
    sign, a time stop of nothing) is left out. The contracts hash stays that of today's files.
    """
    return [*_of_constraints(rules, law), *_of_templates(rules, law)]


def _of_constraints(rules: Rules, law: EvolutionRules) -> Iterator[tuple[Variant, Rules]]:
    for block in rules.beliefs.constraints:
        for memory in _steps(block.memory, law.memory_step, 0.0, 1.0):
            changed = replace(block, memory=memory)
            yield (
                _variant("beliefs", f"constraints[{block.id}].memory", block.memory, memory),
                _with_constraint(rules, changed),
            )
        for index, term in enumerate(block.evidence):
            for size in _steps(abs(term.weight), law.weight_step, 0.0, 1.0):
                weight = size if term.weight > 0 else -size
                key = f"constraints[{block.id}].evidence[{term.signal}].weight"
                changed = replace(block, evidence=_with_weight(block.evidence, index, weight))
                variant = _variant("beliefs", key, term.weight, weight)
                yield variant, _with_constraint(rules, changed)


def _of_templates(rules: Rules, law: EvolutionRules) -> Iterator[tuple[Variant, Rules]]:
    for block in rules.strategies.templates:
        for belief_min in _steps(block.belief_min, law.threshold_step, 0.0, 1.0):
            key = f"templates[{block.id}].belief_min"
            variant = _variant("strategies", key, block.belief_min, belief_min)
            yield variant, _with_template(rules, replace(block, belief_min=belief_min))
        minutes = block.time_stop_minutes
        for changed in _steps(minutes, law.time_stop_step_minutes, 0, 390):
            key = f"templates[{block.id}].time_stop_minutes"
            variant = _variant("strategies", key, minutes, changed)
            yield variant, _with_template(rules, replace(block, time_stop_minutes=int(changed)))


def _steps(value: float, step: float, low: float, high: float) -> list[float]:
    stepped = (round(value - step, _DIGITS), round(value + step, _DIGITS))
    return [number for number in stepped if low < number < high]


def _variant(file: str, key: str, before: float, after: float) -> Variant:
    return Variant(file=file, key=key, before=before, after=after)


def _with_weight(
    evidence: Sequence[EvidenceTerm], index: int, weight: float
) -> tuple[EvidenceTerm, ...]:
    changed = replace(evidence[index], weight=weight)
    return (*evidence[:index], changed, *evidence[index + 1 :])


def _with_constraint(rules: Rules, changed: ConstraintRules) -> Rules:
    constraints = tuple(
        changed if block.id == changed.id else block for block in rules.beliefs.constraints
    )
    return replace(rules, beliefs=replace(rules.beliefs, constraints=constraints))


def _with_template(rules: Rules, changed: TemplateRules) -> Rules:
    templates = tuple(
        changed if block.id == changed.id else block for block in rules.strategies.templates
    )
    return replace(rules, strategies=replace(rules.strategies, templates=templates))
