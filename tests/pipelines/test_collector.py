"""The cycle collector waits for a quiet moment, and afterwards all is as it was."""

import gc
from weakref import ref

from pipelines.collector import collector_at_rest, tidy_up


class Knot:
    def __init__(self) -> None:
        self.itself = self


def test_a_cycle_is_freed_when_asked_for_and_not_by_chance() -> None:
    with collector_at_rest():
        lost = ref(Knot())
        many = [[number] for number in range(20 * gc.get_threshold()[0])]
        outlived = lost()
        assert outlived is not None, f"freed while {len(many)} objects were made"
        del outlived

        tidy_up()

        assert lost() is None


def test_afterwards_the_collector_works_again_and_looks_at_everything() -> None:
    frozen_before = gc.get_freeze_count()
    with collector_at_rest():
        tidy_up()
        assert gc.get_freeze_count() > frozen_before

    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_at_rest():
            pass

        assert not gc.isenabled()
    finally:
        gc.enable()
