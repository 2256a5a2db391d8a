"""Every cause of the attribution happens in generated markets, to trades that the desk made."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from night_of_journals import night
from replay_market import RULES, Market, context_of, market, settings

from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.desk import Recording
from engine.generator import plant_faults
from engine.learning.attribution import Cause, attribution
from engine.learning.luck import peers
from engine.market import market_frame
from engine.outcomes import outcomes
from pipelines.journal_sink import StoredSink
from pipelines.journal_store import JournalReader
from pipelines.replay import replay


def causes(of: Market) -> set[str]:
    """The causes of all trades of a large account in these sessions."""
    frame = market_frame(of.contexts, of.bars, RULES)
    asked = settings(equity_usd=Decimal(20_000), recording=Recording.TRADES, resumes_killed=True)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        replay(of.contexts, of.bars, RULES, asked, sink=StoredSink(path))
        reader = JournalReader(path)
        told = [list(reader.events(session_date=day)) for day in reader.sessions()]
    trades = pl.concat(night(events, frame).trades for events in told)
    days = frame.filter(pl.col("session_date").is_in(trades["session_date"].unique().implode()))
    followed = outcomes(days, RULES)
    compared = peers(days, followed, RULES)
    return set(attribution(trades, days, followed, compared, RULES)["cause"])


def spoiled(seed: int) -> Market:
    """Sessions with planted data faults, checked as any source's are."""
    clean = market(30, seed).bars
    raw = plant_faults(clean, seed, RULES.instrument, per_kind=30).raw
    days = sessions_between(clean["session_date"].min(), clean["session_date"].max(), RULES.session)
    bars = check_bars(raw, RULES.instrument, days).bars
    return Market(context_of(bars), bars)


def attempts() -> Iterator[Callable[[], Market]]:
    for seed in range(12, 20):
        yield lambda seed=seed: market(200, seed)
        yield lambda seed=seed: spoiled(seed)


@pytest.mark.slow
def test_every_cause_happens() -> None:
    missing = {cause.value for cause in Cause}

    for attempt in attempts():
        missing -= causes(attempt())
        if not missing:
            break

    assert missing == set()
