"""`credence fit-beliefs`: slopes and intercepts from stored bars, and what they would change."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
from rich.markup import escape

from contracts.fit_writer import write_fit
from engine.beliefs import streams
from engine.fitting import FittedConstraint, fit_beliefs, with_fit
from engine.market import market_frame
from engine.rules import BeliefRules, ConstraintRules, Rules
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.contract_changes import refuse_while_needed
from pipelines.stored_bars import StoredBars, stored_bars
from pipelines.wiring import Wiring


def run_fit_beliefs(
    wiring: Wiring,
    first_date: date | None,
    last_date: date | None,
    *,
    writes: bool,
    as_json: bool,
) -> int:
    """Fit, print old and new side by side, and write the contract if asked to.

    To write it is refused as `refuse_while_needed` does.
    """
    screen = Screen.of_process()
    if writes:
        refuse_while_needed(wiring, "fit-beliefs --write")
    rules = wiring.rules
    stored = stored_bars(wiring.market, rules, first_date, last_date)
    fitted = fit_beliefs(market_frame(stored.contexts, stored.bars, rules), rules.beliefs)
    beliefs = with_fit(
        rules.beliefs, fitted, source=stored.sources, session_dates=stored.session_dates
    )
    answer = _answer(stored, rules, beliefs, fitted)
    if writes:
        answer["written"] = str(write_fit(beliefs, wiring.settings.contracts))
    if as_json:
        screen.json(answer)
    else:
        _show(screen, answer)
    return Exit.DONE


def threshold_of(constraint: ConstraintRules, rules: Rules) -> float | None:
    """The belief at which a constraint is acted upon; null if nothing asks for it."""
    strategies = rules.strategies
    asked = {
        strategies.noise_constraint: strategies.noise_veto_belief,
        strategies.tradability_constraint: strategies.tradability_belief_min,
        **{template.constraint: template.belief_min for template in strategies.templates},
    }
    return asked.get(constraint.id)


def share_above(frame: pl.DataFrame, constraint: ConstraintRules, threshold: float) -> pl.Series:
    """Per session the share of bars on which either side's belief reaches the threshold."""
    reaches = pl.any_horizontal(
        pl.col(f"{prefix}_effective").fill_null(0.0) >= threshold
        for prefix, _ in streams(constraint)
    )
    shares = frame.group_by("session_date", maintain_order=True).agg(reaches.mean().alias("share"))
    return shares["share"]


def _answer(
    stored: StoredBars,
    rules: Rules,
    beliefs: BeliefRules,
    fitted: Sequence[FittedConstraint],
) -> dict[str, Any]:
    frames = [
        market_frame(stored.contexts, stored.bars, each)
        for each in (rules, replace(rules, beliefs=beliefs))
    ]
    constraints = [
        _constraint_answer(old, fit, frames, rules)
        for old, fit in zip(rules.beliefs.constraints, fitted, strict=True)
    ]
    return {
        "source": stored.sources,
        "first_session_date": stored.session_dates[0],
        "last_session_date": stored.session_dates[-1],
        "sessions": len(stored.session_dates),
        "bars": stored.bars.height,
        "constraints": constraints,
        "written": None,
    }


def _constraint_answer(
    old: ConstraintRules, fit: FittedConstraint, frames: Sequence[pl.DataFrame], rules: Rules
) -> Mapping[str, Any]:
    threshold = threshold_of(old, rules)
    names = ("old_share", "new_share")
    shares = {
        name: None if threshold is None else _summary(share_above(frame, old, threshold))
        for name, frame in zip(names, frames, strict=True)
    }
    return {
        "id": fit.id,
        "name": old.name,
        "values": fit.values,
        "evidence_median": fit.evidence_median,
        "evidence_tail": fit.evidence_tail,
        "old_slope": old.slope,
        "new_slope": fit.slope,
        "old_intercept": old.intercept,
        "new_intercept": fit.intercept,
        "threshold": threshold,
        **shares,
    }


def _summary(shares: pl.Series) -> Mapping[str, float]:
    """Of the share per session: the least, the median and the most."""
    low, median, high = shares.min(), shares.median(), shares.max()
    names = ("min", "median", "max")
    return {name: float(str(value)) for name, value in zip(names, (low, median, high), strict=True)}


def _show(screen: Screen, answer: Mapping[str, Any]) -> None:
    screen.say(
        f"[bold]{answer['sessions']} sessions[/] of {escape(answer['source'])}, "
        f"{answer['first_session_date']} to {answer['last_session_date']}: "
        f"{answer['bars']:,} bars"
    )
    numbers = ("e50", "e tail", "old a", "new a", "old b", "new b", "threshold")
    screen.table(
        "Likelihood = logistic(a × evidence + b)",
        ("", "constraint", *numbers, "above it, old", "above it, new"),
        [_row(each) for each in answer["constraints"]],
        numbers=(*numbers, "above it, old", "above it, new"),
    )
    screen.say(
        "e tail is the 99% quantile of the evidence, of a gate the 1% one. Above it: share of a "
        "session's bars, median of sessions (least to most)."
    )
    if answer["written"] is None:
        screen.say("Nothing was written; --write puts the new values into beliefs.yaml.")
    else:
        screen.say(
            f"[green]Written[/] to {escape(answer['written'])}. What the desk would decide has "
            "changed: say so in CHANGELOG.md, and materialise the tables again."
        )


def _row(each: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        each["id"],
        each["name"].replace("_", " "),
        *(each[name] for name in ("evidence_median", "evidence_tail")),
        *(each[name] for name in ("old_slope", "new_slope", "old_intercept", "new_intercept")),
        each["threshold"],
        *(_share_text(each[name]) for name in ("old_share", "new_share")),
    )


def _share_text(share: Mapping[str, float] | None) -> str | None:
    if share is None:
        return None
    return f"{share['median']:.1%} ({share['min']:.1%} to {share['max']:.1%})"
