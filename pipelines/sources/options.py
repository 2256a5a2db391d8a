"""The part after the question mark: `csv:PATH?tz=America/Chicago&stamp=close`."""

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl
from zoneinfo import available_timezones

from engine.errors import SourceError

OPTION_MEANINGS: Final = {
    "tz": "time zone of the file's times, such as America/New_York; not needed when they state one",
    "stamp": "whether a time is that of the bar's open or close; open unless stated",
}

ZONE_LIKENESS: Final = 0.7
"""Enough for a slip of the keys; a city that is in no list must not become another one."""


class Stamp(StrEnum):
    """Which end of the minute a file's time names."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """How the times of a CSV or Parquet file are to be read; `zone` is null when not stated."""

    zone: str | None = None
    stamp: Stamp = Stamp.OPEN


def parse_options(kind: str, text: str) -> FileOptions:
    """Options of a file source; raises `SourceError` for an unknown name, zone or stamp."""
    options = dict(parse_qsl(text, keep_blank_values=True))
    unknown = set(options) - set(OPTION_MEANINGS)
    if unknown:
        known = "; ".join(f"{name}: {meaning}" for name, meaning in OPTION_MEANINGS.items())
        raise SourceError(
            f"{kind} source: unknown option {', '.join(sorted(unknown))}; known are {known}"
        )
    stamp = options.get("stamp", Stamp.OPEN.value)
    if stamp not in set(Stamp):
        raise SourceError(f"{kind} source: expected stamp=open or stamp=close, got stamp={stamp}")
    zone = options.get("tz")
    if zone is not None and zone not in available_timezones():
        nearest = get_close_matches(zone, sorted(available_timezones()), n=1, cutoff=ZONE_LIKENESS)
        raise SourceError(
            f"{kind} source: expected a time zone name such as America/Chicago, got tz={zone}"
            + (f"; did you mean {nearest[0]}?" if nearest else "")
        )
    return FileOptions(zone=zone, stamp=Stamp(stamp))
