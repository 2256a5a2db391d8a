"""Stage `bars`: what the source delivered for a session, checked row by row."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import dagster as dg
from pydantic import Field

from assets.ingest import IngestedSession
from assets.ingest import ingest as ingest_sessions
from assets.made_from import BARS_CONTENT
from assets.partitions import sessions_of
from assets.ports import BarSource, MarketStore, SeenBars
from assets.tables import (
    schema_check,
    session_check,
    sessions_in,
    sources_asset,
    stored_rows,
    table_of,
)
from engine.errors import InputRefused
from engine.rules import Rules

COMPLETE_SHARE_MIN: Final = 0.9
"""Share of a session's minutes that must have a bar; real ES sessions have all of them."""

ABSENT_SHOWN: Final = 5


class IngestConfig(dg.Config):
    """Run configuration of ingestion."""

    replace_other_source: bool = Field(
        default=False,
        description="Whether bars of another kind of source, or minutes that the source no longer "
        "has, may be replaced.",
    )


@sources_asset("bars", "rejected_bars", name="ingest", group_name="bars")
def ingest(
    context: dg.AssetExecutionContext,
    config: IngestConfig,
    source: dg.ResourceParam[BarSource],
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
    seen: dg.ResourceParam[SeenBars],
) -> Iterator[dg.MaterializeResult[None]]:
    """Reads the source, keeps what is a bar, and keeps what is not with its reason.

    Each session is stored as it comes. When the source has none for one of them, lacks minutes that
    are stored, or its rows are refused, the run fails and says so; the sessions that were stored
    stay.
    """
    sessions = sessions_of(context.partition_keys, rules.session)
    prior_date = sessions[0].prior_session_date
    first_date = prior_date + timedelta(days=1) if prior_date else sessions[0].session_date
    done: list[IngestedSession] = []
    failure: str | None = None
    try:
        ingest_sessions(
            source,
            rules,
            market,
            first_date,
            sessions[-1].session_date,
            lambda session, _sessions: done.append(session),
            replace_other_source=config.replace_other_source,
            seen=seen,
        )
    except InputRefused as error:
        failure = str(error)
    stored = [session for session in done if session.is_stored]
    if len(stored) < len(sessions):
        _report_kept(context, stored, source.name)
        raise dg.Failure(failure or _lossy_text(done) or _absent_text(done, source.name))
    keys = _keys(context)
    for session in stored:
        for table, numbers in _numbers(session, source.name).items():
            context.add_asset_metadata(numbers, keys[table], str(session.session_date))
    changed = {"partitions_changed": sum(session.changed for session in stored)}
    yield dg.MaterializeResult(asset_key=keys["bars"], metadata=changed)
    yield dg.MaterializeResult(asset_key=keys["rejected_bars"])


def _keys(context: dg.AssetExecutionContext) -> Mapping[str, dg.AssetKey]:
    """The assets of this step by table; a location may put the symbol before their names."""
    return {table_of(key): key for key in context.assets_def.keys}


def _numbers(session: IngestedSession, source: str) -> Mapping[str, Mapping[str, int | str]]:
    return {
        "bars": {
            "dagster/row_count": session.bars,
            "expected_bars": session.expected_bars,
            "outside_rth": session.outside_rth,
            "out_of_order": session.out_of_order,
            "source": source,
            "as_the_desk_saw_them": session.seen,
            "told_otherwise_by_the_source": session.seen_otherwise,
            **({} if session.sha256 is None else {BARS_CONTENT: session.sha256}),
        },
        "rejected_bars": {
            "dagster/row_count": session.rejected,
            **{f"rejected {reason}": rows for reason, rows in session.rejected_by_reason.items()},
        },
    }


def _report_kept(
    context: dg.AssetExecutionContext, stored: Sequence[IngestedSession], source: str
) -> None:
    """What was stored before the run failed is there, and the lineage says so."""
    keys = _keys(context)
    for session in stored:
        for table, numbers in _numbers(session, source).items():
            context.log_event(
                dg.AssetMaterialization(
                    keys[table], partition=str(session.session_date), metadata={**numbers}
                )
            )


def _absent_text(done: Sequence[IngestedSession], source: str) -> str:
    absent = [str(session.session_date) for session in done if not session.bars]
    return (
        f"expected bars of {len(done)} sessions, but {source} has none for {len(absent)}: "
        f"{', '.join(absent[:ABSENT_SHOWN])}{' …' if len(absent) > ABSENT_SHOWN else ''}. The "
        f"other {len(done) - len(absent)} are stored. Materialise only sessions that the source "
        "has, or set CREDENCE_SOURCE to one that has them."
    )


def _lossy_text(done: Sequence[IngestedSession]) -> str:
    """What would have been lost, and the word that allows it; empty if nothing would."""
    lossy = [session.loss for session in done if session.is_refused]
    if not lossy:
        return ""
    return (
        f"{len(lossy)} sessions would lose bars and were left as they are: "
        f"{'; '.join(lossy[:ABSENT_SHOWN])}{' …' if len(lossy) > ABSENT_SHOWN else ''}. Give the "
        "source the whole session, or lose them on purpose: replace_other_source: true in the run "
        "configuration"
    )


bars_schema = schema_check("bars")
rejected_bars_schema = schema_check("rejected_bars")


@session_check("bars")
def bars_complete(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """Whether each session has at least nine in ten of its minutes, by its own calendar."""
    sessions = sessions_in(context, rules)
    rows = dict(stored_rows(market, "bars", sessions, rules).group_by("session_date").len().rows())
    shares = {
        str(each.session_date): rows.get(each.session_date, 0) / each.minutes for each in sessions
    }
    thin = [day for day, share in shares.items() if share < COMPLETE_SHARE_MIN]
    named = f"; incomplete: {', '.join(f'{day} ({shares[day]:.1%})' for day in thin)}"
    return dg.AssetCheckResult(
        passed=not thin,
        description=f"{len(sessions) - len(thin)} of {len(sessions)} sessions are complete"
        + (named if thin else ""),
        metadata={"share_min": min(shares.values()), "incomplete": len(thin)},
    )
