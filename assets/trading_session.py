"""Stage `trading_session`: one session played by the desk; here on the simulated exchange."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import dagster as dg
import polars as pl
from pydantic import Field

from assets import told
from assets.candidates import candidates
from assets.context import session_context
from assets.partitions import SESSIONS, sessions_of
from assets.ports import PlayedSession, Rehearsals
from assets.tables import OWNERS
from engine.broker import ExecutionReported
from engine.decision import Action
from engine.desk import fact_of
from engine.journal import Event, Kind
from engine.market import market_frame
from engine.rules import Rules
from engine.units import Side


class RehearsalConfig(dg.Config):
    """Run configuration of a rehearsal."""

    equity_usd: float = Field(
        default=10_000.0, gt=0, description="Account at the open, USD; decides the capital tier."
    )
    seed: int = Field(default=0, description="Seed of the exchange's late and early reports.")


@dg.asset(
    group_name="trading_session",
    description="One session played bar by bar through the desk, with everything it did and did "
    "not do in a hash-chained journal.",
    kinds={"python", "sqlite"},
    owners=list(OWNERS),
    ins={"contexts": dg.AssetIn(session_context.key)},
    deps=[candidates],
    partitions_def=SESSIONS,
    tags={"credence/session": "rehearsal"},
)
def trading_session(
    context: dg.AssetExecutionContext,
    config: RehearsalConfig,
    bars: pl.DataFrame,
    contexts: pl.DataFrame,
    rules: dg.ResourceParam[Rules],
    rehearsals: dg.ResourceParam[Rehearsals],
) -> dg.MaterializeResult[None]:
    """Plays the partition's session on the simulated exchange and keeps its journal."""
    session_date = sessions_of(context.partition_keys, rules.session)[0].session_date
    equity_usd = Decimal(str(config.equity_usd))
    played = rehearsals.play(session_date, contexts, bars, equity_usd=equity_usd, seed=config.seed)
    for event in rehearsals.events(session_date, Kind.TRADE):
        context.log.info(event.payload)
    fills = fills_of(rehearsals.events(session_date, Kind.EXECUTION))
    pictures = _pictures(market_frame(contexts, bars, rules), fills, played, rules)
    return dg.MaterializeResult(
        metadata={
            **pictures,
            "net_usd": told.usd(played.equity_usd - equity_usd),
            "entries": played.actions.get(Action.ENTER, 0),
            "fills": fills.height,
            "reasons": told.counts(played.reasons, "reason", "bars"),
            "exits": told.counts(played.exits, "exit", "trades"),
            "events": played.events,
            "digest": played.digest,
            "journal": dg.MetadataValue.path(str(played.journal)),
        }
    )


def _pictures(
    frame: pl.DataFrame, fills: pl.DataFrame, played: PlayedSession, rules: Rules
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
    reasons = pl.DataFrame(
        {"reason": list(played.reasons), "bars": list(played.reasons.values())},
        schema={"reason": pl.String, "bars": pl.Int64},
    )
    return {
        "session": dg.MetadataValue.md(markdown_image(session, "price, fills and beliefs")),
        "why_not": dg.MetadataValue.md(markdown_image(reasons_picture(reasons), "reasons")),
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
