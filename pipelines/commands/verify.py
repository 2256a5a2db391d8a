"""`credence verify`: every check on what is stored, each with its evidence."""

from datetime import date

from rich.text import Text

from contracts.calendar import session_on
from engine.errors import InputRefused
from pipelines.commands.exits import Exit
from pipelines.commands.screen import NO, YES, Screen
from pipelines.verification import Finding, verify_home
from pipelines.wiring import Wiring

MARKS = {True: YES, False: NO, None: Text("not judged", style="dim")}


def run_verify(wiring: Wiring, session_date: date | None, *, as_json: bool) -> int:
    """Print every finding; the exit code is `NO` when one check failed."""
    screen = Screen.of_process()
    if session_date is not None:
        session_on(session_date, wiring.rules.session)  # Refuses a holiday, saying which.
    with screen.progress("verifying", None) as advance:
        findings: list[Finding] = []
        for finding in verify_home(wiring, session_date):
            findings.append(finding)
            advance(f"{finding.check} {finding.subject}")
    if not findings:
        of = "" if session_date is None else f" of {session_date}"
        raise InputRefused(
            f"{wiring.home.root}: expected something stored{of}, found nothing; "
            "bring bars in with credence ingest, then credence replay"
        )
    failed = sum(finding.passed is False for finding in findings)
    if as_json:
        screen.json({"passed": not failed, "failed": failed, "findings": findings})
    else:
        _show(screen, findings, failed)
    return Exit.NO if failed else Exit.DONE


def _show(screen: Screen, findings: list[Finding], failed: int) -> None:
    screen.table(
        "Verification",
        ("holds", "check", "of", "evidence"),
        [(MARKS[each.passed], each.check, each.subject, each.evidence) for each in findings],
    )
    judged = sum(each.passed is not None for each in findings)
    if failed:
        screen.say(f"[bold red]{failed} of {judged} checks failed[/]")
    else:
        screen.say(f"[green]all {judged} checks hold[/]")
