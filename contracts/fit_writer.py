"""Writes fitted slopes and intercepts into the text of `beliefs.yaml`; comments and layout stay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from contracts.editing import Edit, edited, node_at, root_of, scalar, write_checked
from contracts.reading import FOLDER
from engine.rules import BeliefRules

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
    write_checked(path, with_fit_text(path.read_text(encoding="utf-8"), beliefs))
    return path


def with_fit_text(text: str, beliefs: BeliefRules) -> str:
    """The text of `beliefs.yaml` with the values of the fit exchanged for those of `beliefs`."""
    return edited(text, _edits(root_of(text, "beliefs.yaml"), beliefs))


def _edits(root: yaml.Node, beliefs: BeliefRules) -> Iterator[Edit]:
    for name in ORIGIN:
        yield node_at(root, f"fit.{name}", "beliefs.yaml"), scalar(getattr(beliefs.fit, name))
    for constraint in beliefs.constraints:
        for name in PARAMETERS:
            node = node_at(root, f"constraints[{constraint.id}].{name}", "beliefs.yaml")
            yield node, scalar(getattr(constraint, name))
