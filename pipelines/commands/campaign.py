"""`credence campaign`: sessions of the desk under every trouble, and the bugs it would catch."""

from collections.abc import Mapping
from typing import Any, Final

from pipelines.campaign.campaign import Total, run_campaign
from pipelines.campaign.case import Case
from pipelines.campaign.catalogue import MUTATIONS
from pipelines.campaign.mutants import catch
from pipelines.campaign.run import Outcome, play
from pipelines.campaign.stage import the_stage
from pipelines.commands.exits import Exit
from pipelines.commands.screen import NO, Screen

WORKERS: Final = 2


def run_sessions(sessions: int, seed: int, minutes: float | None, *, as_json: bool) -> int:
    """Play, and say what was broken; `NO` if anything was."""
    screen = Screen.of_process()
    done = 0
    with screen.progress("sessions", sessions) as advance:

        def told(sessions_done: int) -> None:
            nonlocal done
            for _ in range(sessions_done - done):
                advance("")
            done = sessions_done

        total = run_campaign(sessions, seed, workers=WORKERS, minutes=minutes, advance=told)
    if as_json:
        screen.json(_plain(total))
    else:
        _show(screen, total)
    return Exit.NO if total.broken else Exit.DONE


def run_case(text: str, *, as_json: bool) -> int:
    """Play one case again."""
    screen = Screen.of_process()
    outcome = play(Case.of(text), the_stage())
    if as_json:
        screen.json(_plain_of(outcome))
    elif outcome.broken is None:
        screen.line(f"{outcome.case.text}: every law holds, {outcome.events:,} events")
    else:
        screen.line(f"{outcome.case.text}: {outcome.broken.text}")
    return Exit.DONE if outcome.broken is None else Exit.NO


def _show(screen: Screen, total: Total) -> None:
    screen.line(
        f"{total.sessions:,} sessions in {total.runs:,} runs, {total.trades:,} trades, "
        f"{total.events:,} events: {total.seconds:,.0f} s, "
        f"{total.sessions_per_second:,.1f} sessions a second"
    )
    if total.happened:
        screen.table(
            "What happened beside the exchange's own faults",
            ("what", "times"),
            sorted(total.happened.items()),
            numbers=("times",),
        )
    if not total.broken:
        screen.line("every law held")
        return
    screen.table(
        "Broken laws",
        ("law", "what", "case"),
        [
            (outcome.broken.law, outcome.broken.text, outcome.case.text)
            for outcome in total.broken
            if outcome.broken is not None
        ],
    )
    screen.line("play one again: credence campaign --replay CASE")


def _plain(total: Total) -> Mapping[str, Any]:
    return {
        "runs": total.runs,
        "sessions": total.sessions,
        "trades": total.trades,
        "events": total.events,
        "seconds": round(total.seconds, 1),
        "sessions_per_second": round(total.sessions_per_second, 2),
        "happened": dict(sorted(total.happened.items())),
        "broken": [_plain_of(outcome) for outcome in total.broken],
    }


def _plain_of(outcome: Outcome) -> Mapping[str, Any]:
    broken = outcome.broken
    return {
        "case": outcome.case.text,
        "law": None if broken is None else broken.law,
        "text": None if broken is None else broken.text,
        "session": None if broken is None else broken.session,
        "minute": None if broken is None else broken.minute,
        "events": outcome.events,
    }


def run_mutations(seed: int, *, as_json: bool) -> int:
    """Plant every bug of the catalogue and print what caught it; `NO` if one was not."""
    screen = Screen.of_process()
    with screen.progress("planted bugs", len(MUTATIONS)) as advance:
        caught = catch(MUTATIONS, seed, told=lambda one: advance(one.mutation))
    if as_json:
        rows = [{"mutation": c.mutation, "by": c.by, "text": c.text} for c in caught]
        screen.json({"mutations": rows})
    else:
        rows_shown = [(c.mutation, c.by or NO, c.text) for c in caught]
        screen.table("Planted bugs", ("bug", "caught by", "how"), rows_shown)
    return Exit.DONE if all(c.by for c in caught) else Exit.NO
