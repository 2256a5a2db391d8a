"""The page of the demo: what was seen, believed, decided, why not, and what it cost."""

import json
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from pipelines.commands.screen import Screen

if TYPE_CHECKING:
    from engine.calendar import Session
    from pipelines.wiring import Wiring

SHOWN_TRADES: Final = 8
REPLAY_NAME: Final = "demo-replay"
"""Of the journal of all sessions in a row; no night reads it, as it does a replay's own."""


def tell(wiring: "Wiring", chosen: "Sequence[Session]", equity_usd: int, screen: Screen) -> None:
    """The page: what was seen, believed, decided, why not, and what it cost."""
    first, last = chosen[0].session_date, chosen[-1].session_date
    _tell_bars(wiring, first, last, screen)
    _tell_session(wiring, last, screen)
    _tell_replay(wiring, (first, last), equity_usd, screen)


def _tell_bars(wiring: "Wiring", first: date, last: date, screen: Screen) -> None:
    import polars as pl

    symbol = wiring.settings.symbol
    bars, rejected, quality, beliefs = (
        wiring.market.read(name, symbol, first, last)
        for name in ("bars", "rejected_bars", "quality", "beliefs")
    )
    events = quality.select(pl.col("quality_events").str.split(",").explode()).to_series()
    named = events.filter(events != "").value_counts(sort=True)
    gate = wiring.rules.constitution.dvs_entry_min
    found = ", ".join(f"{count} {name}" for name, count in named.iter_rows()) or "none"
    screen.table(
        "What came",
        ["what", "count"],
        [
            ("sessions", bars["session_date"].n_unique()),
            ("bars kept", bars.height),
            ("bars rejected", rejected.height),
            ("bars below the DVS entry gate", quality.filter(pl.col("dvs") < gate).height),
            ("data events", found),
        ],
    )
    sessions = bars["session_date"].n_unique()
    rows = []
    for block in wiring.rules.beliefs.constraints:
        template = next(
            (t for t in wiring.rules.strategies.templates if t.constraint == block.id), None
        )
        if template is not None:
            prefix = block.id.lower()
            held = [
                beliefs.filter(pl.col(f"{prefix}_{side}_effective") >= template.belief_min).height
                for side in ("long", "short")
            ]
            rates = (f"{count / sessions:.1f}" for count in held)
            rows.append((block.id, block.question, template.id, *rates))
    screen.table(
        "What it believed: bars per session on which the belief was strong enough to act",
        ["", "question", "template", "long", "short"],
        rows,
        numbers=("long", "short"),
    )


def _tell_session(wiring: "Wiring", session_date: date, screen: Screen) -> None:
    import polars as pl

    from engine.wording import clock_at

    symbol = wiring.settings.symbol
    rows = wiring.warehouse.read("decisions", symbol, session_date, session_date)
    screen.say()
    screen.say(f"[bold]What it did on {session_date}[/]")
    screen.say(f"  {_how_it_was_played(wiring, session_date, rows.height)}")
    acts = rows.filter(~pl.col("action").is_in(["SKIP", "HOLD"]))
    for sentence in acts["sentence"]:
        screen.say(f"  {sentence}")
    if acts.is_empty():
        screen.say("  It did not trade.")
    fills = wiring.warehouse.read("executions", symbol, session_date, session_date)
    for fill in fills.iter_rows(named=True):
        verb = "bought" if fill["side"] > 0 else "sold"
        price = wiring.rules.instrument.to_points(fill["price_ticks"])
        when = clock_at(fill["at"], wiring.rules)
        screen.say(f"  {when} {verb} {fill['quantity']} at {price:,} ({fill['leg']})")
    skips = rows.filter(pl.col("action") == "SKIP")
    reasons = skips.group_by("reason").len("bars").sort("bars", "reason", descending=True)
    screen.table(
        f"Why not: the first no of the {skips.height} bars on which it was flat and did not enter",
        ["reason", "bars"],
        reasons.iter_rows(),
        numbers=("bars",),
    )
    nearest = _nearest(skips)
    if nearest is not None:
        screen.say("[bold]The nearest miss[/]")
        screen.say(f"  {nearest['sentence']}")
        screen.say(f"  {nearest['counterfactual']}")


def _how_it_was_played(wiring: "Wiring", session_date: date, decisions: int) -> str:
    """Through which machinery the session went; what a real one would go through too."""
    from engine.journal import Kind

    events = wiring.session_journals.events
    orders, comparisons = (
        len(events(session_date, kind)) for kind in (Kind.ORDER, Kind.RECONCILIATION)
    )
    return (
        f"Played through a simulated IB Gateway and {wiring.settings.ibkr_library}, the code that "
        f"trades: {decisions} bars decided as they closed, {orders} order reports, compared with "
        f"the broker {comparisons} times."
    )


def _nearest(skips: Any) -> dict[str, Any] | None:
    """The skipped bar whose best candidate scored highest; null when no bar had a candidate."""
    best: tuple[float, dict[str, Any]] | None = None
    for row in skips.iter_rows(named=True):
        scores = [s["euc"] for s in json.loads(row["scores_json"]) if s["euc"] is not None]
        if scores and (best is None or max(scores) > best[0]):
            best = (max(scores), row)
    return None if best is None else best[1]


def _tell_replay(
    wiring: "Wiring", range_: tuple[date, date], equity_usd: int, screen: Screen
) -> None:
    """All sessions in a row on one account, so that limits carry over as they would."""
    from decimal import Decimal

    from engine.wording import clock_at
    from pipelines.journal_files import write_fresh_journal
    from pipelines.replay import ReplaySettings, replay

    symbol = wiring.settings.symbol
    bars, contexts = (wiring.market.read(name, symbol, *range_) for name in ("bars", "context"))
    settings = ReplaySettings(equity_usd=Decimal(equity_usd))
    path = wiring.journals / f"{REPLAY_NAME}-{symbol}.sqlite"
    result = write_fresh_journal(
        path,
        wiring.home.aside,
        lambda sink: replay(contexts, bars, wiring.rules, settings, sink=sink),
    )
    shown = [
        (
            f"{trade['closed_at']:%Y-%m-%d} {clock_at(trade['closed_at'], wiring.rules)}",
            trade["template"],
            "long" if trade["side"] > 0 else "short",
            trade["exit_kind"],
            trade["gross_ticks"],
            trade["fees_usd"],
            trade["net_usd"],
        )
        for trade in result.trades
    ]
    screen.table(
        f"What {len(result.equity_usd)} sessions in a row would have cost or earned "
        f"({len(shown)} trades"
        + (f", the last {SHOWN_TRADES}" if len(shown) > SHOWN_TRADES else "")
        + ")",
        ["closed", "template", "side", "exit", "ticks", "fees $", "net $"],
        shown[-SHOWN_TRADES:],
        numbers=("ticks", "fees $", "net $"),
    )
    net = sum((Decimal(trade["net_usd"]) for trade in result.trades), Decimal(0))
    fees = sum((Decimal(trade["fees_usd"]) for trade in result.trades), Decimal(0))
    screen.say(
        f"  {len(shown)} trades, net {net:+.2f} USD of which fees {-fees:.2f} USD; "
        f"{result.bars:,} bars replayed, digest {result.digest[:16]}…"
    )
    screen.say(
        "  Loss limits and losing streaks carry over here, so a day can differ from the same day "
        "played alone."
    )
    screen.say(f"  Its journal is kept: {path}")
