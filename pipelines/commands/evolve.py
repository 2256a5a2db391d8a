"""`credence evolve`, `promote`, `rollback`: what the week proposes, and a person's word on it."""

import getpass
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from typing import Any

from contracts.promotions import promote, promotions, roll_back
from engine.errors import InputRefused
from engine.learning.promotion import Evidence, Promotion
from engine.learning.variants import variants
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.contract_changes import refuse_while_needed
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
    """Write a week's proposal into its contract; 1 when it was not worth it.

    Raises `InputRefused` when the contracts are others by now: the proposal is a step from those it
    was compared with; and as `refuse_while_needed` does.
    """
    screen = Screen.of_process()
    chosen = kept_evolution(wiring, through)
    if chosen.variant is None or (chosen.why_not is not None and not anyway):
        screen.fail(f"nothing to promote: {chosen.why_not}")
        return Exit.NO
    refuse_while_needed(wiring, "promote")
    variant, today = chosen.variant, wiring.rules.contracts_hash
    if chosen.contracts_hash != today:
        raise InputRefused(
            f"promote: the search through {chosen.through} compared its variants with contracts "
            f"{chosen.contracts_hash[:12]}, today's are {today[:12]}: {variant.key} from "
            f"{variant.before:g} to {variant.after:g} is not known to be better than those; search "
            "again with credence evolve"
        )
    return _journalled(
        wiring,
        lambda: promote(
            variant.file,
            variant.key,
            variant.after,
            at=wiring.clock(),
            by=getpass.getuser(),
            reason=reason,
            evidence=_evidence(chosen),
            folder=wiring.settings.contracts,
        ),
        as_json=as_json,
    )


def run_rollback(wiring: Wiring, *, as_json: bool) -> int:
    """Take back the newest promotion; refused as `refuse_while_needed` does."""
    refuse_while_needed(wiring, "rollback")
    folder = wiring.settings.contracts
    return _journalled(
        wiring,
        lambda: roll_back(at=wiring.clock(), by=getpass.getuser(), folder=folder),
        as_json=as_json,
    )


def _evidence(of: Evolution) -> Evidence | None:
    if of.best is None:
        return None
    return Evidence(
        through=of.through,
        sessions=of.sessions,
        tried=of.tried,
        gain_r=of.best.gain_r,
        gain_ahead_r=of.best.gain_ahead_r,
        deflated_sharpe=of.best.deflated_sharpe,
        why_not=of.why_not,
    )


def _journalled(wiring: Wiring, change: Callable[[], Promotion], *, as_json: bool) -> int:
    """Change a contract while the learning journal is held, which then repeats the record."""
    done: list[Promotion] = []

    def recorded() -> list[Promotion]:
        done.append(change())
        return promotions(wiring.settings.contracts)

    wiring.learning_journal.follow(recorded)
    return _told(wiring, done[0], as_json=as_json)


def _told(wiring: Wiring, done: Promotion, *, as_json: bool) -> int:
    screen, night = Screen.of_process(), wiring.learning_journal.night_of(done)
    if as_json:
        screen.json({**asdict(done), "journalled_after": night})
        return Exit.DONE
    screen.line(
        f"{done.file}.yaml: {done.key} {done.before:g} → {done.after:g}, promotion {done.number}"
    )
    screen.say(
        "The desk decides differently from the next session on; what is stored was made under the "
        f"contracts {done.hash_before[:12]}, now {done.hash_after[:12]}. Say so in CHANGELOG.md."
    )
    screen.line(f"journalled: credence journal {night}")
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
