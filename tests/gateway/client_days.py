"""The short day of a client on a gateway of its own, lived once per version and test session."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from client_environments import python_with
from planned_market import PLAYED, planned_bars

from contracts import load_rules
from pipelines.gateway.assembly import GatewaySettings
from pipelines.gateway.run import running_gateway

RULES = load_rules("MES")
CLIENTS = Path(__file__).parent / "clients"
DAY_SECONDS_MAX = 120


@cache
def insync_day(version: int | None = None) -> dict[str, Any]:
    """What ib_insync saw, of this version at most."""
    return _day_of(sys.executable, "insync_day.py", version, "ib_insync")


@cache
def async_day(cache_folder: Path) -> dict[str, Any]:
    python = python_with("ib_async==2.1.0", cache_folder)
    return _day_of(str(python), "insync_day.py", None, "ib_async")


@cache
def ibapi_day(cache_folder: Path, version: int | None = None) -> dict[str, Any]:
    python = python_with("ibapi==9.81.1.post1", cache_folder)
    return _day_of(str(python), "ibapi_day.py", version)


def _day_of(python: str, script: str, version: int | None, *arguments: str) -> dict[str, Any]:
    settings = GatewaySettings(session_dates=(PLAYED,))
    with running_gateway(planned_bars(), RULES, settings) as gateway:
        newest = [] if version is None else [str(version)]
        ended = subprocess.run(
            [python, str(CLIENTS / script), *arguments, str(gateway.address.port), *newest],
            capture_output=True,
            text=True,
            timeout=DAY_SECONDS_MAX,
            check=False,
        )
        status = gateway.status()
    assert ended.returncode == 0, ended.stderr + json.dumps(status)
    return json.loads(ended.stdout)
