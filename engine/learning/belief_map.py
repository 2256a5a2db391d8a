"""The map from belief to probability that is nearest to what came true: a rising one."""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from engine.odds import BeliefMap, Floats


def belief_map(beliefs: Floats, wins: Floats, knots_max: int) -> BeliefMap:
    """The rising function nearest to the wins, thinned to `knots_max` knots.

    Isotonic regression over equally filled groups of beliefs, so that a knot rests on many outcomes
    and no single lucky one at the edge makes a certainty.
    """
    return whole_map(Rising.of(beliefs, wins), knots_max)


class Rising(NamedTuple):
    """Beliefs in rising order, the wins beside them, the place each had before, and where each
    different belief begins.
    """

    beliefs: Floats
    wins: Floats
    order: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, beliefs: Floats, wins: Floats) -> Self:
        """From beliefs and wins in any order; equal beliefs keep theirs."""
        order = np.argsort(beliefs, kind="stable")
        known = beliefs[order]
        return cls(known, wins[order], order, np.flatnonzero(np.diff(known, prepend=-1.0)))

    def shares(self, counts: Floats) -> Floats:
        """Share of wins at the belief of each, of those that count; 0 where none does."""
        won, seen = (np.add.reduceat(each, self.firsts) for each in (self.wins * counts, counts))
        share = np.divide(won, seen, out=np.zeros_like(won), where=seen > 0)
        return np.repeat(share, np.diff(self.firsts, append=self.beliefs.size))


def whole_map(rising: Rising, knots_max: int) -> BeliefMap:
    """The map of all of them."""
    known, p_win = knots(rising, np.ones_like(rising.beliefs), knots_max)
    return BeliefMap(beliefs=tuple(known.tolist()), p_win=tuple(p_win.tolist()))


def knots(rising: Rising, counts: Floats, knots_max: int) -> tuple[Floats, Floats]:
    """Beliefs and probabilities of the map; only counts of 1 take part.

    Equal beliefs share their wins before anything is grouped: they lie in order of time, and a
    rise in time is not one in belief.
    """
    from scipy.optimize import isotonic_regression  # Dear to import, and only a night needs it.

    seen = counts.cumsum()
    groups = min(knots_max, int(seen[-1]))
    cuts = np.arange(groups + 1) * int(seen[-1]) // groups
    starts, ends = np.searchsorted(seen, cuts[:-1] + 1), np.searchsorted(seen, cuts[1:])
    weight = np.diff(cuts).astype(np.float64)
    is_of_one = rising.beliefs[starts] == rising.beliefs[ends]

    def means(values: Floats) -> Floats:
        """Of each group; one of a single belief has its value to the last bit."""
        return np.where(
            is_of_one, values[starts], np.add.reduceat(values * counts, starts) / weight
        )

    at = np.maximum.accumulate(means(rising.beliefs))
    known, first = np.unique(at, return_index=True)
    rate = means(rising.shares(counts))[first]
    return known, isotonic_regression(rate, weights=np.add.reduceat(weight, first)).x
