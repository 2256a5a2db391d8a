"""Tables `decisions` and `executions`: what was decided and what was filled, from the journal."""

from typing import Final

import polars as pl

from contracts.schemas.columns import (
    BAR_KEY,
    SESSION_DATE,
    SYMBOL,
    count,
    instant,
    number,
    share,
    side,
    text,
    ticks,
)
from contracts.schemas.table import Column, Rule, Table
from engine.broker import Leg
from engine.decision import Action
from engine.ladder import LADDER, LAYER_NAMES

_NO_ENTRY: Final = "the action is not ENTER"
_FOREIGN: Final = "the order is not one of ours"

REASONS: Final = tuple(reason.value for reason in LADDER)
"""The reasons of the ladder, as a table names them."""

SEQ: Final = Column(
    name="seq",
    dtype=pl.Int64(),
    unit="number",
    meaning="Number of the journal event this row was read from.",
    low=1,
)

DECISIONS: Final = Table(
    name="decisions",
    meaning="Exactly one decision per closed bar, with its reason.",
    key=("symbol", "closes_at"),
    columns=(
        *BAR_KEY,
        SEQ,
        text("action", "What the desk did.", choices=tuple(action.value for action in Action)),
        text(
            "reason",
            "The first no of the authority ladder.",
            null="the action is ENTER",
            choices=REASONS,
        ),
        Column(
            name="layer",
            dtype=pl.Int8(),
            unit="number",
            meaning="Layer of the ladder that the reason belongs to, 0 the kill switch.",
            null="the action is ENTER",
            low=0,
            high=len(LAYER_NAMES) - 1,
        ),
        text("cause", "What moved or closed the open trade; empty for ENTER and SKIP."),
        text("decision_id", "Id that the orders of this entry carry.", null=_NO_ENTRY),
        text("template", "Template entered.", null=_NO_ENTRY),
        side("Side entered.", null=_NO_ENTRY),
        ticks("stop_ticks", "Distance of the stop.", null=_NO_ENTRY, low=1),
        ticks("target_ticks", "Distance of the target.", null=_NO_ENTRY, low=1),
        share("belief", "Effective belief at the decision.", null=_NO_ENTRY),
        share("p_win", "Probability that the target is reached first.", null=_NO_ENTRY),
        number("euc", "R", "Score at the decision.", null=_NO_ENTRY),
        number("theta", "R", "Score that was asked for.", null=_NO_ENTRY),
        text("sentence", "The decision in plain English."),
        text("counterfactual", "The smallest change that would have been an entry; empty if none."),
        text("scores_json", "Scores of all candidates, as a JSON list."),
        text("gates_json", "Every gate as value and threshold, as a JSON object."),
    ),
    row_rules=(
        Rule(
            "an ENTER has no reason, and everything else has one",
            (pl.col("action") == "ENTER") == pl.col("reason").is_null(),
            ("action", "reason"),
        ),
        *(
            Rule(
                f"{name} is known exactly for an ENTER",
                (pl.col("action") == "ENTER") == pl.col(name).is_not_null(),
                ("action", name),
            )
            for name in ("decision_id", "template", "side", "stop_ticks", "target_ticks")
        ),
    ),
)

EXECUTIONS: Final = Table(
    name="executions",
    meaning="One fill as the broker reported it, with its commission.",
    key=("execution_id",),
    columns=(
        SYMBOL,
        SESSION_DATE,
        SEQ,
        instant("at", "When the broker says it filled."),
        text("execution_id", "The broker's id; a correction replaces what it corrects."),
        text("order_ref", "Our reference of the order."),
        text("decision_id", "Decision that the order belongs to.", null=_FOREIGN),
        text(
            "leg",
            "Part the order played.",
            null=_FOREIGN,
            choices=tuple(leg.value for leg in Leg),
        ),
        side("Direction of the fill."),
        count("quantity", "contracts", "Contracts filled.", low=1),
        ticks("price_ticks", "Price of the fill."),
        Column(
            name="commission_usd",
            dtype=pl.Decimal(18, 4),
            unit="USD",
            meaning="Commission and fees of the fill.",
            null="not reported yet",
        ),
    ),
    row_rules=(Rule("a fill has a side", pl.col("side") != 0, ("side",)),),
)
