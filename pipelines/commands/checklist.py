"""`credence checklist`: is this desk fit to trade today? Real probes, each with its evidence."""

from dataclasses import asdict
from typing import Final

from rich.text import Text

from pipelines.checklist.line import Line, Verdict
from pipelines.checklist.run import QUESTIONS, checklist, has_passed, keep_record
from pipelines.commands.exits import Exit
from pipelines.commands.screen import NO, YES, Screen
from pipelines.session_request import NEW_YORK
from pipelines.wiring import Wiring

MARKS: Final = {
    Verdict.PASSED: YES,
    Verdict.FAILED: NO,
    Verdict.SKIPPED: Text("not asked", style="yellow"),
}


def run_checklist(wiring: Wiring, *, as_json: bool) -> int:
    """Make every probe and keep the day's record; 0 when each one passed, 1 otherwise."""
    screen = Screen.of_process()
    today = wiring.clock().astimezone(NEW_YORK).date()
    lines: list[Line] = []
    keep_record(wiring, today, lines)
    with screen.progress("checklist", len(QUESTIONS)) as advance:
        for line in checklist(wiring, today):
            lines.append(line)
            advance(line.probe)
    path = keep_record(wiring, today, lines)
    passed = has_passed(lines)
    if as_json:
        screen.json(
            {
                "passed": passed,
                "session_date": today.isoformat(),
                "broker": wiring.settings.broker,
                "mode": wiring.mode.value,
                "record": str(path),
                "lines": [asdict(line) for line in lines],
            }
        )
    else:
        _show(screen, lines, passed=passed)
        screen.note(f"kept in {path}")
    return Exit.DONE if passed else Exit.NO


def _show(screen: Screen, lines: list[Line], *, passed: bool) -> None:
    screen.table(
        "Checklist",
        ("passed", "probe", "evidence", "s"),
        [(MARKS[line.verdict], line.probe, line.evidence, line.seconds) for line in lines],
        numbers=("s",),
    )
    if passed:
        screen.say(f"[green]all {len(lines)} probes passed[/]")
        return
    has_failed = any(line.verdict is Verdict.FAILED for line in lines)
    short = "not fit to trade" if has_failed else "not all asked, so no word for real money"
    screen.say(f"[bold red]{short}[/]: {counted(lines)}")


def counted(lines: list[Line]) -> str:
    """`10 passed, 2 could not be asked: alerts, clock`; what did not pass comes first."""
    named = {
        verdict: [line.probe for line in lines if line.verdict is verdict] for verdict in Verdict
    }
    failed, skipped = named[Verdict.FAILED], named[Verdict.SKIPPED]
    return ", ".join(
        [
            *([f"{len(failed)} did not pass: {', '.join(failed)}"] if failed else []),
            f"{len(named[Verdict.PASSED])} passed",
            *([f"{len(skipped)} could not be asked: {', '.join(skipped)}"] if skipped else []),
        ]
    )
