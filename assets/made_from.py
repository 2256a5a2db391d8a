"""What a session's tables were made from: so that a late correction of a bar or fill is noticed.

Every ingest tells Dagster the content of a session's bars, and every night what it found. A session
whose bars differ from those of its night, or whose journal does, was corrected since.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any, Final

import dagster as dg

from assets.prior_sessions import PRIOR_SESSIONS

BARS_CONTENT: Final = "sha256"
"""Metadata of a materialisation of bars: the digest of the stored file."""

OF_BARS: Final = "made_from_bars"
"""Metadata of what is made of bars: a digest of the session's and of all its context reads."""

OF_JOURNAL: Final = "made_from_journal"
"""Metadata of a night: the seal on the last event of its session."""

OF_NIGHT: Final = "made_from_night"
"""Metadata of a night: a digest of the night before it; empty for the first one."""

_PAGE: Final = 500


def beside(key: dg.AssetKey, name: str) -> dg.AssetKey:
    """Another asset of the same symbol: a location may put one before all their names."""
    return dg.AssetKey([*key.path[:-1], name])


def bars_of(
    instance: dg.DagsterInstance, bars: dg.AssetKey, partition_keys: Sequence[str]
) -> dict[str, str]:
    """By session: one digest of its bars and of those of the sessions that its context reads.

    From what was last told of each; a session of which nothing was told is left out of it.
    """
    return _digests(instance, bars, partition_keys, of_its_own=1)


def bars_before(
    instance: dg.DagsterInstance, bars: dg.AssetKey, partition_keys: Sequence[str]
) -> dict[str, str]:
    """By session: one digest of the bars that its context reads, which are not its own."""
    return _digests(instance, bars, partition_keys, of_its_own=0)


def _digests(
    instance: dg.DagsterInstance,
    bars: dg.AssetKey,
    partition_keys: Sequence[str],
    *,
    of_its_own: int,
) -> dict[str, str]:
    """By session, of the bars of the sessions before it and of none or one session of its own."""
    wanted = sorted(partition_keys)
    known = sorted(instance.get_materialized_partitions(bars))
    before = [key for key in known if wanted and key < wanted[0]][-PRIOR_SESSIONS:]
    read = [*before, *(key for key in known if wanted and wanted[0] <= key <= wanted[-1])]
    told = newest_metadata(instance, bars, read)
    found = {}
    for key in wanted:
        window = [each for each in read if each < key or (of_its_own and each == key)]
        contents = [
            (each, told.get(each, {}).get(BARS_CONTENT))
            for each in window[-PRIOR_SESSIONS - of_its_own :]
        ]
        text = " ".join(f"{each}:{content}" for each, content in contents if content is not None)
        found[key] = hashlib.sha256(text.encode()).hexdigest()
    return found


def corrected_sessions(
    instance: dg.DagsterInstance, night: dg.AssetKey, session_dates: AbstractSet[date]
) -> set[date]:
    """Sessions whose bars, or those before them, are others than in their first night.

    Only an ingest says so to Dagster: a file that somebody changed is no correction.
    """
    now = bars_of(instance, beside(night, "bars"), [str(day) for day in session_dates])
    was = {day: first_metadata(instance, night, str(day)).get(OF_BARS) for day in session_dates}
    return {day for day in session_dates if was[day] is not None and was[day] != now[str(day)]}


def digest_of_night(told: Mapping[str, Any]) -> str:
    """One digest of what a night was made from, all nights before it included; empty for none.

    A night done before nights told of each other has one as well, of what it tells.
    """
    parts = [f"{name}:{told[name]}" for name in (OF_NIGHT, OF_BARS, OF_JOURNAL) if name in told]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest() if parts else ""


def night_before(
    instance: dg.DagsterInstance, night: dg.AssetKey, session_date: date
) -> Mapping[str, Any]:
    """What the newest night before a session told of itself; empty without one."""
    made = instance.get_materialized_partitions(night)
    before = max((key for key in made if key < str(session_date)), default=None)
    return {} if before is None else newest_metadata(instance, night, [before]).get(before, {})


def newest_metadata(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition_keys: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    """The metadata of the newest materialisation of each of these sessions, as plain values."""
    ids = instance.get_latest_storage_id_by_partition(
        asset, dg.DagsterEventType.ASSET_MATERIALIZATION, set(partition_keys)
    )
    newest = sorted(ids.values())
    found: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(newest), _PAGE):
        page = newest[start : start + _PAGE]
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset, storage_ids=page), limit=len(page)
        ).records
        found |= dict(_plain(records))
    return found


def first_metadata(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition_key: str
) -> Mapping[str, Any]:
    """The metadata of the first materialisation of a session; empty if there was none."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset, asset_partitions=[partition_key]), limit=1, ascending=True
    ).records
    return dict(_plain(records)).get(partition_key, {})


def _plain(records: Sequence[dg.EventLogRecord]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for record in records:
        made = record.asset_materialization
        if made is not None and made.partition is not None:
            yield made.partition, {name: value.value for name, value in made.metadata.items()}
