"""From the words on the command line to a source."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from assets.ports import BarSource
from engine.errors import SourceError
from pipelines.sources.lean import LeanSource

SOURCE_KINDS: Final[Mapping[str, str]] = {"lean": "lean:DIR"}


def parse_source(spec: str) -> BarSource:
    """The source that `kind:where` names; raises `SourceError` for words it cannot place."""
    kind, _, where = spec.partition(":")
    if kind != "lean":
        raise SourceError(kind)
    return LeanSource(folder=Path(where))
