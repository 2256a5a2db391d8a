"""`credence journal`: a session's decisions in plain English, and why one was as it was."""

from collections.abc import Mapping
from datetime import date, time
from typing import Any, Final

from rich.text import Text

from engine.decision import Action
from engine.ladder import LAYER_NAMES
from engine.odds import PRIOR
from engine.rules import Rules
from engine.wording import render_decision, side_name
from pipelines.commands.exits import Exit
from pipelines.commands.gates import GateRow, gate_rows
from pipelines.commands.screen import Screen
from pipelines.journal_reading import SessionStory, session_story
from pipelines.journal_words import Told, new_york
from pipelines.wiring import Wiring

STYLES: Final = {
    Action.ENTER: "bold green",
    Action.EXIT: "bold yellow",
    Action.MODIFY: "yellow",
    Action.HOLD: "",
    Action.SKIP: "dim",
    "trade": "bold cyan",
    "kill": "bold red",
    "alert": "bold red",
    "learning": "magenta",
}

SCORES: Final = (
    ("stop_ticks", "stop"),
    ("target_ticks", "target"),
    ("belief", "belief"),
    ("p_win", "p(win)"),
    ("edge", "edge"),
    ("uncertainty", "uncertainty"),
    ("cost", "cost"),
    ("euc", "EUC"),
    ("theta", "theta"),
)


def run_journal(
    wiring: Wiring, session_date: date, *, of: str, with_skips: bool, at: time | None, as_json: bool
) -> int:
    """Print a session's story, or one decision of it in full."""
    screen = Screen.of_process()
    story = session_story(wiring, session_date, of=of)
    if story.others and not of:
        names = ", ".join(story.others)
        screen.note(f"this day is also in {names}; choose one with --of NAME")
    if at is not None:
        chosen = story.decision_at(at)
        if as_json:
            screen.json({**_place(story), "decision": _record(chosen)})
        else:
            _show_decision(screen, story, chosen, wiring.rules)
        return Exit.DONE
    shown = [each for each in story.told if with_skips or each.action != Action.SKIP]
    if as_json:
        records = [_record(each) for each in shown]
        skips = dict(story.skips_by_reason)
        screen.json({**_place(story), "told": records, "skips_by_reason": skips})
    else:
        _show_story(screen, story, shown, with_skips=with_skips)
    return Exit.DONE


def _place(story: SessionStory) -> dict[str, Any]:
    return {
        "journal": str(story.journal),
        "session_date": story.session_date,
        "other_journals": list(story.others),
    }


def _record(told: Told) -> dict[str, Any]:
    return {
        "at": told.at,
        "at_new_york": f"{new_york(told.at):%H:%M:%S}",
        "seq": told.seq,
        "kind": told.action,
        "text": told.text,
        "decision": told.decision,
    }


def _show_story(
    screen: Screen, story: SessionStory, shown: list[Told], *, with_skips: bool
) -> None:
    screen.note(f"from {story.journal}; times are New York")
    screen.say(f"[bold]{story.session_date:%A %Y-%m-%d}[/], {len(story.decisions)} decisions")
    for each in shown:
        text = each.text if each.decision is None else render_decision(each.decision)
        screen.line(text, style=STYLES.get(each.action, ""))
    if not shown:
        screen.say("No trade, and nothing else to tell.")
    if with_skips or not story.skips_by_reason:
        return
    rows = story.skips_by_reason.items()
    screen.table("Bars without a trade", ("reason", "bars"), rows, numbers=("bars",))
    last = [each for each in story.decisions if each.action == Action.SKIP][-1]
    screen.say(
        "Each of them with --skips; why not at one time: credence journal "
        f"{story.session_date} --at {new_york(last.at):%H:%M}"
    )


def _show_decision(screen: Screen, story: SessionStory, told: Told, rules: Rules) -> None:
    decision = told.decision or {}
    screen.note(f"event {told.seq} of {story.journal}; times are New York")
    screen.line(told.text, style="bold")
    if decision["counterfactual"]:
        screen.line(f"    {decision['counterfactual']}", style="yellow")
    if decision["reason"]:
        layer = LAYER_NAMES[decision["layer"]]
        screen.say(f"    {decision['action']}, {decision['reason']}: layer {layer}")
    screen.table(
        "Gates",
        ("gate", "value", "asks for", "holds"),
        [_cells(row) for row in gate_rows(decision, told.at, rules)],
        numbers=("value",),
    )
    _show_beliefs(screen, decision["market"] or {}, rules)
    _show_scores(screen, decision["scores"])


def _cells(row: GateRow) -> tuple[object, ...]:
    """A gate as cells; the one that refused is named so."""
    if row.is_reason:
        return row.words, row.value, row.asks, Text("NO, the reason", style="bold red")
    return row.words, row.value, row.asks, "" if row.holds is None else row.holds


def _show_beliefs(screen: Screen, market: Mapping[str, Any], rules: Rules) -> None:
    rows: list[tuple[object, ...]] = []
    for constraint in rules.beliefs.constraints:
        prefix = constraint.id.lower()
        pairs = [market.get(name) for name in (f"{prefix}_long", f"{prefix}_short", prefix)]
        needed = next((pair[1] for pair in pairs if pair), None)
        name = constraint.name.replace("_", " ")
        rows.append((constraint.id, name, *map(_belief, pairs), needed))
    screen.table(
        "Beliefs, as far as they may be acted upon",
        ("", "is it", "long", "short", "either", "threshold"),
        rows,
        numbers=("long", "short", "either", "threshold"),
    )


def _belief(pair: list[float | None] | None) -> Text | None:
    """A belief as a cell, bold where it reaches its threshold."""
    if pair is None or pair[0] is None:
        return None
    value, needed = pair[0], pair[1]
    reaches = needed is not None and value >= needed
    return Text(f"{value:.3f}", style="bold" if reaches else "")


def _show_scores(screen: Screen, scores: list[Mapping[str, Any]]) -> None:
    if not scores:
        screen.say("No template had a setup on this bar.")
        return
    rows = [
        (
            each["template"],
            side_name(each["side"]),
            *(each[name] for name, _ in SCORES),
            each["reason"] or "passes",
            each.get("p_win_from", PRIOR),
        )
        for each in scores
    ]
    titles = [title for _, title in SCORES]
    screen.table(
        "Candidates: distances in ticks, scores in R",
        ("template", "side", *titles, "first no", "p(win) by"),
        rows,
        numbers=titles,
    )
