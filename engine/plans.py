"""Queries that are planned once and run often.

On the bars of one session Polars spends more time on understanding expressions than on computing
them: names, types and casts of some four thousand nodes. They are the same for every frame of the
same columns, so a plan resolves them once and is then run on one frame after another.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import chain
from typing import Final

import polars as pl
from polars.io.plugins import register_io_source

_AS_WRITTEN: Final = pl.QueryOptFlags.none()
"""The steps are written in the shape in which they are to run; looking for a better one costs."""

_FILLER: Final = pl.lit(0, dtype=pl.Int8)


class Plan:
    """What `steps` make of frames with the columns of `schema`; `columns` chooses among theirs.

    A run asks `source` for its frame once all is done that can be done without it: a run started
    before its frame exists waits there, and then only computes. It tells `sink` the result before
    it clears up. A plan serves one run at a time.
    """

    def __init__(
        self,
        schema: pl.Schema,
        source: Callable[[], pl.DataFrame],
        sink: Callable[[pl.DataFrame], None],
        steps: Callable[[pl.LazyFrame], pl.LazyFrame],
        columns: Callable[[Sequence[str]], list[str]],
    ) -> None:
        def asked(*_: object) -> Iterator[pl.DataFrame]:
            yield source()

        def told(found: pl.DataFrame) -> pl.DataFrame:
            sink(found[chosen])
            return found

        query = steps(register_io_source(asked, schema=schema))
        found = query.collect_schema()
        chosen = columns(found.names())
        self._query = query.map_batches(told, schema=found)
        self._query.collect_schema()  # Polars keeps what it resolves, and no run does it again.

    def run(self) -> None:
        """Ask the source, compute, tell the sink."""
        self._query.collect(engine="in-memory", optimizations=_AS_WRITTEN)


class PlanShelf:
    """Plans of the same steps, as many as run at the same time; safe from any number of threads."""

    def __init__(
        self,
        schema: pl.Schema,
        steps: Callable[[pl.LazyFrame], pl.LazyFrame],
        columns: Callable[[Sequence[str]], list[str]],
    ) -> None:
        self._schema, self._steps, self._columns = schema, steps, columns
        self._idle: list[tuple[Plan, list[pl.DataFrame]]] = []

    def run(self, frame: pl.DataFrame) -> pl.DataFrame:
        """What the steps make of a frame."""
        plan, passing = self._idle.pop() if self._idle else self._planned()
        passing.append(frame)
        plan.run()
        found = passing.pop()
        self._idle.append((plan, passing))
        return found

    def _planned(self) -> tuple[Plan, list[pl.DataFrame]]:
        passing: list[pl.DataFrame] = []
        plan = Plan(self._schema, passing.pop, passing.append, self._steps, self._columns)
        return plan, passing


def in_turn(query: pl.LazyFrame, *many: Iterable[Iterable[pl.Expr]]) -> pl.LazyFrame:
    """The query with the columns of every pass, one expression after the other.

    For the bars of one session: handing them to threads takes longer than computing them. Polars
    does so inside the expressions of a pass with fewer of them than it has threads, so each pass is
    filled up.
    """
    for expressions in chain.from_iterable(many):
        named = list(expressions)
        missing = range(len(named), pl.thread_pool_size())
        query = query.with_columns_seq(*named, *(_FILLER.alias(f"_{nth}") for nth in missing))
    return query


def largest(*columns: pl.Expr) -> pl.Expr:
    """`pl.max_horizontal`, two at a time: three or more Polars hands to threads."""
    return reduce(pl.max_horizontal, columns)


def least(*columns: pl.Expr) -> pl.Expr:
    """`pl.min_horizontal`, two at a time."""
    return reduce(pl.min_horizontal, columns)
