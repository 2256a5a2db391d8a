"""Whether a changed number would really have been better, or only the luckiest of many tried.

Results are compared session by session with today's parameters, after costs, and ahead of what was
known when a variant was chosen. Source of the deflated Sharpe ratio: D. Bailey and M. López de
Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40 (5), 2014.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import e, sqrt
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.errors import InputRefused
from engine.rules import EvolutionRules

Floats = npt.NDArray[np.float64]

_EULER: Final = 0.5772156649015329
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The variant that would have helped most, and how far that may be believed.

    `gain_r` is the mean gain over today's parameters per session, `gain_ahead_r` that of choosing
    the best variant on the past and trading it on the sessions after, fold by fold.
    `deflated_sharpe` is the probability that its Sharpe ratio is above what the luckiest of `tried`
    variants without any merit would show.
    """

    name: str
    tried: int
    sessions: int
    gain_r: float
    gain_ahead_r: float
    sharpe: float
    sharpe_of_luck: float
    deflated_sharpe: float
    is_worth_it: bool


def best_proposal(
    today: Floats, tried: Mapping[str, Floats], rules: EvolutionRules
) -> Proposal | None:
    """The best of the variants tried; null where none changes anything or sessions are too few.

    `today` and every entry of `tried` hold the net result of each session in R, in one order.
    Raises `InputRefused` for results of different lengths.
    """
    for name, results in tried.items():
        if results.shape != today.shape:
            raise InputRefused(
                f"{name}: expected results of {today.size} sessions, got {results.size}"
            )
    if not tried or today.size < 2 * rules.folds:
        return None
    names = list(tried)
    gains = np.stack([tried[name] - today for name in names])
    sharpes = np.array([sharpe(row) for row in gains])
    best = int(np.argmax(sharpes))
    if not sharpes[best] > 0:
        return None
    luck = sharpe_of_luck(sharpes[gains.any(axis=1)])
    probability = deflated_sharpe(gains[best], luck)
    ahead = gain_ahead(gains, rules.folds)
    return Proposal(
        name=names[best],
        tried=len(names),
        sessions=today.size,
        gain_r=float(gains[best].mean()),
        gain_ahead_r=ahead,
        sharpe=float(sharpes[best]),
        sharpe_of_luck=luck,
        deflated_sharpe=probability,
        is_worth_it=probability >= rules.confidence and ahead > 0,
    )


def sharpe(results: Floats) -> float:
    """Mean over standard deviation, per session; 0 for results that never differ."""
    deviation = results.std(ddof=1)
    return float(results.mean() / deviation) if deviation > 0 else 0.0


def sharpe_of_luck(sharpes: Floats) -> float:
    """The Sharpe ratio that the best of as many variants without merit is expected to show.

    Of variants that changed a result at all: the others could not have been lucky.
    """
    count = sharpes.size
    if count < 2:
        return 0.0
    spread = float(sharpes.std(ddof=1))
    ordinary = _NORMAL.inv_cdf(1.0 - 1.0 / count)
    extreme = _NORMAL.inv_cdf(1.0 - 1.0 / (count * e))
    return spread * ((1.0 - _EULER) * ordinary + _EULER * extreme)


def deflated_sharpe(results: Floats, luck: float) -> float:
    """Probability that the true Sharpe ratio of results is above `luck`.

    Takes account of their number, skewness and fat tails; 0 for results that never differ.
    """
    deviation = results.std(ddof=1)
    if not deviation > 0:
        return 0.0
    standard = (results - results.mean()) / deviation
    skewness, kurtosis = float((standard**3).mean()), float((standard**4).mean())
    ratio = sharpe(results)
    variance = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    if not variance > 0:
        return 0.0
    return _NORMAL.cdf((ratio - luck) * sqrt(results.size - 1) / sqrt(variance))


def gain_ahead(gains: Floats, folds: int) -> float:
    """Mean gain per session ahead of the choice. Shape of `gains`: variants, sessions.

    The sessions are cut into folds; in each but the first, the variant that was best on all before
    is followed, or none if none was better than today's parameters.
    """
    followed: list[Floats] = []
    cuts = np.array_split(np.arange(gains.shape[1]), folds)
    for fold in cuts[1:]:
        past = gains[:, : fold[0]].mean(axis=1)
        best = int(np.argmax(past))
        chosen = gains[best, fold] if past[best] > 0 else np.zeros(fold.size)
        followed.append(chosen)
    return float(np.concatenate(followed).mean())
