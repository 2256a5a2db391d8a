"""`credence learn`: the nights of sessions that were traded, rehearsed or replayed, in order."""

from collections.abc import Sequence
from datetime import date
from time import perf_counter, process_time
from typing import Any, Final

from assets.standings import refuse_forgetting, untaught_before
from contracts.calendar import sessions_between
from engine.desk import SessionOpened, fact_of
from engine.errors import InputRefused
from engine.journal import Kind
from engine.wording import times
from pipelines.commands.dagster_job import Ran, run_job
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.schedules import RANGE_FIRST, RANGE_LAST
from pipelines.wiring import Wiring

TRUST: Final = (
    "SELECT template, trust, trigger, modifier, results, wins, win_rate, expectancy_r "
    "FROM learning_state WHERE symbol = ? AND session_date = ? AND trust IS NOT NULL "
    "ORDER BY template"
)
CHANGES: Final = (
    "SELECT session_date, change FROM learning_state "
    "WHERE symbol = ? AND session_date BETWEEN ? AND ? AND change <> '' "
    "ORDER BY session_date, template"
)


def run_learn(
    wiring: Wiring, first_date: date | None, last_date: date | None, *, as_json: bool
) -> int:
    """Run the nights of a range in order, and time them; 1 when one failed or a check did.

    What their market tables lack, or was corrected since, is computed before. A check that only
    warns is said.
    """
    screen = Screen.of_process()
    dates = sessions_to_learn(wiring, first_date, last_date)
    began, worked = perf_counter(), process_time()
    ran = _learn(wiring, screen, dates)
    took = {"seconds": perf_counter() - began, "processor_seconds": process_time() - worked}
    failed = [(name, said) for name, passed, said in ran.checks if not passed]
    measured = {name: round(seconds, 3) for name, seconds in took.items()}
    answer = {
        **_learned(wiring, dates),
        "sessions": len(dates) if ran.succeeded else 0,
        **measured,
        "untaught_sessions": untaught_sessions(wiring, dates) if ran.succeeded else [],
        "succeeded": ran.succeeded,
        "failed_checks": failed,
        "warnings": ran.warnings,
    }
    if as_json:
        screen.json(answer)
    elif ran.succeeded:
        _show(screen, answer)
    for name, said in ran.warnings:
        screen.note(f"{name}: {said}")
    for name, said in failed:
        screen.fail(f"{name}: {said}")
    return Exit.DONE if ran.succeeded and not failed else Exit.NO


def _learn(wiring: Wiring, screen: Screen, dates: Sequence[date]) -> Ran:
    lacking = _without_market(wiring, dates)
    again = (
        "no night was done; when the cause is settled: "
        f"credence learn --from {dates[0]} --to {dates[-1]}"
    )
    for day in _not_as_seen(wiring, dates):
        stored = run_job(
            wiring,
            screen,
            "market_day",
            tags=_range_of([day]),
            what=f"storing the bars of {day} as the desk saw them",
            again=again,
        )
        if not stored.succeeded:
            return stored
    if lacking:
        market = run_job(
            wiring,
            screen,
            "recompute_market",
            tags=_range_of(lacking),
            what=f"computing the market tables of {_span(lacking)}",
            again=again,
        )
        if not market.succeeded:
            return market
    what = f"the {'night' if len(dates) == 1 else 'nights'} of {_span(dates)}"
    return run_job(wiring, screen, "nightly", tags=_range_of(dates), what=what, again=again)


def _span(dates: Sequence[date]) -> str:
    return str(dates[0]) if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"


def _without_market(wiring: Wiring, dates: Sequence[date]) -> Sequence[date]:
    """First and last session whose market tables are not there, or older than their bars."""
    import dagster as dg

    from pipelines.corrections import corrected_market
    from pipelines.dagster_home import dagster_home_of

    stored = wiring.market.session_dates("outcomes", wiring.settings.symbol)
    lacking = [day for day in dates if day not in stored]
    with dg.DagsterInstance.from_config(str(dagster_home_of(wiring.settings.home))) as instance:
        corrected = corrected_market(instance, wiring)
    if corrected is not None:
        lacking = sorted([*lacking, corrected.first_date, corrected.last_date])
    return lacking and (lacking[0], lacking[-1])


def _not_as_seen(wiring: Wiring, dates: Sequence[date]) -> Sequence[date]:
    """Sessions before their first night whose stored bars are not those that the desk saw."""
    before = untaught_before(wiring.warehouse, date.max, wiring.rules, traded=dates)
    return [day for day in before if not wiring.seen.are_stored(day, wiring.market)]


def _range_of(dates: Sequence[date]) -> dict[str, str]:
    return {RANGE_FIRST: str(dates[0]), RANGE_LAST: str(dates[-1])}


def sessions_to_learn(
    wiring: Wiring, first_date: date | None, last_date: date | None
) -> Sequence[date]:
    """The stored sessions of a range, every one with a journal.

    Raises `InputRefused` naming the first that lacks its bars or a journal: a night builds on the
    one before it, so none may be passed over; `JournalError` for one that the desk, trading by
    then, did not trade; `MissingContext` where one traded before them has taught nothing.
    """
    rules, stored = wiring.rules, wiring.market.session_dates("bars", wiring.settings.symbol)
    known = sorted(wiring.session_journals.teaching(stored))
    if not known:
        raise InputRefused(
            f"{wiring.home.root}: expected sessions with outcomes and a journal, found none; "
            "bring bars in with credence ingest, then trade, rehearse or replay them"
        )
    first, last = first_date or known[0], last_date or known[-1]
    wanted = [each.session_date for each in sessions_between(first, last, rules.session)]
    for day in wanted:
        if day not in stored:
            raise InputRefused(
                f"{day}: expected stored outcomes, found none; run market_day for it"
            )
        if day not in known:
            wiring.session_journals.refuse_untraded([day])
            raise InputRefused(
                f"{day}: expected a journal, found none; trade, rehearse or replay it, or name "
                "another range with --from and --to"
            )
    if not wanted:
        raise InputRefused(f"expected a session between {first} and {last}, found none")
    refuse_forgetting(
        wiring.warehouse, wanted, rules, traded=wiring.session_journals.traded_dates()
    )
    return wanted


def _learned(wiring: Wiring, dates: Sequence[date]) -> dict[str, Any]:
    symbol = wiring.settings.symbol
    trust = wiring.warehouse.query(TRUST, [symbol, dates[-1]])
    changes = wiring.warehouse.query(CHANGES, [symbol, dates[0], dates[-1]])
    return {
        "first_session_date": dates[0],
        "last_session_date": dates[-1],
        "trust": trust.to_dicts(),
        "changes": changes.to_dicts(),
    }


def untaught_sessions(wiring: Wiring, session_dates: Sequence[date]) -> list[date]:
    """Sessions that were played without what the nights before them taught.

    Of those given, ascending: the first has no night among them. A plain replay opens every session
    so, and what a night puts in quarantine goes on trading in the next.
    """
    found = []
    for day in session_dates[1:]:
        told = map(fact_of, wiring.session_journals.events(day, Kind.SESSION))
        opened = [fact for fact in told if isinstance(fact, SessionOpened)]
        if opened and not opened[-1].standings:
            found.append(day)
    return found


def _show(screen: Screen, answer: dict[str, Any]) -> None:
    screen.say(
        f"[bold]{times(answer['sessions'], 'night')}[/], {answer['first_session_date']} to "
        f"{answer['last_session_date']}, in {answer['seconds']:.1f} s "
        f"({answer['processor_seconds']:.1f} s of processor time)"
    )
    for each in answer["changes"]:
        screen.line(f"  {each['session_date']}  {each['change']}")
    screen.table(
        "Trust from the next session on",
        ("template", "trust", "why", "cost factor", "results", "won", "win rate", "R each"),
        [tuple(each.values()) for each in answer["trust"]],
        numbers=("cost factor", "results", "won", "win rate", "R each"),
    )
    untaught = answer["untaught_sessions"]
    if untaught:
        screen.say(
            f"Played without what the nights before taught: {times(len(untaught), 'session')}, "
            f"from {untaught[0]} on. There a template in quarantine traded on, and one throttled "
            "paid no more for its cost. To play them under it: credence replay --learn"
        )
