"""Every way in which a campaign troubles the desk, and how hard, by seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from engine.exchange import FaultKind, FaultPlan


class Trouble(StrEnum):
    """One family of trouble; the first fifteen are the simulated exchange's own faults."""

    DELAYED = "delayed"
    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    LATE_COMMISSION = "late_commission"
    PARTIAL_FILL = "partial_fill"
    REJECT = "reject"
    FILL_AFTER_CANCEL = "fill_after_cancel"
    CANCEL_UNANSWERED = "cancel_unanswered"
    ALIEN_POSITION = "alien_position"
    QUERY_TIMEOUT = "query_timeout"
    DISCONNECT = "disconnect"
    DISCONNECT_BEFORE_SEND = "disconnect_before_send"
    DISCONNECT_AFTER_SEND = "disconnect_after_send"
    DISCONNECT_MID_FILL = "disconnect_mid_fill"
    SILENCE = "silence"
    STRANGE_ORDER = "strange_order"
    BAD_BARS = "bad_bars"
    CLOCK_SKEW = "clock_skew"
    DISK_ERROR = "disk_error"
    RESTART = "restart"
    MARGIN_CALL = "margin_call"
    STALE_FEED = "stale_feed"
    PERSON = "person"


RATE_MAX: Final[Mapping[Trouble, float]] = {
    Trouble.DELAYED: 0.15,
    Trouble.LOST: 0.10,
    Trouble.DUPLICATED: 0.30,
    Trouble.REORDERED: 0.30,
    Trouble.LATE_COMMISSION: 0.60,
    Trouble.PARTIAL_FILL: 1.0,
    Trouble.REJECT: 0.60,
    Trouble.FILL_AFTER_CANCEL: 0.80,
    Trouble.CANCEL_UNANSWERED: 0.60,
    Trouble.ALIEN_POSITION: 0.002,
    Trouble.QUERY_TIMEOUT: 0.30,
    Trouble.DISCONNECT: 0.004,
    Trouble.DISCONNECT_BEFORE_SEND: 0.15,
    Trouble.DISCONNECT_AFTER_SEND: 0.15,
    Trouble.DISCONNECT_MID_FILL: 0.50,
    Trouble.SILENCE: 0.004,
    Trouble.STRANGE_ORDER: 0.002,
    Trouble.BAD_BARS: 1.0,
    Trouble.CLOCK_SKEW: 1.0,
    Trouble.DISK_ERROR: 0.05,
    Trouble.RESTART: 0.20,
    Trouble.MARGIN_CALL: 0.004,
    Trouble.STALE_FEED: 0.004,
    Trouble.PERSON: 0.003,
}
"""The highest chance per opportunity; a seed takes between a tenth and all of it."""

TOGETHER_MAX: Final = 5
CLOCK_SKEW_SECONDS_MAX: Final = 20.0
_OF_THE_EXCHANGE: Final = frozenset(kind.value for kind in FaultKind)


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
                FaultKind(trouble.value): rate
                for trouble, rate in self.rates.items()
                if trouble.value in _OF_THE_EXCHANGE
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
    chosen = sorted(dice.sample(tuple(Trouble), count))
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
