"""`credence verify`: it holds on what is right, and names what was planted wrong."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command_line import copied, credence

from assets.rows import ROWS_OF
from engine.market import market_frame
from pipelines.commands.exits import Exit
from pipelines.settings import Settings
from pipelines.stored_bars import stored_bars
from pipelines.wiring import Wiring

JOURNAL = Path("journals") / "replay-MES.sqlite"


@pytest.fixture(scope="module")
def computed_home(replayed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The replayed home with the context and every computed table of its sessions."""
    home = copied(replayed_home, tmp_path_factory.mktemp("computed") / "home")
    wiring = Wiring(settings=Settings(home=home))
    stored = stored_bars(wiring.market, wiring.rules, None, None)
    frame = market_frame(stored.contexts, stored.bars, wiring.rules)
    tables = {name: rows_of(frame, wiring.rules) for name, rows_of in ROWS_OF.items()}
    for name, rows in {"context": stored.contexts, **tables}.items():
        for day in stored.session_dates:
            of_day = rows.filter(pl.col("session_date") == day)
            wiring.market.write(name, of_day, symbol="MES", session_date=day)
    return home


def failures(answer: Any) -> list[tuple[str, str]]:
    return [
        (each["check"], each["subject"]) for each in answer["findings"] if each["passed"] is False
    ]


def change_journal(home: Path, statement: str) -> None:
    """Do to the file what the program never does."""
    with sqlite3.connect(home / JOURNAL) as connection:
        connection.execute("drop trigger entries_never_change")
        connection.execute("drop trigger entries_never_vanish")
        connection.execute(statement)
    connection.close()


def change_table(home: Path, table: str, day: str, change: pl.Expr) -> None:
    path = home / "market" / table / "MES" / f"{day}.parquet"
    pl.read_parquet(path).with_columns(change).write_parquet(path)


def test_everything_holds_on_what_was_just_made(computed_home: Path) -> None:
    ended = credence(computed_home, "verify")
    answer = credence(computed_home, "verify", "--json").json

    assert ended.code == Exit.DONE
    assert answer["passed"] is True
    assert failures(answer) == []
    checks = {(each["check"], each["subject"]) for each in answer["findings"]}
    assert {check for check, _ in checks} == {
        "chain",
        "ledger = cash",
        "live = batch",
        "schema",
        "batch parity",
    }
    assert {subject for check, subject in checks if check == "batch parity"} == {
        "context",
        *ROWS_OF,
    }
    assert f"all {len(checks)} checks hold" in ended.out
    assert "2,340 bars of 6 sessions as stored, to the letter" in ended.out


def test_one_session_alone_can_be_verified(computed_home: Path) -> None:
    answer = credence(computed_home, "verify", "--session", "2025-01-06", "--json").json

    evidence = {each["subject"]: each["evidence"] for each in answer["findings"]}
    assert answer["passed"] is True
    assert evidence["bars"] == "390 rows of 1 sessions"
    assert evidence["signals"] == "390 rows of 1 sessions, equal to the bit"


def test_a_changed_event_breaks_the_chain_at_its_number(
    replayed_home: Path, tmp_path: Path
) -> None:
    home = copied(replayed_home, tmp_path / "home")
    change_journal(home, "update entries set payload = replace(payload, '1', '2') where seq = 77")

    ended = credence(home, "verify")

    assert ended.code == Exit.NO
    assert "broken at event 77" in ended.out


def test_a_removed_last_event_is_missed(replayed_home: Path, tmp_path: Path) -> None:
    home = copied(replayed_home, tmp_path / "home")
    change_journal(home, "delete from entries where seq = (select max(seq) from entries)")

    ended = credence(home, "verify", "--json")

    assert ended.code == Exit.NO
    assert ("chain", str(JOURNAL)) in failures(ended.json)


def test_a_cheaper_commission_does_not_add_up_with_the_cash(
    replayed_home: Path, tmp_path: Path
) -> None:
    home = copied(replayed_home, tmp_path / "home")
    change_journal(
        home,
        "update entries set payload = replace(payload, '0.62', '0.26') where kind = 'commission'",
    )

    ended = credence(home, "verify", "--json")

    found = {each["check"]: each for each in ended.json["findings"]}["ledger = cash"]
    assert found["passed"] is False
    assert "the trades earned" in found["evidence"]


def test_a_bar_changed_after_the_fact_is_not_what_the_desk_saw(
    computed_home: Path, tmp_path: Path
) -> None:
    home = copied(computed_home, tmp_path / "home")
    volume = pl.when(pl.col("minute") == 200).then(pl.col("volume") + 1)
    change_table(home, "bars", "2025-01-07", volume.otherwise(pl.col("volume")).alias("volume"))

    ended = credence(home, "verify", "--json")

    failed = failures(ended.json)
    evidence = {each["check"]: each["evidence"] for each in ended.json["findings"]}
    assert ended.code == Exit.NO
    assert ("live = batch", str(JOURNAL)) in failed
    assert ("batch parity", "signals") in failed
    assert ("schema", "bars") not in failed
    assert "the bar of 2025-01-07 17:51 UTC, differs" in evidence["live = batch"]


def test_a_bar_that_is_gone_was_decided_on_all_the_same(
    replayed_home: Path, tmp_path: Path
) -> None:
    home = copied(replayed_home, tmp_path / "home")
    path = home / "market" / "bars" / "MES" / "2025-01-10.parquet"
    pl.read_parquet(path).filter(pl.col("minute") != 389).write_parquet(path)

    ended = credence(home, "verify", "--json")

    evidence = {each["check"]: each["evidence"] for each in ended.json["findings"]}
    assert ended.code == Exit.NO
    assert "no such bar" in evidence["live = batch"]


def test_a_stored_column_that_differs_is_named_with_its_session(
    computed_home: Path, tmp_path: Path
) -> None:
    home = copied(computed_home, tmp_path / "home")
    nudged = pl.when(pl.col("minute") == 9).then(pl.col("dvs") * 0.999).otherwise(pl.col("dvs"))
    change_table(home, "quality", "2025-01-08", nudged.alias("dvs"))

    ended = credence(home, "verify", "--json")

    found = [each for each in ended.json["findings"] if each["passed"] is False]
    assert [(each["check"], each["subject"]) for each in found] == [("batch parity", "quality")]
    assert found[0]["evidence"] == "dvs differs on 1 rows, first of 2025-01-08; materialise again"


def test_rows_that_break_their_schema_are_found(computed_home: Path, tmp_path: Path) -> None:
    home = copied(computed_home, tmp_path / "home")
    change_table(home, "bars", "2025-01-08", (pl.col("high_ticks") - 1_000).alias("high_ticks"))

    ended = credence(home, "verify", "--json")

    unjudged = [each["evidence"] for each in ended.json["findings"] if each["passed"] is None]
    assert ended.code == Exit.NO
    assert failures(ended.json)[0] == ("schema", "bars")
    assert unjudged == ["first repair bars"] * 7


def test_a_column_that_is_missing_is_found_and_not_compared(
    computed_home: Path, tmp_path: Path
) -> None:
    home = copied(computed_home, tmp_path / "home")
    path = home / "market" / "signals" / "MES" / "2025-01-02.parquet"
    pl.read_parquet(path).drop("vwap_z").write_parquet(path)

    ended = credence(home, "verify", "--json", "--session", "2025-01-02")

    assert ended.code == Exit.NO
    assert ("schema", "signals") in failures(ended.json)
    assert [each["subject"] for each in ended.json["findings"] if each["passed"] is None] == [
        "signals"
    ]


def test_a_journal_that_is_no_database_fails_and_hides_nothing(
    replayed_home: Path, tmp_path: Path
) -> None:
    home = copied(replayed_home, tmp_path / "home")
    (home / "journals" / "garbage.sqlite").write_bytes(b"this is no database" * 1_000)

    ended = credence(home, "verify", "--json")

    assert ended.code == Exit.NO
    assert failures(ended.json) == [("readable", "journals/garbage.sqlite")]
    assert ("chain", True) in [(e["check"], e["passed"]) for e in ended.json["findings"]]


def test_a_warehouse_that_somebody_writes_to_is_named_with_who(
    replayed_home: Path, tmp_path: Path
) -> None:
    home = copied(replayed_home, tmp_path / "home")
    hold = (
        "import duckdb, sys; connection = duckdb.connect(sys.argv[1]);"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(home / "warehouse.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        ended = credence(home, "verify")

        assert holder.stdin is not None
        holder.stdin.close()
    assert ended.code == Exit.OUTSIDE
    assert f"process {holder.pid}" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "expected something stored, found nothing"),
        (("--session", "2025-01-03"), "expected something stored of 2025-01-03, found nothing"),
        (("--session", "2025-01-01"), "New Year's Day"),
    ],
)
def test_nothing_to_verify_is_not_a_pass(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    ended = credence(tmp_path, "verify", *arguments)

    assert ended.code == Exit.USAGE
    assert said in ended.err


def test_a_journal_of_other_contracts_is_not_judged_by_todays(
    replayed_home: Path, tmp_path: Path
) -> None:
    home = copied(replayed_home, tmp_path / "home")
    change_journal(home, "update stamps set contracts_hash = 'of another day'")

    answer = credence(home, "verify", "--json").json

    found = {each["check"]: each for each in answer["findings"]}["live = batch"]
    assert found["passed"] is None
    assert "under today's contracts" in found["evidence"]
