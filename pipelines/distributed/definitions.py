"""One code location for all symbols: a repository each, the stages under the symbol's name.

`mes` holds `mes/bars` to `mes/session_report`, and so on for every block of
`contracts/instrument.yaml`. Assets, checks, pools and storage are those of `pipelines.definitions`;
what differs is the name before each asset, so that symbols share an instance, the size of a run,
and who executes its steps. The trading session is left out: it stays one process on one machine.
"""

import os
from collections.abc import Iterable
from typing import Final

import dagster as dg

from contracts.reading import FOLDER, read_contracts
from pipelines.distributed.celery_steps import celery_steps
from pipelines.resources import resources_of
from pipelines.stages import ON_WORKERS
from pipelines.wiring import Wiring

FOR_THE_OPEN: Final = "preopen_review"
"""The check that reviews the newest session for a person; it belongs to the desk's own location."""

ON_ONE_MACHINE: Final = "trading_session"
"""The asset that is never a task of a worker; what the desk journalled is read by the others."""


def repository_of(wiring: Wiring) -> dg.RepositoryDefinition:
    """The stages of one symbol, their checks, and Celery to execute them."""
    symbol = wiring.settings.symbol.lower()
    assets = dg.load_assets_from_modules(
        ON_WORKERS,
        key_prefix=symbol,
        backfill_policy=dg.BackfillPolicy.multi_run(wiring.settings.sessions_per_run),
    )
    checks = dg.load_asset_checks_from_modules(ON_WORKERS, asset_key_prefix=symbol)
    return dg.create_repository_using_definitions_args(
        name=symbol,
        assets=[
            each for each in assets if dg.AssetKey([symbol, ON_ONE_MACHINE]) not in _keys(each)
        ],
        asset_checks=[
            each for each in checks if FOR_THE_OPEN not in {key.name for key in each.check_keys}
        ],
        executor=celery_steps,
        resources=resources_of(wiring),
    )


def _keys(asset: object) -> Iterable[dg.AssetKey]:
    return asset.keys if isinstance(asset, dg.AssetsDefinition) else ()


def _repositories() -> dict[str, dg.RepositoryDefinition]:
    contracts = Wiring.from_environment().settings.contracts or FOLDER
    wirings = (
        Wiring.from_environment({**os.environ, "CREDENCE_SYMBOL": symbol})
        for symbol in read_contracts(contracts)["instrument"]
    )
    return {wiring.settings.symbol.lower(): repository_of(wiring) for wiring in wirings}


globals().update(_repositories())  # Dagster finds them as names of the module.
