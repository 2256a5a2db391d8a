"""Late corrections: sessions whose bars or journal are others than when their tables were made."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise, takewhile
from typing import Any, Final

import dagster as dg

from assets.made_from import (
    OF_BARS,
    OF_JOURNAL,
    OF_NIGHT,
    bars_of,
    digest_of_night,
    newest_metadata,
)
from contracts.calendar import sessions_between
from engine.calendar import SessionRules
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
    """From the first night whose bars or fills were corrected to the last one before a gap.

    Each night builds on the one before it, so all after a corrected one are done again. A session
    in between that taught nothing is not to be asked for: those after it are the next correction,
    once the night that they build on was done again.
    """
    keys = _looked_back_on(instance, wiring, _LEARNING)
    days = [date.fromisoformat(key) for key in keys]
    told, bars = newest_metadata(instance, _LEARNING, keys), bars_of(instance, _BARS, keys)
    journals = wiring.session_journals
    seals, teaching = journals.seals(days), journals.teaching(days)
    taught = [str(day) for day in days if day in teaching]
    for before, key in pairwise(["", *keys]):
        sealed = seals.get(date.fromisoformat(key))
        why = _why(key, told.get(key, {}), bars[key], sealed)
        why = why or _why_of_night_before(before, told.get(before, {}), told.get(key, {}))
        if why and key in taught:
            again = _without_a_gap(taught, key, wiring.rules.session)
            now = (f"{bars[each]} {seals.get(date.fromisoformat(each))}" for each in again)
            return Correction(
                first_date=date.fromisoformat(key),
                last_date=date.fromisoformat(again[-1]),
                why=why,
                digest=_digest([digest_of_night(told.get(before, {})), *now]),
            )
    return None


def _without_a_gap(keys: Sequence[str], first: str, rules: SessionRules) -> Sequence[str]:
    """From the first on, the keys between which the calendar has no other session."""
    held = sessions_between(date.fromisoformat(first), date.fromisoformat(keys[-1]), rules)
    return list(takewhile(lambda key: key in keys, (str(each.session_date) for each in held)))


def _why(key: str, night: Mapping[str, Any], bars: str, sealed: str | None) -> str:
    """What of a night was corrected, in words; empty for nothing."""
    if sealed is not None and _differs(night, OF_JOURNAL, sealed):
        return f"the journal of {key} was corrected"
    if _differs(night, OF_BARS, bars):
        return f"the bars of {key}, or of a session before it, were corrected"
    return ""


def _why_of_night_before(key: str, before: Mapping[str, Any], night: Mapping[str, Any]) -> str:
    """Whether a night builds on another than the one before it now is, in words; empty if not."""
    if OF_NIGHT in before and night.get(OF_NIGHT) != digest_of_night(before):
        return f"the night of {key} was done again"
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


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(texts).encode()).hexdigest()
