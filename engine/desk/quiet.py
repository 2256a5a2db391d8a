"""Bars on which a flat desk can only skip, many at a time: the records of a step for each of them.

A market moves through most of its bars without a setup. What a calm desk makes of one is known from
its own view and the bar's columns, so the step of a whole run of them is taken at once.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Final, NamedTuple

import polars as pl

from engine.decision import refusals, skip_payload
from engine.desk.bars import BAR, DECISION, decision_id_of
from engine.desk.state import DeskState
from engine.journal import Entry
from engine.ladder import Reason
from engine.market import instants
from engine.own_view import OwnView, Refusals
from engine.rules import Rules

_closes_at: Final = attrgetter("closes_at")
_new: Final = tuple.__new__
"""Makes a NamedTuple from its fields at half the price of a call of its class."""


class QuietBar(NamedTuple):
    """What the journal tells of a bar without a setup whose data is good enough to enter on."""

    symbol: str
    closes_at: datetime
    minute: int
    market_step: int
    bar_json: str
    evidence_json: str
    sentence: str
    counterfactual: str


def is_quiet(rules: Rules) -> pl.Expr:
    """Which bars of a market frame a calm desk can only skip."""
    setups = [pl.col(f"{block.id.lower()}_side") != 0 for block in rules.strategies.templates]
    is_good = pl.col("dvs") >= rules.constitution.dvs_entry_min
    return is_good & ~pl.any_horizontal(*setups, "may_enter")


def quiet_bars(frame: pl.DataFrame) -> list[QuietBar]:
    """Every bar of a market frame with journal text, as the journal tells of a quiet one."""
    columns = frame.select(QuietBar._fields).get_columns()
    values = [instants(c) if c.name == "closes_at" else c.to_list() for c in columns]
    return list(map(partial(_new, QuietBar), zip(*values, strict=True)))


class QuietStep(NamedTuple):
    """What a run of quiet bars leads to: a skip for each, and why."""

    state: DeskState
    entries: list[Entry]
    reasons: Counter[Reason]


def step_quiet(state: DeskState, bars: Sequence[QuietBar], own: OwnView) -> QuietStep:
    """The steps of all these bars, for a desk that meets each of them with the same view."""
    ends_at = own.cooldown_ends_at
    cooled = 0 if ends_at is None else bisect_left(bars, ends_at, key=_closes_at)
    entries: list[Entry] = []
    reasons: Counter[Reason] = Counter()
    for run, is_cooling in ((bars[:cooled], True), (bars[cooled:], False)):
        steps = Counter(bar.market_step for bar in run)
        known = {step: refusals(step, own, is_cooling=is_cooling) for step in steps}
        for step, count in steps.items():
            reasons[known[step].reason] += count
        for bar in run:
            entries += _records(bar, known[bar.market_step], own)
    return QuietStep(state._replace(last_bar_at=bars[-1].closes_at), entries, reasons)


def _records(bar: QuietBar, refused: Refusals, own: OwnView) -> tuple[Entry, Entry]:
    symbol, at, minute, _, bar_json, evidence, sentence, missing = bar
    sentence, missing = refused.words(minute, sentence, missing)
    payload = skip_payload(refused.reason, sentence, missing, own, evidence)
    seen = _new(Entry, (BAR, at, bar_json, "", ""))
    return seen, _new(Entry, (DECISION, at, payload, decision_id_of(symbol, at), ""))
