"""`credence replay`: stored bars through the desk and the simulated exchange."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.markup import escape

from engine.desk import Recording
from engine.ladder import LAYER, LAYER_NAMES, Reason
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.journal_files import write_fresh_journal
from pipelines.journal_sink import JournalSink
from pipelines.replay import ReplayResult, ReplaySettings
from pipelines.replay import replay as replay_bars
from pipelines.replay_learning import ReplayNights
from pipelines.stored_bars import StoredBars, stored_bars
from pipelines.wiring import Wiring


def run_replay(
    wiring: Wiring,
    first_date: date | None,
    last_date: date | None,
    *,
    equity_usd: Decimal,
    recording: str,
    learns: bool,
    as_json: bool,
    digest_only: bool,
) -> int:
    """Replay the stored sessions of a range; the journal takes its place when it is whole."""
    screen = Screen.of_process()
    stored = stored_bars(wiring.market, wiring.rules, first_date, last_date)
    settings = ReplaySettings(equity_usd=equity_usd, recording=Recording(recording))
    nights = ReplayNights(stored.contexts, stored.bars, wiring.rules) if learns else None
    if digest_only:
        screen.say(_play(screen, wiring, stored, settings, nights, None).digest)
        return Exit.DONE
    path = journal_path(wiring)
    result = write_fresh_journal(
        path, wiring.home.aside, lambda sink: _play(screen, wiring, stored, settings, nights, sink)
    )
    answer = _answer(result, stored, settings, path, nights)
    if as_json:
        screen.json(answer)
    else:
        _show(screen, answer)
    return Exit.DONE


def journal_path(wiring: Wiring) -> Path:
    """Where the newest replay of the symbol keeps its journal."""
    return wiring.journals / f"replay-{wiring.settings.symbol}.sqlite"


def _play(
    screen: Screen,
    wiring: Wiring,
    stored: StoredBars,
    settings: ReplaySettings,
    nights: ReplayNights | None,
    sink: JournalSink | None,
) -> ReplayResult:
    with screen.progress("replaying", len(stored.session_dates)) as advance:
        return replay_bars(
            stored.contexts,
            stored.bars,
            wiring.rules,
            settings,
            sink=sink,
            progress=lambda session_date, _bars: advance(str(session_date)),
            nights=nights,
        )


def _answer(
    result: ReplayResult,
    stored: StoredBars,
    settings: ReplaySettings,
    path: Path,
    nights: ReplayNights | None,
) -> Mapping[str, Any]:
    changes = [] if nights is None else nights.changes
    last_equity = list(result.equity_usd.values())[-1]
    return {
        "first_session_date": stored.session_dates[0],
        "last_session_date": stored.session_dates[-1],
        "sessions": result.sessions,
        "bars": result.bars,
        "seconds": round(result.seconds, 3),
        "bars_per_second": round(result.bars_per_second),
        "recording": settings.recording.value,
        "journal": str(path),
        "events": result.events,
        "digest": result.digest,
        "actions": dict(result.actions),
        "reasons": dict(result.reasons),
        "exits": dict(result.exits),
        "trades": len(result.trades),
        "wins": sum(Decimal(trade["net_usd"]) > 0 for trade in result.trades),
        "gross_usd": _sum(result, "gross_usd"),
        "fees_usd": _sum(result, "fees_usd"),
        "net_usd": _sum(result, "net_usd"),
        "first_equity_usd": settings.equity_usd,
        "last_equity_usd": last_equity,
        "kill_state": result.state.kill.state.value,
        "kill_text": result.state.kill.text,
        "learned": [f"{change.session_date}: {change.text}" for change in changes],
    }


def _sum(result: ReplayResult, name: str) -> Decimal:
    return sum((Decimal(trade[name]) for trade in result.trades), Decimal(0))


def _show(screen: Screen, answer: Mapping[str, Any]) -> None:
    screen.say(
        f"[bold]{answer['sessions']} sessions[/], {answer['first_session_date']} to "
        f"{answer['last_session_date']}: {answer['bars']:,} bars in {answer['seconds']:.1f} s, "
        f"{answer['bars_per_second']:,} bars/s"
    )
    _show_reasons(screen, answer["reasons"], answer["bars"])
    for title, name in (("Actions", "actions"), ("Exits", "exits")):
        counts = answer[name].items()
        screen.table(title, (name[:-1], "count"), counts, numbers=("count",))
    _show_money(screen, answer)
    for change in answer["learned"]:
        screen.line(f"  learned  {change}")
    if answer["kill_state"] != "running":
        screen.say(
            f"  [bold red]the desk ended {answer['kill_state']}[/]: {escape(answer['kill_text'])}"
        )
    screen.say(f"  journal  {escape(answer['journal'])}, {answer['events']:,} events")
    screen.say(f"  digest   {answer['digest']}")


def _show_reasons(screen: Screen, reasons: Mapping[str, int], bars: int) -> None:
    rows = [
        (reason, LAYER_NAMES[LAYER[Reason(reason)]], count, f"{count / bars:.1%}")
        for reason, count in reasons.items()
    ]
    screen.table(
        "Why not, by the first no of the ladder",
        ("reason", "layer", "bars", "share"),
        rows,
        numbers=("bars", "share"),
    )


def _show_money(screen: Screen, answer: Mapping[str, Any]) -> None:
    trades = answer["trades"]
    won = f", {answer['wins']} of them won" if trades else ""
    colour = "green" if answer["net_usd"] > 0 else "red"
    screen.say(
        f"  trades   {trades}{won}; gross {answer['gross_usd']:+,.2f} USD, fees "
        f"{answer['fees_usd']:,.2f} USD, net [{colour}]{answer['net_usd']:+,.2f} USD[/]"
    )
    screen.say(
        f"  equity   {answer['first_equity_usd']:,.2f} to {answer['last_equity_usd']:,.2f} USD"
    )
