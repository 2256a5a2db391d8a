"""A session's bars are stored as the desk saw them, and its night follows from them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from lever_stage import lonely, pull
from replay_market import RULES
from session_stage import SessionStage, bars_of_session, entry_minute, session, simulated

from assets.as_seen import SEEN, is_as_seen
from assets.ingest import IngestedSession, ingest
from engine.broker import BarReported
from engine.desk import Mode, OperatorVerb
from pipelines.brokers.simulated_live import SimulatedLiveBroker
from pipelines.definitions import definitions_for
from pipelines.nights import nightly_sensor
from pipelines.session.bars import SessionBars
from pipelines.session.plan import Ending
from pipelines.session.seen_bars import DeskBars
from pipelines.settings import load_settings
from pipelines.sources import parse_source
from pipelines.wiring import Wiring

QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
SOON = entry_minute() + 20
POINTS_PER_TICK = float(RULES.instrument.tick_size)
JUDGED = ["minute", "open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume", "bid_ticks"]


def history(folder: Path, minutes: int = 390) -> str:
    """A source that tells the played session as a broker's history does: other volumes, no quotes.

    It has no bar of the minute 30.
    """
    prices = {name: pl.col(f"{name}_ticks") * POINTS_PER_TICK for name in ("open", "high", "low")}
    rows = bars_of_session().head(minutes).filter(pl.col("minute") != 30)
    told = rows.select(
        pl.col("opens_at").dt.strftime("%Y-%m-%d %H:%M:%S").alias("ts"),
        **prices,
        close=pl.col("close_ticks") * POINTS_PER_TICK,
        volume=pl.col("volume") + 7,
    )
    path = folder / "history.csv"
    told.write_csv(path)
    return f"csv:{path}?tz=UTC"


def ingested(stage: SessionStage, source: str, *, replaces: bool = False) -> IngestedSession:
    seen = DeskBars(files=stage.files, rules=RULES)
    day = session().session_date
    report = ingest(
        parse_source(source),
        RULES,
        stage.market,
        day,
        day,
        replace_other_source=replaces,
        seen=seen,
    )
    return report.sessions[0]


def stored(stage: SessionStage) -> pl.DataFrame:
    return stage.market.read("bars", "MES", session().session_date, session().session_date)


def with_a_real_past(home: Path) -> SessionStage:
    """A stage whose stored sessions are of the kind of source that `history` is."""
    stage = SessionStage(home)
    for day in stage.market.session_dates("bars", "MES"):
        bars = stage.market.read("bars", "MES", day, day).with_columns(source=pl.lit("csv:past"))
        stage.market.write("bars", bars, symbol="MES", session_date=day)
    return stage


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> SessionStage:
    """A whole session that was traded on paper."""
    stage = with_a_real_past(tmp_path_factory.mktemp("closed"))
    assert stage.run(simulated()).ending is Ending.CLOSED
    return stage


@pytest.fixture
def stage(tmp_path: Path) -> SessionStage:
    return with_a_real_past(tmp_path)


def stop_early(stage: SessionStage, broker: Any = None) -> None:
    """Told to stop at its first fill."""
    run = stage.made(broker or simulated(minutes=SOON))
    stage.on_line = lambda line: run.stop() if "filled: " in line else None
    assert run.run().ending is Ending.STOPPED


def test_what_the_desk_decided_is_stored_as_it_saw_it(closed, tmp_path):
    told = ingested(closed, history(tmp_path))

    bars = stored(closed)
    assert bars.select(JUDGED).equals(bars_of_session().select(JUDGED))
    assert bars["source"].unique().to_list() == [SEEN]
    assert (told.bars, told.seen, told.seen_otherwise, told.minutes_lost) == (390, 390, 390, 0)
    assert not ingested(closed, history(tmp_path)).changed


def test_bars_are_replaced_by_the_source_on_request_alone(closed, tmp_path):
    ingested(closed, history(tmp_path), replaces=True)
    replaced = stored(closed)
    seen = DeskBars(files=closed.files, rules=RULES).of(session())
    was_seen = is_as_seen(replaced, seen, RULES)
    ingested(closed, history(tmp_path))

    assert (replaced.height, replaced["bid_ticks"].null_count()) == (389, 389)
    assert not was_seen
    assert is_as_seen(stored(closed), seen, RULES)


def test_minutes_after_the_desk_stopped_are_those_of_the_source(stage, tmp_path):
    stop_early(stage)

    told = ingested(stage, history(tmp_path))

    bars = stored(stage)
    last_seen = bars.filter(pl.col("source") == SEEN)["minute"].max()
    rest = bars.filter(pl.col("minute") > last_seen)
    assert entry_minute() <= last_seen < SOON
    assert (told.bars, told.seen) == (390 - (last_seen < 30), last_seen + 1)
    assert rest["source"].str.starts_with("csv:").all()
    assert rest["bid_ticks"].null_count() == rest.height


def test_a_minute_the_desk_never_saw_is_not_put_among_those_it_decided(stage, tmp_path):
    missing = session().opens_at + timedelta(minutes=5)

    class Deaf:
        def __init__(self, broker: SimulatedLiveBroker) -> None:
            self._broker = broker

        def __getattr__(self, name):
            return getattr(self._broker, name)

        def told(self):
            heard = self._broker.told()
            return [
                each
                for each in heard
                if not (isinstance(each, BarReported) and each.opens_at == missing)
            ]

    stop_early(stage, Deaf(simulated(minutes=SOON)))

    told = ingested(stage, history(tmp_path))

    bars = stored(stage)
    seen = bars.filter(pl.col("source") == SEEN)["minute"].to_list()
    assert 5 not in bars["minute"].to_list()
    assert seen == [minute for minute in range(told.seen + 1) if minute != 5]
    assert bars["minute"].max() == 389


def test_who_reads_what_a_session_keeps_does_not_mend_it(stage):
    stop_early(stage)
    folder = stage.files.bars(Mode.PAPER, "MES", session().session_date)
    log = folder / "told.jsonl"
    with log.open("ab") as torn:
        torn.write(b'{"symbol":"ME')
    before = log.read_bytes()

    seen = DeskBars(files=stage.files, rules=RULES).of(session())
    after_reading = log.read_bytes()
    SessionBars(session(), RULES.instrument, folder, source=SEEN, say=lambda _: None)

    assert seen.height > entry_minute()
    assert after_reading == before
    assert log.read_bytes() == before.removesuffix(b'{"symbol":"ME')


def played_night(wiring: Wiring) -> tuple[list[str], dict[str, tuple[bool, str]]]:
    """What the sensor asked for, in two ticks, and what the checks of it said."""
    definitions = definitions_for(wiring)
    asked, checks = [], {}
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            with dg.build_sensor_context(
                instance=instance, definitions=definitions, resources={"wiring": wiring}
            ) as context:
                (request,) = nightly_sensor.evaluate_tick(context).run_requests or ()
            is_unlike = "not stored as the desk saw them" in request.tags["credence/why"]
            why = ", not stored as the desk saw them" if is_unlike else ""
            asked.append(f"{request.job_name}{why}")
            ran = definitions.resolve_job_def(request.job_name).execute_in_process(
                instance=instance,
                partition_key=request.partition_key,
                run_config=QUIET,
                raise_on_error=False,
            )
            assert ran.success
            for event in ran.get_asset_check_evaluations():
                checks[event.check_name] = (event.passed, event.severity.value)
    return asked, checks


def close(stage: SessionStage) -> None:
    stage.run(simulated())


def kill_without_a_session(stage: SessionStage) -> None:
    pull(lonely(stage, simulated), OperatorVerb.KILL)


@pytest.mark.parametrize(
    ("traded", "jobs", "is_equal"),
    [
        (close, ["market_day, not stored as the desk saw them", "nightly"], True),
        (stop_early, ["market_day, not stored as the desk saw them", "nightly"], False),
        (kill_without_a_session, ["recompute_market", "nightly"], False),
    ],
)
def test_a_night_passes_whatever_the_source_says_of_the_session_later(
    stage, tmp_path, traded, jobs, is_equal
):
    traded(stage)
    environment = {
        "CREDENCE_HOME": str(stage.home),
        "CREDENCE_MODE": "paper",
        "CREDENCE_SOURCE": history(tmp_path),
    }
    day = session().session_date
    next_morning = session().closes_at + timedelta(hours=14)
    wiring = Wiring(settings=load_settings(environment), clock=lambda: next_morning)
    ingest(wiring.source, RULES, stage.market, day, day)

    asked, checks = played_night(wiring)

    assert asked == jobs
    assert checks["live_equals_batch"] == (is_equal, "ERROR" if is_equal else "WARN")
    assert [
        name for name, (passed, severity) in checks.items() if not passed and severity != "WARN"
    ] == []
    assert set(wiring.standings(day + timedelta(days=7))) == {"K1", "K2", "K3", "K4"}
