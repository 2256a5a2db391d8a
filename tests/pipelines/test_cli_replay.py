"""`credence replay`: what it plays, what it leaves behind, and what it never destroys."""

from pathlib import Path

import pytest
from command_line import copied, credence

from engine.journal import Verified
from pipelines.commands.exits import Exit
from pipelines.journal_files import write_fresh_journal
from pipelines.journal_sink import StoredSink
from pipelines.journal_store import JournalReader, JournalWriter

JOURNAL = Path("journals") / "replay-MES.sqlite"


def test_the_journal_is_whole_and_its_head_is_the_digest(replayed_home: Path) -> None:
    digest = credence(replayed_home, "replay", "--digest").out.strip()

    verdict = JournalReader(replayed_home / JOURNAL).verify()
    assert isinstance(verdict, Verified)
    assert verdict.head.hash == digest
    assert not list((replayed_home / ".aside").iterdir())


def test_a_digest_alone_keeps_no_journal(ingested_home: Path) -> None:
    ended = credence(ingested_home, "replay", "--digest")

    assert ended.code == Exit.DONE
    assert len(ended.out.strip()) == 64
    assert not (ingested_home / "journals").exists()


def test_a_replay_counts_every_bar_once(ingested_home: Path, tmp_path: Path) -> None:
    home = copied(ingested_home, tmp_path / "home")

    answer = credence(home, "replay", "--json").json

    assert answer["bars"] == 2340
    assert sum(answer["actions"].values()) == 2340
    assert sum(answer["reasons"].values()) == 2340 - answer["actions"]["ENTER"]
    assert sum(answer["exits"].values()) == answer["trades"]
    earned = float(answer["last_equity_usd"]) - float(answer["first_equity_usd"])
    assert earned == pytest.approx(float(answer["net_usd"]))
    assert answer["events"] == JournalReader(home / JOURNAL).head().seq


def test_the_trades_are_the_same_when_only_trades_are_recorded(
    ingested_home: Path, tmp_path: Path
) -> None:
    home = copied(ingested_home, tmp_path / "home")

    full = credence(home, "replay", "--json").json
    trades = credence(home, "replay", "--journal", "trades", "--json").json

    same = ("trades", "wins", "exits", "gross_usd", "fees_usd", "net_usd", "last_equity_usd")
    assert {name: trades[name] for name in same} == {name: full[name] for name in same}
    assert trades["events"] < full["events"] / 4


def test_a_person_reads_counts_money_and_where_the_journal_is(
    ingested_home: Path, tmp_path: Path
) -> None:
    home = copied(ingested_home, tmp_path / "home")

    ended = credence(home, "replay", "--from", "2025-01-06", "--equity", "$2,400".replace(",", ""))

    assert "4 sessions" in ended.out
    assert "2025-01-06 to 2025-01-10" in ended.out
    assert "SESSION_WINDOW_BLOCK" in ended.out
    assert "equity   2,400.00 to" in ended.out
    assert str(home / JOURNAL) in ended.out.replace("\n", "")
    assert ended.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "2031-01-01"), "from 2031-01-01, found none; 6 sessions are stored"),
        (("--to", "2024-01-01"), "to 2024-01-01, found none; 6 sessions are stored"),
    ],
)
def test_a_range_without_bars_says_which_sessions_there_are(
    arguments: tuple[str, ...], said: str, ingested_home: Path
) -> None:
    ended = credence(ingested_home, "replay", *arguments)

    assert ended.code == Exit.USAGE
    assert said in ended.err


@pytest.mark.parametrize("command", ["replay", "fit-beliefs"])
def test_an_empty_home_is_told_how_to_get_bars(command: str, tmp_path: Path) -> None:
    ended = credence(tmp_path, command)

    assert ended.code == Exit.USAGE
    assert "expected stored bars of MES, found none; bring some in: credence ingest" in ended.err


def test_a_journal_that_somebody_writes_is_left_alone(replayed_home: Path, tmp_path: Path) -> None:
    home = copied(replayed_home, tmp_path / "home")
    head = JournalReader(home / JOURNAL).head()

    with JournalWriter(home / JOURNAL):
        ended = credence(home, "replay", "--to", "2025-01-02")

    assert ended.code == Exit.OUTSIDE
    assert "another process is writing this journal" in ended.err
    assert JournalReader(home / JOURNAL).head() == head


def test_a_damaged_partition_is_named(ingested_home: Path, tmp_path: Path) -> None:
    home = copied(ingested_home, tmp_path / "home")
    damaged = home / "market" / "bars" / "MES" / "2025-01-07.parquet"
    damaged.write_bytes(damaged.read_bytes()[:500])

    ended = credence(home, "replay")

    assert ended.code == Exit.USAGE
    assert str(damaged) in ended.err
    assert "materialise the session again" in ended.err


def test_a_replay_that_fails_leaves_the_old_journal(replayed_home: Path, tmp_path: Path) -> None:
    home = copied(replayed_home, tmp_path / "home")
    head = JournalReader(home / JOURNAL).head()

    def fail(_sink: StoredSink) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_fresh_journal(home / JOURNAL, home / ".aside", fail)

    assert JournalReader(home / JOURNAL).head() == head
    assert not list((home / ".aside").iterdir())


def test_a_log_of_the_old_journal_is_never_read_into_the_new_one(
    replayed_home: Path, tmp_path: Path
) -> None:
    home = copied(replayed_home, tmp_path / "home")
    stale = (home / JOURNAL).with_name(JOURNAL.name + "-wal")
    stale.write_bytes(b"frames of a writer that was killed")

    ended = credence(home, "replay", "--to", "2025-01-02")

    assert ended.code == Exit.DONE
    assert not stale.exists()
    assert isinstance(JournalReader(home / JOURNAL).verify(), Verified)
