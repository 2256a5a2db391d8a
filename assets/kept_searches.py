"""The weekly searches as a page tells them: how many were tried, and how far it was luck."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson

from engine.errors import InputRefused
from engine.learning.promotion import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSearch:
    """The newest search before a session. `name` and `evidence` are null where nothing helped."""

    through: date
    sessions: int
    tried: int
    name: str | None
    evidence: Evidence | None
    why_not: str | None


def search_before(folder: Path, session_date: date) -> KeptSearch | None:
    """The newest search through a session before this one; null without any.

    Raises `InputRefused` for a kept search that cannot be read.
    """
    kept = [path for path in sorted(folder.glob("*.json")) if path.stem < str(session_date)]
    if not kept:
        return None
    try:
        content = orjson.loads(kept[-1].read_bytes())
        best, shared = content["best"], {name: content[name] for name in ("sessions", "tried")}
        through, why_not = date.fromisoformat(content["through"]), content["why_not"]
        gains = ("gain_r", "gain_ahead_r", "deflated_sharpe")
        evidence = best and Evidence(
            through=through, why_not=why_not, **shared, **{name: best[name] for name in gains}
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputRefused(
            f"{kept[-1]}: expected a kept search, got {error!r}; remove it, or run credence evolve"
        ) from error
    name = best and best["name"]
    return KeptSearch(through=through, name=name, evidence=evidence, why_not=why_not, **shared)
