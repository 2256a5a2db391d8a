"""Shared by all tests: reproducible property tests, and the place of the real bars."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")

gc.disable()  # What is imported and collected stays: to look for garbage in it is a fifth of that.

settings.register_profile(
    "desk",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("desk")

REAL_BARS = Path(__file__).resolve().parents[2] / "shared" / "data" / "es_minute"


@pytest.fixture(scope="session")
def real_bars_dir() -> Path:
    """Folder of the real ES minute bars; tests that need them are skipped where they are absent."""
    if not REAL_BARS.is_dir():
        pytest.skip(f"the real bars are not at {REAL_BARS}")
    return REAL_BARS


LONGEST_FIRST = (
    *("test_ui", "test_many_machines", "test_jobs", "test_demo", "test_notebooks", "test_up"),
    *("test_crashes", "test_processes", "test_trading_session", "test_checklist"),
    *("test_cli_learn", "test_corrections", "test_campaign", "test_bench", "test_bench_live"),
    *("test_checks_on_planted_damage", "test_clients", "test_ibkr_async", "test_sensors"),
)
"""Modules that take long, so that no worker is left with one of them when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()
