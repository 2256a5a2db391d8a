"""A person hears of it whatever else is broken: the clock, the book, a journal, the heartbeat."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event

import dagster as dg
import pytest
from alert_listener import Listener, listening
from morning import Morning, hear_of_failure
from pydantic import SecretStr
from tenacity import wait_none

from engine.desk.encoding import entry_of
from engine.desk.facts import AlertRaised, Fact
from engine.errors import JournalError
from engine.journal import Stamp, Verified
from engine.kill import KillCause, KillChanged, KillEvent, KillState
from pipelines.alerts import AlertBook, Outbox, alert_of, targets_of
from pipelines.alerts.outbox import BACKLOG_MAX
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.session.heartbeat import Heartbeat, RunState

AT = datetime(2025, 10, 6, 14, 42, 30, tzinfo=UTC)
GARBAGE = "not a journal " * 100


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as heard:
        yield heard


@pytest.fixture
def morning(tmp_path: Path, listener: Listener) -> Iterator[Morning]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        yield Morning(tmp_path / "home", instance, alerts=listener.address)


def spoil(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(GARBAGE)


def tell_failure(morning: Morning) -> str:
    """What Dagster does about a run that failed: the failure sensor, once; returns the run's id."""

    @dg.op
    def breaks() -> None:
        raise dg.Failure("the disk is full")

    @dg.job
    def broken() -> None:
        breaks()

    result = broken.execute_in_process(instance=morning.instance, raise_on_error=False)
    hear_of_failure(morning, result)
    return result.run_id[:8]


# ── The book ────────────────────────────────────────────────────────────────────────────────────


def test_an_alert_of_a_clock_that_was_ahead_silences_none_that_comes_later(tmp_path: Path) -> None:
    book = AlertBook(path=tmp_path / "alerts.sqlite", contracts_hash="contracts")
    book.raise_alert("the clock was ahead", at=AT + timedelta(days=400))

    book.raise_alert("the clock is right", at=AT)

    reader = JournalReader(book.path)
    told = [alert.text for event in reader.events() if (alert := alert_of(event)) is not None]
    assert told == ["the clock was ahead", "the clock is right"]
    assert list(reader.events())[1].at.startswith("2025-10-06T14:42:30")
    assert isinstance(reader.verify(), Verified)


def test_an_alert_that_the_book_refuses_is_told_at_once(
    morning: Morning, listener: Listener
) -> None:
    spoil(morning.wiring.alert_book.path)
    morning.at("10:00").kill()

    said = morning.watch()

    told = [title for title in listener.titles if "not seen flat" in title]
    assert len(told) == 1
    assert f"{morning.wiring.alert_book.path}: an alert could not be written down" in said
    assert json.loads(morning.cursor or "{}") == {"not flat": morning.now.isoformat()}


def test_what_else_is_untold_is_told_though_the_book_refuses(
    morning: Morning, listener: Listener
) -> None:
    morning.at("10:00").watch()
    spoil(morning.wiring.alert_book.path)
    morning.kill()

    morning.watch()

    assert "Credence KILLED" in listener.titles


def test_a_failed_run_is_told_though_the_book_refuses(morning: Morning, listener: Listener) -> None:
    spoil(morning.wiring.alert_book.path)

    run_id = tell_failure(morning)

    (message,) = listener.heard
    assert message["title"] == f"Credence: the run broken failed: {message['message'][23:]}"[:120]
    assert message["message"].endswith(f"(run {run_id})")


def test_a_new_target_hears_of_the_first_alert(morning: Morning, listener: Listener) -> None:
    run_id = tell_failure(morning)

    (message,) = listener.heard
    assert message["message"].endswith(f"(run {run_id})")


def test_a_new_target_hears_of_the_first_trouble(morning: Morning, listener: Listener) -> None:
    morning.at("10:00").kill()

    morning.watch()

    (title,) = listener.titles  # The kill was written before there was a target.
    assert title.startswith("Credence: KILLED at 10:00:00 New York (30 USD lost) and not seen flat")


# ── What the watchdog looks at ──────────────────────────────────────────────────────────────────


def test_a_journal_of_the_desk_that_cannot_be_read_is_told_with_its_name(
    morning: Morning, listener: Listener
) -> None:
    morning.at("10:00").watch()
    journal = morning.wiring.journal
    spoil(journal)

    said = morning.watch()
    morning.now += timedelta(seconds=30)
    morning.watch()

    (text,) = morning.raised()
    assert f"{journal}: the desk's journal cannot be read (file is not a database)" in text
    assert [message["message"] for message in listener.heard] == [text]
    assert f"{journal}: its alerts could not be read" in said
    with pytest.raises(JournalError, match="nobody knows whether the desk is killed"):
        morning.launch()


def test_a_heartbeat_of_another_version_counts_as_none_and_a_person_is_told(
    morning: Morning, caplog: pytest.LogCaptureFixture
) -> None:
    morning.preopen()
    morning.at("09:59").beat(RunState.RUNNING, timedelta(seconds=90))
    path = morning.wiring.session_files.heartbeat
    path.write_text(json.dumps({**json.loads(path.read_text()), "mood": "calm"}))

    said, launched = morning.watch(), morning.launch()

    assert said.startswith(f"{path}: expected a heartbeat of this version, got another")
    assert isinstance(launched, dg.RunRequest)
    assert Heartbeat.read(path) is None
    assert f"{path}: expected a heartbeat of this version, taken as none" in caplog.text


# ── A long silence ──────────────────────────────────────────────────────────────────────────────


def write(path: Path, *facts: Fact) -> None:
    with JournalWriter(path) as writer:
        writer.append([entry_of(fact) for fact in facts], Stamp(date(2025, 10, 6), "c", "test"))


def killed(at: datetime) -> KillChanged:
    return KillChanged(
        at=at,
        event=KillEvent.TRIGGERED,
        before=KillState.RUNNING,
        after=KillState.KILLED,
        cause=KillCause.DAILY_LOSS,
        text="30 USD lost",
    )


def following(folder: Path, listener: Listener) -> Outbox:
    (target,) = targets_of([SecretStr(listener.address)])
    journals = {name: folder / f"{name}.sqlite" for name in ("desk", "alerts")}
    box = Outbox(target=target, folder=folder / "told", journals=journals, waits=wait_none())
    assert box.deliver(Event()).told == 0
    return box


def raised(number: int) -> AlertRaised:
    return AlertRaised(at=AT + timedelta(minutes=number), text=f"number {number}")


def test_what_happened_is_told_in_its_order_whatever_journal_it_is_in(
    tmp_path: Path, listener: Listener
) -> None:
    box = following(tmp_path, listener)
    write(tmp_path / "desk.sqlite", raised(2), raised(4))
    write(tmp_path / "alerts.sqlite", raised(1), raised(3))

    told = box.deliver(Event())

    assert told.told == 4
    assert listener.titles == [f"Credence: number {number}" for number in (1, 2, 3, 4)]
    assert box.deliver(Event()).told == 0


def test_no_number_of_later_alerts_pushes_out_a_kill(tmp_path: Path, listener: Listener) -> None:
    box = following(tmp_path, listener)
    write(tmp_path / "desk.sqlite", killed(AT))
    repeats = BACKLOG_MAX + 5
    write(tmp_path / "alerts.sqlite", *(raised(number) for number in range(1, repeats + 1)))

    told = box.deliver(Event())

    assert told.told == 1 + BACKLOG_MAX
    assert listener.titles[0] == "Credence KILLED"
    assert "earlier alerts" not in listener.heard[0]["message"]
    assert listener.heard[1]["message"] == (
        "number 6 (5 earlier alerts could not be told; see the journal)"
    )
    assert listener.titles[-1] == f"Credence: number {repeats}"


def test_a_newer_alert_of_one_journal_outlives_an_older_one_of_the_next(
    tmp_path: Path, listener: Listener
) -> None:
    box = following(tmp_path, listener)
    write(tmp_path / "desk.sqlite", raised(1_000))
    write(tmp_path / "alerts.sqlite", *(raised(number) for number in range(BACKLOG_MAX + 1)))

    box.deliver(Event())

    assert listener.titles[-1] == "Credence: number 1000"
    assert len(listener.titles) == BACKLOG_MAX


def test_a_kill_does_not_claim_what_nobody_has_seen_yet(tmp_path: Path) -> None:
    write(tmp_path / "desk.sqlite", killed(AT))
    (event,) = JournalReader(tmp_path / "desk.sqlite").events()

    alert = alert_of(event)

    assert alert is not None
    assert "is cancelled and flattened" not in alert.text
    assert "until it is said that the desk is flat, look at the account" in alert.text
