"""`credence demo`: the whole story on one page, through the Dagster jobs that the desk runs."""

import os
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import SettingsError, SourceError
from pipelines.commands.dagster_job import Ran, run_job
from pipelines.commands.demo_page import REPLAY_NAME, tell
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen

if TYPE_CHECKING:
    from engine.calendar import Session
    from pipelines.wiring import Wiring

FIRST_GENERATED: Final = date(2025, 9, 2)
"""Generated demos begin here, so that two people see the same numbers."""

EQUITY_USD: Final = 10_000


def run_demo(source: str, sessions: int, home: Path, *, screen: Screen) -> int:
    """Play the story in a scratch home; 0 when every step and check passed, 1 otherwise."""
    _empty(home, source)
    wiring = _wiring(source, home)
    chosen = _sessions_of(wiring, sessions)
    first, last = (str(chosen[index].session_date) for index in (0, -1))
    screen.say(f"[bold]Credence demo[/] · {source} · {len(chosen)} sessions {first} to {last}")
    from pipelines.schedules import RANGE_FIRST, RANGE_LAST

    whole = {RANGE_FIRST: first, RANGE_LAST: last}
    ran = [
        run_job(wiring, screen, "market_day", tags=whole),
        run_job(wiring, screen, "preopen", partition=last),
        run_job(
            wiring,
            screen,
            "rehearse_session",
            partition=last,
            ops={"play_session": {"config": {"equity_usd": EQUITY_USD}}},
            lines=chosen[-1].minutes,
        ),
        run_job(wiring, screen, "nightly", partition=last),
    ]
    if all(run.succeeded for run in ran):
        tell(wiring, chosen, EQUITY_USD, screen)
    _verdict(ran, screen)
    screen.say()
    screen.say("[bold]Where to look next[/]")
    screen.say("  make ui DEMO=1     this demo in the Dagster UI, 127.0.0.1:3000")
    at_home = f"  CREDENCE_HOME={home} .venv/bin/credence"
    screen.say(f"{at_home} journal {last} --at 10:42 --of rehearsals")
    screen.say(f"{at_home} journal {first} --of {REPLAY_NAME}     any session above, in a row")
    if (coming := _session_after(wiring, chosen[-1])) is not None:
        screen.say(f"{at_home} report {coming} --preopen     the morning of the next session")
    for kind in ("sessions", "preopen"):
        screen.say(f"  {wiring.reports}/{kind}/{wiring.settings.symbol}/{last}.html")
    return Exit.DONE if all(run.succeeded for run in ran) else Exit.NO


def _empty(home: Path, source: str) -> None:
    from pipelines.settings import DEMO_MARK

    if home.exists() and any(home.iterdir()) and not (home / DEMO_MARK).exists():
        raise SettingsError(
            f"{home}: expected an empty folder or an earlier demo, found something else; "
            "move it away or set CREDENCE_HOME"
        )
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    kind, _, where = source.partition(":")
    is_path = Path(where).exists()
    (home / DEMO_MARK).write_text(f"{kind}:{Path(where).resolve()}" if is_path else source)


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


def _session_after(wiring: "Wiring", session: "Session") -> date | None:
    """The date of the session that follows; null where the calendar ends."""
    from contracts.calendar import next_session
    from engine.errors import CalendarError

    try:
        return next_session(session.session_date, wiring.rules.session).session_date
    except CalendarError:
        return None


def _verdict(ran: "Sequence[Ran]", screen: Screen) -> None:
    rows = list({name: (name, *rest) for run in ran for name, *rest in run.checks}.values())
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
