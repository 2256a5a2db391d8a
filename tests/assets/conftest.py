"""One generated market, made once through the jobs a person would run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from lineage import FIRST_DAY, LAST_DAY, Lineage
from made_once import made_once


def worked_through(home: Path) -> None:
    """Twelve sessions with their tables, the last one rehearsed and its night done."""
    with closing(Lineage(home)) as lineage:
        assert lineage.run("market_day", FIRST_DAY, LAST_DAY).success
        assert lineage.run("rehearse_session", LAST_DAY).success
        assert lineage.run("nightly", LAST_DAY).success


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lineage]:
    """A home that nobody changes."""
    with closing(Lineage(made_once(tmp_path_factory, "pristine", worked_through))) as lineage:
        yield lineage


@pytest.fixture
def damaged(pristine: Lineage, tmp_path: Path) -> Iterator[Lineage]:
    """A copy of that home, to plant a fault in."""
    with closing(pristine.copied_to(tmp_path / "damaged")) as lineage:
        yield lineage


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[..., Lineage]]:
    """Empty homes: the name of the folder and the source of its bars."""
    with ExitStack() as stack:
        yield lambda name, source="generator:7": stack.enter_context(
            closing(Lineage(tmp_path / name, source))
        )
