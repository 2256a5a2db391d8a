"""Labelled episodes: what they look like, where they are, and how often they really come true.

An episode is written over the base path: the minutes of its script get the scripted move plus a
damped share of their own noise, and everything later shifts along. Each shows a sign at its signal
minute that the definitions of the signals see, then either follows through or does not; the odds
grow with the strength of the sign and are stated in the label.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from engine.generator.days import Flags, Floats, Ints
from engine.generator.scene import Scene
from engine.generator.tape import EPISODE_SLOTS, Tape


class EpisodeKind(StrEnum):
    """What was written on the tape."""

    VWAP_EXCURSION = "vwap_excursion"
    FAILED_BREAK = "failed_break"
    SWEEP = "sweep"
    TREND = "trend"
    CHOP = "chop"
    NEWS_SHOCK = "news_shock"


NOTES: Final = {
    EpisodeKind.VWAP_EXCURSION: "stretched from VWAP; comes true by turning back to it",
    EpisodeKind.FAILED_BREAK: "closed beyond the 60-bar extreme and back; comes true away from it",
    EpisodeKind.SWEEP: "pierced the 60-bar extreme, closed inside; comes true away from it",
    EpisodeKind.TREND: "higher highs or lower lows on volume; comes true by going on",
    EpisodeKind.CHOP: "noise around one level; there is nothing to follow",
    EpisodeKind.NEWS_SHOCK: "one huge bar on huge volume; afterwards either way is as likely",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """Probability of following through at the weakest and at the strongest sign of a kind."""

    weakest: float
    strongest: float


EDGE: Final = {
    EpisodeKind.VWAP_EXCURSION: Odds(weakest=0.46, strongest=0.74),
    EpisodeKind.FAILED_BREAK: Odds(weakest=0.44, strongest=0.72),
    EpisodeKind.SWEEP: Odds(weakest=0.44, strongest=0.74),
    EpisodeKind.TREND: Odds(weakest=0.46, strongest=0.70),
    EpisodeKind.NEWS_SHOCK: Odds(weakest=0.50, strongest=0.50),
}

SLOT_STARTS: Final = (8, 66, 128, 186, 244, 302)
SLOT_MINUTES: Final = 56
_START_JITTER: Final = 10
_SHARES: Final = {
    EpisodeKind.VWAP_EXCURSION: 0.18,
    EpisodeKind.FAILED_BREAK: 0.13,
    EpisodeKind.SWEEP: 0.11,
    EpisodeKind.TREND: 0.09,
    EpisodeKind.CHOP: 0.10,
    EpisodeKind.NEWS_SHOCK: 0.012,
}
_SETTLING: Final = {EpisodeKind.VWAP_EXCURSION: 12}  # Minutes later in its slot.
_NEEDS_AN_HOUR: Final = (EpisodeKind.FAILED_BREAK, EpisodeKind.SWEEP, EpisodeKind.NEWS_SHOCK)
_HISTORY_BARS: Final = 30
_APPROACH: Final = 12
_FOLLOW: Final = 16
_RUN_RANGES_MAX: Final = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Episodes:
    """One value per episode written; `rows` are sessions, `until_minute` is exclusive."""

    kind: EpisodeKind
    rows: Ints
    from_minute: Ints
    signal_minute: Ints
    until_minute: Ints
    side: Ints
    edge_probability: Floats
    follows_through: Flags


def write_episodes(tape: Tape) -> list[Episodes]:
    """Write every session's episodes, slot by slot, each on what the slots before it left."""
    written = []
    for slot, slot_start in enumerate(SLOT_STARTS[:EPISODE_SLOTS]):
        draws = tape.draws.slots[:, slot]
        start = slot_start + (draws[:, 1] * _START_JITTER).astype(np.int64)
        history = min(_HISTORY_BARS, slot_start)
        fits = start + SLOT_MINUTES <= tape.minutes
        edges = np.cumsum([0.0, *_SHARES.values()])
        for place, kind in enumerate(_SHARES):
            chosen = fits & (draws[:, 0] >= edges[place]) & (draws[:, 0] < edges[place + 1])
            rows = np.flatnonzero(chosen)
            if rows.size and (slot > 0 or kind not in _NEEDS_AN_HOUR):
                scene = Scene(
                    tape=tape,
                    rows=rows,
                    start=start[rows] + _SETTLING.get(kind, 0),
                    strength=draws[rows, 2],
                    luck=draws[rows, 3],
                    size=draws[rows, 4],
                    coin=draws[rows, 5],
                    history_bars=history,
                    slot_end=slot_start + SLOT_MINUTES,
                )
                written.append(_SCRIPTS[kind](scene))
    return written


def _follow(
    scene: Scene, since: Ints, side: Ints, win: Floats, lose: Floats, odds: Odds
) -> tuple[Ints, Floats, Flags]:
    """Draw whether the sign comes true and write the move; the minute after, the odds, the draw."""
    edge = odds.weakest + (odds.strongest - odds.weakest) * scene.strength
    follows = scene.luck < edge
    until = scene.move(since, _FOLLOW, np.where(follows, win, -lose) * side)
    return until, edge, follows


def _vwap_excursion(scene: Scene) -> Episodes:
    """Run well over two session deviations from VWAP, turn on a long wick, come back or go on."""
    scene, far, away = _within_reach(scene)
    unit = scene.range_ticks(scene.start)
    here = scene.level(scene.start)
    near = scene.reach(scene.start, _APPROACH, here + 0.5 * (far - here), calm=0.55)
    scene.tape.effort[scene.columns(scene.start, _APPROACH + 5)] -= 0.5  # Few take part in it.
    value, deviation = _value_area(scene, near)  # The run itself has moved both.
    stretch = (2.5 + 0.6 * scene.strength) * deviation
    far = value + away * np.maximum(np.abs(far - value), stretch)
    peak = scene.reach(near, 5, far, calm=0.3) - 1
    _spike(scene, peak, away, unit * (0.3 + 0.6 * scene.strength), effort=0.4)
    distance = np.abs(far - value)
    until, edge, follows = _follow(
        scene,
        peak + 1,
        -away,
        win=np.clip(distance, 3.0 * unit, 5.0 * unit),
        lose=2.0 * unit,
        odds=EDGE[EpisodeKind.VWAP_EXCURSION],
    )
    return Episodes(
        kind=EpisodeKind.VWAP_EXCURSION,
        rows=scene.rows,
        from_minute=scene.start,
        signal_minute=peak,
        until_minute=until,
        side=-away,
        edge_probability=edge,
        follows_through=follows,
    )


def _within_reach(scene: Scene) -> tuple[Scene, Floats, Ints]:
    """The sessions in which price can run away from VWAP at a credible pace, how far, which way."""
    value, deviation = _value_area(scene, scene.start)
    here, unit = scene.level(scene.start), scene.range_ticks(scene.start)
    away = np.where(here >= value, 1, -1)
    far = value + away * (2.1 + 0.9 * scene.strength) * np.maximum(deviation, 1.6 * unit)
    near = np.abs(far - here) <= _RUN_RANGES_MAX * unit
    return scene.only(near), far[near], away[near]


def _value_area(scene: Scene, until: Ints) -> tuple[Floats, Floats]:
    """Session VWAP and the deviation of typical price around it, over the minutes before."""
    past = (scene.rows, slice(0, scene.slot_end))
    block = scene.tape.bars(*past)
    typical = (block.high + block.low + block.close) / 3
    before = np.arange(scene.slot_end) < until[:, None]
    weight = np.where(before, scene.tape.volumes(*past, block)[0], 0)
    total = weight.sum(axis=1)
    value = (weight * typical).sum(axis=1) / total
    variance = (weight * (typical - value[:, None]) ** 2).sum(axis=1) / total
    return value, np.sqrt(variance)


def _failed_break(scene: Scene) -> Episodes:
    """Close beyond the 60-bar extreme one to three times, close back inside, then leave or not."""
    out, unit, at_break = _approach_extreme(scene)
    edge_level = scene.extreme(at_break, out)
    beyond = np.maximum(2.0, (0.28 + 0.25 * scene.size) * unit)
    back = scene.reach(at_break, 1, edge_level + out * (beyond + 0.5), calm=0.0)
    scene.tape.effort[scene.rows, at_break] += 0.5
    scene.reach(back, 2, edge_level + out * (beyond * 0.6 + 0.5), calm=0.0)
    signal = back + (3 * scene.coin).astype(np.int64)
    inside = np.maximum(2.5, (0.35 + 0.75 * scene.strength) * unit)
    scene.reach(signal, 1, edge_level - out * inside, calm=0.0)
    scene.tape.effort[scene.rows, signal] += 0.6
    until, edge, follows = _follow(
        scene,
        signal + 1,
        -out,
        win=(3.2 + 1.2 * scene.size) * unit,
        lose=2.4 * unit,
        odds=EDGE[EpisodeKind.FAILED_BREAK],
    )
    return Episodes(
        kind=EpisodeKind.FAILED_BREAK,
        rows=scene.rows,
        from_minute=scene.start,
        signal_minute=signal,
        until_minute=until,
        side=-out,
        edge_probability=edge,
        follows_through=follows,
    )


def _approach_extreme(scene: Scene) -> tuple[Ints, Floats, Ints]:
    """Walk to just inside the nearer 60-bar extreme; its side, the range, the minute after."""
    here, up = scene.level(scene.start), np.ones_like(scene.start)
    highest, lowest = scene.extreme(scene.start, up), scene.extreme(scene.start, -up)
    out = np.where(highest - here <= here - lowest, 1, -1)
    unit = scene.range_ticks(scene.start)
    near = np.where(out > 0, highest, lowest) - out * 0.6 * unit
    return out, unit, scene.reach(scene.start, _APPROACH, near)


def _sweep(scene: Scene) -> Episodes:
    """Pierce the prior 60-bar extreme within one bar, close well back inside on high volume."""
    out, unit, signal = _approach_extreme(scene)
    edge_level = scene.extreme(signal, out)
    inside = np.maximum(2.5, (0.45 + 0.65 * scene.strength) * unit)
    pierce = np.maximum(3.0, (0.30 + 0.30 * scene.strength) * unit)
    before = scene.level(signal)
    scene.reach(signal, 1, edge_level - out * inside, calm=0.0)
    after = scene.level(signal + 1)
    body_end = np.where(out > 0, np.maximum(before, after), np.minimum(before, after))
    _spike(scene, signal, out, np.abs(edge_level + out * pierce - body_end), effort=1.7)
    until, edge, follows = _follow(
        scene,
        signal + 1,
        -out,
        win=(3.2 + 1.2 * scene.size) * unit,
        lose=2.6 * unit,
        odds=EDGE[EpisodeKind.SWEEP],
    )
    return Episodes(
        kind=EpisodeKind.SWEEP,
        rows=scene.rows,
        from_minute=scene.start,
        signal_minute=signal,
        until_minute=until,
        side=-out,
        edge_probability=edge,
        follows_through=follows,
    )


def _spike(scene: Scene, minute: Ints, out: Ints, length: Floats, effort: float) -> None:
    """Make one bar reach `length` ticks beyond its body on the `out` side, hardly on the other."""
    tape, up = scene.tape, out > 0
    stub = np.full_like(length, 0.5)
    tape.reach_up[scene.rows, minute] = np.where(up, length, stub)
    tape.reach_down[scene.rows, minute] = np.where(up, stub, length)
    tape.effort[scene.rows, minute] += effort


def _trend(scene: Scene) -> Episodes:
    """Half an hour of higher highs and higher lows (or the reverse) on rising participation."""
    side = np.where(scene.coin < 0.5, 1, -1)
    unit = scene.range_ticks(scene.start)
    count = 32
    run = scene.columns(scene.start, count)
    ahead = 1.5 * scene.tape.deviation[run].mean(axis=1)  # The run must stand out of its own noise.
    scene.tape.deviation[run] *= 0.6
    steps = np.maximum(1.4, (0.23 + 0.08 * scene.strength) * np.maximum(unit, ahead))
    after = scene.move(scene.start, count, steps * side * count, calm=0.6)
    scene.tape.effort[run] += 0.35
    until, edge, follows = _follow(
        scene, after, side, win=3.6 * unit, lose=3.0 * unit, odds=EDGE[EpisodeKind.TREND]
    )
    return Episodes(
        kind=EpisodeKind.TREND,
        rows=scene.rows,
        from_minute=scene.start,
        signal_minute=after - 1,
        until_minute=until,
        side=side,
        edge_probability=edge,
        follows_through=follows,
    )


def _chop(scene: Scene) -> Episodes:
    """Forty-five minutes around one level; it has no side and no truth."""
    until = scene.hover(scene.start, 45)
    nothing = np.full(scene.rows.shape, np.nan)
    return Episodes(
        kind=EpisodeKind.CHOP,
        rows=scene.rows,
        from_minute=scene.start,
        signal_minute=until - 1,
        until_minute=until,
        side=np.zeros_like(scene.start),
        edge_probability=nothing,
        follows_through=np.zeros(scene.rows.shape, dtype=np.bool_),
    )


def _news_shock(scene: Scene) -> Episodes:
    """One bar of six to seven usual ranges on huge volume, after which the pace calms slowly."""
    tape, side = scene.tape, np.where(scene.coin < 0.5, 1, -1)
    unit = scene.range_ticks(scene.start)
    after = scene.move(scene.start, 1, side * (5.6 + 1.6 * scene.size) * unit, calm=0.0)
    tape.effort[scene.rows, scene.start] += 1.1
    tape.extra_spread[scene.rows, scene.start] += 3
    tape.extra_spread[scene.columns(after, 3)] += 1
    tape.deviation[scene.columns(after, 30)] *= 1 + 0.9 * np.exp(-np.arange(30) / 10)
    until, edge, follows = _follow(
        scene, after, side, win=4.0 * unit, lose=4.0 * unit, odds=EDGE[EpisodeKind.NEWS_SHOCK]
    )
    scene.move(until, 30 - _FOLLOW, np.zeros_like(unit), calm=1.0)
    return Episodes(
        kind=EpisodeKind.NEWS_SHOCK,
        rows=scene.rows,
        from_minute=scene.start,
        signal_minute=scene.start,
        until_minute=until,
        side=side,
        edge_probability=edge,
        follows_through=follows,
    )


_SCRIPTS: Final = {
    EpisodeKind.VWAP_EXCURSION: _vwap_excursion,
    EpisodeKind.FAILED_BREAK: _failed_break,
    EpisodeKind.SWEEP: _sweep,
    EpisodeKind.TREND: _trend,
    EpisodeKind.CHOP: _chop,
    EpisodeKind.NEWS_SHOCK: _news_shock,
}
