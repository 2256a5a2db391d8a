"""`credence status`: what is stored, what the journals end with, and whether the desk may act.

Imports neither Polars nor DuckDB nor Dagster: a person who is worried should not have to wait.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.markup import escape

from contracts.loader import built_rules
from contracts.promotions import unsettled
from contracts.reading import FOLDER, Plain, content_hash, read_contracts
from engine.errors import ContractError, JournalError
from engine.journal import Event
from engine.kill import KillState, KillSwitch
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.dagster_home import dagster_folder_of, has_instance, is_up
from pipelines.journal_store import JournalReader, journal_paths
from pipelines.session.files import SessionFiles
from pipelines.session.heartbeat import PLACE, UNDER_WAY, Heartbeat, unread
from pipelines.session.kill_switch import kill_switch_of, or_killed_by
from pipelines.session.last_desk import modes_by_last_act
from pipelines.settings import Settings, settings_lines
from pipelines.storage import Home

NEW_YORK: Final = ZoneInfo("America/New_York")
REHEARSALS: Final = "rehearsals"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalStatus:
    """The end of one journal; `others` counts the older ones of the same folder of rehearsals."""

    name: str
    others: int
    events: int
    last: Event | None
    problem: str | None


def run_status(settings: Settings, *, lists_settings: bool, as_json: bool) -> int:
    """Print the status, or only the settings."""
    screen = Screen.of_process()
    if lists_settings:
        _show_settings(screen, settings, as_json=as_json)
        return Exit.DONE
    home = Home(root=settings.home)
    paths = journal_paths(home.journals)
    contracts = read_contracts(settings.contracts or FOLDER)
    answer = {
        "version": version("credence"),
        "home": str(home.root.resolve()),
        "symbol": settings.symbol,
        "source": settings.source,
        "contracts_hash": content_hash(contracts),
        "contracts_problem": _contracts_problem(contracts, settings.symbol),
        "contracts_unsettled": unsettled(settings.contracts),
        "dagster": _dagster(home),
        "desk": _desk(home, settings.symbol),
        "session": _session(home),
        "session_problem": unread(home.root / PLACE),
        "tables": _tables(home, settings.symbol),
        "warehouse_bytes": home.warehouse.stat().st_size if home.warehouse.exists() else None,
        "journals": [_journal_answer(each) for each in _journals(home, paths)],
    }
    if answer["contracts_problem"]:
        screen.fail(f"no session can trade: {answer['contracts_problem']}")
    if as_json:
        screen.json(answer)
    else:
        _show(screen, answer)
    return Exit.USAGE if answer["contracts_problem"] else Exit.DONE


def _contracts_problem(contracts: Mapping[str, dict[str, Plain]], symbol: str) -> str | None:
    """Why the desk would refuse these contracts for what they say; null when it would not."""
    try:
        built_rules(contracts, symbol)
    except ContractError as error:
        return str(error)
    return None


def _journals(home: Home, paths: list[Path]) -> Iterator[JournalStatus]:
    """Every journal; of rehearsals, which have one a session, the newest of each folder."""
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        is_rehearsal = home.journals / REHEARSALS in path.parents
        folders.setdefault(path.parent if is_rehearsal else path, []).append(path)
    for same in folders.values():
        yield _journal(home, same[0], len(same) - 1)


def _journal(home: Home, path: Path, others: int) -> JournalStatus:
    name = str(path.relative_to(home.root))
    events, last, problem = 0, None, None
    try:
        reader = JournalReader(path)
        events = reader.head().seq
        last = next(reader.events(after=events - 1), None)
    except (sqlite3.DatabaseError, JournalError) as error:
        problem = str(error)
    return JournalStatus(name=name, others=others, events=events, last=last, problem=problem)


def _journal_answer(journal: JournalStatus) -> Mapping[str, Any]:
    last = journal.last
    return {
        "name": journal.name,
        "others": journal.others,
        "events": journal.events,
        "last_at": None if last is None else last.at,
        "last_kind": None if last is None else last.kind,
        "last_session_date": None if last is None else last.session_date,
        "problem": journal.problem,
    }


def _dagster(home: Home) -> Mapping[str, Any]:
    return {
        "folder": str(dagster_folder_of(home.root)),
        "has_instance": has_instance(home.root),
        "is_up": is_up(home.root),
    }


def _desk(home: Home, symbol: str) -> Mapping[str, Any]:
    """The kill switch of the desk that a lever would mean, or by the file KILL.

    Of its journals the newest that can be read counts; null fields without any and without the
    file. Only a journal of sessions speaks: a replay or a rehearsal says nothing of the desk.
    """
    files = SessionFiles(home=home.root)
    journals = [files.journal(mode, symbol) for mode in modes_by_last_act(files, symbol)]
    journal, switch = next(_switches(home, journals), (None, KillSwitch()))
    switch = or_killed_by(switch, files.kill_file)
    if journal is None and not switch.is_killed:
        return dict.fromkeys(("state", "cause", "text", "since", "is_flat_verified", "journal"))
    return {
        "state": switch.state.value,
        "cause": switch.cause,
        "text": switch.text,
        "since": switch.since,
        "is_flat_verified": switch.is_flat_verified,
        "journal": journal,
    }


def _switches(home: Home, journals: list[Path]) -> Iterator[tuple[str, KillSwitch]]:
    """Those that can be read, with the kill switch that each leaves."""
    for path in journals:
        with suppress(sqlite3.DatabaseError):
            yield str(path.relative_to(home.root)), kill_switch_of(JournalReader(path))


def _session(home: Home) -> Mapping[str, Any] | None:
    """What the last session run said of itself, and whether it lives; null when none ever ran."""
    beat = Heartbeat.read(home.root / PLACE)
    return None if beat is None else {**asdict(beat), "is_alive": beat.is_alive}


def _session_text(session: Mapping[str, Any] | None, problem: str | None) -> str:
    if problem is not None:
        return f"[bold red]{escape(problem)}[/]"
    if session is None:
        return "none ran yet; start one with: credence session"
    is_under_way = session["run"] in UNDER_WAY
    run = session["run"] if session["is_alive"] else f"{session['run']}, no process now"
    if is_under_way and session["is_alive"]:
        run = f"[green]{session['run']}[/], process {session['pid']}"
    elif is_under_way:
        run = "[bold red]its process is gone[/]"
    decision = escape(session["decision"] or "no bar decided yet")
    return (
        f"{session['session_date']} {session['mode']}: {run}, position {session['position']}, "
        f"data {session['feed']}, {decision}"
    )


def _tables(home: Home, symbol: str) -> list[Mapping[str, Any]]:
    """First and last stored session of every market table of the symbol."""
    found: dict[str, list[str]] = {}
    for name in home.tables.names(""):
        table, of_symbol, file = name.split("/")
        if of_symbol == symbol:
            found.setdefault(table, []).append(file.removesuffix(".parquet"))
    return [
        {
            "table": table,
            "sessions": len(dates),
            "first_session_date": dates[0],
            "last_session_date": dates[-1],
        }
        for table, dates in found.items()
    ]


def _show(screen: Screen, answer: Mapping[str, Any]) -> None:
    desk, dagster = answer["desk"], answer["dagster"]
    screen.say(f"[bold]Credence {answer['version']}[/]")
    lines = {
        "home": escape(answer["home"]),
        "symbol": answer["symbol"],
        "source": escape(answer["source"]),
        "contracts": _contracts_text(answer),
        "ui": _ui_text(dagster),
        "desk": _desk_text(desk),
        "session": _session_text(answer["session"], answer["session_problem"]),
    }
    for name, text in lines.items():
        screen.say(f"  {name:<10} {text}")
    if not answer["tables"]:
        screen.say(
            "\nNothing is stored yet. Bring bars in: "
            "credence ingest generator:7 --from 2025-01-02 --to 2025-02-07"
        )
        return
    screen.table(
        "Stored sessions",
        ("table", "sessions", "first", "last"),
        [tuple(each.values()) for each in answer["tables"]],
        numbers=("sessions",),
    )
    if answer["warehouse_bytes"] is not None:
        screen.say(f"  warehouse  {answer['warehouse_bytes'] / 1e6:.1f} MB\n")
    screen.table(
        "Journals",
        ("journal", "events", "last event", "of session", ""),
        [_journal_row(each) for each in answer["journals"]],
        numbers=("events",),
    )


def _contracts_text(answer: Mapping[str, Any]) -> str:
    unsettled, name = answer["contracts_unsettled"], answer["contracts_hash"][:12]
    return name if unsettled is None else f"{name}; [bold red]{escape(unsettled)}[/]"


def _journal_row(journal: Mapping[str, Any]) -> tuple[object, ...]:
    more = f"and {journal['others']} older beside it" if journal["others"] else ""
    last = journal["last_kind"] and f"{journal['last_kind']}, {_new_york(journal['last_at'])}"
    note = journal["problem"] or more
    return (journal["name"], journal["events"], last, journal["last_session_date"], note)


def _ui_text(dagster: Mapping[str, Any]) -> str:
    if dagster["is_up"]:
        return f"[green]running[/] on {escape(dagster['folder'])}"
    return "not running; start it with: credence up"


def _desk_text(desk: Mapping[str, Any]) -> str:
    if desk["state"] is None:
        return "may trade: it has no journal of a session, and so no halt"
    if desk["state"] == KillState.RUNNING:
        return f"[green]may trade[/]: neither halted nor killed, by {escape(desk['journal'])}"
    flat = "" if desk["is_flat_verified"] else "; the broker was not seen flat since"
    since = f" since {_new_york(desk['since'].isoformat())}" if desk["since"] else ""
    journal = f" ({desk['journal']})" if desk["journal"] else ""
    told = escape(f"{desk['text'] or 'no reason given'}{flat}{journal}")
    return f"[bold red]{desk['state']}[/]{since}: {told}"


def _new_york(instant: str) -> str:
    return f"{datetime.fromisoformat(instant).astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S} ET"


def _show_settings(screen: Screen, settings: Settings, *, as_json: bool) -> None:
    lines = settings_lines(settings)
    if as_json:
        screen.json({line.name: line.value for line in lines})
        return
    screen.table(
        "Settings",
        ("variable", "value", "", "default", "meaning"),
        [
            (line.name, line.value, "set" if line.is_set else "", line.default, line.meaning)
            for line in lines
        ],
    )
