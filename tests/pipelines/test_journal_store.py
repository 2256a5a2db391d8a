"""The journal file: durable, append-only, one writer, many readers, never continued when cut."""

import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from engine.errors import JournalError, RetryLater
from engine.journal import START, Broken, Chain, Entry, Kind, Stamp, Verified
from pipelines.journal_store import JournalReader, JournalWriter, _query_of
from pipelines.journal_table import Survives

AT = datetime(2024, 3, 5, 14, 31, tzinfo=UTC)
STAMP = Stamp(date(2024, 3, 5), "c" * 64, "test")
NEXT_DAY = STAMP._replace(session_date=date(2024, 3, 6))


def entry(number: int, kind: Kind = Kind.BAR) -> Entry:
    return Entry(kind, AT + timedelta(minutes=number), f'{{"n":{number}}}', f"MES-{number}", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_what_was_appended_is_read_back_event_for_event(path):
    with JournalWriter(path) as writer:
        written = writer.append([entry(n) for n in range(3)], STAMP)
        written += writer.append([entry(9, Kind.TRADE)], NEXT_DAY)

    reader = JournalReader(path)

    assert list(reader.events()) == written
    assert reader.head() == (4, written[-1].hash)
    assert reader.sessions() == [STAMP.session_date, NEXT_DAY.session_date]
    assert isinstance(reader.verify(), Verified)


def test_events_are_found_by_session_by_kind_and_by_number(path):
    with JournalWriter(path) as writer:
        writer.append([entry(1), entry(2, Kind.TRADE)], STAMP)
        writer.append([entry(3), entry(4, Kind.TRADE)], NEXT_DAY)
    reader = JournalReader(path)

    def numbers(**wanted: object) -> list[int]:
        return [event.seq for event in reader.events(**wanted)]

    assert numbers(session_date=STAMP.session_date) == [1, 2]
    assert numbers(session_date=NEXT_DAY.session_date) == [3, 4]
    assert numbers(session_date=date(2024, 3, 7)) == []
    assert numbers(kinds=(Kind.TRADE,)) == [2, 4]
    assert numbers(kinds=(Kind.TRADE,), session_date=NEXT_DAY.session_date) == [4]
    assert numbers(after=2) == [3, 4]


@pytest.mark.parametrize(
    ("kinds", "is_found"),
    [
        ((Kind.KILL,), True),
        ((Kind.KILL, Kind.ALERT), True),
        ((Kind.KILL, Kind.DECISION), False),
        ((), False),
    ],
)
def test_few_kinds_are_found_by_the_index_and_not_among_all_bars(path, kinds, is_found):
    with JournalWriter(path) as writer:
        writer.append([entry(1, Kind.ALERT), entry(2), entry(3, Kind.KILL)], STAMP)
    parameters = (1, 3, *(kind.value for kind in kinds))

    plan = sqlite3.connect(path).execute(f"explain query plan {_query_of(kinds)}", parameters)

    assert any("INDEX entries_acts" in row[3] for row in plan) is is_found
    assert [event.seq for event in JournalReader(path).events(kinds=(Kind.KILL, Kind.ALERT))] == [
        1,
        3,
    ]


def test_a_reopened_journal_goes_on_with_the_chain(path):
    with JournalWriter(path) as writer:
        writer.append([entry(1)], STAMP)
    with JournalWriter(path) as writer:
        writer.append([entry(2)], STAMP)

    assert JournalReader(path).verify() == Verified(events=2, head=JournalReader(path).head())


def test_a_second_writer_is_turned_away(path):
    with JournalWriter(path), pytest.raises(RetryLater, match="another process is writing"):
        JournalWriter(path)


def test_a_writer_in_another_process_is_turned_away(path):
    with JournalWriter(path):
        code = (
            "import sys; from pathlib import Path;"
            "from pipelines.journal_store import JournalWriter;"
            "JournalWriter(Path(sys.argv[1]))"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
        )

    assert other.returncode == 1
    assert "RetryLater" in other.stderr


def test_a_reader_sees_what_was_committed_while_the_writer_is_open(path):
    with JournalWriter(path) as writer:
        writer.append([entry(1)], STAMP)

        seen = [event.seq for event in JournalReader(path).events()]

        assert seen == [1]


@pytest.mark.parametrize("statement", ["update entries set payload = '{}'", "delete from entries"])
def test_the_file_itself_refuses_to_change_or_lose_an_event(path, statement):
    with JournalWriter(path) as writer:
        writer.append([entry(1)], STAMP)

    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError, match="append"):
        connection.execute(statement)


def tampered(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("drop trigger entries_never_change")
        connection.execute("drop trigger entries_never_vanish")
        for statement in statements:
            connection.execute(statement)


def test_an_event_changed_behind_its_back_is_found(path):
    with JournalWriter(path) as writer:
        writer.append([entry(n) for n in range(5)], STAMP)
    tampered(path, "update entries set payload = '{}' where seq = 3")

    broken = JournalReader(path).verify()

    assert isinstance(broken, Broken)
    assert broken.seq == 3


def test_a_journal_cut_at_its_end_is_found_and_not_written_to(path):
    with JournalWriter(path) as writer:
        writer.append([entry(n) for n in range(5)], STAMP)
    tampered(path, "delete from entries where seq = 5")

    broken = JournalReader(path).verify()

    assert isinstance(broken, Broken)
    assert broken.seq == 5
    with pytest.raises(JournalError, match="left at event 5 but ends at 4"):
        JournalWriter(path)


def test_a_transaction_that_fails_leaves_no_event_and_the_same_head(path):
    def poisoned():
        yield entry(2)
        yield entry(3)._replace(payload="\ud800")

    with JournalWriter(path) as writer:
        writer.append([entry(1)], STAMP)
        head = writer.head

        with pytest.raises(UnicodeEncodeError):
            writer.append(poisoned(), STAMP)
        writer.append([entry(4)], STAMP)

        assert writer.head.seq == head.seq + 1
    assert isinstance(JournalReader(path).verify(), Verified)


def test_sessions_are_written_in_the_order_of_their_dates(path):
    with JournalWriter(path) as writer:
        writer.append([entry(1)], NEXT_DAY)

        with pytest.raises(JournalError, match="comes after session"):
            writer.append([entry(2)], STAMP)


def test_a_journal_that_is_not_there_says_so(path):
    with pytest.raises(JournalError, match="has a session run yet"):
        JournalReader(path)


@pytest.mark.parametrize(
    ("survives", "mode", "synchronous"),
    [
        (Survives.POWER_CUT, "wal", 2),
        (Survives.KILL, "wal", 1),
        (Survives.NOTHING, "memory", 0),
    ],
)
def test_every_commit_is_durable_unless_it_can_be_made_again(path, survives, mode, synchronous):
    with JournalWriter(path, survives=survives) as writer:
        pragmas = [
            writer._connection.execute(f"pragma {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]

    assert pragmas == [mode, synchronous]


@pytest.mark.parametrize("survives", Survives)
@pytest.mark.parametrize("count", [0, 1, 7, 8, 64, 65, 200])
def test_however_it_is_stored_a_journal_holds_the_same_events(path, survives, count):
    entries = [entry(number) for number in range(count)]

    with JournalWriter(path, survives=survives) as writer:
        writer.stream(entries, STAMP)
        writer.stream(entries, NEXT_DAY)

    expected = Chain()
    events = [*expected.seal(entries, STAMP), *expected.seal(entries, NEXT_DAY)]
    assert list(JournalReader(path).events()) == events
    assert JournalReader(path).head() == expected.head


def test_a_file_written_aside_holds_nothing_before_it_is_closed(path):
    writer = JournalWriter(path, survives=Survives.NOTHING)
    writer.stream([entry(1)], STAMP)
    before = JournalReader(path).head()
    writer.close()

    assert before == START
    assert JournalReader(path).head().seq == 1
