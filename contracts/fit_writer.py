"""Writes fitted slopes and intercepts into the text of `beliefs.yaml`; comments and layout stay."""

import json
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Final

import yaml

from contracts.loader import rules_of
from contracts.reading import FOLDER, ContractLoader, parse_contract, read_contracts
from engine.errors import ContractError
from engine.rules import BeliefRules

Edit = tuple[yaml.Node, str]

ORIGIN: Final = ("source", "first_session_date", "last_session_date", "sessions")
"""Keys of the `fit` block that a fit sets; the others are its recipe, which a person sets."""

PARAMETERS: Final = ("slope", "intercept")
"""Keys of each constraint that a fit sets."""

FITTED_KEYS: Final = frozenset(
    {f"fit.{name}" for name in ORIGIN} | {f"constraints[].{name}" for name in PARAMETERS}
)
"""All keys that a fit sets."""


def write_fit(beliefs: BeliefRules, folder: Path | None = None) -> Path:
    """Put slopes, intercepts and the origin of the fit in `beliefs` into the file of a folder.

    The new text is checked as a whole contract before the file is replaced; raises `ContractError`
    and leaves the file alone when it would not load.
    """
    path = (folder or FOLDER) / "beliefs.yaml"
    text = with_fit_text(path.read_text(encoding="utf-8"), beliefs)
    contents = read_contracts(path.parent) | {"beliefs": parse_contract(text, path.name)}
    for symbol in contents["instrument"]:
        rules_of(contents, symbol)
    aside = path.with_suffix(".yaml.new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    return path


def with_fit_text(text: str, beliefs: BeliefRules) -> str:
    """The text of `beliefs.yaml` with the values of the fit exchanged for those of `beliefs`."""
    root = yaml.compose(text, Loader=ContractLoader)
    if root is None:
        raise ContractError("beliefs.yaml: expected a mapping of keys, got nothing")
    edits = sorted(_edits(root, beliefs), key=lambda edit: edit[0].start_mark.index, reverse=True)
    for node, value in edits:
        text = text[: node.start_mark.index] + value + text[node.end_mark.index :]
    return text


def _edits(root: yaml.Node, beliefs: BeliefRules) -> Iterator[Edit]:
    fit = _child(root, "fit")
    for name in ORIGIN:
        yield _child(fit, name), _scalar(getattr(beliefs.fit, name))
    blocks: Iterable[yaml.Node] = _child(root, "constraints").value
    by_id = {_child(block, "id").value: block for block in blocks}
    for constraint in beliefs.constraints:
        for name in PARAMETERS:
            yield _child(by_id[constraint.id], name), _scalar(getattr(constraint, name))


def _child(node: yaml.Node, name: str) -> yaml.Node:
    found: yaml.Node = next(value for key, value in node.value if key.value == name)
    return found


def _scalar(value: float | str | date | None) -> str:
    match value:
        case None:
            return "null"
        case int():
            return str(value)
        case float():
            return repr(value)
        case date():
            return value.isoformat()
        case str():
            return json.dumps(value, ensure_ascii=False)
