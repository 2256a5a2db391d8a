"""Pieces of work that are equal, of the length that is asked for, each timed by itself."""

from pipelines.equal_work import equal_work_ms


def test_pieces_that_are_asked_to_be_longer_take_so_much_longer() -> None:
    short, long = equal_work_ms(15, piece_ms=2.0), equal_work_ms(15, piece_ms=10.0)

    assert (len(short), len(long)) == (15, 15)
    undisturbed = min(long) / min(short)
    assert 2 < undisturbed < 12
