"""A promoted number stands in its contract with a line that says why, and one command undoes it."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts import contracts_hash, load_rules
from contracts.promotion_record import RECORD, TORN
from contracts.promotions import promote, promotions, roll_back, unfinished, unsettled
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


PROMOTING = """
import resource
import sys
from datetime import datetime
from pathlib import Path
from contracts.promotions import promote
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
promote("beliefs", "constraints[F1].memory", 0.805, at=datetime.fromisoformat(sys.argv[2]),
        by="ann", reason="won its shadow month", folder=Path(sys.argv[1]))
"""


def promoting(folder: Path, *, bytes_max: int = -1) -> subprocess.Popen[bytes]:
    """A process of its own that promotes; no file of it may grow beyond `bytes_max`."""
    return subprocess.Popen(
        [sys.executable, "-c", PROMOTING, str(folder), AT.isoformat(), str(bytes_max)],
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def struck(folder: Path) -> Path:
    """Contracts of which a promoting process was killed after the record, before the contract."""
    pipe = folder / "beliefs.yaml.new"
    os.mkfifo(pipe)
    process = promoting(folder)
    with pipe.open("rb"):  # Opened once the process has come to write the contract.
        process.kill()
        assert process.wait() != 0
    pipe.unlink()
    return folder


def test_a_promotion_killed_before_its_contract_is_kept_and_told(struck: Path) -> None:
    (line,) = promotions(struck)

    assert (line.after, line.hash_before) == (0.805, contracts_hash(struck))
    assert unfinished(struck) == line
    assert unsettled(struck) == (
        "promotion 1 is recorded, but beliefs.yaml says constraints[F1].memory is 0.8 and not "
        "0.805: a crash came in between, or somebody put it back by hand; finish it by the same "
        "credence promote, or drop it with credence rollback"
    )


def test_the_same_promotion_again_finishes_the_one_that_was_cut_off(struck: Path) -> None:
    (line,) = promotions(struck)

    with pytest.raises(InputRefused, match=r"promotion 1 is recorded, but beliefs\.yaml says"):
        promoted(struck, 32, "templates[K1].time_stop_minutes", "strategies")
    promoted(struck)

    assert promotions(struck) == [line]
    assert contracts_hash(struck) == line.hash_after
    assert unsettled(struck) is None


def test_a_promotion_that_was_cut_off_is_dropped_by_a_rollback(struck: Path) -> None:
    known = contracts_hash(struck)

    dropped = roll_back(at=AT, by="bob", folder=struck)

    assert (dropped.undoes, dropped.before, dropped.after) == (1, 0.8, 0.8)
    assert dropped.reason == "drops promotion 1, which its contract does not say"
    assert contracts_hash(struck) == known
    assert unsettled(struck) is None
    promoted(struck)
    assert [line.undoes for line in promotions(struck)] == [None, 1, None]
    assert contracts_hash(struck) == promotions(struck)[-1].hash_after


def test_a_promotion_cut_off_before_a_change_by_hand_is_not_finished(struck: Path) -> None:
    path = struck / "strategies.yaml"
    path.write_text(path.read_text().replace("belief_min: 0.65", "belief_min: 0.66"))

    with pytest.raises(InputRefused, match=r"write 0\.805 at .* by hand, or drop it"):
        promoted(struck)


def test_a_rollback_that_the_file_system_refused_is_finished_by_the_next(folder: Path) -> None:
    known = contracts_hash(folder)
    promoted(folder)
    (folder / "beliefs.yaml.new").mkdir()

    with pytest.raises(IsADirectoryError):
        roll_back(at=AT, by="bob", folder=folder)
    (folder / "beliefs.yaml.new").rmdir()
    told = unsettled(folder)
    with pytest.raises(InputRefused, match="finish it with credence rollback"):
        promoted(folder, 0.81)
    finished = roll_back(at=AT, by="bob", folder=folder)

    assert told is not None
    assert told.startswith("promotion 1 was taken back in the record, but beliefs.yaml says")
    assert contracts_hash(folder) == known
    assert promotions(folder)[-1] == finished
    assert [line.undoes for line in promotions(folder)] == [None, 1]


def test_a_line_that_a_full_disk_tore_loses_nothing(folder: Path) -> None:
    promoted(folder, 32, "templates[K1].time_stop_minutes", "strategies")
    whole, known = (folder / RECORD).read_bytes(), contracts_hash(folder)

    assert promoting(folder, bytes_max=len(whole) + 40).wait() != 0
    fragment = (folder / RECORD).read_bytes()[len(whole) :]
    lines, told = promotions(folder), unsettled(folder)
    promoted(folder)

    assert len(fragment) == 40
    assert contracts_hash(folder) != known
    assert [line.number for line in lines] == [1]
    assert told is not None
    assert "its last line was torn by a crash before any contract was changed" in told
    assert (folder / TORN).read_bytes() == fragment + b"\n"
    assert (folder / RECORD).read_bytes().startswith(whole)
    assert [(line.number, line.after) for line in promotions(folder)] == [(1, 32), (2, 0.805)]
    assert unsettled(folder) is None


def test_a_last_line_that_lacks_nothing_but_its_end_is_a_line(folder: Path) -> None:
    promoted(folder)
    (folder / RECORD).write_bytes((folder / RECORD).read_bytes().rstrip(b"\n"))

    promoted(folder, 32, "templates[K1].time_stop_minutes", "strategies")

    assert [line.number for line in promotions(folder)] == [1, 2]
    assert not (folder / TORN).exists()
