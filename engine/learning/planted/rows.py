"""Planted trades as rows of `trades`, of the market and of `outcomes`, with their decoys."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from engine.beliefs import streams
from engine.learning.attribution import Cause
from engine.learning.planted.exits import Exits, barrier, exits
from engine.learning.planted.ways import CAUSES, Floats, Ints, Random, Ways, index_of, ways
from engine.learning.round_trips import TRADE_COLUMNS
from engine.outcomes import OUTCOME_COLUMNS
from engine.rules import Rules

FIRST_DATE: Final = date(1990, 1, 1)
PRICE: Final = 20_000
EXPECTED_SLIPPAGE: Final = 0.5
OWN, RIVAL = "K1", "K2"

_OPENS: Final = datetime(1990, 1, 1, 15, 0, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_LATENCY: Final = timedelta(milliseconds=250)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Trades, each the only one of its own session, with their stored rows and planted causes."""

    trades: pl.DataFrame
    market: pl.DataFrame
    outcomes: pl.DataFrame
    truth: pl.Series


@dataclass(frozen=True, slots=True)
class _Handling:
    """What was done to each trade: slippage in ticks per side, refused orders, bare seconds."""

    entry_slip: Ints
    exit_slip: Ints
    rejects: Ints
    bare_seconds: Floats


def planted(count: int, seed: int, rules: Rules) -> Planted:
    """As many trades of known cause; the same seed gives the same ones."""
    random = np.random.default_rng(seed)
    way = ways(count, random)
    ended = exits(way, rules.strategies.thesis_belief_min)
    side = random.choice([-1, 1], count)
    own, _ = barrier(way, way.stop, way.target)
    handling = _handling(way, ended, own, random)
    return Planted(
        trades=_trades(way, ended, side, handling, rules),
        market=_market(way, ended, side, random, rules),
        outcomes=_outcomes(way, side, own, rules),
        truth=pl.Series("truth", [CAUSES[number].value for number in way.cause]),
    )


def _handling(way: Ways, ended: Exits, own: Ints, random: Random) -> _Handling:
    """Failures where they were planted; elsewhere trouble that is small or turned nothing."""
    count = way.cause.size
    is_failure = way.cause == index_of(Cause.EXECUTION_FAILURE)
    slips = is_failure & ~way.is_hindered
    is_refused = way.is_hindered & (random.random(count) < 0.5)
    same_sign = (ended.ticks - 2 > 0) == (own - 2 > 0)
    is_decoy = ~is_failure & same_sign & (np.abs(ended.ticks) > 4) & (random.random(count) < 0.2)
    exit_slip = random.integers(0, 2, count) * ~np.isin(ended.kind, ["target"])
    far = way.locked_ticks + random.integers(1, 5, count)
    return _Handling(
        entry_slip=random.integers(0, 2, count) * ~slips,
        exit_slip=np.where(slips, far, np.where(is_decoy & (ended.ticks < 0), 3, exit_slip)),
        rejects=np.where(is_refused | is_decoy, 1, 0),
        bare_seconds=np.where(
            way.is_hindered & ~is_refused,
            random.uniform(6, 40, count),
            np.where(is_decoy, random.uniform(6, 20, count), random.uniform(0, 4.9, count)),
        ),
    )


def _instants(count: int, minutes: Ints) -> pl.Series:
    """Instants so many minutes after the decision, of one session a day."""
    start = int(_OPENS.timestamp()) * 1_000_000
    day = np.arange(count) * 86_400_000_000
    shape = (count,) + (1,) * (minutes.ndim - 1)
    stamps = start + day.reshape(shape) + minutes * 60_000_000
    return pl.Series(stamps.ravel()).cast(pl.Datetime("us", "UTC"))


def _dates(count: int, repeats: int = 1) -> pl.Series:
    days = (FIRST_DATE - date(1970, 1, 1)).days + np.arange(count)
    return pl.Series(np.repeat(days, repeats).astype(np.int32)).cast(pl.Date)


def _trades(way: Ways, ended: Exits, side: Ints, handling: _Handling, rules: Rules) -> pl.DataFrame:
    """The columns of `trades` that the attribution reads."""
    count = side.size
    decided_at = _instants(count, np.zeros(count, np.int64))
    closed, in_bar = _instants(count, ended.bar), pl.Series(ended.is_bracket)
    left = pl.when(in_bar).then(closed - _MINUTE / 2).otherwise(closed + _LATENCY)
    known: dict[str, Any] = {
        "symbol": ["MES"] * count,
        "session_date": _dates(count),
        "trade_number": np.ones(count),
        "decision_id": ["MES-1500"] * count,
        "template": [OWN] * count,
        "side": side,
        "quantity": np.ones(count),
        "regime": ["range"] * count,
        "decided_at": decided_at,
        "opened_at": decided_at + _LATENCY,
        "closed_at": pl.select(left).to_series(),
        "bars_held": ended.bar,
        "exit_kind": ended.kind,
        "exit_ticks": PRICE + side * (ended.ticks - handling.exit_slip),
        "expected_slippage_ticks": np.full(count, EXPECTED_SLIPPAGE),
        "entry_slippage_ticks": handling.entry_slip,
        "exit_slippage_ticks": handling.exit_slip,
        "target_price_ticks": PRICE + side * way.target,
        "stop_ticks": way.stop,
        "belief": way.belief[:, 0],
        "edge": np.full(count, 0.4),
        "rejects": handling.rejects,
        "partials": np.zeros(count),
        "unprotected_seconds": handling.bare_seconds,
        **_results(way, ended, handling, rules),
    }
    return pl.DataFrame(known).cast({name: TRADE_COLUMNS[name] for name in known})


def _results(way: Ways, ended: Exits, handling: _Handling, rules: Rules) -> dict[str, Any]:
    """Money and excursions; without quotes the mid is the last price, so nothing is timing."""
    usd = float(rules.instrument.tick_value_usd)
    fees = np.full(way.stop.size, 2 * float(rules.instrument.fees.per_side_usd))
    gross = ended.ticks - handling.exit_slip - handling.entry_slip
    bars = np.arange(way.close.shape[1])[None, :]
    held = (bars > 0) & (bars < ended.bar[:, None] + ~ended.is_bracket[:, None])
    best = np.max(np.where(held, way.high, 0), axis=1)
    worst = np.min(np.where(held, way.low, 0), axis=1)
    return {
        "net_r": (gross - fees / usd) / way.stop,
        "gross_usd": gross * usd,
        "fees_usd": fees,
        "net_usd": gross * usd - fees,
        "signal_usd": ended.ticks * usd,
        "timing_usd": np.zeros(gross.size),
        "slippage_usd": (gross - ended.ticks) * usd,
        "mae_ticks": np.maximum(-np.minimum(worst, gross), 0),
        "mfe_ticks": np.maximum(best, gross).clip(0),
    }


def _market(way: Ways, ended: Exits, side: Ints, random: Random, rules: Rules) -> pl.DataFrame:
    count, width = way.close.shape
    bars = np.arange(width)[None, :]
    late = (bars == ended.bar[:, None] + 2) & (random.random((count, 1)) < 0.2)
    events, dvs = _faults(way, ended, random)

    def prices(against: Ints, favour: Ints) -> Ints:
        chosen = np.where(side[:, None] > 0, favour, -against)
        return (PRICE + chosen).ravel()

    beliefs = {
        f"{prefix}_effective": np.where(
            side[:, None] == int(sign), way.belief, 1.0 - way.belief
        ).ravel()
        for constraint in rules.beliefs.constraints
        if constraint.is_directional
        for prefix, sign in streams(constraint)
    }
    closes_at = _instants(count, np.broadcast_to(np.arange(width), (count, width)))
    return pl.DataFrame(
        {
            "symbol": ["MES"] * (count * width),
            "session_date": _dates(count, width),
            "opens_at": closes_at - _MINUTE,
            "closes_at": closes_at,
            "open_ticks": prices(way.open, way.open),
            "high_ticks": prices(way.low, way.high),
            "low_ticks": prices(way.high, way.low),
            "close_ticks": prices(way.close, way.close),
            "bid_ticks": pl.repeat(None, count * width, dtype=pl.Int32, eager=True),
            "ask_ticks": pl.repeat(None, count * width, dtype=pl.Int32, eager=True),
            "dvs": dvs.ravel(),
            "quality_events": np.where(events, "zero_volume", "").ravel(),
            "is_shock": (way.is_shock | late).ravel(),
            "regime": np.where(way.has_turned, "trend", "range").ravel(),
            **beliefs,
        }
    )


def _faults(way: Ways, ended: Exits, random: Random) -> tuple[Any, Floats]:
    """Data events and DVS: on the trade where planted, else before it or after it and harmless."""
    count, width = way.close.shape
    bars = np.arange(width)[None, :]
    is_planted = (way.cause == index_of(Cause.DATA_QUALITY))[:, None]
    is_doubtful = is_planted & (random.random((count, 1)) < 0.3)
    inside = 1 + np.floor(random.random((count, 1)) * ended.bar[:, None]).astype(np.int64)
    outside = np.where(random.random((count, 1)) < 0.5, 0, ended.bar[:, None] + 2)
    is_decoy = ~is_planted & (random.random((count, 1)) < 0.3)
    events = ((bars == inside) & is_planted & ~is_doubtful) | ((bars == outside) & is_decoy)
    least = np.where(is_doubtful, random.uniform(0.3, 0.79, (count, 1)), 1.0)
    least = np.where(is_decoy & (outside == 0), random.uniform(0.80, 0.99, (count, 1)), least)
    return events, np.where(bars == 0, least, 1.0)


def _outcomes(way: Ways, side: Ints, own: Ints, rules: Rules) -> pl.DataFrame:
    """What the plan and another template would have come to from the same bars."""
    count = side.size
    cost = 2 * rules.instrument.fee_ticks_per_side + EXPECTED_SLIPPAGE
    wide, near = (8 * way.stop) // 5, (9 * way.target) // 10
    other, is_won = barrier(way, wide, near)
    parts = [
        (OWN, way.stop, way.target, own, own == way.target),
        (RIVAL, wide, near, other, is_won),
    ]
    frames = [
        pl.DataFrame(
            {
                "symbol": ["MES"] * count,
                "session_date": _dates(count),
                "closes_at": _instants(count, np.zeros(count, np.int64)),
                "template": [template] * count,
                "side": side,
                "stop_ticks": stop,
                "target_ticks": target,
                "is_fallback_stop": [False] * count,
                "exit_kind": np.where(won, "target", "stop"),
                "ticks_net": gross - cost,
            }
        )
        for template, stop, target, gross, won in parts
    ]
    whole = pl.concat(frames)
    return whole.cast({name: OUTCOME_COLUMNS[name] for name in whole.columns})
