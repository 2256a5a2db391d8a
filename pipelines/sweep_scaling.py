"""How the cost of a sweep grows: with bars, with sets and with sessions, in processor time.

Measured in this process alone, so that the start of others is not in it.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final, NamedTuple

from engine.learning.parameter_sets import parameter_sets, rules_with
from engine.learning.sweep.accounts import SetOrder
from engine.learning.sweep.counters import Carried, cents_of
from engine.learning.sweep.market import loosest
from engine.rules import Rules
from pipelines.collector import collector_at_rest
from pipelines.stored_bars import StoredBars
from pipelines.sweep import SweepRequest
from pipelines.sweep_bars import first_sessions
from pipelines.sweep_stretch import Stretch, StretchOrder, batches, write_stretch

PARTS: Final = (8, 4, 2, 1)
"""An eighth, a quarter, a half and all of the sessions, and of the sets."""

OF_BARS: Final = "market columns, by bars"
OF_SETS: Final = "all sessions, by sets"
OF_SESSIONS: Final = "all sets, by sessions"


class Cost(NamedTuple):
    """Processor seconds of so many bars, sets or sessions."""

    what: str
    amount: int
    cpu_seconds: float


def scaling(
    stored: StoredBars, rules: Rules, request: SweepRequest, progress: Callable[[str], None]
) -> list[Cost]:
    """The market of some bars, all sets on some sessions, and some sets on all of them."""
    found: list[Cost] = []
    for part in PARTS:
        some = first_sessions(stored, max(1, len(stored.session_dates) // part))
        measured = _measured(some, rules, request, progress)
        found += [each for each in measured if part == 1 or each.what != OF_SETS]
    return found


def _measured(
    stored: StoredBars, rules: Rules, request: SweepRequest, progress: Callable[[str], None]
) -> list[Cost]:
    sets = parameter_sets(rules, request.sets, request.seed)
    gates = loosest(rules_with(rules, each.changes) for each in sets)
    carried = Carried(equity=cents_of(request.equity_usd))
    marks = {max(1, len(sets) // part) for part in PARTS}
    with TemporaryDirectory(prefix="credence-sweep-") as name, collector_at_rest():
        folder = Path(name)
        write_stretch(folder, stored.bars, stored.contexts)
        started = process_time()
        stretch = Stretch(
            StretchOrder(folder=folder, rules=rules, gates=gates, minutes_before=0, seed=0)
        )
        walks_from = process_time()
        costs = [Cost(OF_BARS, stored.bars.height, walks_from - started)]
        orders = [SetOrder(chosen, carried, keeps=False) for chosen in sets]
        for first, until in pairwise(sorted({0, *marks})):
            for some in batches(orders[first:until]):
                stretch.walk(some)
                for _set in some:
                    progress(f"{stored.bars.height:,} bars")
            costs.append(Cost(OF_SETS, until, process_time() - walks_from))
        costs.append(Cost(OF_SESSIONS, len(stored.session_dates), process_time() - started))
    return costs
