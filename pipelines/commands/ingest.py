"""`credence ingest`: bars from a source into the data home, with an account of what was kept."""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from assets.ingest import IngestedSession, IngestReport
from assets.ingest import ingest as ingest_bars
from engine.bars import RejectReason
from engine.wording import times
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.dagster_home import dagster_folder_of, has_instance
from pipelines.sources import parse_source
from pipelines.wiring import Wiring

DATES_SHOWN: Final = 5
REASON_WORDS: Final = {
    RejectReason.DUPLICATE_CONFLICT: "a minute again with other values; the first is kept",
    RejectReason.DUPLICATE_IDENTICAL: "the same values again; the first is kept",
}


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
            seen=wiring.seen,
        )
    reported = _report_to_dagster(wiring, report)
    answer = _answer(report, reported)
    if as_json:
        screen.json(answer)
    else:
        _show(screen, answer, report)
    if report.refused:
        screen.fail(_refusal(report))
        return Exit.NO
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
    dates = sorted(session.session_date for session in (*sessions, *report.refused))
    return {
        "source": report.source,
        "symbol": report.symbol,
        "first_session_date": dates[0],
        "last_session_date": dates[-1],
        "sessions": len(sessions),
        "changed_sessions": report.changed_sessions,
        "bars": report.bars,
        "missing_bars": expected - report.bars,
        "rejected": report.rejected,
        "rejected_by_reason": dict(_rejected_by_reason(report).most_common()),
        "outside_rth": sum(session.outside_rth for session in sessions),
        "out_of_order": sum(session.out_of_order for session in sessions),
        "missing_sessions": list(report.missing),
        "refused_sessions": [_loss(each) for each in report.refused],
        "bars_as_the_desk_saw_them": sum(session.seen for session in sessions),
        "bars_told_otherwise_by_the_source": sum(session.seen_otherwise for session in sessions),
        "sessions_that_lost_bars": [_loss(each) for each in sessions if each.minutes_lost],
        "partitions_reported_to_dagster": reported,
    }


def _loss(session: IngestedSession) -> Mapping[str, Any]:
    return {
        "session_date": session.session_date,
        "bars_before": session.bars_before,
        "bars_in_source": session.bars,
        "minutes_lost": session.minutes_lost,
    }


def _refusal(report: IngestReport) -> str:
    """Which sessions were left as they are, why, and what to do."""
    count = len(report.refused)
    return (
        f"{times(count, 'session')} would lose bars and {'was' if count == 1 else 'were'} left as "
        f"stored: {_few([each.loss for each in report.refused], between='; ')}. "
        f"{times(len(report.sessions), 'other session')} went through. Give the source every "
        "minute of the session, or lose them on purpose: --replace"
    )


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
    lost = [each for each in report.sessions if each.minutes_lost]
    seen = answer["bars_as_the_desk_saw_them"]
    otherwise = answer["bars_told_otherwise_by_the_source"]
    unchanged = answer["sessions"] - answer["changed_sessions"]
    return [
        ("sessions", answer["sessions"], span),
        ("  changed", answer["changed_sessions"], f"{unchanged} were stored already, just so"),
        ("  without any bar", len(report.missing), _few([str(day) for day in report.missing])),
        *(
            [("  lost stored bars", len(lost), _few([each.loss for each in lost], between="; "))]
            if lost
            else []
        ),
        ("bars", answer["bars"], ""),
        *(
            [("  as the desk saw them", seen, f"the source says otherwise of {otherwise}")]
            if seen
            else []
        ),
        ("  missing minutes", answer["missing_bars"], _few(thin)),
        ("  outside the session", answer["outside_rth"], "counted, not kept"),
        (
            "  out of order",
            answer["out_of_order"],
            "put in order" if answer["out_of_order"] else "",
        ),
        ("rejected rows", answer["rejected"], _rejected_words(answer)),
        *(
            (f"  {reason}", rows, REASON_WORDS.get(reason, ""))
            for reason, rows in answer["rejected_by_reason"].items()
        ),
    ]


def _rejected_words(answer: Mapping[str, Any]) -> str:
    """Where they can be read, once there are any."""
    if not answer["rejected"]:
        return ""
    return f"row and reason: HOME/market/rejected_bars/{answer['symbol']}/DATE.parquet"


def _few(texts: list[str], *, between: str = ", ") -> str:
    more = f" and {len(texts) - DATES_SHOWN} more" if len(texts) > DATES_SHOWN else ""
    return between.join(texts[:DATES_SHOWN]) + more
