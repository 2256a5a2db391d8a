"""How often the rules find the planted cause: the confusion table."""

from typing import Final

import polars as pl

from engine.learning.attribution import Cause, attribution
from engine.learning.luck import PEER_COLUMNS
from engine.learning.planted.rows import planted
from engine.learning.planted.ways import CAUSES
from engine.rules import Rules

APART: Final = (Cause.EXECUTION_FAILURE, Cause.DATA_QUALITY, Cause.EVENT_SHOCK)
"""Causes outside the model: never to be taken for a wrong model, nor the other way about."""


def confusion(count: int, seed: int, rules: Rules) -> pl.DataFrame:
    """One row per planted cause, one column per cause found (`A0` … `A9`): numbers of trades."""
    case = planted(count, seed, rules)
    nobody = pl.DataFrame(schema=PEER_COLUMNS)
    found = attribution(case.trades, case.market, case.outcomes, nobody, rules)["cause"]
    pairs = pl.DataFrame([case.truth, found])
    counted = pairs.pivot("cause", index="truth", values="cause", aggregate_function="len")
    missing = [cause.value for cause in CAUSES if cause.value not in counted.columns]
    whole = counted.with_columns(pl.lit(0, pl.UInt32).alias(name) for name in missing)
    names = [cause.value for cause in CAUSES]
    return whole.select("truth", pl.col(names).fill_null(0)).sort("truth")
