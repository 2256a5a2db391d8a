"""The step on a tick of the clock."""

from engine.broker import QueryBroker


def test_a_tick_leaves_a_record_only_where_it_brought_something_about(stage):
    stage.hold()
    before = len(stage.entries)

    nothing = stage.tick(41.2)
    in_between = stage.entries[before:]
    (asked,) = stage.tick(42.5)

    assert (nothing, in_between) == ([], [])
    assert asked == QueryBroker(cause="routine")
    assert [str(entry.kind) for entry in stage.entries[before:]] == ["clock", "intent"]
