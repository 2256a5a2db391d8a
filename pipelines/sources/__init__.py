"""Bar sources behind one port, named on the command line as `kind:where`."""

from datetime import date

import polars as pl

from assets.ports import BarSource
from pipelines.sources.parse import SOURCE_KINDS, parse_source

__all__ = ["SOURCE_KINDS", "BarSource", "parse_source", "read_source"]


def read_source(spec: str, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
    """Raw rows of a source named by its words, such as `lean:DIR`; for `engine.bars.check_bars`."""
    return parse_source(spec).read(symbol, first_date, last_date)
