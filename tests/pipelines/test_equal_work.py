"""Pieces of work that are equal take about equally long, and each is timed by itself."""

from statistics import median

from pipelines.equal_work import PIECE_MS, equal_work_ms


def test_each_piece_takes_about_what_was_asked_for() -> None:
    pieces = equal_work_ms(15)

    assert len(pieces) == 15
    assert PIECE_MS / 5 < median(pieces) < 5 * PIECE_MS
    assert len(set(pieces)) > 1
