"""The seeded market: bars that look like MES, episodes of known truth, and labelled faults."""

from engine.generator.episodes import EpisodeKind
from engine.generator.faults import REJECTED_KINDS, Faulted, FaultKind, plant_faults
from engine.generator.generate import (
    LABEL_COLUMNS,
    Generated,
    MarketScale,
    generate_bars,
    random_walk_bars,
)

__all__ = [
    "LABEL_COLUMNS",
    "REJECTED_KINDS",
    "EpisodeKind",
    "FaultKind",
    "Faulted",
    "Generated",
    "MarketScale",
    "generate_bars",
    "plant_faults",
    "random_walk_bars",
]
