"""Market rows of a live session: the bars so far in, the rows of the newest out.

The computation of the next bar can be prepared while the desk waits for it: it then stands, fully
planned, at the point where it asks for the bars, and a bar costs its arithmetic alone.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from queue import Empty, SimpleQueue
from threading import Event
from typing import Final, Self

import polars as pl

from engine.context import join_context
from engine.market import MarketRow, market_frame, market_rows
from engine.measures import is_one_session
from engine.narrative import journal_text
from engine.newest import BARS_MIN, newest_plan
from engine.rules import Rules

WAIT_SECONDS_MAX: Final = 120.0
"""A prepared computation is given up when no bar comes for so long; the next starts by itself."""

REST_SECONDS: Final = 0.1
"""An answered computation is cleared up so much later, when the decision no longer waits for it."""


class LiveMarket:
    """Rows of the newest bars of one session, whose context is a row of `contexts`.

    To be closed once `prepare` was called. Serves one thread.
    """

    def __init__(
        self, rules: Rules, contexts: pl.DataFrame, wait_seconds_max: float = WAIT_SECONDS_MAX
    ) -> None:
        self._rules, self._contexts = rules, contexts
        self._wait_seconds_max = wait_seconds_max
        self._query: _Query | None = None
        self._prepared_for = pl.Schema()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, bars: pl.DataFrame) -> None:
        """Begin what the next bar will need, and return at once; `bars` are those so far."""
        if self._query is None or bars.schema != self._prepared_for:
            self._prepared_for = bars.schema
            self._query = self._query_for(join_context(bars, self._contexts).schema)
        self._query.start()

    def wait_until_prepared(self, seconds_max: float = WAIT_SECONDS_MAX) -> None:
        """Wait a few milliseconds until what `prepare` began is done, or for so long."""
        if self._query is not None:
            self._query.start().asks.wait(seconds_max)

    def newest(self, bars: pl.DataFrame, after: datetime | None = None) -> Sequence[MarketRow]:
        """Rows with their journal text of the bars that closed later than `after`, in order.

        `bars` are all of the session so far, and every row is computed on all of them.
        """
        wanted = bars.height if after is None else int((bars["closes_at"] > after).sum())
        if wanted == 1 and bars.height >= BARS_MIN and is_one_session(bars):
            joined = join_context(bars, self._contexts)
            return market_rows(self._query_for(joined.schema).result(joined).tail(1))
        frame = market_frame(self._contexts, bars, self._rules)
        # One row more than wanted: Polars divides one row by a number in another way than many.
        return market_rows(journal_text(frame.tail(wanted + 1), self._rules).tail(wanted))

    def close(self) -> None:
        """Give up what was prepared."""
        if self._query is not None:
            self._query.close()
            self._query = None

    def _query_for(self, joined: pl.Schema) -> "_Query":
        if self._query is None or self._query.joined != joined:
            self.close()
            self._query = _Query(joined, self._rules, self._wait_seconds_max)
        return self._query


class _GivenUpError(Exception):
    """No bar came for a prepared computation."""


class _Run:
    """One computation: whether it asks for the bars yet, the bars, its answer, and its end."""

    def __init__(self) -> None:
        self.asks = Event()
        self.may_end = Event()
        self.bars: SimpleQueue[pl.DataFrame | None] = SimpleQueue()
        self.answer: Future[pl.DataFrame] = Future()


class _Query:
    """The plan of the newest bar for one schema, run in a thread of its own."""

    def __init__(self, joined: pl.Schema, rules: Rules, wait_seconds_max: float) -> None:
        self.joined = joined
        self._wait_seconds_max = wait_seconds_max
        self._plan = newest_plan(joined, self._asked, self._answered, rules)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live market")
        self._run: _Run | None = None

    def start(self) -> _Run:
        """Start a run unless one waits already."""
        if self._run is None or self._run.answer.done():
            self._let_go()
            self._run = _Run()
            self._thread.submit(self._compute, self._run)
        return self._run

    def result(self, joined: pl.DataFrame) -> pl.DataFrame:
        """What the plan makes of these bars, by the run that waits for them or by a new one."""
        try:
            return self._answer(joined)
        except _GivenUpError:
            return self._answer(joined)

    def close(self) -> None:
        """Give up the run that waits, if any, and end the thread.

        The plan holds our methods inside Polars, where the garbage collector sees no cycle: what
        leads from us to it, also by the traceback of a run that was given up, has to be cut, or
        all of it stays for as long as the process lives.
        """
        self._let_go()
        self._thread.shutdown()
        self._run = None
        del self._plan

    def _let_go(self) -> None:
        if self._run is not None:
            self._run.bars.put(None)
            self._run.may_end.set()

    def _answer(self, joined: pl.DataFrame) -> pl.DataFrame:
        run = self.start()
        run.bars.put(joined)
        return run.answer.result()

    def _compute(self, run: _Run) -> None:
        try:
            self._plan.run()
        except BaseException as error:  # noqa: BLE001 — it is raised where the answer is read.
            if not run.answer.done():
                run.answer.set_exception(error)

    def _asked(self) -> pl.DataFrame:
        run = self._current()
        run.asks.set()
        try:
            bars = run.bars.get(timeout=self._wait_seconds_max)
        except Empty:
            bars = None
        if bars is None:
            given_up = _GivenUpError("no bar came for the computation that was prepared")
            run.answer.set_exception(given_up)
            raise given_up
        return bars

    def _answered(self, rows: pl.DataFrame) -> None:
        run = self._current()
        run.answer.set_result(rows)
        run.may_end.wait(REST_SECONDS)

    def _current(self) -> _Run:
        """The run that the plan is at; there is a new one only once it has its answer."""
        if self._run is None:
            raise AssertionError("expected a run before its plan asks; start one")
        return self._run
