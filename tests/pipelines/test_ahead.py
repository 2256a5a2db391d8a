"""One item ahead: the same items, made while the one before them is used."""

import os
import sys
from threading import Event

import pytest

from pipelines.ahead import one_ahead

has_two_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="nothing is made ahead on one processor"
)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_all_items_come_in_their_order(count):
    assert list(one_ahead(iter(range(1, count + 1)))) == list(range(1, count + 1))


@has_two_cores
def test_the_next_item_is_made_while_the_last_one_is_used():
    is_made = [Event(), Event(), Event()]

    def making():
        for number, event in enumerate(is_made):
            event.set()
            yield number

    items = one_ahead(making())
    first = next(items)

    assert first == 0
    assert is_made[1].wait(timeout=10)
    assert not is_made[2].is_set()


def test_what_fails_in_the_making_is_raised_where_the_item_is_asked_for():
    def making():
        yield 1
        raise ValueError("the second item")

    items = one_ahead(making())

    assert next(items) == 1
    with pytest.raises(ValueError, match="the second item"):
        next(items)


def test_a_user_who_stops_early_leaves_the_interpreter_as_it_was():
    before = sys.getswitchinterval()
    items = one_ahead(iter([1, 2, 3]))
    next(items)

    items.close()

    assert sys.getswitchinterval() == before
