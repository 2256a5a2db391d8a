"""Which night is due, on a real journal and a real instance, through Dagster's own ticks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from assets.made_from import OF_JOURNAL, OF_NIGHT, digest_of_night
from contracts.calendar import session_on
from engine.desk import Mode, SessionClosed, SessionOpened
from engine.desk.encoding import entry_of
from engine.journal import Stamp
from engine.learning.acceptance import DifferenceAccepted
from pipelines.definitions import defs
from pipelines.journal_store import JournalWriter
from pipelines.nights import Due, due_night, nightly_schedule, nightly_sensor
from pipelines.schedules import RANGE_FIRST, RANGE_LAST
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

MONDAY, TUESDAY = date(2024, 7, 8), date(2024, 7, 9)


def as_seen(_day: date) -> bool:
    return True


def test_the_oldest_session_that_taught_nothing_is_due_first() -> None:
    stored = {str(MONDAY), str(TUESDAY)}

    assert due_night([MONDAY, TUESDAY], [], stored, set(), as_seen) == Due(
        job="nightly", session_date=MONDAY, why="2024-07-08 was traded and has taught nothing"
    )
    assert due_night([MONDAY, TUESDAY], [], stored, {str(MONDAY)}, as_seen) == Due(
        job="nightly", session_date=TUESDAY, why="2024-07-09 was traded and has taught nothing"
    )


def test_the_market_of_the_session_is_stored_before_its_night() -> None:
    assert due_night([MONDAY], [TUESDAY], set(), set(), as_seen) == Due(
        job="market_day", session_date=MONDAY, why="the market of 2024-07-08 is not stored"
    )


def test_bars_that_were_ingested_are_not_asked_of_the_source_again() -> None:
    assert due_night([MONDAY], [MONDAY], set(), set(), as_seen) == Due(
        job="recompute_market",
        session_date=MONDAY,
        why="the market tables of 2024-07-08 are not made",
    )


def test_stored_bars_that_the_desk_did_not_see_are_replaced_before_the_night() -> None:
    assert due_night([MONDAY], [MONDAY], {str(MONDAY)}, set(), lambda _: False) == Due(
        job="market_day",
        session_date=MONDAY,
        why="the bars of 2024-07-08 are not stored as the desk saw them",
    )


def test_nothing_is_due_when_all_is_learned_or_nothing_was_traded() -> None:
    assert due_night([MONDAY], [], {str(MONDAY)}, {str(MONDAY)}, as_seen) == (
        "learned from every session, last 2024-07-08"
    )
    assert due_night([], [], set(), set(), as_seen) == "nothing was traded"


@dataclass
class Evening:
    """A desk that traded, and its instance."""

    root: Path
    instance: dg.DagsterInstance
    now: datetime = field(default_factory=lambda: datetime(2024, 7, 9, 21, 0, tzinfo=UTC))

    @property
    def wiring(self) -> Wiring:
        settings = load_settings({"CREDENCE_HOME": str(self.root), "CREDENCE_MODE": "paper"})
        return Wiring(settings=settings, clock=lambda: self.now)

    def trade(self, day: date, *, closes: bool = True) -> None:
        wiring = self.wiring
        session = session_on(day, wiring.rules.session)
        opened = SessionOpened(
            at=session.opens_at,
            session_date=day,
            symbol="MES",
            opens_at=session.opens_at,
            closes_at=session.closes_at,
            mode=Mode.PAPER,
            standings={},
        )
        at = session.closes_at + timedelta(minutes=5)
        closed = SessionClosed(at=at, position=0, equity_usd=Decimal(5000))
        facts = [opened, closed] if closes else [opened]
        writer = JournalWriter(wiring.journal)
        writer.append([entry_of(fact) for fact in facts], Stamp(day, "hash", "code"))
        writer.close()

    def made(self, asset: str, day: date, **told: str) -> None:
        event = dg.AssetMaterialization(asset, partition=str(day), metadata=told)
        self.instance.report_runless_asset_event(event)

    def learned(self, day: date, **told: str) -> None:
        self.made("learning_state", day, **told)
        self.made("calibration", day)

    def seal(self, day: date) -> str:
        return self.wiring.session_journals.seals([day])[day]

    def tick(self) -> dg.RunRequest | str:
        with dg.build_sensor_context(
            instance=self.instance, definitions=defs, resources={"wiring": self.wiring}
        ) as context:
            outcome = nightly_sensor.evaluate_tick(context)
        return outcome.run_requests[0] if outcome.run_requests else outcome.skip_message or ""

    def strike(self) -> dg.RunRequest | str:
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=self.now,
            repository_def=defs.get_repository_def(),
            resources={"wiring": self.wiring},
        ) as context:
            outcome = nightly_schedule.evaluate_tick(context)
        asked = list(outcome.run_requests or [])
        return asked[0] if asked else outcome.skip_message or ""


@pytest.fixture
def evening(tmp_path: Path) -> Iterator[Evening]:
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Evening(root=tmp_path / "home", instance=instance)


def test_a_traded_session_is_stored_then_learned_from_then_left_alone(evening: Evening) -> None:
    evening.trade(TUESDAY)

    first = evening.tick()
    evening.made("outcomes", TUESDAY)
    second = evening.tick()
    evening.made("learning_state", TUESDAY)
    half = evening.tick()
    evening.made("calibration", TUESDAY)
    third = evening.tick()

    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert (first.job_name, first.partition_key) == ("market_day", "2024-07-09")
    assert (second.job_name, second.partition_key) == ("nightly", "2024-07-09")
    assert isinstance(half, dg.RunRequest)
    assert (half.job_name, half.partition_key) == ("nightly", "2024-07-09")
    assert third == "learned from every session, last 2024-07-09"


def test_a_session_that_still_runs_is_waited_for(evening: Evening) -> None:
    evening.trade(TUESDAY, closes=False)

    assert evening.tick() == "nothing was traded"


def test_a_session_that_broke_off_yesterday_is_learned_from_all_the_same(
    evening: Evening,
) -> None:
    evening.trade(MONDAY, closes=False)
    evening.made("outcomes", MONDAY)

    asked = evening.tick()

    assert isinstance(asked, dg.RunRequest)
    assert asked.partition_key == "2024-07-08"


def test_the_schedule_asks_again_each_day_with_a_key_of_its_own(evening: Evening) -> None:
    evening.trade(MONDAY)
    waiting = evening.strike()
    evening.made("outcomes", MONDAY)

    first = evening.strike()
    evening.now += timedelta(days=1)
    second = evening.strike()

    assert waiting == "the market of 2024-07-08 is not stored; run market_day for it"
    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert first.partition_key == second.partition_key == "2024-07-08"
    assert first.run_key != second.run_key


def test_a_night_that_failed_is_asked_for_again_once_a_person_accepted_its_books(
    evening: Evening,
) -> None:
    evening.trade(MONDAY)
    evening.made("outcomes", MONDAY)

    failing, same = evening.tick(), evening.tick()
    evening.wiring.learning_journal.accept(
        DifferenceAccepted(
            at=evening.now,
            session_date=MONDAY,
            symbol="MES",
            mode=Mode.PAPER,
            usd=Decimal("-500.00"),
            lots=0,
            by="ann",
            why="a withdrawal",
        )
    )
    again = evening.tick()

    assert isinstance(failing, dg.RunRequest)
    assert isinstance(same, dg.RunRequest)
    assert isinstance(again, dg.RunRequest)
    assert failing.run_key == same.run_key != again.run_key
    assert again.partition_key == "2024-07-08"


def test_a_night_is_done_again_each_time_the_one_before_it_was(evening: Evening) -> None:
    friday = date(2024, 7, 5)
    evening.trade(friday)
    evening.trade(TUESDAY)
    first = {OF_NIGHT: ""}
    evening.learned(friday, **first)
    evening.learned(TUESDAY, **{OF_NIGHT: digest_of_night(first)})

    calm = evening.tick()
    evening.learned(friday, **{OF_NIGHT: "", OF_JOURNAL: evening.seal(friday)})
    second = evening.tick()
    evening.learned(friday, **{OF_NIGHT: "another one"})
    third = evening.tick()

    assert calm == "learned from every session, last 2024-07-09"
    assert isinstance(second, dg.RunRequest)
    assert isinstance(third, dg.RunRequest)
    assert second.tags[RANGE_FIRST] == second.tags[RANGE_LAST] == str(TUESDAY)
    assert second.tags["credence/why"] == "the night of 2024-07-05 was done again"
    assert second.run_key != third.run_key


def test_a_night_waits_for_the_one_that_is_done_again(evening: Evening) -> None:
    evening.trade(TUESDAY)
    evening.learned(TUESDAY, **{OF_JOURNAL: "of another journal"})
    run = evening.instance.create_run_for_job(
        defs.resolve_job_def("nightly"), status=dg.DagsterRunStatus.STARTED
    )

    waiting = evening.tick()
    evening.instance.report_run_canceled(run)
    asked = evening.tick()

    assert waiting == (
        "the journal of 2024-07-09 was corrected; nightly waits for the run of nightly under way"
    )
    assert isinstance(asked, dg.RunRequest)


def test_a_desk_that_never_traded_has_no_night(evening: Evening) -> None:
    assert evening.tick() == "nothing was traded"
