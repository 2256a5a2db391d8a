"""Finds the templates: every module of this folder that holds a `STRATEGY`, ordered by id."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from engine import strategies
from engine.errors import ContractError
from engine.measures import MANY_RULES, per_rules
from engine.rules import Rules
from engine.strategies.protocol import Strategy, Veto


def templates(rules: Rules) -> tuple[Strategy, ...]:
    """The entering templates, one per block of the contract; `ContractError` if the two differ."""
    found, _ = _discovered()
    in_files = [template.id for template in found]
    in_contract = sorted(block.id for block in rules.strategies.templates)
    if in_files != in_contract:
        raise ContractError(
            f"strategies.yaml: expected the templates {in_files} found in engine/strategies, got "
            f"{in_contract}; every template needs one file and one contract block"
        )
    return found


def template(template_id: str, rules: Rules) -> Strategy:
    """One entering template by its id; `ContractError` if there is none."""
    by_id = _by_id(rules)
    if template_id not in by_id:
        raise ContractError(
            f"expected a template of {sorted(by_id)}, got {template_id}; correct the id"
        )
    return by_id[template_id]


@partial(per_rules, kept_max=MANY_RULES)
def _by_id(rules: Rules) -> Mapping[str, Strategy]:
    return {found.id: found for found in templates(rules)}


def vetoes() -> tuple[Veto, ...]:
    """The templates that only forbid."""
    return _discovered()[1]


@lru_cache(maxsize=1)
def _discovered() -> tuple[tuple[Strategy, ...], tuple[Veto, ...]]:
    names = sorted(module.name for module in iter_modules(strategies.__path__))
    return sort_by_kind([import_module(f"{strategies.__name__}.{name}") for name in names])


def sort_by_kind(
    modules: Sequence[ModuleType],
) -> tuple[tuple[Strategy, ...], tuple[Veto, ...]]:
    """Entering templates and vetoes among modules, each by id; an id used twice is an error."""
    found = [module.STRATEGY for module in modules if hasattr(module, "STRATEGY")]
    ids = [strategy.id for strategy in found]
    if len(set(ids)) != len(ids):
        raise ContractError(f"expected one file per template id, got {sorted(ids)}; rename one")
    by_id = sorted(found, key=lambda strategy: str(strategy.id))
    return (
        tuple(strategy for strategy in by_id if hasattr(strategy, "detect")),
        tuple(strategy for strategy in by_id if hasattr(strategy, "vetoes")),
    )
