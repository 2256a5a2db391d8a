"""A fit changes the fitted numbers of `beliefs.yaml`, and not one other character that matters."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from contracts import contracts_hash, load_rules
from contracts.fit_writer import with_fit_text, write_fit
from engine.errors import ContractError
from engine.rules import BeliefRules


def fitted(slope: float = 12.345678) -> BeliefRules:
    beliefs = load_rules().beliefs
    return replace(
        beliefs,
        constraints=tuple(
            replace(constraint, slope=slope + number, intercept=-1e-06 - number)
            for number, constraint in enumerate(beliefs.constraints)
        ),
        fit=replace(
            beliefs.fit,
            source='generator:7, "first 250"',
            first_session_date=date(2025, 1, 2),
            last_session_date=date(2025, 12, 31),
            sessions=250,
        ),
    )


def comments_of(text: str) -> list[str]:
    return [line.split("# ", 1)[1] for line in text.splitlines() if "# " in line]


def test_what_was_fitted_is_what_is_loaded(folder: Path) -> None:
    beliefs = fitted()

    write_fit(beliefs, folder)

    assert load_rules(folder=folder).beliefs == beliefs
    assert contracts_hash(folder) != contracts_hash()


def test_comments_and_everything_else_stay(folder: Path) -> None:
    before = (folder / "beliefs.yaml").read_text()

    write_fit(fitted(), folder)

    after = (folder / "beliefs.yaml").read_text()
    assert comments_of(after) == comments_of(before)
    changed = [
        new.split(":")[0].strip()
        for old, new in zip(before.splitlines(), after.splitlines(), strict=True)
        if old != new
    ]
    assert set(changed) <= {
        "slope",
        "intercept",
        "source",
        "first_session_date",
        "last_session_date",
        "sessions",
    }


def test_writing_the_same_fit_again_changes_nothing(folder: Path) -> None:
    write_fit(fitted(), folder)
    once = (folder / "beliefs.yaml").read_text()

    assert with_fit_text(once, fitted()) == once


def test_a_fit_that_would_not_load_leaves_the_file_alone(folder: Path) -> None:
    before = (folder / "beliefs.yaml").read_bytes()

    with pytest.raises(ContractError, match="slope"):
        write_fit(fitted(slope=-5.0), folder)

    assert (folder / "beliefs.yaml").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".yaml") == []
