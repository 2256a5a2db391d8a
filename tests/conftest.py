"""Shared by all tests: reproducible property tests, and the place of the real bars."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")

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
