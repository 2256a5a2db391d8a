"""Contract files into `engine.rules.Rules`: read, build, bound, cross-check, hash."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from contracts.ceilings import check_ranges
from contracts.reading import FOLDER, Plain, content_hash, contract_texts, parse_contract
from contracts.typed import build
from contracts.within import check_instrument, check_within
from engine.biases import BiasRules
from engine.calendar import Phase, SessionRules
from engine.errors import ContractError
from engine.instrument import Instrument
from engine.rules import (
    BeliefRules,
    Constitution,
    DataRules,
    DecisionRules,
    ExecutionRules,
    LearningRules,
    Rules,
    StrategyRules,
    TradeRules,
)

Block = TypeVar("Block")


def load_rules(
    symbol: str = "MES", folder: Path | None = None, signals: Collection[str] | None = None
) -> Rules:
    """The rules of one instrument; raises `ContractError` naming file, key, value and bound.

    `signals` are the names that evidence and biases may use, if not those of the engine.
    """
    texts = contract_texts(folder or FOLDER)
    return _loaded(tuple(texts.items()), symbol, None if signals is None else tuple(signals))


@lru_cache(maxsize=16)
def _loaded(
    texts: tuple[tuple[str, str], ...], symbol: str, signals: tuple[str, ...] | None
) -> Rules:
    """The rules that these texts state; a file is read each time, and parsed when it changed."""
    contents = {stem: parse_contract(text, f"{stem}.yaml") for stem, text in texts}
    return rules_of(contents, symbol, signals)


def rules_of(
    contents: Mapping[str, dict[str, Plain]], symbol: str, signals: Collection[str] | None = None
) -> Rules:
    """Rules from parsed contents by file stem; the checks of `load_rules` without the disk."""
    from contracts.across import EVIDENCE_INPUTS, check_across

    rules = built_rules(contents, symbol)
    check_across(rules, EVIDENCE_INPUTS if signals is None else signals)
    return rules


def built_rules(contents: Mapping[str, dict[str, Plain]], symbol: str) -> Rules:
    """Rules held to every type, key, ceiling and rule within a file, but not to the engine's names.

    Needs no Polars: enough to say at once whether a contract is refused for what it says.
    """
    rules = Rules(
        instrument=_instrument(contents["instrument"], symbol),
        session=_block(SessionRules, contents, "calendar"),
        data=_block(DataRules, contents, "data"),
        beliefs=_beliefs(contents["beliefs"]),
        strategies=_block(StrategyRules, contents, "strategies"),
        constitution=_block(Constitution, contents, "constitution"),
        decision=_block(DecisionRules, contents, "decision"),
        execution=_block(ExecutionRules, contents, "execution"),
        trade=_block(TradeRules, contents, "trade"),
        biases=_block(BiasRules, contents, "biases"),
        learning=_block(LearningRules, contents, "learning"),
        contracts_hash=content_hash(contents),
    )
    check_within(rules)
    return rules


def _block(kind: type[Block], contents: Mapping[str, dict[str, Plain]], file: str) -> Block:
    block = build(kind, contents[file], file)
    check_ranges(file, block)
    return block


def _instrument(content: dict[str, Plain], symbol: str) -> Instrument:
    """The block of one symbol; the others are checked too, so no typo waits for its first use."""
    if symbol not in content:
        raise ContractError(
            f"instrument.yaml: expected a block '{symbol}', found {', '.join(content)}; "
            "add the instrument"
        )
    instruments = {}
    for name, block in content.items():
        if not isinstance(block, dict) or "symbol" in block:
            raise ContractError(f"instrument.yaml: '{name}': expected a mapping without 'symbol'")
        instruments[name] = build(Instrument, {"symbol": name, **block}, "instrument", name)
        check_ranges("instrument", instruments[name])
        check_instrument(instruments[name])
    return instruments[symbol]


def _beliefs(content: dict[str, Plain]) -> BeliefRules:
    """`phases` are written by name in the file and are numbers, as S21 has them, in the rules."""
    constraints = content.get("constraints")
    if isinstance(constraints, list):
        content = {**content, "constraints": [_with_phase_numbers(item) for item in constraints]}
    return _block(BeliefRules, {"beliefs": content}, "beliefs")


def _with_phase_numbers(constraint: Plain) -> Plain:
    if not isinstance(constraint, dict) or not isinstance(constraint.get("phases"), list):
        return constraint
    numbers: list[Plain] = []
    for name in constraint["phases"]:  # type: ignore[union-attr]  # A list by the line above.
        known = [phase for phase in Phase if phase.name.lower() == name]
        if not known:
            raise ContractError(
                f"beliefs.yaml: 'constraints[{constraint.get('id')}].phases': expected names among "
                f"{', '.join(phase.name.lower() for phase in Phase)}, got {name}; correct the name"
            )
        numbers.append(int(known[0]))
    return {**constraint, "phases": numbers}
