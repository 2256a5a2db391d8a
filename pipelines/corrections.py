"""Late corrections: sessions whose bars or journal are others than when their tables were made."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import dagster as dg

from assets.made_from import OF_BARS, OF_JOURNAL, bars_of, newest_metadata
from pipelines.wiring import Wiring

_BARS: Final = dg.AssetKey("bars")
_OUTCOMES: Final = dg.AssetKey("outcomes")
_LEARNING: Final = dg.AssetKey("learning_state")


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What has to be made again, in words why; `digest` names what it would be made from."""

    first_date: date
    last_date: date
    why: str
    digest: str


def corrected_market(instance: dg.DagsterInstance, wiring: Wiring) -> Correction | None:
    """From the first to the last session whose market tables are older than the bars they read."""
    keys = _looked_back_on(instance, wiring, _OUTCOMES)
    told, bars = newest_metadata(instance, _OUTCOMES, keys), bars_of(instance, _BARS, keys)
    stale = [key for key in keys if _differs(told.get(key, {}), OF_BARS, bars[key])]
    if not stale:
        return None
    return Correction(
        first_date=date.fromisoformat(stale[0]),
        last_date=date.fromisoformat(stale[-1]),
        why=f"the bars of {stale[0]}, or of a session before it, were corrected",
        digest=_digest(bars[key] for key in stale),
    )


def corrected_nights(instance: dg.DagsterInstance, wiring: Wiring) -> Correction | None:
    """From the first night whose bars or fills were corrected to the last night done.

    Each night builds on the one before it, so all after a corrected one are done again.
    """
    keys = _looked_back_on(instance, wiring, _LEARNING)
    told, bars = newest_metadata(instance, _LEARNING, keys), bars_of(instance, _BARS, keys)
    seals = wiring.session_journals.seals([date.fromisoformat(key) for key in keys])
    for key in keys:
        sealed = seals.get(date.fromisoformat(key))
        why = _why(key, told.get(key, {}), bars[key], sealed)
        if why:
            after = keys[keys.index(key) :]
            now = (f"{bars[each]} {seals.get(date.fromisoformat(each))}" for each in after)
            return Correction(
                first_date=date.fromisoformat(key),
                last_date=date.fromisoformat(keys[-1]),
                why=why,
                digest=_digest(now),
            )
    return None


def _why(key: str, night: Mapping[str, Any], bars: str, sealed: str | None) -> str:
    """What of a night was corrected, in words; empty for nothing."""
    if sealed is not None and _differs(night, OF_JOURNAL, sealed):
        return f"the journal of {key} was corrected"
    if _differs(night, OF_BARS, bars):
        return f"the bars of {key}, or of a session before it, were corrected"
    return ""


def _differs(told: Mapping[str, Any], name: str, now: str) -> bool:
    """Whether something was told and is no longer so."""
    return name in told and told[name] != now


def _looked_back_on(
    instance: dg.DagsterInstance, wiring: Wiring, asset: dg.AssetKey
) -> Sequence[str]:
    """The newest sessions of an asset, ascending, as many as a night looks back on."""
    made = sorted(instance.get_materialized_partitions(asset))
    return made[-wiring.rules.learning.calibration.sessions_max :]


def _digest(texts: Iterator[str]) -> str:
    return hashlib.sha256(" ".join(texts).encode()).hexdigest()
