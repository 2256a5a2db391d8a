"""What the sensors ask for and what they tell, on a real instance, through Dagster's own ticks."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from alert_listener import Listener, listening
from morning import DAY, Morning, hear_of_failure

from contracts.reading import FOLDER
from engine.desk import Mode
from engine.errors import BrokerTimeout, BrokerUnreachable, ClientIdInUse, HaltDesk
from pipelines.sensors import failed_check_alerts, session_sensor, watchdog
from pipelines.session.heartbeat import RunState
from pipelines.session.lock import session_lock
from pipelines.session_outlook import session_outlook
from pipelines.session_request import Request


@pytest.fixture
def morning(tmp_path: Path) -> Iterator[Morning]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        yield Morning(tmp_path / "home", instance)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as heard:
        yield heard


def test_a_green_morning_launches_the_session_once(morning: Morning) -> None:
    morning.preopen()

    first, again = morning.at("09:20").launch(), morning.at("09:20:30").launch()

    assert isinstance(first, dg.RunRequest)
    assert isinstance(again, dg.RunRequest)
    assert first.run_key == again.run_key == f"{DAY} attempt 1"
    assert first.partition_key == DAY
    assert first.run_config == {"ops": {"play_session": {"config": {"is_rehearsal": False}}}}
    assert first.tags["credence/session"] == DAY
    assert first.tags["dagster/max_runtime"] == str((6 * 60 + 40 + 15) * 60)


def test_a_crash_is_tried_again_with_the_same_configuration_and_three_are_enough(
    morning: Morning,
) -> None:
    morning.preopen()
    config = {"ops": {"play_session": {"config": {"is_rehearsal": False}}}}
    morning.attempt(dg.DagsterRunStatus.FAILURE, config)

    second = morning.at("10:00").launch()
    morning.attempt(dg.DagsterRunStatus.FAILURE, config)
    morning.attempt(dg.DagsterRunStatus.FAILURE, config)
    fourth = morning.launch()

    assert isinstance(second, dg.RunRequest)
    assert (second.run_key, second.run_config) == (f"{DAY} attempt 2", config)
    assert "3 attempts crashed, at most 3 are made" in str(fourth)


def fail_session_with(morning: Morning, error: Exception) -> None:
    """A run of the session as Dagster itself keeps one that ended with this error."""

    @dg.op
    def play() -> None:
        raise error

    @dg.job(name="trading_session")
    def job() -> None:
        play()

    job.execute_in_process(
        instance=morning.instance, tags={"dagster/partition": DAY}, raise_on_error=False
    )


@pytest.mark.parametrize(
    ("error", "is_launched"),
    [
        (BrokerUnreachable("connection refused"), True),
        (ClientIdInUse("client id 1 is in use"), True),
        (BrokerTimeout("no answer about positions"), True),
        (HaltDesk("the disk is full"), False),
        (ZeroDivisionError("a bug"), False),
    ],
)
def test_attempts_for_which_nobody_was_there_do_not_use_up_the_day(
    morning: Morning, error: Exception, is_launched: bool
) -> None:
    morning.preopen()
    for _ in range(3):
        fail_session_with(morning, error)

    answer = morning.at("10:00").launch()

    assert isinstance(answer, dg.RunRequest) == is_launched
    assert ("3 attempts crashed" in str(answer)) != is_launched


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (dg.DagsterRunStatus.STARTING, "attempt 1 is queued or running"),
        (dg.DagsterRunStatus.STARTED, "attempt 1 is queued or running"),
        (dg.DagsterRunStatus.CANCELING, "attempt 1 is queued or running"),
        (dg.DagsterRunStatus.CANCELED, "a person stopped attempt 1"),
        (dg.DagsterRunStatus.SUCCESS, "attempt 1 came to its end"),
    ],
)
def test_a_run_that_exists_is_not_launched_again(
    morning: Morning, status: dg.DagsterRunStatus, words: str
) -> None:
    morning.preopen()
    morning.attempt(status)

    assert words in str(morning.at("10:00").launch())


def test_without_a_green_preopen_nothing_is_launched(morning: Morning) -> None:
    without = morning.at("09:20").launch()
    morning.preopen(passed=False)
    red = morning.launch()
    morning.preopen(passed=True)
    green = morning.launch()

    assert f"no context of {DAY} was made" in str(without)
    assert "before preopen is green: not passed: context_knows_only_the_past: told" in str(red)
    assert isinstance(green, dg.RunRequest)


def test_a_promotion_is_seen_by_a_desk_that_is_up(morning: Morning, tmp_path: Path) -> None:
    morning.contracts = tmp_path / "contracts"
    shutil.copytree(FOLDER, morning.contracts, ignore=shutil.ignore_patterns("*.py", "schemas"))
    up = morning.at("09:20").wiring
    before = session_outlook(morning.instance, up).verdict

    law = morning.contracts / "constitution.yaml"
    told = law.read_text()
    promoted = told.replace("minutes_between_entries_min: 30", "minutes_between_entries_min: 31")
    law.write_text(promoted)
    morning.preopen()
    after = session_outlook(morning.instance, up).verdict

    assert promoted != told
    assert "no context" in str(before)
    assert isinstance(after, Request)


def test_a_killed_desk_is_not_launched(morning: Morning) -> None:
    morning.preopen()
    morning.at("09:20").kill()

    assert "KILLED (30 USD lost), and the broker was not seen flat" in str(morning.launch())


def test_a_kill_in_another_mode_does_not_stop_this_one(morning: Morning) -> None:
    morning.preopen()
    morning.at("09:20").kill()
    morning.mode = "observe"

    assert isinstance(morning.launch(), dg.RunRequest)


def test_the_file_kill_keeps_the_desk_down(morning: Morning) -> None:
    morning.preopen()
    kill_file = morning.at("09:20").wiring.session_files.kill_file
    kill_file.parent.mkdir(parents=True, exist_ok=True)
    kill_file.write_text("stop")

    assert f"KILLED (the file {kill_file} is there)" in str(morning.launch())


def test_a_session_by_hand_holds_the_desk(morning: Morning) -> None:
    morning.preopen()
    files = morning.at("09:25").wiring.session_files

    with session_lock(
        files, what="credence session", mode=Mode.PAPER, symbol="MES", session_date=None
    ):
        held = morning.launch()
    free = morning.launch()

    assert "a session run holds the desk: credence session (paper MES, pid" in str(held)
    assert isinstance(free, dg.RunRequest)


@pytest.mark.parametrize("attempts", [0, 1])
@pytest.mark.parametrize(
    ("run", "words"),
    [
        (RunState.STOPPED, "a person stopped the session that was started by hand; launch"),
        (RunState.CLOSED, "the session that was started by hand came to its end; launch"),
    ],
)
def test_what_a_person_ended_by_hand_is_not_launched(
    morning: Morning, run: RunState, words: str, attempts: int
) -> None:
    morning.preopen()
    for _ in range(attempts):
        fail_session_with(morning, ZeroDivisionError("a bug"))
    morning.at("10:00").beat(run, morning.now - datetime.now(UTC))

    assert words in str(morning.launch())


@pytest.mark.parametrize("run", [RunState.RUNNING, RunState.FAILED])
def test_a_session_by_hand_that_crashed_is_followed_by_the_sensor(
    morning: Morning, run: RunState
) -> None:
    morning.preopen()
    morning.at("10:00").beat(run, timedelta(minutes=1))

    assert isinstance(morning.launch(), dg.RunRequest)


@pytest.mark.parametrize(("mode", "day"), [("observe", DAY), ("paper", "2024-07-03")])
def test_a_session_by_hand_in_another_mode_or_of_another_day_was_another(
    morning: Morning, mode: str, day: str
) -> None:
    morning.mode = mode
    morning.preopen(day=day)
    morning.at("10:00", day).beat(RunState.STOPPED, timedelta(minutes=1))

    assert isinstance(morning.launch(), dg.RunRequest)


def test_what_an_attempt_of_the_sensors_own_said_at_its_end_is_no_word_of_a_person(
    morning: Morning,
) -> None:
    morning.preopen()
    morning.at("10:00").beat(RunState.STOPPED, morning.now - datetime.now(UTC))
    fail_session_with(morning, InterruptedError("the machine goes down"))

    second = morning.launch()

    assert isinstance(second, dg.RunRequest)
    assert second.run_key == f"{DAY} attempt 2"


def test_real_money_is_launched_by_a_person_first(morning: Morning) -> None:
    morning.mode = "live"
    morning.preopen()
    config = {"ops": {"play_session": {"config": {"is_rehearsal": False, "confirm_account": "U1"}}}}

    first = morning.at("09:20").launch()
    morning.attempt(dg.DagsterRunStatus.FAILURE, config)
    after_a_crash = morning.launch()

    assert "real money is traded by hand" in str(first)
    assert isinstance(after_a_crash, dg.RunRequest)
    assert after_a_crash.run_config == config


def test_a_holiday_says_so(morning: Morning) -> None:
    assert "no session on 2024-07-04: July 4th" in str(morning.at("10:00", "2024-07-04").launch())


def test_the_session_sensor_waits_to_be_switched_on_and_the_watch_does_not() -> None:
    assert session_sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert watchdog.default_status is dg.DefaultSensorStatus.RUNNING


# ── The watchdog ────────────────────────────────────────────────────────────────────────────────


def test_a_silent_run_is_told_at_once_and_again_while_it_lasts(
    morning: Morning, listener: Listener
) -> None:
    morning.alerts = listener.address
    assert morning.at("09:59").watch() == "nothing is wrong"
    morning.beat(RunState.RUNNING, timedelta(seconds=0))

    morning.now += timedelta(seconds=61)
    morning.watch()
    for _ in range(10):
        morning.now += timedelta(seconds=30)
        said = morning.watch()

    assert len(morning.raised()) == 2
    assert [title[:52] for title in listener.titles] == [
        "Credence: no heartbeat of the session run for 61 s; ",
        "Credence: no heartbeat of the session run for 361 s;",
    ]
    assert said.startswith("no heartbeat of the session run for 361 s")


def test_a_kill_is_told_until_it_is_seen_flat(morning: Morning, listener: Listener) -> None:
    morning.alerts = listener.address
    morning.at("10:00").watch()
    morning.kill()

    morning.watch()

    assert "KILLED at 10:00:00 New York (30 USD lost) and not seen flat" in morning.raised()[0]
    assert "Credence KILLED" in listener.titles
    assert len(listener.titles) == 2


def test_what_cannot_be_told_is_said_in_the_tick(morning: Morning) -> None:
    morning.alerts = "json://127.0.0.1:9/?cto=1"
    morning.at("10:00").watch()
    morning.kill()

    said = morning.watch()

    assert "alert target 1 (json): expected the alert" in said
    assert json.loads(morning.cursor or "{}") == {"not flat": morning.now.isoformat()}


# ── Runs and checks ─────────────────────────────────────────────────────────────────────────────


@dg.asset
def fragile() -> None:
    """An asset whose check fails, and whose own failure is asked for by the test."""


@dg.asset_check(asset=fragile)
def sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="3 rows are wrong")


@dg.asset_check(asset=fragile)
def tidy() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset
def broken() -> None:
    raise dg.Failure("the disk is full")


def ran(morning: Morning, *assets: object) -> dg.ExecuteInProcessResult:
    return dg.materialize([*assets], instance=morning.instance, raise_on_error=False)  # type: ignore[list-item]


def test_a_run_that_fails_is_told(morning: Morning) -> None:
    result = ran(morning, broken)

    hear_of_failure(morning, result)

    (text,) = morning.raised()
    assert text.startswith("the run __ephemeral_asset_job__ failed: ")
    assert result.run_id[:8] in text


def test_a_failed_check_is_told_though_its_run_succeeded_and_a_warning_is_not(
    morning: Morning,
) -> None:
    result = ran(morning, fragile, sound, tidy)
    event = next(each for each in result.all_events if each.is_job_success)

    with dg.build_run_status_sensor_context(
        sensor_name="failed_check_alerts",
        dagster_event=event,
        dagster_instance=morning.instance,
        dagster_run=result.dagster_run,
        resources={"wiring": morning.wiring},
    ) as context:
        failed_check_alerts(context)

    (text,) = morning.raised()
    assert text.endswith("; failed checks: sound (3 rows are wrong)")
