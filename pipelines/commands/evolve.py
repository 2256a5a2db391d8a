"""`credence evolve`, `promote`, `rollback`: what the week proposes, and a person's word on it."""

import getpass
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from contracts.promotions import Promotion, promote, roll_back
from engine.learning.variants import variants
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.evolution import Evolution, evolve, kept_evolution, shadowed
from pipelines.wiring import Wiring


def run_evolve(wiring: Wiring, *, as_json: bool) -> int:
    """Try every variant and say what is proposed; nothing is changed."""
    screen = Screen.of_process()
    total = len(variants(wiring.rules, wiring.rules.learning.evolution))
    with screen.progress("trying variants", total) as advance:
        done = evolve(wiring, advance)
    followed = shadowed(wiring)
    if as_json:
        screen.json({**asdict(done), "shadowed": [asdict(each) for each in followed]})
        return Exit.DONE
    _show(screen, done)
    rows = [(each.through, each.variant.name, each.sessions, each.gain_r) for each in followed]
    screen.table(
        "Earlier proposals beside today's parameters",
        ("proposed after", "change", "sessions since", "gain, R a session"),
        rows,
        numbers=("sessions since", "gain, R a session"),
    )
    return Exit.DONE


def run_promote(
    wiring: Wiring, through: date | None, *, reason: str, anyway: bool, as_json: bool
) -> int:
    """Write a week's proposal into its contract; 1 when it was not worth it."""
    screen = Screen.of_process()
    chosen = kept_evolution(wiring, through)
    if chosen.variant is None or (chosen.why_not is not None and not anyway):
        screen.fail(f"nothing to promote: {chosen.why_not}")
        return Exit.NO
    done = promote(
        chosen.variant.file,
        chosen.variant.key,
        chosen.variant.after,
        at=datetime.now(UTC),
        by=getpass.getuser(),
        reason=reason,
        folder=wiring.settings.contracts,
    )
    return _told(screen, done, as_json=as_json)


def run_rollback(wiring: Wiring, *, as_json: bool) -> int:
    """Take back the newest promotion."""
    done = roll_back(at=datetime.now(UTC), by=getpass.getuser(), folder=wiring.settings.contracts)
    return _told(Screen.of_process(), done, as_json=as_json)


def _told(screen: Screen, done: Promotion, *, as_json: bool) -> int:
    if as_json:
        screen.json(asdict(done))
        return Exit.DONE
    screen.line(
        f"{done.file}.yaml: {done.key} {done.before:g} → {done.after:g}, promotion {done.number}"
    )
    screen.say(
        "The desk decides differently from the next session on; what is stored was made under the "
        f"contracts {done.hash_before[:12]}, now {done.hash_after[:12]}. Say so in CHANGELOG.md."
    )
    return Exit.DONE


def _show(screen: Screen, done: Evolution) -> None:
    screen.say(f"[bold]{done.tried} variants[/] on {done.sessions} sessions through {done.through}")
    best = done.best
    if best is not None:
        rows: list[tuple[str, Any]] = [
            ("change", best.name),
            ("gain, R a session", best.gain_r),
            ("gain ahead of the choice", best.gain_ahead_r),
            ("Sharpe ratio a session", best.sharpe),
            ("that of the luckiest of so many", best.sharpe_of_luck),
            ("deflated Sharpe ratio", best.deflated_sharpe),
        ]
        screen.table("The best of them", ("", "value"), rows, numbers=("value",))
    if done.why_not is not None:
        screen.say(f"Nothing is proposed: {done.why_not}.")
    else:
        screen.say(
            "[green]Proposed.[/] It is followed as a shadow from now on; to use it: "
            f'credence promote {done.through} --reason "…"'
        )
