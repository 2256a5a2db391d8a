"""Every way in which a campaign troubles the desk, and how hard, by seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final, TypeAlias

from engine.exchange import FaultKind, FaultPlan


class WorldTrouble(StrEnum):
    """What goes wrong beside the exchange: in the market, on our machine, and by people."""

    SILENCE = "silence"
    STRANGE_ORDER = "strange_order"
    BAD_BARS = "bad_bars"
    CLOCK_SKEW = "clock_skew"
    DISK_ERROR = "disk_error"
    RESTART = "restart"
    MARGIN_CALL = "margin_call"
    STALE_FEED = "stale_feed"
    PERSON = "person"
    DEAD_DATA = "dead_data"


Trouble: TypeAlias = FaultKind | WorldTrouble
"""One family of trouble: a fault of the simulated exchange, or one beside it."""

TROUBLES: Final[tuple[Trouble, ...]] = (*FaultKind, *WorldTrouble)
"""Every family; a seed draws from them in this order."""


def trouble_of(name: str) -> Trouble:
    """The family of a name; raises `ValueError` for one that is none."""
    return FaultKind(name) if name in set(FaultKind) else WorldTrouble(name)


RATE_MAX: Final[Mapping[Trouble, float]] = {
    FaultKind.DELAYED: 0.15,
    FaultKind.LOST: 0.10,
    FaultKind.DUPLICATED: 0.30,
    FaultKind.REORDERED: 0.30,
    FaultKind.LATE_COMMISSION: 0.60,
    FaultKind.PARTIAL_FILL: 1.0,
    FaultKind.REJECT: 0.60,
    FaultKind.FILL_AFTER_CANCEL: 0.80,
    FaultKind.CANCEL_UNANSWERED: 0.60,
    FaultKind.ALIEN_POSITION: 0.002,
    FaultKind.QUERY_TIMEOUT: 0.30,
    FaultKind.DISCONNECT: 0.004,
    FaultKind.DISCONNECT_BEFORE_SEND: 0.15,
    FaultKind.DISCONNECT_AFTER_SEND: 0.15,
    FaultKind.DISCONNECT_MID_FILL: 0.50,
    WorldTrouble.SILENCE: 0.004,
    WorldTrouble.STRANGE_ORDER: 0.002,
    WorldTrouble.BAD_BARS: 1.0,
    WorldTrouble.CLOCK_SKEW: 1.0,
    WorldTrouble.DISK_ERROR: 0.05,
    WorldTrouble.RESTART: 0.20,
    WorldTrouble.MARGIN_CALL: 0.004,
    WorldTrouble.STALE_FEED: 0.004,
    WorldTrouble.PERSON: 0.003,
    WorldTrouble.DEAD_DATA: 0.008,
}
"""The highest chance per opportunity; a seed takes between a tenth and all of it."""

TOGETHER_MAX: Final = 5
DEAD_DATA_SHARE: Final = 0.15
"""Of the seeds. It came later than the others, and leaves them the draws that they had."""
CLOCK_SKEW_SECONDS_MAX: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """The troubles of one run, each with its rate; what a seed makes of them."""

    seed: int
    rates: Mapping[Trouble, float]
    delay_seconds: int
    outage_seconds: int
    skew_seconds: float

    @property
    def plan(self) -> FaultPlan:
        """The part of it that happens inside the exchange and on its wire."""
        return FaultPlan(
            rates={
                trouble: rate
                for trouble, rate in self.rates.items()
                if isinstance(trouble, FaultKind)
            },
            delay_seconds=self.delay_seconds,
            outage_seconds=self.outage_seconds,
        )


def storm_of(seed: int, only: frozenset[Trouble] | None = None) -> Storm:
    """The storm of a seed; with `only`, what is left of it when the other troubles are taken away.

    Every trouble draws its rate by itself, so that taking one away leaves the others as they were.
    """
    dice = Random(f"{seed}/storm")
    count = dice.randint(1, TOGETHER_MAX)
    chosen = sorted(dice.sample(TROUBLES[:-1], count))
    if Random(f"{seed}/{WorldTrouble.DEAD_DATA}/storm").random() < DEAD_DATA_SHARE:
        chosen.append(WorldTrouble.DEAD_DATA)
    rates = {trouble: rate_of(seed, trouble) for trouble in chosen}
    return Storm(
        seed=seed,
        rates={t: rate for t, rate in rates.items() if only is None or t in only},
        delay_seconds=dice.choice((3, 20, 90)),
        outage_seconds=dice.choice((4, 20, 45, 90, 300)),
        skew_seconds=dice.uniform(-CLOCK_SKEW_SECONDS_MAX, CLOCK_SKEW_SECONDS_MAX),
    )


def rate_of(seed: int, trouble: Trouble) -> float:
    """How often a seed lets a trouble happen, per opportunity."""
    return RATE_MAX[trouble] * Random(f"{seed}/rate/{trouble}").uniform(0.1, 1.0)
