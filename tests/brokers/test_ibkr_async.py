"""The shared broker suite with `ib_async`, in an environment where its `eventkit` comes first."""

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest
from gateway.client_environments import python_with

ROOT = Path(__file__).resolve().parents[2]
SUITE_SECONDS = 240
RUN = """
import sys
sys.path += {paths!r}
import eventkit, pytest
code = pytest.main({arguments!r})
assert "ib_async" in sys.modules and "ib_insync" not in sys.modules
sys.exit(code)
"""
"""Our own packages come last on the path, so that the environment's own ones are taken first."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_adapter_behaves_the_same_with_ib_async(request: pytest.FixtureRequest) -> None:
    python = python_with("ib_async==2.1.0", request.config.cache.mkdir("gateway-clients"))  # type: ignore[union-attr]
    script = RUN.format(
        paths=[str(ROOT), sysconfig.get_paths()["purelib"]],
        arguments=[
            "tests/simulation/test_broker_suite.py",
            "-q",
            "-k",
            "ibkr",
            "-p",
            "no:cacheprovider",
        ],
    )

    ended = subprocess.run(
        [str(python), "-c", script],
        cwd=ROOT,
        env={**os.environ, "CREDENCE_TEST_IBKR_LIBRARY": "ib_async"},
        capture_output=True,
        text=True,
        timeout=SUITE_SECONDS,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
