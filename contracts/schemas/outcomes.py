"""Table `outcomes`: the counterfactual ledger, one row per bar, template and side."""

from functools import cache
from typing import Final

import polars as pl

from contracts.schemas.candidates import template_ids
from contracts.schemas.columns import BAR_KEY, count, flag, number, side, text, ticks
from contracts.schemas.table import Rule, Table
from engine.outcomes import ExitKind

_NO_DATA: Final = "exit_kind is no_data"
_NO_ATR: Final = "ATR is unknown"


@cache
def outcomes() -> Table:
    """The table for the templates of `contracts/strategies.yaml`."""
    return Table(
        name="outcomes",
        meaning="What would have happened: entered at the next open and followed to its exit.",
        key=("symbol", "closes_at", "template", "side"),
        columns=(
            *BAR_KEY,
            text("template", "Template whose stop, target and time apply.", choices=template_ids()),
            side("Side followed."),
            ticks("stop_ticks", "Distance of the stop.", null=_NO_ATR, low=1),
            ticks("target_ticks", "Distance of the target.", null=_NO_ATR, low=1),
            flag(
                "is_fallback_stop",
                "The template has no stop of its own here; a multiple of ATR stands in.",
            ),
            number("entry_ticks", "ticks", "Open of the next bar, with slippage.", null=_NO_DATA),
            text(
                "exit_kind",
                "What ended it; `no_data` if it could not be entered or followed.",
                choices=tuple(kind.value for kind in ExitKind),
            ),
            number("ticks_net", "ticks", "Result after fees and slippage.", null=_NO_DATA),
            count("bars_held", "bars", "From the entry bar to the exit bar.", null=_NO_DATA),
            number(
                "mae_ticks", "ticks", "Maximum adverse excursion, a distance.", null=_NO_DATA, low=0
            ),
            number(
                "mfe_ticks",
                "ticks",
                "Maximum favourable excursion, a distance.",
                null=_NO_DATA,
                low=0,
            ),
        ),
        row_rules=(
            Rule("an outcome has a side", pl.col("side") != 0, ("side",)),
            *(
                Rule(
                    f"{name} is known exactly if the trade could be followed",
                    (pl.col("exit_kind") == ExitKind.NO_DATA.value) == pl.col(name).is_null(),
                    ("exit_kind", name),
                )
                for name in ("ticks_net", "bars_held", "mae_ticks", "mfe_ticks")
            ),
        ),
    )
