"""What the schedules ask for: session days, holidays, half days, Mondays, late or already done."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from assets.partitions import SESSIONS
from assets.prior_sessions import PRIOR_SESSIONS
from pipelines.definitions import defs
from pipelines.schedules import (
    RANGE_FIRST,
    RANGE_LAST,
    is_finished,
    market_day_schedule,
    preopen_schedule,
)

NEW_YORK = ZoneInfo("America/New_York")
Answer = dg.RunRequest | dg.SkipReason


@pytest.fixture(scope="module")
def stored_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """On disk, because a schedule opens its instance by reference."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as stored:
        yield stored


@pytest.fixture
def instance(stored_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    stored_instance.wipe_assets([dg.AssetKey("outcomes"), dg.AssetKey("session_context")])
    return stored_instance


def tick(
    schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, at: str
) -> tuple[list[dg.RunRequest], str]:
    """The runs a tick asks for and what it says if none, through Dagster's own evaluation."""
    moment = datetime.fromisoformat(at).replace(tzinfo=NEW_YORK)
    repository = defs.get_repository_def()
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=moment, repository_def=repository
    ) as context:
        outcome = schedule.evaluate_tick(context)
    return list(outcome.run_requests or []), outcome.skip_message or ""


def made(instance: dg.DagsterInstance, asset: str, *partitions: str) -> None:
    for partition in partitions:
        instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition))


def sessions(first: str, last: str) -> list[str]:
    return list(SESSIONS.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))


def window(last: str) -> list[str]:
    """What the schedules look back at on the day after, and two sessions more."""
    some_days_before = date.fromisoformat(last) - timedelta(days=2 * PRIOR_SESSIONS)
    return sessions(str(some_days_before), last)[-PRIOR_SESSIONS - 2 :]


def range_of(request: dg.RunRequest) -> tuple[str, str]:
    return request.tags[RANGE_FIRST], request.tags[RANGE_LAST]


def test_an_empty_market_is_filled_by_one_run_over_what_a_context_reads(
    instance: dg.DagsterInstance,
) -> None:
    (request,), _ = tick(market_day_schedule, instance, "2024-07-08 08:15")

    assert range_of(request) == ("2024-06-05", "2024-07-05")
    assert len(sessions(*range_of(request))) == PRIOR_SESSIONS


def test_monday_asks_for_friday_alone_when_the_rest_is_there(
    instance: dg.DagsterInstance,
) -> None:
    made(instance, "outcomes", *window("2024-07-03"))

    (request,), _ = tick(market_day_schedule, instance, "2024-07-08 08:15")

    assert range_of(request) == ("2024-07-05", "2024-07-05")


def test_a_hole_is_filled_with_everything_after_it(instance: dg.DagsterInstance) -> None:
    there = window("2024-07-05")
    made(instance, "outcomes", *(day for day in there if day != "2024-07-01"))

    (request,), _ = tick(market_day_schedule, instance, "2024-07-08 08:15")

    assert range_of(request) == ("2024-07-01", "2024-07-05")


@pytest.mark.parametrize("day", ["2024-07-03", "2024-07-02"])  # The first of them is a half day.
def test_the_evening_asks_for_the_session_of_the_day(
    instance: dg.DagsterInstance, day: str
) -> None:
    made(instance, "outcomes", *(key for key in window("2024-07-03") if key < day))

    (request,), _ = tick(market_day_schedule, instance, f"{day} 18:15")

    assert range_of(request) == (day, day)


def test_the_evening_of_a_holiday_has_nothing_to_ask_for(instance: dg.DagsterInstance) -> None:
    made(instance, "outcomes", *window("2024-07-03"))

    requests, said = tick(market_day_schedule, instance, "2024-07-04 18:15")

    assert requests == []
    assert said == "every session of the window before 2024-07-04 18:15 is there"


def test_the_morning_never_asks_for_the_session_that_has_not_been_held(
    instance: dg.DagsterInstance,
) -> None:
    made(instance, "outcomes", *window("2024-07-05"))

    requests, said = tick(market_day_schedule, instance, "2024-07-08 08:15")

    assert requests == []
    assert "is there" in said


@pytest.mark.parametrize(
    ("day", "before"),
    [
        ("2024-07-09", "2024-07-08"),
        ("2024-07-08", "2024-07-05"),  # A Monday: the session before is Friday's.
        ("2024-07-03", "2024-07-02"),  # A half day opens as early as any other.
        ("2024-07-05", "2024-07-03"),  # The day after a holiday.
        ("2024-03-11", "2024-03-08"),  # The clocks went forward on the Sunday.
        ("2024-11-04", "2024-11-01"),  # They went back.
    ],
)
def test_before_the_open_of_a_session_day_its_context_is_asked_for(
    instance: dg.DagsterInstance, day: str, before: str
) -> None:
    made(instance, "outcomes", *window(before))

    (request,), _ = tick(preopen_schedule, instance, f"{day} 08:30")

    assert request.partition_key == day


@pytest.mark.parametrize(
    ("day", "why"),
    [
        ("2024-07-04", "July 4th (Globex trades"),
        ("2024-07-06", "Saturday"),
        ("2025-01-09", "a special closure"),
    ],
)
def test_a_closed_day_is_named_though_the_newest_partition_is_the_next_session(
    instance: dg.DagsterInstance, day: str, why: str
) -> None:
    requests, said = tick(preopen_schedule, instance, f"{day} 08:30")

    assert requests == []
    assert said.startswith(f"no session on {day}: {why}")


def test_without_the_sessions_before_it_the_desk_waits_and_says_so(
    instance: dg.DagsterInstance,
) -> None:
    made(instance, "outcomes", *window("2024-07-03"))

    requests, said = tick(preopen_schedule, instance, "2024-07-08 08:30")

    assert requests == []
    assert said.startswith("waiting for 1 sessions from 2024-07-05 to 2024-07-05")


def test_a_context_that_is_there_is_not_asked_for_again(instance: dg.DagsterInstance) -> None:
    made(instance, "outcomes", *window("2024-07-05"))
    made(instance, "session_context", "2024-07-08")

    requests, said = tick(preopen_schedule, instance, "2024-07-08 08:40")

    assert requests == []
    assert said == "the context of 2024-07-08 is there"


def test_the_same_tick_twice_is_one_run_and_the_next_tick_another(
    instance: dg.DagsterInstance,
) -> None:
    keys = [
        tick(schedule, instance, at)[0][0].run_key
        for schedule, at in (
            (market_day_schedule, "2024-07-08 08:15"),
            (market_day_schedule, "2024-07-08 08:15"),
            (market_day_schedule, "2024-07-08 18:15"),
        )
    ]

    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("at", "finished"),
    [("2024-07-08 16:59", False), ("2024-07-08 17:00", True), ("2024-07-09 00:01", True)],
)
def test_a_session_is_over_an_hour_after_its_close(at: str, *, finished: bool) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=NEW_YORK)

    assert is_finished("2024-07-08", moment) is finished
