"""A desk on the morning of a session, whose clock is set by hand, and its real Dagster instance."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from contracts.reading import FOLDER
from engine.desk.encoding import entry_of
from engine.journal import Stamp
from engine.kill import KillCause, KillChanged, KillEvent, KillState
from pipelines.alerts import alert_of
from pipelines.definitions import defs
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.preopen_state import CHECKS, CONTEXT
from pipelines.sensors import failed_run_alerts, session_sensor, watchdog
from pipelines.session.heartbeat import Heartbeat, RunState, signature
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

DAY = "2024-07-02"
NEW_YORK = ZoneInfo("America/New_York")


@dataclass
class Morning:
    """A desk whose clock is set by hand, and its instance."""

    root: Path
    instance: dg.DagsterInstance
    alerts: str = ""
    mode: str = "paper"
    contracts: Path = FOLDER
    now: datetime = field(default_factory=lambda: datetime(2024, 7, 2, 13, 20, tzinfo=UTC))
    cursor: str | None = None

    @property
    def wiring(self) -> Wiring:
        settings = load_settings(
            {
                "CREDENCE_HOME": str(self.root),
                "CREDENCE_MODE": self.mode,
                "CREDENCE_ALERTS": self.alerts,
                "CREDENCE_CONTRACTS": str(self.contracts),
            }
        )
        return Wiring(settings=settings, clock=lambda: self.now)

    def at(self, clock: str, day: str = DAY) -> "Morning":
        local = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=NEW_YORK)
        self.now = local.astimezone(UTC)
        return self

    def tick(self, sensor: dg.SensorDefinition) -> dg.RunRequest | str:
        """The run one tick asks for, or what it says instead."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=defs,
            resources={"wiring": self.wiring},
        ) as context:
            outcome = sensor.evaluate_tick(context)
        self.cursor = outcome.cursor
        return outcome.run_requests[0] if outcome.run_requests else outcome.skip_message or ""

    def launch(self) -> dg.RunRequest | str:
        return self.tick(session_sensor)

    def watch(self) -> str:
        said = self.tick(watchdog)
        assert isinstance(said, str)
        return said

    def preopen(self, *, passed: bool = True, day: str = DAY) -> None:
        """What the job preopen records, as Dagster keeps it."""
        run = self.instance.create_run_for_job(
            defs.resolve_job_def("preopen"),
            tags={"dagster/partition": day},
            status=dg.DagsterRunStatus.SUCCESS,
        )
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                CONTEXT,
                partition=day,
                metadata={"contracts_hash": self.wiring.rules.contracts_hash},
            )
        )
        for name in CHECKS:
            self.instance.report_dagster_event(
                dg.DagsterEvent(
                    event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
                    job_name=run.job_name,
                    event_specific_data=dg.AssetCheckEvaluation(
                        asset_key=CONTEXT, check_name=name, passed=passed, description="told"
                    ),
                ),
                run_id=run.run_id,
            )

    def attempt(self, status: dg.DagsterRunStatus, config: object = None) -> None:
        """A run of the session as it would stand in the instance."""
        self.instance.create_run_for_job(
            defs.resolve_job_def("trading_session"),
            run_config=config,  # type: ignore[arg-type]
            tags={"dagster/partition": DAY},
            status=status,
        )

    def kill(self) -> None:
        """The desk's journal ends with a kill that was not seen flat."""
        fact = KillChanged(
            at=self.now,
            event=KillEvent.TRIGGERED,
            before=KillState.RUNNING,
            after=KillState.KILLED,
            cause=KillCause.DAILY_LOSS,
            text="30 USD lost",
        )
        with JournalWriter(self.wiring.journal) as writer:
            writer.append([entry_of(fact)], Stamp(date.fromisoformat(DAY), "contracts", "test"))

    def beat(self, run: RunState, age: timedelta) -> None:
        said = Heartbeat(
            **{**signature(), "at": (self.now - age).isoformat()},  # type: ignore[arg-type]
            run=run,
            mode="paper",
            symbol="MES",
            session_date=DAY,
            account_id="DU1",
            market_now=None,
            desk="running",
            desk_text="",
            is_flat_verified=True,
            position=0,
            trade=None,
            last_bar_at=None,
            decision=None,
            feed="live",
            is_connected=True,
            bars=0,
            text="",
        )
        said.write(self.wiring.session_files.heartbeat)

    def raised(self) -> list[str]:
        """The texts of the alerts that were written down."""
        path = self.wiring.alert_book.path
        events = JournalReader(path).events() if path.is_file() else ()
        return [alert.text for alert in map(alert_of, events) if alert is not None]


def hear_of_failure(morning: Morning, result: dg.ExecuteInProcessResult) -> None:
    """What Dagster does when a run has failed."""
    event = next(each for each in result.all_events if each.is_job_failure)
    with dg.build_run_status_sensor_context(
        sensor_name="failed_run_alerts",
        dagster_event=event,
        dagster_instance=morning.instance,
        dagster_run=result.dagster_run,
        resources={"wiring": morning.wiring},
    ) as context:
        failed_run_alerts(context.for_run_failure())
