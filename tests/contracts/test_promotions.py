"""A promoted number stands in its contract with a line that says why, and one command undoes it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts import contracts_hash, load_rules
from contracts.promotions import RECORD, promote, promotions, roll_back
from engine.errors import ContractError, InputRefused
from engine.learning.variants import variants

AT = datetime(2025, 2, 7, 23, 0, tzinfo=UTC)
KEY = "constraints[F1].memory"


def promoted(folder: Path, value: float = 0.805, key: str = KEY, file: str = "beliefs") -> None:
    promote(file, key, value, at=AT, by="ann", reason="won its shadow month", folder=folder)


def text_of(folder: Path, file: str = "beliefs") -> str:
    return (folder / f"{file}.yaml").read_text()


def test_a_promotion_changes_one_number_and_says_who_and_why(folder: Path) -> None:
    before, known = text_of(folder), contracts_hash(folder)

    promoted(folder)

    changed = [
        (old, new)
        for old, new in zip(before.splitlines(), text_of(folder).splitlines(), strict=True)
        if old != new
    ]
    assert len(changed) == 1
    assert changed[0][1] == changed[0][0].replace("0.80", "0.805")
    (line,) = promotions(folder)
    assert (line.by, line.reason, line.before, line.after) == (
        "ann",
        "won its shadow month",
        0.80,
        0.805,
    )
    assert (line.hash_before, line.hash_after) == (known, contracts_hash(folder))
    assert line.hash_before != line.hash_after


def test_a_rollback_restores_the_contracts_and_is_recorded_too(folder: Path) -> None:
    known = contracts_hash(folder)
    promoted(folder)
    promoted(folder, 32, "templates[K1].time_stop_minutes", "strategies")

    roll_back(at=AT, by="bob", folder=folder)
    roll_back(at=AT, by="bob", folder=folder)

    assert contracts_hash(folder) == known
    assert [line.undoes for line in promotions(folder)] == [None, None, 2, 1]
    with pytest.raises(InputRefused, match="expected a promotion to roll back, found none"):
        roll_back(at=AT, by="bob", folder=folder)


def test_a_number_changed_by_hand_since_is_not_rolled_back(folder: Path) -> None:
    promoted(folder)
    path = folder / "beliefs.yaml"
    path.write_text(path.read_text().replace("memory: 0.805", "memory: 0.7"))

    with pytest.raises(InputRefused, match=r"expected constraints\[F1\].memory to be 0.805"):
        roll_back(at=AT, by="bob", folder=folder)

    assert "memory: 0.7 " in text_of(folder)


@pytest.mark.parametrize(
    ("file", "key", "value", "said"),
    [
        ("constitution", "trades_per_day_max", 9, "learning may not touch it"),
        ("execution", "reconcile_seconds", 9, "learning may not touch it"),
        ("fees", "commission_usd", 0, "which is no contract"),
        ("beliefs", "constraints[F9].memory", 0.5, r"expected a value at 'constraints\[F9\]"),
        ("beliefs", "constraints[F1].question", 0.5, "expected a number at"),
        ("beliefs", "constraints[F1]", 0.5, "expected a value at"),
        ("beliefs", KEY, 1.5, "memory"),
    ],
)
def test_what_may_not_be_promoted_is_refused_and_nothing_is_written(
    file: str, key: str, value: float, said: str, folder: Path
) -> None:
    known = contracts_hash(folder)

    with pytest.raises((InputRefused, ContractError), match=said):
        promote(file, key, value, at=AT, by="ann", reason="because", folder=folder)

    assert contracts_hash(folder) == known
    assert not (folder / RECORD).exists()


def test_a_line_of_an_older_record_is_read_and_can_be_taken_back(folder: Path) -> None:
    known = contracts_hash(folder)
    promoted(folder)
    (line,) = promotions(folder)
    older = json.dumps(
        {
            **{name: getattr(line, name) for name in ("number", "by", "file", "key", "before")},
            **{
                name: getattr(line, name)
                for name in ("after", "reason", "hash_before", "hash_after")
            },
            "at": "2025-02-07T23:00:00+00:00",
            "undoes": None,
        }
    )
    (folder / RECORD).write_text(older + "\n")

    assert promotions(folder) == [line]
    roll_back(at=AT, by="bob", folder=folder)

    assert contracts_hash(folder) == known
    assert [each.undoes for each in promotions(folder)] == [None, 1]


def test_a_promotion_without_a_reason_is_refused(folder: Path) -> None:
    with pytest.raises(InputRefused, match="expected a reason, got none"):
        promote("beliefs", KEY, 0.805, at=AT, by="ann", reason="  ", folder=folder)


def test_a_broken_record_is_named(folder: Path) -> None:
    (folder / RECORD).write_text('{"number": 1}\n')

    with pytest.raises(ContractError, match="line 1: expected a promotion"):
        promotions(folder)


def test_every_variant_the_night_may_propose_can_be_promoted(folder: Path) -> None:
    rules = load_rules("MES", folder)
    tried = variants(rules, rules.learning.evolution)

    for variant, wanted in tried[::9]:
        promote(variant.file, variant.key, variant.after, at=AT, by="x", reason="y", folder=folder)
        got = load_rules("MES", folder)
        roll_back(at=AT, by="x", folder=folder)

        assert got.beliefs == wanted.beliefs
        assert got.strategies == wanted.strategies
