"""The session traded by Dagster through the real adapter, and what it leaves behind."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from lineage import Lineage, evaluations, materialized

from engine.journal import Kind
from pipelines.definitions import definitions_for
from pipelines.gateway.assembly import GatewaySettings
from pipelines.gateway.run import running_gateway
from pipelines.session.heartbeat import Heartbeat, RunState
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

HALF_DAY = "2024-07-03"
DAY = date.fromisoformat(HALF_DAY)


@dataclass
class TradingDesk:
    """The home of a lineage, wired to a gateway on a port, with an instance on disk."""

    wiring: Wiring
    instance: dg.DagsterInstance

    def run(self, job: str, day: str) -> dg.ExecuteInProcessResult:
        definition = definitions_for(self.wiring).resolve_job_def(job)
        return definition.execute_in_process(
            instance=self.instance, partition_key=day, raise_on_error=False
        )


@contextmanager
def desk_on(home: Path, dagster: Path) -> Iterator[TradingDesk]:
    """A desk before its half day, with a gateway that plays it."""
    dagster.mkdir()
    with closing(Lineage(home)) as lineage:
        rules, bars = lineage.wiring.rules, lineage.wiring.market.read("bars", "MES", DAY, DAY)
    with (
        running_gateway(bars, rules, GatewaySettings()) as gateway,
        dg.DagsterInstance.local_temp(str(dagster)) as instance,
    ):
        environ = {
            "CREDENCE_HOME": str(home),
            "CREDENCE_MODE": "paper",
            "CREDENCE_IBKR_PORT": str(gateway.address.port),
        }
        yield TradingDesk(Wiring(settings=load_settings(environ)), instance)


@pytest.fixture
def desk(pristine: Lineage, tmp_path: Path) -> Iterator[TradingDesk]:
    """Nothing was traded or rehearsed on the half day."""
    pristine.copied_to(tmp_path / "home").close()
    with desk_on(tmp_path / "home", tmp_path / "dagster") as desk:
        yield desk


@dataclass
class Traded:
    """A desk that has traded its half day, and what the run said."""

    desk: TradingDesk
    result: dg.ExecuteInProcessResult


@pytest.fixture(scope="module")
def traded(pristine: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traded]:
    folder = tmp_path_factory.mktemp("traded")
    pristine.copied_to(folder / "home").close()
    with desk_on(folder / "home", folder / "dagster") as desk:
        assert desk.run("preopen", HALF_DAY).success
        yield Traded(desk, desk.run("trading_session", HALF_DAY))


def error_of(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    return str(failure.step_failure_data.error)


def test_without_a_green_preopen_the_session_does_not_open(desk: TradingDesk) -> None:
    result = desk.run("trading_session", HALF_DAY)

    assert not result.success
    assert f"no context of {HALF_DAY} was made; launch preopen" in error_of(result)
    assert not desk.wiring.journal.exists()


@pytest.mark.slow
def test_a_session_traded_through_the_gateway_becomes_the_desks_tables(traded: Traded) -> None:
    desk = traded.desk

    tables = desk.run("nightly", HALF_DAY)

    assert traded.result.success
    told = materialized(traded.result)[f"trading_session {HALF_DAY}"]
    assert (told["ending"], told["is_rehearsal"], told["bars_seen"]) == ("closed", False, 210)
    assert list(told)[:2] == ["session", "why_not"]
    assert told["journal"] == str(desk.wiring.journal)
    assert evaluations(tables)["live_equals_batch"]
    assert evaluations(tables)["journal_chain"]
    assert evaluations(tables)["ledger_equals_cash"]
    beat = Heartbeat.read(desk.wiring.session_files.heartbeat)
    assert beat is not None
    assert (beat.run, beat.position) == (RunState.CLOSED, 0)
    lines = [
        record.event_log_entry.user_message
        for record in desk.instance.get_records_for_run(traded.result.run_id).records
        if record.event_log_entry.dagster_event is None
    ]
    assert sum(" ET skip: " in line or " ET hold: " in line for line in lines) > 190
    again = desk.run("trading_session", HALF_DAY)
    assert f"session {HALF_DAY} was closed at 2024-07-03 17:00 UTC" in error_of(again)


@pytest.mark.slow
def test_a_rehearsal_of_a_traded_day_does_not_touch_what_was_traded(traded: Traded) -> None:
    desk = traded.desk
    head = [event.hash for event in desk.wiring.session_journals.events(DAY)]

    rehearsed = desk.run("rehearse_session", HALF_DAY)

    assert rehearsed.success
    told = materialized(rehearsed)[f"trading_session {HALF_DAY}"]
    assert told["is_rehearsal"] is True
    assert told["journal"].endswith(f"rehearsals/MES/{HALF_DAY}.sqlite")
    after = desk.wiring.session_journals.events(DAY)
    assert [event.hash for event in after] == head
    assert len(desk.wiring.session_journals.events(DAY, Kind.DECISION)) == 210
