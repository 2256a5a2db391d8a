"""Alerts reach a person: written down first, told until heard, and never in trading's way."""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event, Thread

import pytest
from alert_listener import PASSWORD, Listener, listening
from pydantic import SecretStr
from tenacity import wait_none

from engine.desk.encoding import entry_of
from engine.desk.facts import AlertRaised, Fact, OperatorCommanded, OperatorVerb
from engine.errors import SettingsError
from engine.journal import Stamp, Verified
from engine.kill import FlatVerified, KillCause, KillChanged, KillEvent, KillState
from pipelines.alerts import AlertBook, Outbox, alert_of, alerts_told, targets_of, tell_pending
from pipelines.alerts.outbox import BACKLOG_MAX
from pipelines.journal_store import JournalReader, JournalWriter

AT = datetime(2025, 10, 6, 14, 42, 30, tzinfo=UTC)
STAMP = Stamp(date(2025, 10, 6), "contracts", "test")
S, E = KillState, KillEvent


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as heard:
        yield heard


def switched(event: KillEvent, before: KillState, after: KillState, text: str = "") -> KillChanged:
    cause = KillCause.DAILY_LOSS
    return KillChanged(
        at=AT, event=event, before=before, after=after, cause=cause, text=text, by="anna"
    )


KILLED = switched(E.TRIGGERED, S.RUNNING, S.KILLED, "30 USD lost today")


def raised(text: str) -> AlertRaised:
    return AlertRaised(at=AT, text=text)


def journal(path: Path, *facts: Fact) -> Path:
    with JournalWriter(path) as writer:
        writer.append([entry_of(fact) for fact in facts], STAMP)
    return path


def outbox(folder: Path, listener: Listener, *journals: Path) -> Outbox:
    (target,) = targets_of([SecretStr(listener.address)])
    named = {path.stem: path for path in journals}
    return Outbox(target=target, folder=folder / "alerts", journals=named, waits=wait_none())


def seen_before(folder: Path, listener: Listener, *journals: Path) -> Outbox:
    """An outbox of a target that was there before the journals were."""
    box = outbox(folder, listener, *journals)
    assert box.deliver(Event()).told == 0
    return box


@pytest.mark.parametrize(
    ("fact", "urgency", "words"),
    [
        (KILLED, "failure", "10:42:30 New York, by anna: 30 USD lost today. Every order is bein"),
        (switched(E.LIMIT_REACHED, S.RUNNING, S.HALTED), "warning", "daily_loss. No new entries"),
        (switched(E.PERSON_HALTED, S.RUNNING, S.HALTED, "news"), "warning", "by anna: news."),
        (switched(E.PERSON_RESUMED, S.KILLED, S.RUNNING, "checked"), "info", "by anna: checked."),
        (FlatVerified(at=AT), "success", "nothing is held and nothing is working"),
        (raised("killed, and not seen flat"), "failure", "killed, and not seen flat"),
    ],
)
def test_what_a_person_must_know_is_said(
    tmp_path: Path, fact: Fact, urgency: str, words: str
) -> None:
    (event,) = JournalReader(journal(tmp_path / "desk.sqlite", fact)).events()

    alert = alert_of(event)

    assert alert is not None
    assert alert.urgency == urgency
    assert words in alert.text


@pytest.mark.parametrize(
    "fact",
    [
        switched(E.LIMIT_CLEARED, S.HALTED, S.RUNNING),  # It happens every morning by itself.
        switched(E.LIMIT_REACHED, S.KILLED, S.KILLED),  # The kill was told.
        OperatorCommanded(at=AT, verb=OperatorVerb.HALT, by="anna", reason="news"),
    ],
)
def test_what_is_no_news_is_not_told(tmp_path: Path, fact: Fact) -> None:
    (event,) = JournalReader(journal(tmp_path / "desk.sqlite", fact)).events()

    assert alert_of(event) is None


def test_a_kill_reaches_the_messenger_once(tmp_path: Path, listener: Listener) -> None:
    path = tmp_path / "desk.sqlite"
    first = seen_before(tmp_path, listener, path)
    journal(path, KILLED)

    told = [first.deliver(Event()), outbox(tmp_path, listener, path).deliver(Event())]

    assert [each.told for each in told] == [1, 0]
    (message,) = listener.heard
    assert (message["title"], message["type"]) == ("Credence KILLED", "failure")
    assert "30 USD lost today" in message["message"]


def test_a_messenger_that_refuses_is_asked_again(tmp_path: Path, listener: Listener) -> None:
    path = tmp_path / "desk.sqlite"
    box = seen_before(tmp_path, listener, path)
    journal(path, KILLED)
    listener.refusals = 2

    told = box.deliver(Event())

    assert (told.told, told.problem) == (1, None)
    assert listener.requests == 3
    assert listener.titles == ["Credence KILLED"]


def test_what_could_not_be_told_is_told_when_the_messenger_is_back(
    tmp_path: Path, listener: Listener
) -> None:
    path = tmp_path / "desk.sqlite"
    box = seen_before(tmp_path, listener, path)
    journal(path, raised("first"), raised("second"))
    listener.refusals = 4

    rounds = [box.deliver(Event()) for _ in range(3)]

    assert [each.told for each in rounds] == [0, 2, 0]
    assert "alert target 1 (json): expected the alert" in str(rounds[0].problem)
    assert listener.titles == ["Credence: first", "Credence: second"]


def test_a_long_silence_ends_with_the_newest_and_a_count(
    tmp_path: Path, listener: Listener
) -> None:
    path = tmp_path / "desk.sqlite"
    box = seen_before(tmp_path, listener, path)
    journal(path, *(raised(f"number {number}") for number in range(BACKLOG_MAX + 5)))

    told = box.deliver(Event())

    assert told.told == BACKLOG_MAX
    assert listener.heard[0]["message"] == (
        "number 5 (5 earlier alerts could not be told; see the journal)"
    )
    assert listener.heard[-1]["message"] == f"number {BACKLOG_MAX + 4}"


def test_a_new_target_does_not_hear_of_the_past(tmp_path: Path, listener: Listener) -> None:
    path = journal(tmp_path / "desk.sqlite", raised("last year"))

    box = seen_before(tmp_path, listener, path)
    journal(path, raised("today"))
    box.deliver(Event())

    assert listener.titles == ["Credence: today"]


def test_one_dead_target_keeps_nothing_from_another(tmp_path: Path, listener: Listener) -> None:
    path = tmp_path / "desk.sqlite"
    alive, dead = targets_of([SecretStr(listener.address), SecretStr("json://127.0.0.1:9/?cto=1")])
    boxes = [
        Outbox(target=each, folder=tmp_path / "alerts", journals={"desk": path}, waits=wait_none())
        for each in (dead, alive)
    ]
    tell_pending(boxes)
    journal(path, KILLED)

    told = tell_pending(boxes)

    assert [each.told for each in told] == [0, 1]
    assert told[0].problem is not None
    assert told[1].problem is None


def test_a_frozen_messenger_does_not_hold_up_the_journal(
    tmp_path: Path, listener: Listener
) -> None:
    path = tmp_path / "desk.sqlite"
    box = seen_before(tmp_path, listener, path)
    listener.frozen = Event()
    slowest = 0.0

    with alerts_told([box]):
        journal(path, KILLED)
        with JournalWriter(path) as writer:
            for number in range(50):
                began = time.perf_counter()
                writer.append([entry_of(raised(f"number {number}"))], STAMP)
                slowest = max(slowest, time.perf_counter() - began)
        listener.frozen.set()

    listener.wait_for(1)
    assert slowest < 1.0  # Its answer alone would have taken 2 s.


def test_alerts_are_told_while_the_session_goes_on_and_at_its_end(
    tmp_path: Path, listener: Listener
) -> None:
    path = tmp_path / "desk.sqlite"
    box = seen_before(tmp_path, listener, path)

    with alerts_told([box]), JournalWriter(path) as writer:
        writer.append([entry_of(KILLED)], STAMP)
        listener.wait_for(1)
        writer.append([entry_of(FlatVerified(at=AT))], STAMP)

    assert listener.titles == ["Credence KILLED", "Credence: flat after the kill"]


def test_no_secret_is_logged_kept_or_said(
    tmp_path: Path, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "desk.sqlite"
    box = seen_before(tmp_path, listener, path)
    journal(path, KILLED)
    listener.refusals = 1_000

    told = box.deliver(Event())

    assert told.problem is not None
    kept = [file.name + file.read_text() for file in (tmp_path / "alerts").glob("*.json")]
    for text in (told.problem, caplog.text, repr(box), *kept):
        assert PASSWORD not in text


def test_an_address_that_nobody_knows_is_refused_without_showing_it() -> None:
    good, bad = SecretStr("json://127.0.0.1"), SecretStr(f"nonsense://{PASSWORD}")

    with pytest.raises(SettingsError, match="CREDENCE_ALERTS: address 2 is none") as refused:
        targets_of([good, bad])

    assert PASSWORD not in str(refused.value)


def test_the_book_is_written_by_many_in_turn_and_stays_whole(tmp_path: Path) -> None:
    book = AlertBook(path=tmp_path / "alerts.sqlite", contracts_hash="contracts")

    def write(number: int) -> None:
        for turn in range(5):
            book.raise_alert(f"{number}.{turn}", at=AT)

    writers = [Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    reader = JournalReader(book.path)
    verdict = reader.verify()
    assert isinstance(verdict, Verified)
    assert verdict.events == 20
    alerts = [alert_of(event) for event in reader.events()]
    assert {alert.text for alert in alerts if alert} == {
        f"{number}.{turn}" for number in range(4) for turn in range(5)
    }
