"""One place that puts the parts of the desk together, for the CLI, Dagster and tests."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from assets.ports import BarSource
from contracts import load_rules
from engine.rules import Rules
from pipelines.rehearsals import StoredRehearsals
from pipelines.settings import Settings, load_settings
from pipelines.sources import parse_source
from pipelines.storage import DuckWarehouse, Home, ParquetStore


@dataclass(frozen=True)
class Wiring:
    """The parts of one desk on one data home; each is made when first asked for."""

    settings: Settings

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The desk that the environment names; raises `SettingsError`."""
        return cls(settings=load_settings(os.environ if environ is None else environ))

    @cached_property
    def home(self) -> Home:
        return Home(root=self.settings.home)

    @cached_property
    def rules(self) -> Rules:
        return load_rules(self.settings.symbol, self.settings.contracts)

    @cached_property
    def source(self) -> BarSource:
        return parse_source(self.settings.source, self.settings.contracts)

    @cached_property
    def market(self) -> ParquetStore:
        return ParquetStore(home=self.home)

    @cached_property
    def warehouse(self) -> DuckWarehouse:
        return DuckWarehouse(home=self.home)

    @cached_property
    def rehearsals(self) -> StoredRehearsals:
        return StoredRehearsals(folder=self.journals, rules=self.rules)

    @cached_property
    def reports(self) -> Path:
        return self.home.root / "reports"

    @cached_property
    def journals(self) -> Path:
        return self.home.journals
