"""Plans: understood once, run on frame after frame, from any number of threads."""

from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import polars as pl
import pytest

from engine.plans import Plan, PlanShelf, in_turn, largest, least

SCHEMA = pl.Schema({"price": pl.Int32()})
PASSES = (
    ((pl.col("price") * 2).alias("_twice"),),
    ((pl.col("_twice") + 1).alias("more"), pl.col("price").cum_sum().alias("so_far")),
)


def prices(*values: int) -> pl.DataFrame:
    return pl.DataFrame({"price": values}, schema=SCHEMA)


def steps(query: pl.LazyFrame) -> pl.LazyFrame:
    return in_turn(query, PASSES)


def shown(names) -> list[str]:
    return [name for name in names if name[0] != "_"]


def test_a_later_run_sees_its_own_frame_alone():
    shelf = PlanShelf(SCHEMA, steps, shown)

    shelf.run(prices(1, 2, 3))
    found = shelf.run(prices(10, 20))

    assert found.to_dict(as_series=False) == {
        "price": [10, 20],
        "more": [21, 41],
        "so_far": [10, 30],
    }


def test_the_columns_come_in_the_order_that_was_chosen():
    found: list[pl.DataFrame] = []
    plan = Plan(SCHEMA, lambda: prices(4), found.append, steps, lambda names: [names[-1], names[0]])

    plan.run()

    assert found[0].columns == ["so_far", "price"]


def test_a_run_may_start_before_there_is_a_frame():
    frames: SimpleQueue[pl.DataFrame] = SimpleQueue()
    found: SimpleQueue[pl.DataFrame] = SimpleQueue()
    plan = Plan(SCHEMA, frames.get, found.put, steps, shown)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(plan.run)
        frames.put(prices(7))

        assert found.get()["more"].to_list() == [15]


def test_threads_that_share_a_shelf_never_see_the_frame_of_another():
    shelf = PlanShelf(SCHEMA, steps, shown)
    starts = range(0, 4_000, 10)

    with ThreadPoolExecutor(4) as threads:
        found = threads.map(lambda start: shelf.run(prices(start, start + 1)), starts)

    assert [frame["so_far"].to_list() for frame in found] == [
        [start, 2 * start + 1] for start in starts
    ]


def test_a_run_that_failed_leaves_nothing_behind_for_the_next():
    shelf = PlanShelf(SCHEMA, steps, shown)

    with pytest.raises(pl.exceptions.PolarsError):
        shelf.run(pl.DataFrame({"volume": [1]}))

    assert shelf.run(prices(5))["so_far"].to_list() == [5]


def test_the_largest_and_least_of_columns_skip_what_is_unknown():
    frame = pl.DataFrame({"a": [1, None, None], "b": [3, 2, None], "c": [2, None, None]})
    columns = [pl.col(name) for name in "abc"]

    found = frame.select(largest(*columns).alias("largest"), least(*columns).alias("least"))

    assert found.rows() == [(3, 1), (2, 2), (None, None)]
