"""A late correction of a bar or of a fill: the nights after it are done again, visibly.

On the real instance, warehouse and journals of a home that has learned from six sessions.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from command_line import copied, credence

from engine.broker import AccountReported, CommissionReported
from engine.desk import Mode, SessionClosed, fact_of
from engine.desk.encoding import entry_of
from engine.errors import JournalError
from engine.generator import plant_faults
from engine.journal import Entry, Event, Stamp
from engine.learning.lessons import NightLearned
from pipelines.commands.exits import Exit
from pipelines.dagster_home import dagster_home_of
from pipelines.definitions import definitions_for
from pipelines.journal_files import write_fresh_journal
from pipelines.journal_sink import StoredSink
from pipelines.journal_store import JournalReader
from pipelines.nights import nightly_schedule, nightly_sensor
from pipelines.schedules import RANGE_FIRST, RANGE_LAST
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

DAYS = [date(2025, 1, day) for day in (2, 3, 6, 7, 8, 10)]
"""The ninth was a day of mourning, without a session."""

CORRECTED = DAYS[1]
"""K1 was long from 13:42 on New York, for three minutes, with a stop of ten ticks."""

OF_NIGHTS = ("trades", "attribution", "learning_state", "calibration")
QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


@dataclass(frozen=True)
class Desk:
    """A home that has learned, and its instance."""

    home: Path
    instance: dg.DagsterInstance
    now: datetime = datetime(2025, 1, 12, 15, 0, tzinfo=UTC)

    @cached_property
    def wiring(self) -> Wiring:
        return self.wiring_at(self.now)

    def wiring_at(self, now: datetime) -> Wiring:
        settings = load_settings({"CREDENCE_HOME": str(self.home)})
        return Wiring(settings=settings, clock=lambda: now)

    @cached_property
    def definitions(self) -> dg.Definitions:
        return definitions_for(self.wiring)

    def tick(self, now: datetime | None = None) -> dg.RunRequest | str:
        wiring = self.wiring_at(now or self.now)
        with dg.build_sensor_context(
            instance=self.instance,
            definitions=self.definitions,
            resources={"wiring": wiring},
        ) as context:
            outcome = nightly_sensor.evaluate_tick(context)
        return outcome.run_requests[0] if outcome.run_requests else outcome.skip_message or ""

    def strike(self) -> str:
        wiring = self.wiring
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=self.now,
            repository_def=self.definitions.get_repository_def(),
            resources={"wiring": wiring},
        ) as context:
            return nightly_schedule.evaluate_tick(context).skip_message or ""

    def run(self, asked: dg.RunRequest | str, job: str, first: date) -> dg.ExecuteInProcessResult:
        """The run that the sensor asked for, which is this one, over all sessions from one on."""
        assert isinstance(asked, dg.RunRequest), asked
        assert asked.job_name == job
        assert (asked.tags[RANGE_FIRST], asked.tags[RANGE_LAST]) == (str(first), str(DAYS[-1]))
        definition = self.definitions.resolve_job_def(job)
        result = definition.execute_in_process(
            instance=self.instance, tags=asked.tags, run_config=QUIET, raise_on_error=False
        )
        assert result.success
        return result

    def nights(self, first: date, last: date) -> dg.ExecuteInProcessResult:
        """The nights of a range, as a person backfills them."""
        return self.definitions.resolve_job_def("nightly").execute_in_process(
            instance=self.instance,
            tags={RANGE_FIRST: str(first), RANGE_LAST: str(last)},
            run_config=QUIET,
            raise_on_error=False,
        )

    def tables(self) -> Mapping[str, pl.DataFrame]:
        warehouse = self.wiring.warehouse
        return {name: warehouse.read(name, "MES", DAYS[0], DAYS[-1]) for name in OF_NIGHTS}

    def lessons(self) -> list[NightLearned]:
        return self.wiring.learning_journal.lessons()


@pytest.fixture
def desk(learned_home: Path, tmp_path: Path) -> Iterator[Desk]:
    home = copied(learned_home, tmp_path / "home")
    with opened(home) as instance:
        yield Desk(home, instance)


UNTRADED = DAYS[3]
"""A day on which the desk of `desk_with_a_gap` was off, and which somebody rehearsed."""


@pytest.fixture
def desk_with_a_gap(learned_home: Path, tmp_path: Path) -> Iterator[Desk]:
    """A desk that traded all days but one, on paper, and learned from all it traded."""
    home = copied(learned_home, tmp_path / "home")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        desk = Desk(home, instance)
        journals, warehouse = desk.wiring.session_journals, desk.wiring.warehouse
        events = list(JournalReader(journals.replayed).events())
        traded = [day for day in DAYS if day != UNTRADED]
        write_journal(desk, journals.traded(Mode.PAPER), events, traded)
        write_journal(desk, journals.rehearsed(UNTRADED), events, [UNTRADED])
        journals.replayed.unlink()
        for name in ("decisions", "executions", *OF_NIGHTS):
            none = warehouse.read(name, "MES", UNTRADED, UNTRADED).clear()
            warehouse.replace_partitions(name, none, symbol="MES", session_dates=[UNTRADED])
        assert desk.nights(DAYS[0], DAYS[2]).success
        assert desk.nights(DAYS[4], DAYS[5]).success
        yield desk


@contextmanager
def opened(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(dagster_home_of(home))) as instance:
        yield instance


def changed_sessions(
    before: Mapping[str, pl.DataFrame], after: Mapping[str, pl.DataFrame], name: str
) -> list[date]:
    """The sessions of which a table now says something else."""
    on = pl.col("session_date")
    return [
        day
        for day in DAYS
        if not before[name].filter(on == day).equals(after[name].filter(on == day))
    ]


def told_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    """What the asset told Dagster in a run, as plain values, of its last session."""
    events = [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.materialization.asset_key == dg.AssetKey(asset)
    ]
    return {name: value.value for name, value in events[-1].metadata.items()}


def correct_a_bar(desk: Desk) -> None:
    """The source sends a bar again: while K1 was long, price came within a tick of its stop."""
    stored = desk.wiring.market.read("bars", "MES", CORRECTED, CORRECTED)
    held = pl.col("closes_at") == datetime(2025, 1, 3, 18, 44, tzinfo=UTC)
    entry = int(desk.wiring.warehouse.read("trades", "MES", CORRECTED, CORRECTED)["entry_ticks"][0])
    low = pl.when(held).then(pl.lit(entry - 9, pl.Int32)).otherwise("low_ticks")
    lower = stored.with_columns(low.alias("low_ticks"))
    assert not lower.equals(stored)
    path = desk.home / "sent_again.parquet"
    instrument = desk.wiring.rules.instrument
    plant_faults(lower, seed=1, instrument=instrument, kinds=()).raw.write_parquet(path)
    span = ("--from", str(CORRECTED), "--to", str(CORRECTED), "--replace")
    assert credence(desk.home, "ingest", f"parquet:{path}", *span).code == Exit.DONE


def correct_a_fill(desk: Desk, day: date, more_usd: Decimal) -> None:
    """The broker corrects the fee of the first fill of a day, and what the account held after."""
    path = desk.wiring.session_journals.path(day)
    events = list(JournalReader(path).events())
    write_journal(desk, path, events, JournalReader(path).sessions(), dearer=(day, more_usd))


def write_journal(
    desk: Desk,
    path: Path,
    events: list[Event],
    days: list[date],
    dearer: tuple[date, Decimal] = (date.min, Decimal(0)),
) -> None:
    """A fresh journal of some days, with the first fee of one of them that much dearer."""

    def play(sink: StoredSink) -> None:
        for of_day in days:
            own = [each for each in events if each.session_date == str(of_day)]
            entries = _dearer(own, dearer[1]) if of_day == dearer[0] else map(_entry, own)
            sink.commit(list(entries), Stamp(of_day, own[0].contracts_hash, own[0].code_version))

    path.parent.mkdir(parents=True, exist_ok=True)
    write_fresh_journal(path, desk.wiring.home.aside, play)


def _dearer(events: list[Event], more_usd: Decimal) -> Iterator[Entry]:
    is_paid = False
    for event in events:
        fact = fact_of(event)
        if isinstance(fact, CommissionReported) and not is_paid:
            is_paid = True
            fee = fact.commission_usd + more_usd
            yield entry_of(replace(fact, commission_usd=fee))
        elif is_paid and isinstance(fact, AccountReported | SessionClosed) and fact.equity_usd:
            yield entry_of(replace(fact, equity_usd=fact.equity_usd - more_usd))
        else:
            yield _entry(event)


def _entry(event: Event) -> Entry:
    at = datetime.fromisoformat(event.at)
    return Entry(event.kind, at, event.payload, event.decision_id, event.order_ref)


WHY_BARS = "the bars of 2025-01-03, or of a session before it, were corrected"


def test_a_corrected_bar_and_a_corrected_fill_re_run_the_nights_after_them(desk: Desk) -> None:
    calm, before = desk.tick(), desk.tables()

    correct_a_bar(desk)
    asked = desk.tick()
    desk.run(asked, "recompute_market", CORRECTED)
    for_the_bar = desk.tick()
    correct_a_fill(desk, DAYS[0], Decimal("2.00"))
    for_both = desk.tick()
    nights = desk.run(for_both, "nightly", DAYS[0])
    after = desk.tables()

    assert calm == desk.tick() == "nothing was traded"
    assert isinstance(for_the_bar, dg.RunRequest)
    assert (for_the_bar.job_name, for_the_bar.tags[RANGE_FIRST]) == ("nightly", str(CORRECTED))
    assert for_the_bar.tags["credence/why"] == WHY_BARS
    assert isinstance(for_both, dg.RunRequest)
    assert for_both.tags["credence/why"] == "the journal of 2025-01-02 was corrected"
    assert changed_sessions(before, after, "trades") == DAYS[:2]
    assert changed_sessions(before, after, "learning_state") == DAYS
    assert changed_sessions(before, after, "calibration") == DAYS[1:]
    fees, worst = (
        after["trades"][name] - before["trades"][name] for name in ("fees_usd", "mae_ticks")
    )
    assert [fees[0], worst[1]] == [Decimal(2), 5]
    assert told_of(nights, "learning_state")["nights_corrected"] == 1
    assert [(each.session_date, each.corrects) for each in desk.lessons()] == [
        (date(2025, 1, 8), False),
        (date(2025, 1, 8), True),
    ]
    story = credence(desk.home, "journal", "2025-01-08", "--json").json["told"]
    learned = [each["text"] for each in story if each["kind"] == "learning"]
    assert [text.split(": K1")[0] for text in learned] == ["the night", "the night, corrected"]
    verified = credence(desk.home, "verify", "--json")
    (seen,) = [each for each in verified.json["findings"] if each["check"] == "live = batch"]
    assert verified.code == Exit.DONE
    assert seen["evidence"] == (
        "390 bars of 1 sessions as stored, to the letter; 5 not judged, their bars were corrected "
        "since"
    )


@pytest.mark.campaign
def test_each_correction_by_itself_re_runs_the_nights_after_it_and_says_so(desk: Desk) -> None:
    calm = desk.tick()
    before = desk.tables()

    correct_a_bar(desk)
    waiting = desk.tick(now=datetime(2025, 1, 13, 15, 0, tzinfo=UTC))
    by_hand = desk.strike()
    first = desk.tick()
    market = desk.run(first, "recompute_market", CORRECTED)
    second = desk.tick()
    nights = desk.run(second, "nightly", CORRECTED)
    between = desk.tables()

    assert calm == "nothing was traded"
    assert waiting == f"{WHY_BARS}; recompute_market waits until today's session is over"
    assert by_hand == f"{WHY_BARS}; run recompute_market for it"
    assert isinstance(second, dg.RunRequest)
    assert second.tags["credence/why"] == WHY_BARS
    assert {each.passed for each in market.get_asset_check_evaluations()} == {True}
    warned = [each for each in nights.get_asset_check_evaluations() if not each.passed]
    assert [(each.check_name, each.severity.value) for each in warned] == [
        ("live_equals_batch", "WARN")
    ]
    assert "the bars were corrected since, of or before 2025-01-03" in (warned[0].description or "")
    assert changed_sessions(before, between, "trades") == [CORRECTED]
    assert changed_sessions(before, between, "learning_state") == DAYS[1:]
    assert changed_sessions(before, between, "calibration") == DAYS[1:]
    trade = between["trades"].row(by_predicate=(pl.col("session_date") == CORRECTED), named=True)
    assert trade["mae_ticks"] == 9
    assert told_of(nights, "learning_state")["nights_corrected"] == 1
    said = desk.lessons()
    assert [(each.session_date, each.corrects) for each in said] == [
        (date(2025, 1, 8), False),
        (date(2025, 1, 8), True),
    ]
    assert desk.tick() == "nothing was traded"

    correct_a_fill(desk, DAYS[2], Decimal("2.00"))
    third = desk.tick()
    again = desk.run(third, "nightly", DAYS[2])
    after = desk.tables()

    assert isinstance(third, dg.RunRequest)
    assert third.tags["credence/why"] == "the journal of 2025-01-06 was corrected"
    assert changed_sessions(between, after, "trades") == [DAYS[2]]
    assert changed_sessions(between, after, "learning_state") == DAYS[2:]
    fees = [
        rows["trades"].filter(pl.col("session_date") == DAYS[2])["fees_usd"].sum()
        for rows in (between, after)
    ]
    assert fees[1] - fees[0] == Decimal(2)
    assert [each.corrects for each in desk.lessons()] == [False, True, True]
    assert len({each.changes for each in desk.lessons()}) == 3
    assert told_of(again, "learning_state")["nights_corrected"] == 1
    assert desk.tick() == "nothing was traded"


@pytest.mark.campaign
def test_nights_are_done_again_on_both_sides_of_a_day_the_desk_did_not_trade(
    desk_with_a_gap: Desk,
) -> None:
    desk, calm = desk_with_a_gap, desk_with_a_gap.tick()
    before = desk.tables()

    correct_a_fill(desk, CORRECTED, Decimal("2.00"))
    asked = [desk.tick()]
    done = [desk.nights(*range_of(asked[0]))]
    asked.append(desk.tick())
    done.append(desk.nights(*range_of(asked[1])))
    by_hand = desk.nights(CORRECTED, DAYS[-1])
    after = desk.tables()

    assert [range_of(each) for each in asked] == [(CORRECTED, DAYS[2]), (DAYS[4], DAYS[5])]
    assert [each.success for each in done] == [True, True]
    assert calm == desk.tick() == "nothing was traded"
    assert changed_sessions(before, after, "trades") == [CORRECTED]
    assert changed_sessions(before, after, "learning_state") == [*DAYS[1:3], *DAYS[4:]]
    assert not by_hand.success
    assert said_by_the_failure_of(by_hand, "trades").startswith(
        "2025-01-07: expected a session that the desk traded, found none; it trades since "
        "2025-01-02, and from then on a rehearsal or a replay teaches nothing"
    )
    assert all(UNTRADED not in set(rows["session_date"]) for rows in after.values())


def range_of(asked: dg.RunRequest | str) -> tuple[date, date]:
    assert isinstance(asked, dg.RunRequest), asked
    assert asked.job_name == "nightly"
    first, last = (date.fromisoformat(asked.tags[name]) for name in (RANGE_FIRST, RANGE_LAST))
    return first, last


def said_by_the_failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    """What the error behind the failure of a step says, without its type."""
    failed = result.failure_data_for_node(step)
    assert failed is not None
    assert failed.error is not None
    assert failed.error.cause is not None
    return failed.error.cause.message.partition(": ")[2].strip()


def test_before_the_desk_traded_a_night_learns_from_what_was_rehearsed_or_replayed(
    desk: Desk,
) -> None:
    journals = desk.wiring.session_journals
    events = list(JournalReader(journals.replayed).events())

    of_a_replay = journals.teaching([*DAYS, date(2025, 1, 13)])
    write_journal(desk, journals.traded(Mode.OBSERVE), events, [DAYS[2], DAYS[4]])
    of_a_desk = journals.teaching(DAYS)

    assert of_a_replay == set(DAYS)
    assert of_a_desk == {*DAYS[:3], DAYS[4]}
    journals.refuse_untraded(DAYS[:3])
    with pytest.raises(JournalError, match="2025-01-07, 2025-01-10: expected a session"):
        journals.refuse_untraded(DAYS)


def test_a_file_that_somebody_changed_is_no_correction(desk: Desk) -> None:
    path = desk.home / "market" / "bars" / "MES" / f"{CORRECTED}.parquet"
    rows = pl.read_parquet(path)
    rows.with_columns(volume=pl.col("volume") + 1).write_parquet(path)

    asked = desk.tick()
    night = desk.definitions.resolve_job_def("nightly")
    result = night.execute_in_process(
        instance=desk.instance,
        partition_key=str(CORRECTED),
        run_config=QUIET,
        raise_on_error=False,
    )

    verified = credence(desk.home, "verify", "--json").json["findings"]
    assert asked == "nothing was traded"
    assert [each["passed"] for each in verified if each["check"] == "live = batch"] == [False]
    assert not result.success
    failed = [each for each in result.get_asset_check_evaluations() if not each.passed]
    assert [(each.check_name, each.severity.value) for each in failed] == [
        ("live_equals_batch", "ERROR")
    ]


def test_the_same_bars_sent_again_correct_nothing(desk: Desk) -> None:
    span = ("--from", str(DAYS[0] + timedelta(days=1)), "--to", str(DAYS[3]))

    assert credence(desk.home, "ingest", "generator:7", *span).code == Exit.DONE

    assert desk.tick() == "nothing was traded"
