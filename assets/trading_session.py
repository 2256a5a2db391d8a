"""Stage `trading_session`: one session played by the desk, traded or rehearsed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import dagster as dg
import orjson
import polars as pl
from pydantic import Field

from assets import told
from assets.context import session_context
from assets.partitions import ALL_AT_ONCE, SESSIONS, accepted_previews, sessions_of
from assets.ports import MarketStore, PlayedSession, SessionRuns
from assets.prior_sessions import contexts_from
from assets.tables import OWNERS
from engine.broker import AccountReported, ExecutionReported
from engine.decision import Action
from engine.desk import SessionClosed, fact_of
from engine.journal import Event, Kind
from engine.market import market_frame
from engine.rules import Rules
from engine.trade import TradeClosed
from engine.units import Side


class SessionConfig(dg.Config):
    """Run configuration of a session."""

    is_rehearsal: bool = Field(
        default=True,
        description="Play a stored or generated session through the simulated gateway; otherwise "
        "today's is traded at the broker and in the mode of the settings.",
    )
    confirm_account: str = Field(
        default="",
        description="Mode live only: the account whose real money is traded, typed by a person.",
    )
    equity_usd: float = Field(
        default=10_000.0,
        gt=0,
        description="Rehearsal only: account at the open, USD; decides the capital tier.",
    )
    seed: int = Field(default=0, description="Rehearsal only: seed of the exchange's faults.")
    speed: str = Field(
        default="max", description="Rehearsal only: max, or a multiple of real time such as 60."
    )


with accepted_previews():
    _session_asset = dg.multi_asset(
        name="play_session",  # The job is called trading_session; Dagster wants names only once.
        specs=[
            dg.AssetSpec(
                "trading_session",
                group_name="trading_session",
                description="One session played bar by bar through the desk at a broker, with "
                "everything it did and did not do in a hash-chained journal.",
                kinds={"python", "sqlite"},
                owners=list(OWNERS),
                deps=[session_context],
            )
        ],
        partitions_def=SESSIONS,
        backfill_policy=ALL_AT_ONCE,
    )


@_session_asset
def trading_session(
    context: dg.AssetExecutionContext,
    config: SessionConfig,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
    session_runs: dg.ResourceParam[SessionRuns],
) -> dg.MaterializeResult[None]:
    """Runs a session, or rehearses one after the other, with each decision in the log."""
    sessions = sessions_of(context.partition_keys, rules.session)
    if len(sessions) > 1 and not config.is_rehearsal:
        raise dg.Failure(f"a session is traded by itself, {len(sessions)} were asked for")
    for session in sessions:
        played = _play(config, session.session_date, session_runs, context)
        frame = market_frame(contexts_from(market, [session], rules), played.bars, rules)
        told_of_it = _told(played, frame, rules) | {"is_rehearsal": config.is_rehearsal}
        context.add_asset_metadata(told_of_it, "trading_session", str(session.session_date))
    return dg.MaterializeResult(asset_key="trading_session")


def _told(
    played: PlayedSession, frame: pl.DataFrame, rules: Rules
) -> dict[str, dg.MetadataValue[Any] | float | int | str | None]:
    """What the UI shows of a session, pictures first."""
    actions, reasons = counts_of(played.events(Kind.DECISION))
    fills = fills_of(played.events(Kind.EXECUTION))
    return {
        **_pictures(frame, fills, reasons, rules),
        "net_usd": _net_usd(played.events(Kind.ACCOUNT, Kind.SESSION)),
        "entries": actions.get(Action.ENTER, 0),
        "fills": fills.height,
        "reasons": told.counts(reasons, "reason", "bars"),
        "exits": told.counts(exits_of(played.events(Kind.TRADE)), "exit", "trades"),
        "bars_seen": played.bars.height,
        "ending": played.ending,
        "digest": played.digest,
        "journal": dg.MetadataValue.path(str(played.journal)),
    }


def _play(
    config: SessionConfig,
    session_date: date,
    runs: SessionRuns,
    context: dg.AssetExecutionContext,
) -> PlayedSession:
    if not config.is_rehearsal:
        return runs.run(
            session_date,
            instance=context.instance,
            confirmed_account=config.confirm_account or None,
            told=context.log.info,
        )
    return runs.rehearse(
        session_date,
        equity_usd=Decimal(str(config.equity_usd)),
        seed=config.seed,
        speed=config.speed,
        told=context.log.info,
    )


def _pictures(
    frame: pl.DataFrame, fills: pl.DataFrame, reasons: Mapping[str, int], rules: Rules
) -> Mapping[str, dg.MarkdownMetadataValue]:
    from assets.pictures import markdown_image, reasons_picture, session_picture

    belief_min = min(template.belief_min for template in rules.strategies.templates)
    session = session_picture(
        frame,
        strongest_beliefs(frame),
        fills,
        belief_min=belief_min,
        points_per_tick=float(rules.instrument.tick_size),
    )
    counted = pl.DataFrame(
        {"reason": list(reasons), "bars": list(reasons.values())},
        schema={"reason": pl.String, "bars": pl.Int64},
    )
    return {
        "session": dg.MetadataValue.md(markdown_image(session, "price, fills and beliefs")),
        "why_not": dg.MetadataValue.md(markdown_image(reasons_picture(counted), "reasons")),
    }


def strongest_beliefs(frame: pl.DataFrame) -> pl.DataFrame:
    """Per bar the strongest effective belief of each side: closes_at, long, short."""
    return frame.select(
        "closes_at",
        *(
            pl.max_horizontal(
                f"f{number}_{side.name.lower()}_effective" for number in (1, 2, 3, 4)
            ).alias(side.name.lower())
            for side in Side
        ),
    )


def fills_of(events: Sequence[Event]) -> pl.DataFrame:
    """Fills for the picture: closes_at (the instant of the fill), price_ticks, leg."""
    fills = [fact for fact in map(fact_of, events) if isinstance(fact, ExecutionReported)]
    rows = [(fill.at, fill.price_ticks, fill.ref.rpartition("/")[2]) for fill in fills]
    columns = ["closes_at", "price_ticks", "leg"]
    typed = pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)
    return typed.cast({"closes_at": pl.Datetime("us", "UTC"), "leg": pl.String})


def counts_of(decisions: Sequence[Event]) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """How often each action was decided, and how often each reason was the first no."""
    payloads = [orjson.loads(event.payload) for event in decisions]
    actions = Counter(each["action"] for each in payloads)
    return actions, Counter(each["reason"] for each in payloads if each["reason"] is not None)


def exits_of(trades: Sequence[Event]) -> Mapping[str, int]:
    """How the closed trades ended."""
    facts = [fact_of(event) for event in trades]
    return Counter(fact.exit_kind.value for fact in facts if isinstance(fact, TradeClosed))


def _net_usd(accounts: Sequence[Event]) -> float | None:
    """What the account moved by, as far as the broker told; null when it never did."""
    known = [
        fact.equity_usd
        for fact in map(fact_of, accounts)
        if isinstance(fact, AccountReported | SessionClosed) and fact.equity_usd is not None
    ]
    return told.usd(known[-1] - known[0]) if known else None
