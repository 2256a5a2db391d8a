"""Real processes under real blows: a session's process against the gateway's, and both books."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final, NamedTuple

import polars as pl
import psutil

from contracts import load_rules
from contracts.calendar import session_on
from engine.desk import Mode
from engine.errors import CredenceError
from engine.journal import Kind
from pipelines.campaign.processes_dagster import DagsterLauncher, prepare
from pipelines.campaign.processes_disk import Disk, disk_at
from pipelines.campaign.processes_launch import (
    LOOK_SECONDS,
    PATIENCE_SECONDS,
    Launcher,
    Place,
    PlainLauncher,
    is_gone,
)
from pipelines.campaign.processes_laws import PROCESS_LAWS, ProcessSeen, Span
from pipelines.campaign.processes_plan import (
    DEADLY,
    PLAYS,
    Blow,
    Play,
    ProcessPlan,
    Strike,
    plan_of,
)
from pipelines.campaign.processes_truth import drop_sockets, market_now, truth_of
from pipelines.campaign.processes_watch import JournalWatch
from pipelines.commands.gateway import bars_until
from pipelines.journal_store import JournalReader
from pipelines.session.folding import folded
from pipelines.session.heartbeat import Heartbeat, RunState
from pipelines.session_request import ATTEMPTS_MAX
from pipelines.sources import parse_source
from pipelines.storage import Home, ParquetStore
from pipelines.timed_gateway import GatewayProcess, TimedGateway

RECOVERED_WITHIN_SECONDS: Final = 15.0
"""From the sensor's tick, or from the moment the process can act again, to a desk that runs."""


class Struck(NamedTuple):
    """One blow as it fell; `seconds` to the desk's being back, null when it never was.

    `cpu_seconds` of these were processor time of the process that was launched after it.
    """

    seed: int
    blow: Blow
    moment: str
    launcher: str
    seconds: float | None
    cpu_seconds: float | None
    load: float

    @property
    def is_late(self) -> bool:
        return self.seconds is not None and self.seconds > RECOVERED_WITHIN_SECONDS

    @property
    def is_excused(self) -> bool:
        """Whether more was running than the machine has processors for."""
        return self.load > (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOutcome:
    """One session: its blows, and the laws that were broken, each in words."""

    plan: ProcessPlan
    struck: Sequence[Struck]
    broken: Mapping[str, str]
    last_words: str = ""


@dataclass(slots=True, kw_only=True)
class Ordeal:
    """One session while it is struck."""

    plan: ProcessPlan
    place: Place
    gateway: TimedGateway
    disk: Disk
    launcher: Launcher
    struck: list[Struck] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    helpless: list[Span] = field(default_factory=list)

    def play(self) -> ProcessOutcome:
        """Launch, strike as planned, let it end, and judge."""
        watch = JournalWatch(self.place.journal)
        try:
            self.launcher.launch()
            for strike in self.plan.strikes:
                if strike.blow in DEADLY and self.launcher.attempts() >= ATTEMPTS_MAX:
                    continue  # It fell while the session opened, and that was an attempt too.
                moment = watch.await_moment(strike.moment, self._is_over())
                if moment is None:
                    break
                struck = self._struck(strike, moment, watch)
                self.struck.append(struck)
                if struck.seconds is None:
                    break
            self._await(self.launcher.has_ended, "the session to end")
            self._judge()
        except (CredenceError, OSError) as error:
            self.broken[type(error).__name__] = str(error)
        return ProcessOutcome(
            plan=self.plan,
            struck=self.struck,
            broken=self.broken,
            last_words=self.launcher.last_words() if self.broken else "",
        )

    def _struck(self, strike: Strike, moment: str, watch: JournalWatch) -> Struck:
        seconds = self._strike(strike, watch)
        watch.news()
        struck = Struck(
            seed=self.plan.seed,
            blow=strike.blow,
            moment=moment,
            launcher=self.launcher.name,
            seconds=seconds,
            cpu_seconds=self._cpu_seconds() if strike.blow in DEADLY else None,
            load=os.getloadavg()[0],
        )
        if seconds is None:
            self.broken["the_desk_comes_back"] = f"not within {PATIENCE_SECONDS:g} s"
        elif struck.is_late and not struck.is_excused:
            self.broken["the_desk_is_back_in_time"] = f"{strike.blow.value}: {seconds:.1f} s"
        return struck

    def _cpu_seconds(self) -> float | None:
        pid = self.place.session_pid()
        if pid is None:
            return None
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            return float(times.user + times.system)
        return None

    # ── A blow ──────────────────────────────────────────────────────────────────────────────────

    def _strike(self, strike: Strike, watch: JournalWatch) -> float | None:
        """Let it fall; returns the seconds until the desk was back, null if it never was."""
        watch.news()
        pid, since, began = self._session_pid(), watch.seq, perf_counter()
        attempts = self.launcher.attempts()
        match strike.blow:
            case Blow.KILL:
                os.kill(pid, signal.SIGKILL)
            case Blow.POWER:
                self.launcher.cut_power()
                self.gateway.ask(drop_sockets)
            case Blow.DISK:
                self.disk.fill(pid)
            case Blow.SOCKET:
                self.gateway.ask(drop_sockets)
            case Blow.FREEZE:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(strike.held_seconds)
                os.kill(pid, signal.SIGCONT)
        if strike.blow in DEADLY:
            self._await(lambda: is_gone(pid), f"the process to end by {strike.blow.value}")
            self.disk.free()
            self.launcher.launch()
        free_at = time.time()
        self.helpless.append((began, perf_counter()))
        back_at = self._await_back(strike, since, free_at)
        if back_at is None:
            return None
        is_new = self.launcher.attempts() > attempts
        return back_at - (self.launcher.launched_at() if is_new else free_at)

    def _session_pid(self) -> int:
        pid = None
        deadline = perf_counter() + PATIENCE_SECONDS
        while pid is None and perf_counter() < deadline:
            pid = self.place.session_pid()
        if pid is None:
            raise CredenceError("expected a process that holds the desk's lock, found none")
        return pid

    def _await_back(self, strike: Strike, since: int, free_at: float) -> float | None:
        """Wall time at which the desk had compared itself with the broker and went round again."""
        needs_comparison = strike.blow is not Blow.FREEZE
        deadline = perf_counter() + PATIENCE_SECONDS
        while perf_counter() < deadline:
            beat = Heartbeat.read(self.place.files.heartbeat)
            if beat is not None and _is_supervising(beat, free_at):
                if not needs_comparison or self._has_compared(since):
                    return time.time()
            elif self.launcher.has_ended():
                return None
            time.sleep(LOOK_SECONDS)
        return None

    def _has_compared(self, since: int) -> bool:
        events = JournalReader(self.place.journal).events(after=since, kinds=(Kind.RECONCILIATION,))
        return next(iter(events), None) is not None

    # ── The end ─────────────────────────────────────────────────────────────────────────────────

    def _is_over(self) -> Callable[[], bool]:
        deadline = perf_counter() + PATIENCE_SECONDS
        return lambda: perf_counter() > deadline or self.launcher.has_ended()

    def _await(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = perf_counter() + PATIENCE_SECONDS
        while not is_so():
            if perf_counter() > deadline:
                raise CredenceError(f"expected {what} within {PATIENCE_SECONDS:g} s")
            time.sleep(LOOK_SECONDS)

    def _judge(self) -> None:
        place, rules = self.place, self.place.rules
        reader, symbol = JournalReader(place.journal), rules.instrument.symbol
        seen = ProcessSeen(
            session=session_on(place.session_date, rules.session),
            truth=self.gateway.ask(truth_of),
            readings=self.gateway.read(),
            helpless=self.helpless,
            verified=reader.verify(),
            events=list(reader.events()),
            state=folded(place.files, Mode.PAPER, symbol, rules),
            rules=rules,
            ended_at=perf_counter(),
        )
        for law in PROCESS_LAWS:
            text = law(seen)
            if text is not None:
                self.broken[law.__name__] = text


def _is_supervising(beat: Heartbeat, since: float) -> bool:
    """Whether it was said after an instant of wall time that the desk runs, or came to its end."""
    if time.time() - beat.age_seconds < since:
        return False
    return beat.run is RunState.CLOSED or (beat.run is RunState.RUNNING and beat.is_connected)


# ── Many of them ────────────────────────────────────────────────────────────────────────────────


class ProcessStage:
    """The bars of every play, one gateway process for all of them, and a folder for the homes."""

    def __init__(self, folder: Path) -> None:
        self.rules = load_rules()
        self.folder = folder
        self._bars = {play: self._bars_of(play) for play in PLAYS}
        ordered = [self._bars[play] for play in sorted(PLAYS, key=lambda each: each.session_date)]
        self._gateways = GatewayProcess(pl.concat(ordered))

    def close(self) -> None:
        """End the gateway's process."""
        self._gateways.close()

    def outcome(self, plan: ProcessPlan) -> ProcessOutcome:
        """Play one plan on a home and a disk of its own."""
        with (
            TemporaryDirectory(dir=self.folder) as folder,
            disk_at(Path(folder) / "home") as disk,
            self._gateways.playing(plan.play.session_date) as gateway,
        ):
            place = Place(
                home=Path(folder) / "home",
                aside=Path(folder),
                session_date=plan.play.session_date,
                port=gateway.address.port,
                control_port=gateway.address.control_port,
                rules=self.rules,
            )
            with closing(self._launcher(plan, place, gateway)) as launcher:
                return Ordeal(
                    plan=plan, place=place, gateway=gateway, disk=disk, launcher=launcher
                ).play()

    def _launcher(self, plan: ProcessPlan, place: Place, gateway: TimedGateway) -> Launcher:
        if not plan.is_under_dagster:
            self._store_history(place.home, plan.play)
            return PlainLauncher(place=place, now=lambda: gateway.ask(market_now))
        prepared = self.folder / f"prepared-{plan.play.session_date}"
        if not prepared.is_dir():
            self._store_history(prepared / "home", plan.play)
            prepare(prepared / "dagster", prepared / "home", plan.play.session_date)
        shutil.copytree(prepared / "home", place.home, dirs_exist_ok=True)
        shutil.copytree(prepared / "dagster", place.aside / "dagster")
        return DagsterLauncher(place=place, instance_home=place.aside / "dagster")

    def _store_history(self, home: Path, play: Play) -> None:
        store = ParquetStore(home=Home(root=home))
        known = self._bars[play].filter(pl.col("session_date") < play.session_date)
        for (day,), rows in known.partition_by("session_date", as_dict=True).items():
            store.write("bars", rows, symbol=self.rules.instrument.symbol, session_date=day)

    def _bars_of(self, play: Play) -> pl.DataFrame:
        session = session_on(play.session_date, self.rules.session)
        return bars_until(parse_source(play.source, None), self.rules, session)


@contextmanager
def process_stage() -> Iterator[ProcessStage]:
    """A stage in a folder that is gone with the block."""
    with (
        TemporaryDirectory(prefix="credence-campaign-") as folder,
        closing(ProcessStage(Path(folder))) as stage,
    ):
        yield stage


def run_processes(
    strikes: int, seed: int, told: Callable[[ProcessOutcome], None]
) -> Sequence[ProcessOutcome]:
    """Sessions from a seed on until so many blows have fallen; `told` hears of each session.

    No more sessions than blows: one may be over before any has fallen.
    """
    outcomes: list[ProcessOutcome] = []
    with process_stage() as stage:
        while len(outcomes) < strikes > sum(len(each.struck) for each in outcomes):
            outcome = stage.outcome(plan_of(seed + len(outcomes)))
            outcomes.append(outcome)
            told(outcome)
    return outcomes
