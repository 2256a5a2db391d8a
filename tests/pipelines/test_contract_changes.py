"""Contracts that change between a session's close and its night, or while somebody still needs
them as they were."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from command_line import copied, credence

import contracts
from contracts import contracts_hash, load_rules
from contracts.promotions import promote, promotions
from engine.desk import Mode
from engine.learning.variants import variants
from pipelines.commands.exits import Exit
from pipelines.evolution import Evolution, _keep
from pipelines.session.lock import session_lock
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

DAY = "2025-01-10"
AFTER_CLOSE = datetime(2025, 1, 10, 23, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Contract files of one's own."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    for path in Path(contracts.__file__).parent.glob("*.yaml"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def home(learned_home: Path, tmp_path: Path) -> Path:
    """Six sessions that were played under the shipped contracts."""
    return copied(learned_home, tmp_path / "home")


def promoted(folder: Path) -> str:
    """The hash of contracts in which one belief forgets a little faster."""
    law = load_rules("MES", folder).learning.evolution
    known = next(each for each in load_rules("MES", folder).beliefs.constraints if each.id == "F1")
    after = round(known.memory - law.memory_step, 6)
    key = "constraints[F1].memory"
    promote("beliefs", key, after, at=AFTER_CLOSE, by="ann", reason="r", folder=folder)
    return contracts_hash(folder)


def test_contracts_that_change_before_the_night_do_not_stop_it(home: Path, folder: Path) -> None:
    was, now = contracts_hash(folder), promoted(folder)

    ended = credence(home, "learn", "--from", "2025-01-08", "--json", contracts=folder)

    assert (ended.code, ended.json["failed_checks"]) == (Exit.DONE, [])
    ((name, said),) = ended.json["warnings"]
    assert name == "live_equals_batch"
    assert said == (
        "780 bars decided of 780 stored, 0 differ from the batch; 780 bars of 2025-01-08, "
        f"2025-01-10 decided under other contracts than today's {now[:12]}: their prices and "
        "volume alone are compared, and the night judges by today's"
    )
    page = (home / "reports" / "sessions" / "MES" / f"{DAY}.html").read_text()
    assert f"It was decided under contracts {was[:12]}, today&#39;s are {now[:12]}" in page


def test_a_bar_that_somebody_changed_is_found_under_any_contracts(home: Path, folder: Path) -> None:
    promoted(folder)
    path = home / "market" / "bars" / "MES" / f"{DAY}.parquet"
    late = pl.when(pl.col("minute") == 380).then(1).otherwise(0)
    pl.read_parquet(path).with_columns(pl.col("volume") + late).write_parquet(path)

    ended = credence(home, "learn", "--from", DAY, "--json", contracts=folder)

    ((name, said),) = ended.json["failed_checks"]
    assert (ended.code, name) == (Exit.NO, "live_equals_batch")
    assert "390 stored, 1 differ from the batch, first 2025-01-10 20:51 UTC" in said


def test_a_bar_that_is_missing_is_found_under_any_contracts(home: Path, folder: Path) -> None:
    promoted(folder)
    path = home / "market" / "bars" / "MES" / f"{DAY}.parquet"
    pl.read_parquet(path).filter(pl.col("minute") != 200).write_parquet(path)

    ended = credence(home, "learn", "--from", DAY, "--json", contracts=folder)

    ((name, said),) = ended.json["failed_checks"]
    assert (ended.code, name) == (Exit.NO, "live_equals_batch")
    assert "390 bars decided of 389 stored, 1 differ from the batch" in said


CHANGES = {
    "promote": ("promote", "--anyway", "--reason", "won its month"),
    "rollback": ("rollback",),
    "fit-beliefs --write": ("fit-beliefs", "--write"),
}


@pytest.fixture
def traded(home: Path, folder: Path) -> Wiring:
    """A desk whose sessions were traded on paper and have taught, with a proposal to promote."""
    wiring = Wiring(settings=load_settings({"CREDENCE_HOME": str(home), "CREDENCE_MODE": "paper"}))
    desk = wiring.session_journals.traded(Mode.PAPER)
    desk.parent.mkdir(parents=True)
    desk.write_bytes((home / "journals" / "replay-MES.sqlite").read_bytes())
    promoted(folder)
    rules = load_rules("MES", folder)
    proposed = Evolution(
        through=date(2025, 1, 10),
        sessions=6,
        tried=90,
        best=None,
        variant=variants(rules, rules.learning.evolution)[0][0],
        why_not="it may be luck",
        contracts_hash=rules.contracts_hash,
    )
    _keep(wiring, proposed)
    return wiring


def forget(wiring: Wiring, table: str, day: date) -> None:
    rows = wiring.warehouse.read(table, "MES", day, day).clear()
    wiring.warehouse.replace_partitions(table, rows, symbol="MES", session_dates=[day])


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("lost", ["learning_state", "calibration"])
def test_contracts_wait_for_the_night_of_what_was_traded_under_them(
    what: str, lost: str, traded: Wiring, folder: Path
) -> None:
    forget(traded, lost, date(2025, 1, 8))
    known = contracts_hash(folder)

    ended = credence(traded.home.root, *CHANGES[what], contracts=folder, mode="paper")

    assert ended.code == Exit.USAGE
    assert ended.err.startswith(f"error: {what}: expected the night of every session that was")
    assert "found none of 2025-01-08, or half of it" in ended.err
    assert "run credence learn --from 2025-01-08, then this again" in ended.err
    assert (contracts_hash(folder), len(promotions(folder))) == (known, 1)


@pytest.mark.parametrize("what", CHANGES)
def test_contracts_do_not_change_under_a_session(what: str, traded: Wiring, folder: Path) -> None:
    known = contracts_hash(folder)

    with session_lock(
        traded.session_files,
        what="the session of 2025-01-13",
        mode=Mode.PAPER,
        symbol="MES",
        session_date=date(2025, 1, 13),
    ):
        ended = credence(traded.home.root, *CHANGES[what], contracts=folder, mode="paper")
        kept = contracts_hash(folder), len(promotions(folder))
    after = credence(traded.home.root, *CHANGES[what], contracts=folder, mode="paper")

    assert ended.code == Exit.OUTSIDE
    assert f"{what}: expected no session, the session of 2025-01-13 (paper MES, pid " in ended.err
    assert "let it end, run credence learn, then this again" in ended.err
    assert kept == (known, 1)
    assert after.code == Exit.DONE
    assert contracts_hash(folder) != known


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_no_text(path: Path) -> None:
    path.write_bytes(b"\xff\x00")


@pytest.mark.parametrize("damage", [torn, emptied, of_no_text])
def test_a_torn_search_is_named_with_the_way_out(
    damage: Callable[[Path], None], traded: Wiring, folder: Path
) -> None:
    path = traded.searches / "2025-01-10.json"
    damage(path)

    ended = credence(traded.home.root, *CHANGES["promote"], contracts=folder, mode="paper")

    assert ended.code == Exit.USAGE
    assert ended.err.startswith(f"error: {path}: expected a kept search, got ")
    assert "remove it and search again with credence evolve" in ended.err


def test_the_status_tells_of_a_promotion_that_its_contract_does_not_say(
    home: Path, folder: Path
) -> None:
    was = (folder / "beliefs.yaml").read_bytes()
    promoted(folder)
    calm = credence(home, "status", "--json", contracts=folder).json["contracts_unsettled"]
    (folder / "beliefs.yaml").write_bytes(was)

    told = credence(home, "status", "--json", contracts=folder).json["contracts_unsettled"]
    shown = credence(home, "status", contracts=folder)

    assert calm is None
    assert told.startswith(
        "promotion 1 is recorded, but beliefs.yaml says constraints[F1].memory is 0.8 and not 0.795"
    )
    assert "or drop it with credence rollback" in shown.out
