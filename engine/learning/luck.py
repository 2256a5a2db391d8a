"""How lucky a result was: where it lies among what happened whenever the desk believed the same.

The other outcomes come from the counterfactual ledger, at similar beliefs and in the same regime,
with costs. Bars next to each other share their luck, so so many outcomes are fewer independent
ones; the percentile is a description, not a test.
"""

from enum import StrEnum
from typing import Final

import numpy as np
import polars as pl

from engine.learning.believed import believed_outcomes
from engine.rules import Rules, ScoreRules

PEER_COLUMNS: Final[dict[str, pl.DataType]] = {
    "session_date": pl.Date(),
    "template": pl.String(),
    "regime": pl.String(),
    "belief": pl.Float64(),
    "net_r": pl.Float64(),
}
"""Columns of the outcomes that results are compared with; `net_r` in multiples of the stop."""

LUCK_COLUMNS: Final[dict[str, pl.DataType]] = {
    "luck": pl.Float64(),
    "luck_peers": pl.Int32(),
    "luck_basis": pl.String(),
}


class Basis(StrEnum):
    """What the compared outcomes have in common with the trade, the closest first."""

    BELIEF_AND_REGIME = "belief_and_regime"
    BELIEF = "belief"
    REGIME = "regime"
    TEMPLATE = "template"


def peers(market: pl.DataFrame, outcomes: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """`PEER_COLUMNS` of the outcomes of sessions that are over, as `believed_outcomes` has them."""
    return believed_outcomes(market, outcomes, rules).select(
        "session_date",
        "template",
        "regime",
        "belief",
        net_r=pl.col("ticks_net") / pl.col("stop_ticks"),
    )


def luck(trades: pl.DataFrame, compared: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """`LUCK_COLUMNS` of these trades, in their order.

    `luck` is the share of peers that did worse, half of those with the same result counted: 0.5 is
    what was to be expected, 1 nothing but luck. A win that nearly stopped is lucky whatever it
    paid. Null with too few peers of any kind, or for a trade that nobody decided on.
    """
    law = rules.learning
    near_stop = is_near_stop_win(law.attribution.lucky_adverse_stops)
    asked = trades.select("template", "regime", "belief", "net_r", is_near_stop=near_stop)
    own = compared.filter(pl.col("template").is_in(asked["template"].unique().implode()))
    by_template = {
        str(template): _Peers(group, law.scores) for (template,), group in own.group_by("template")
    }
    rows: list[tuple[float | None, int, str | None]] = []
    for template, regime, belief, net_r, is_near in asked.iter_rows():
        known = by_template.get(template)
        if known is None or net_r is None:
            rows.append((None, 0, None))
            continue
        share, count, basis = known.percentile(net_r, belief, regime)
        if share is not None and is_near:
            share = max(share, law.scores.near_stop_luck_min)
        rows.append((share, count, basis))
    return pl.DataFrame(rows, schema=LUCK_COLUMNS, orient="row")


def is_near_stop_win(adverse_stops: float) -> pl.Expr:
    """Whether a trade made money after it had nearly been stopped."""
    nearly = pl.col("mae_ticks") >= adverse_stops * pl.col("stop_ticks")
    return ((pl.col("net_usd") > 0) & nearly).fill_null(value=False)


class _Peers:
    """The outcomes of one template, sorted by belief."""

    def __init__(self, group: pl.DataFrame, law: ScoreRules) -> None:
        rows = group.sort("belief")
        self.law = law
        self.belief = rows["belief"].to_numpy()
        self.net_r = rows["net_r"].to_numpy()
        self.is_in = {
            regime: (rows["regime"] == regime).to_numpy() for regime in rows["regime"].unique()
        }

    def percentile(
        self, net_r: float, belief: float, regime: str
    ) -> tuple[float | None, int, str | None]:
        """Percentile, number of peers and what they share, of the closest that are enough."""
        band = self.law.belief_band
        low = np.searchsorted(self.belief, belief - band, side="left")
        high = np.searchsorted(self.belief, belief + band, side="right")
        near, every = slice(int(low), int(high)), slice(0, self.belief.size)
        same = self.is_in.get(regime, np.zeros(self.belief.size, dtype=np.bool_))
        for basis, chosen, mask in (
            (Basis.BELIEF_AND_REGIME, near, same),
            (Basis.BELIEF, near, None),
            (Basis.REGIME, every, same),
            (Basis.TEMPLATE, every, None),
        ):
            results = self.net_r[chosen] if mask is None else self.net_r[chosen][mask[chosen]]
            if results.size >= self.law.peers_min:
                worse = np.count_nonzero(results < net_r - self.law.same_result_r)
                equal = np.count_nonzero(np.abs(results - net_r) <= self.law.same_result_r)
                return (worse + equal / 2) / results.size, results.size, basis.value
        return None, 0, None
