"""`credence report`: the page of a session, or of the review before its open."""

import webbrowser
from datetime import date
from pathlib import Path
from typing import Any, Final

from assets.report.look_at import Finding, Gravity
from contracts.calendar import session_on
from engine.errors import InputRefused
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.wiring import Wiring

STYLES: Final = {Gravity.STOP: "bold red", Gravity.LOOK: "yellow", Gravity.KNOW: ""}


def run_report(
    wiring: Wiring, session_date: date, *, is_preopen: bool, opens: bool, as_json: bool
) -> int:
    """Write the page from what is stored, say the gist of it, and open it when asked.

    Exit code 1 when there is something that must be settled before the desk trades.
    """
    screen = Screen.of_process()
    page, answer, findings = (
        _preopen(wiring, session_date) if is_preopen else _session(wiring, session_date)
    )
    if as_json:
        told = [{"gravity": each.gravity.word, "text": each.text} for each in findings]
        screen.json({**answer, "page": str(page), "findings": told})
    else:
        screen.say(f"[bold]{session_date:%A %Y-%m-%d}[/] {answer['headline']}")
        for each in findings:
            screen.line(f"  {each.text}", style=STYLES[each.gravity])
        screen.note(f"the page is {page}")
    if opens and not webbrowser.open(page.resolve().as_uri()):
        screen.note("no browser could be started: open it by hand")
    must_stop = any(each.gravity is Gravity.STOP for each in findings)
    return Exit.NO if must_stop else Exit.DONE


Told = tuple[Path, dict[str, Any], list[Finding]]
"""Where a page lies, what it comes to, and what to look at."""


def _session(wiring: Wiring, session_date: date) -> Told:
    from assets.report.look_at import look_at
    from assets.report.model import materials
    from assets.report.pages import write_session_page

    session = session_on(session_date, wiring.rules.session)
    _refuse_untold(wiring, session_date)
    (material,) = materials(
        wiring.market,
        wiring.warehouse,
        wiring.session_journals,
        [session],
        wiring.rules,
        searches=wiring.searches,
    )
    row, page = write_session_page(material, wiring.reports)
    return page, row, look_at(material)


def _refuse_untold(wiring: Wiring, session_date: date) -> None:
    """Raises `InputRefused` for a session without a journal, saying how to make one."""
    from pipelines.journal_reading import session_story
    from pipelines.journal_store import JournalReader

    path = wiring.session_journals.path(session_date)
    if path.is_file() and session_date in JournalReader(path).sessions():
        return
    story = session_story(wiring, session_date)
    raise InputRefused(
        f"report: expected session {session_date} in the journal of the desk, of its rehearsal or "
        f"of the last replay, found it in {story.journal} alone; replay it: "
        f"credence replay --from {session_date} --to {session_date}"
    )


def _preopen(wiring: Wiring, session_date: date) -> Told:
    from assets.report.preopen import preopen_material, write_preopen_page
    from assets.report.today import today, wrong

    session = session_on(session_date, wiring.rules.session)
    material = preopen_material(
        wiring.market, wiring.warehouse, session, wiring.rules, wiring.kill_switch()
    )
    if material is None:
        raise InputRefused(
            f"report: expected a session stored before {session_date} to review, found none; "
            "ingest one: credence ingest SRC"
        )
    page, details = write_preopen_page(material, wiring.reports)
    findings = material.review.findings
    met = sum(each.passed for each in findings)
    answer = {
        "session_date": session_date,
        "reviewed": material.reviewed.session_date,
        "is_green": material.review.passed,
        "headline": f"{met} of {len(findings)} expectations met by the session of "
        f"{material.reviewed.session_date}",
        "data_docs": str(details),
    }
    return page, answer, sorted([*wrong(material), *today(material)], key=lambda each: each.gravity)
