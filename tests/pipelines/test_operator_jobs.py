"""The levers in the UI do what they do in a shell, and end as the desk answered."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from contracts import load_rules
from contracts.calendar import session_on
from engine.generator import generate_bars
from engine.kill import KillState
from pipelines.gateway.assembly import GatewaySettings
from pipelines.gateway.clock import Pace
from pipelines.gateway.run import running_gateway
from pipelines.operator_jobs import OPERATOR_JOBS
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

JOBS = {job.name: job for job in OPERATOR_JOBS}
DAY = date(2024, 7, 10)


def wired(home: Path, port: int = 9) -> Wiring:
    environ = {
        "CREDENCE_HOME": str(home),
        "CREDENCE_MODE": "paper",
        "CREDENCE_IBKR_PORT": str(port),
    }
    return Wiring(settings=load_settings(environ))


def pull(wiring: Wiring, job: str, **config: Any) -> dg.ExecuteInProcessResult:
    return JOBS[job].execute_in_process(
        resources={"wiring": wiring},
        run_config={"ops": {f"{job}_lever": {"config": config}}},
        raise_on_error=False,
    )


def error_of(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    return str(failure.step_failure_data.error)


def test_a_halt_and_a_resume_need_no_session_and_no_broker(tmp_path: Path) -> None:
    wiring = wired(tmp_path)

    halted = pull(wiring, "halt", reason="news at ten")
    switch = wiring.kill_switch()
    resumed = pull(wiring, "resume", reason="it is over")

    assert halted.success
    assert (switch.state, switch.text) == (KillState.HALTED, "news at ten")
    assert resumed.success
    assert wiring.kill_switch().state is KillState.RUNNING


def test_a_resume_without_a_reason_fails_and_says_why(tmp_path: Path) -> None:
    wiring = wired(tmp_path)
    assert pull(wiring, "halt").success

    result = pull(wiring, "resume")

    assert not result.success
    assert "resume refused: a resume needs a reason" in error_of(result)
    assert wiring.kill_switch().state is KillState.HALTED


def test_a_desk_that_runs_has_nothing_to_resume(tmp_path: Path) -> None:
    result = pull(wired(tmp_path), "resume", reason="just so")

    assert not result.success
    assert "there is nothing to resume" in error_of(result)


@pytest.mark.slow
def test_a_kill_sees_the_broker_flat_and_stays(tmp_path: Path) -> None:
    rules = load_rules()
    bars = generate_bars([session_on(DAY, rules.session)], 7, rules.instrument).bars
    settings = GatewaySettings(pace=Pace.of(60), waits_for_subscriber=False)
    with running_gateway(bars, rules, settings) as gateway:
        wiring = wired(tmp_path, gateway.address.port)

        killed = pull(wiring, "kill_and_flatten", reason="enough")

    switch = wiring.kill_switch()
    assert killed.success
    assert (switch.state, switch.is_flat_verified) == (KillState.KILLED, True)


@pytest.mark.slow
def test_a_kill_without_a_broker_is_in_force_and_does_not_pretend_to_be_flat(
    tmp_path: Path,
) -> None:
    wiring = wired(tmp_path)

    result = pull(wiring, "kill_and_flatten", reason="enough", patience_seconds=3.0)

    switch = wiring.kill_switch()
    assert not result.success
    assert "It stays in force; look at the account" in error_of(result)
    assert (switch.state, switch.is_flat_verified) == (KillState.KILLED, False)
