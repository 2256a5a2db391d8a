"""`credence ingest`: bars from a source into the data home, with an account of what was kept."""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from assets.ingest import IngestedSession, IngestReport
from assets.ingest import ingest as ingest_bars
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.dagster_home import dagster_folder_of, has_instance
from pipelines.sources import parse_source
from pipelines.wiring import Wiring

DATES_SHOWN: Final = 5


def run_ingest(
    wiring: Wiring,
    source: str,
    first_date: date | None,
    last_date: date | None,
    *,
    replace_other_source: bool,
    as_json: bool,
) -> int:
    """Ingest, tell Dagster, and print what came of it."""
    screen = Screen.of_process()
    bars = parse_source(source, wiring.settings.contracts)
    with screen.progress(f"ingesting {source}", None) as advance:

        def show(session: IngestedSession, total: int) -> None:
            advance(str(session.session_date), total=total)

        report = ingest_bars(
            bars,
            wiring.rules,
            wiring.market,
            first_date,
            last_date,
            show,
            replace_other_source=replace_other_source,
        )
    reported = _report_to_dagster(wiring, report)
    answer = _answer(report, reported)
    if as_json:
        screen.json(answer)
    else:
        _show(screen, answer, report)
    return Exit.DONE


def _report_to_dagster(wiring: Wiring, report: IngestReport) -> int:
    """Number of partitions told to the home's Dagster instance, if it has one."""
    if not has_instance(wiring.home.root):
        return 0
    from pipelines.dagster_report import report_ingested

    return report_ingested(dagster_folder_of(wiring.home.root), report)


def _rejected_by_reason(report: IngestReport) -> Counter[str]:
    counted: Counter[str] = Counter()
    for session in report.sessions:
        counted.update(session.rejected_by_reason)
    return counted


def _answer(report: IngestReport, reported: int) -> Mapping[str, Any]:
    sessions = report.sessions
    expected = sum(session.expected_bars for session in sessions)
    return {
        "source": report.source,
        "symbol": report.symbol,
        "first_session_date": sessions[0].session_date,
        "last_session_date": sessions[-1].session_date,
        "sessions": len(sessions),
        "changed_sessions": report.changed_sessions,
        "bars": report.bars,
        "missing_bars": expected - report.bars,
        "rejected": report.rejected,
        "rejected_by_reason": dict(_rejected_by_reason(report).most_common()),
        "outside_rth": sum(session.outside_rth for session in sessions),
        "out_of_order": sum(session.out_of_order for session in sessions),
        "missing_sessions": list(report.missing),
        "partitions_reported_to_dagster": reported,
    }


def _show(screen: Screen, answer: Mapping[str, Any], report: IngestReport) -> None:
    screen.table(
        f"{answer['symbol']} from {answer['source']}",
        ("", "count", ""),
        _rows(answer, report),
        numbers=("count",),
    )
    if answer["partitions_reported_to_dagster"]:
        screen.note(f"Dagster knows of {answer['partitions_reported_to_dagster']} new partitions.")


def _rows(answer: Mapping[str, Any], report: IngestReport) -> list[tuple[object, ...]]:
    span = f"{answer['first_session_date']} to {answer['last_session_date']}"
    thin = [
        f"{each.session_date} ({each.bars} of {each.expected_bars})"
        for each in report.sessions
        if each.bars < each.expected_bars
    ]
    unchanged = answer["sessions"] - answer["changed_sessions"]
    return [
        ("sessions", answer["sessions"], span),
        ("  changed", answer["changed_sessions"], f"{unchanged} were stored already, just so"),
        ("  without any bar", len(report.missing), _few([str(day) for day in report.missing])),
        ("bars", answer["bars"], ""),
        ("  missing minutes", answer["missing_bars"], _few(thin)),
        ("  outside the session", answer["outside_rth"], "counted, not kept"),
        (
            "  out of order",
            answer["out_of_order"],
            "put in order" if answer["out_of_order"] else "",
        ),
        ("rejected rows", answer["rejected"], "kept with their reason in rejected_bars"),
        *((f"  {reason}", rows, "") for reason, rows in answer["rejected_by_reason"].items()),
    ]


def _few(texts: list[str]) -> str:
    more = f" and {len(texts) - DATES_SHOWN} more" if len(texts) > DATES_SHOWN else ""
    return ", ".join(texts[:DATES_SHOWN]) + more
