"""`credence demo`: the whole story on one page, through the Dagster jobs that the desk runs."""

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from engine.errors import SettingsError, SourceError
from pipelines.commands.demo_page import tell
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Advance, Screen

if TYPE_CHECKING:
    import dagster as dg

    from engine.calendar import Session
    from pipelines.wiring import Wiring

MARK: Final = ".credence-demo"
"""Only a folder with this file in it is emptied for a new demo."""

FIRST_GENERATED: Final = date(2025, 9, 2)
"""Generated demos begin here, so that two people see the same numbers."""

EQUITY_USD: Final = 10_000
POLL_SECONDS: Final = 0.2
PAGE_EVENTS: Final = 500
LINE_LETTERS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One Dagster run of the demo: whether it succeeded, and what its checks said."""

    job: str
    succeeded: bool
    checks: tuple[tuple[str, bool, str], ...]


def run_demo(source: str, sessions: int, home: Path, *, screen: Screen) -> int:
    """Play the story in a scratch home; 0 when every step and check passed, 1 otherwise."""
    _empty(home)
    wiring = _wiring(source, home)
    chosen = _sessions_of(wiring, sessions)
    first, last = (str(chosen[index].session_date) for index in (0, -1))
    screen.say(f"[bold]Credence demo[/] · {source} · {len(chosen)} sessions {first} to {last}")
    whole = {RANGE_FIRST: first, RANGE_LAST: last}
    ran = [
        _run(wiring, screen, "market_day", tags=whole),
        _run(wiring, screen, "preopen", partition=last),
        _run(
            wiring,
            screen,
            "rehearse_session",
            partition=last,
            equity=EQUITY_USD,
            lines=chosen[-1].minutes,
        ),
    ]
    if all(run.succeeded for run in ran):
        tell(wiring, chosen, EQUITY_USD, screen)
    _verdict(ran, screen)
    screen.say()
    screen.say("[bold]Where to look next[/]")
    screen.say("  make ui DEMO=1     this demo in the Dagster UI, 127.0.0.1:3000")
    screen.say(f"  CREDENCE_HOME={home} .venv/bin/credence journal {last} --at 10:42")
    screen.say(f"  {wiring.reports}/preopen-{wiring.settings.symbol}-{last}.html")
    return Exit.DONE if all(run.succeeded for run in ran) else Exit.NO


RANGE_FIRST: Final = "dagster/asset_partition_range_start"
RANGE_LAST: Final = "dagster/asset_partition_range_end"


def _empty(home: Path) -> None:
    if home.exists() and any(home.iterdir()) and not (home / MARK).exists():
        raise SettingsError(
            f"{home}: expected an empty folder or an earlier demo, found something else; "
            "move it away or set CREDENCE_HOME"
        )
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / MARK).touch()


def _wiring(source: str, home: Path) -> "Wiring":
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    from pipelines.settings import Settings
    from pipelines.wiring import Wiring

    return Wiring(settings=Settings(home=home.resolve(), source=source))


def _sessions_of(wiring: "Wiring", count: int) -> "list[Session]":
    """The newest sessions of a source with an own range, else those from `FIRST_GENERATED` on."""
    from contracts.calendar import sessions_between

    has = wiring.source.date_range()
    if has is None:
        rules = wiring.rules.session
        return sessions_between(FIRST_GENERATED, date(2027, 12, 31), rules)[:count]
    found = [
        session
        for session in sessions_between(*has, wiring.rules.session)
        if wiring.source.read(
            wiring.settings.symbol, session.session_date, session.session_date
        ).height
        > session.minutes // 2
    ]
    if not found:
        raise SourceError(f"{wiring.source.name}: expected at least one session, found none")
    return found[-count:]


def _run(
    wiring: "Wiring",
    screen: Screen,
    job: str,
    *,
    partition: str | None = None,
    tags: dict[str, str] | None = None,
    equity: float | None = None,
    lines: int = 0,
) -> Ran:
    """Run one job in this process on the home's instance, with a bar that follows its progress.

    `lines` is about how many lines the run will write into its log besides ending its steps.
    """
    import dagster as dg

    from pipelines.dagster_home import dagster_home_of
    from pipelines.definitions import definitions_for

    logging.getLogger("dagster").setLevel(logging.ERROR)
    definition = definitions_for(wiring).resolve_job_def(job)
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    if equity is not None:
        wanted = {"config": {"equity_usd": equity}}
        config["ops"] = {"play_session": wanted}
    total = len(definition.nodes) + lines
    folder = dagster_home_of(wiring.settings.home)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        with screen.progress(f"{job:17s}", total) as advance, _following(instance, advance):
            result = definition.execute_in_process(
                instance=instance,
                partition_key=partition,
                tags=tags,
                run_config=config,
                raise_on_error=False,
            )
        checks = tuple(
            (each.check_name, each.passed, each.description or "")
            for each in result.get_asset_check_evaluations()
        )
    return Ran(job=job, succeeded=result.success, checks=checks)


class _following:  # noqa: N801 - used as a verb, in a `with`.
    """Advance a progress bar with what the newest run logs and ends; stops with the block."""

    def __init__(self, instance: "dg.DagsterInstance", advance: Advance) -> None:
        self._instance = instance
        self._advance = advance
        self._ended = Event()
        self._known = {run.run_id for run in instance.get_runs(limit=10)}
        self._thread = Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        run_id: str | None = None
        cursor: str | None = None
        while not self._ended.wait(POLL_SECONDS):
            run_id = run_id or self._fresh_run()
            if run_id is None:
                continue
            page = self._instance.get_records_for_run(run_id, cursor=cursor, limit=PAGE_EVENTS)
            cursor = page.cursor
            for record in page.records:
                entry = record.event_log_entry
                if entry.dagster_event is None:
                    self._advance(entry.user_message[:LINE_LETTERS])
                elif entry.dagster_event.is_step_success:
                    self._advance(entry.step_key or "")

    def _fresh_run(self) -> str | None:
        newest = next(iter(self._instance.get_runs(limit=1)), None)
        return None if newest is None or newest.run_id in self._known else newest.run_id


def _verdict(ran: "Sequence[Ran]", screen: Screen) -> None:
    rows = [
        (check, passed, description) for run in ran for check, passed, description in run.checks
    ]
    failed = [row for row in rows if not row[1]]
    screen.say()
    screen.say(
        f"[bold]Verified[/]: {len(rows) - len(failed)} of {len(rows)} checks passed; "
        "these say most, all are in the UI under each asset's Checks"
    )
    told = {"journal_chain", "ledger_equals_cash", "live_equals_batch", "preopen_review", "dvs"}
    screen.table(
        "", ["check", "passed", "what it found"], [r for r in rows if not r[1] or r[0] in told]
    )
    for run in ran:
        if not run.succeeded:
            screen.fail(
                f"the job {run.job} did not succeed; `make ui DEMO=1` shows where, step by step"
            )
