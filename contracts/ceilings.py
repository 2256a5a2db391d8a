"""What every number in a contract may be: a hard ceiling for limits, else a range of meaning.

A ceiling is the loosest value the code accepts, whatever the file says. A number without a row here
is refused, so a new key is given its range on the day it is added.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from contracts.typed import numbers
from engine.errors import ContractError


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds of one number, and whether leaving them would loosen a limit of the desk."""

    low: Decimal
    high: Decimal
    is_ceiling: bool = False


def _range(low: str | int, high: str | int) -> Range:
    return Range(Decimal(low), Decimal(high))


def _ceiling(low: str | int, high: str | int) -> Range:
    return Range(Decimal(low), Decimal(high), is_ceiling=True)


_SHARE: Final = _range(0, 1)
_MINUTES: Final = _range(0, 390)
_WEIGHT: Final = _range(-1, 1)
_BARS: Final = _range(1, 390)
_DEARER: Final = _ceiling(0, "0.20")
_CHEAPER: Final = _ceiling("-0.10", "0.20")

INSTRUMENT: Final = {
    "instrument.tick_size": _range("0.0001", 100),
    "instrument.tick_value_usd": _range("0.01", 100),
    "instrument.price_band_share": _range("0.01", "0.20"),
    "instrument.round_number_points": _range("0.01", 10_000),
    "instrument.roll_days_before_expiry": _ceiling(1, 30),
    "instrument.fees.commission_usd": _range(0, 10),
    "instrument.fees.exchange_usd": _ceiling("0.05", 10),
    "instrument.fees.regulatory_usd": _ceiling("0.01", 10),
}

CALENDAR: Final = {
    "calendar.mid_morning_from_minute": _MINUTES,
    "calendar.lunch_from_minute": _MINUTES,
    "calendar.afternoon_from_minute": _MINUTES,
    "calendar.close_minutes_before_end": _range(1, 180),
    "calendar.no_trade_windows[].from_minute": _MINUTES,
    "calendar.no_trade_windows[].until_minute": _MINUTES,
    "calendar.no_entry_minutes_before_end": _ceiling(5, 390),
    "calendar.flatten_minutes_before_end": _ceiling(5, 390),
}

DATA: Final = {
    "data.penalties.missing_gap": _ceiling("0.50", 1),
    "data.penalties.time_regression": _ceiling("0.50", 1),
    "data.penalties.stuck_feed": _ceiling("0.30", 1),
    "data.penalties.zero_volume": _ceiling("0.20", 1),
    "data.penalties.outlier_no_shock": _ceiling("0.20", 1),
    "data.penalties.late_bar": _ceiling("0.20", 1),
    "data.penalties.spread_anomaly": _ceiling("0.15", 1),
    "data.penalties.crossed_quote": _ceiling("0.20", 1),
    "data.penalties.missing_quote": _ceiling("0.05", 1),
    "data.penalties.price_band": _ceiling("0.50", 1),
    "data.window_bars": _ceiling(10, 390),
    "data.missing_gap_seconds": _ceiling(60, 120),
    "data.stuck_feed_bars": _ceiling(2, 5),
    "data.outlier_atr_multiple": _ceiling(2, 10),
    "data.outlier_volume_z": _ceiling(1, 3),
    "data.late_bar_seconds": _ceiling("0.5", 10),
    "data.spread_anomaly_ticks": _ceiling(2, 20),
    "data.shock_atr_multiple": _ceiling(2, 6),
    "data.shock_volume_z": _range(0, 3),
    "data.shock_body_deviations": _ceiling(0, 5),
    "data.shock_deviation_bars": _ceiling(10, 390),
}

BELIEFS: Final = {
    "beliefs.coverage_min": _ceiling("0.5", 1),
    "beliefs.instability_alpha": _range("0.01", 1),
    "beliefs.applicability_dvs_min": _ceiling("0.80", 1),
    "beliefs.applicability_eqs_min": _ceiling("0.75", 1),
    "beliefs.prior_strength": _ceiling(0, 1),
    "beliefs.prior_median": _range("0.05", "0.95"),
    "beliefs.p_win_min": _range("0.001", "0.5"),
    "beliefs.p_win_max": _ceiling("0.5", "0.95"),
    "beliefs.calibration_outcomes_min": _ceiling(200, 1_000_000),
    "beliefs.fit.median_likelihood": _range("0.05", "0.95"),
    "beliefs.fit.high_quantile": _range("0.90", "0.999"),
    "beliefs.fit.high_likelihood": _range("0.05", "0.95"),
    "beliefs.fit.sessions": _range(0, 100_000),
    "beliefs.constraints[].memory": _range(0, "0.99"),
    "beliefs.constraints[].slope": _range(0, 1_000),
    "beliefs.constraints[].intercept": _range(-1_000, 1_000),
    "beliefs.constraints[].phases[]": _range(1, 5),
    "beliefs.constraints[].evidence[].weight": _WEIGHT,
}

STRATEGIES: Final = {
    "strategies.stop_ticks_min": _ceiling(6, 12),
    "strategies.noise_veto_belief": _ceiling("0.35", "0.80"),
    "strategies.tradability_belief_min": _ceiling("0.05", 1),
    "strategies.thesis_belief_min": _ceiling("0.35", 1),
    "strategies.fallback_stop_atr": _range("0.25", 5),
    "strategies.templates[].belief_min": _ceiling("0.60", 1),
    "strategies.templates[].instability_max": _ceiling(0, "0.20"),
    "strategies.templates[].target_r": _ceiling(1, 5),
    "strategies.templates[].time_stop_minutes": _ceiling(1, 60),
    "strategies.templates[].settings.*": _range(0, 100),
    "strategies.templates[].settings.setup_bars": _ceiling(1, 10),
    "strategies.templates[].settings.vwap_z_min": _ceiling(1, 10),
    "strategies.templates[].settings.breakout_min": _ceiling("0.1", 10),
    "strategies.templates[].settings.stop_atr": _range("0.25", 5),
    "strategies.templates[].settings.stop_beyond_ticks": _range(1, 12),
    "strategies.templates[].settings.target_ticks_max": _range(6, 100),
}

CONSTITUTION: Final = {
    "constitution.contracts_max": _ceiling(1, 1),
    "constitution.positions_max": _ceiling(1, 1),
    "constitution.stop_ticks_max": _ceiling(1, 12),
    "constitution.loss_usd_per_trade_max": _ceiling(1, 15),
    "constitution.loss_usd_per_day_max": _ceiling(1, 30),
    "constitution.loss_usd_per_week_max": _ceiling(1, 75),
    "constitution.loss_usd_per_month_max": _ceiling(1, 150),
    "constitution.trades_per_day_max": _ceiling(0, 2),
    "constitution.consecutive_losses_max": _ceiling(1, 2),
    "constitution.entries_per_hour_max": _ceiling(0, 1),
    "constitution.minutes_between_entries_min": _ceiling(30, 390),
    "constitution.dvs_entry_min": _ceiling("0.80", 1),
    "constitution.dvs_hold_min": _ceiling("0.60", 1),
    "constitution.dvs_kill_below": _ceiling("0.30", 1),
    "constitution.eqs_entry_min": _ceiling("0.75", 1),
    "constitution.eqs_hold_min": _ceiling("0.60", 1),
    "constitution.eqs_kill_below": _ceiling("0.30", 1),
    "constitution.tiers[].equity_usd_below": _range(1, 1_000_000_000),
    "constitution.tiers[].stop_ticks_max": _ceiling(1, 12),
    "constitution.tiers[].loss_usd_per_trade_max": _ceiling(1, 15),
}

DECISION: Final = {
    "decision.theta_base": _ceiling("0.10", "0.60"),
    "decision.theta_min": _ceiling(0, "0.60"),
    "decision.theta_max": _ceiling("0.60", 1),
    "decision.theta_windows[].from_minute": _MINUTES,
    "decision.theta_windows[].until_minute": _MINUTES,
    "decision.theta_windows[].theta": _CHEAPER,
    "decision.theta_last_minutes": _ceiling(5, 120),
    "decision.theta_last": _DEARER,
    "decision.theta_monday": _DEARER,
    "decision.theta_friday_afternoon": _DEARER,
    "decision.friday_afternoon_from_minute": _ceiling(0, 330),
    "decision.theta_volatile": _DEARER,
    "decision.theta_quiet": _CHEAPER,
    "decision.theta_compression": _CHEAPER,
    "decision.compression_below": _range(0, 2),
    "decision.theta_conflict": _DEARER,
    "decision.weight_dvs": _ceiling("0.10", 1),
    "decision.weight_eqs": _ceiling("0.10", 1),
    "decision.weight_instability": _ceiling("0.10", 1),
    "decision.instability_scale": _ceiling("0.01", "0.20"),
    "decision.weight_belief": _ceiling("0.10", 1),
    "decision.friction_share_max": _ceiling(0, "0.30"),
    "decision.shock_lockout_atr_multiple": _ceiling(1, 4),
    "decision.shock_lockout_atr_ratio": _ceiling(1, "2.5"),
    "decision.shock_lockout_minutes": _ceiling(60, 390),
    "decision.spread_lockout_ticks": _ceiling(1, 3),
    "decision.spread_lockout_minutes": _ceiling(30, 390),
    "decision.news_lockout_minutes": _ceiling(45, 390),
    "decision.regime_shock_bars": _BARS,
    "decision.regime_volatile_atr_ratio": _range(0, 3),
    "decision.regime_quiet_atr_ratio": _range(0, 3),
    "decision.regime_trend_strength": _SHARE,
    "decision.regime_trend_efficiency": _SHARE,
}

EXECUTION: Final = {
    "execution.slippage_ticks_per_side": _ceiling("0.5", 6),
    "execution.slippage_per_atr_ratio": _ceiling("0.5", 6),
    "execution.slippage_per_spread_tick": _ceiling("0.5", 6),
    "execution.slippage_unknown_ticks": _ceiling("0.25", 6),
    "execution.slippage_ticks_max": _ceiling(6, 12),
    "execution.slippage_windows[].from_minute": _MINUTES,
    "execution.slippage_windows[].until_minute": _MINUTES,
    "execution.slippage_windows[].multiplier": _ceiling(1, 5),
    "execution.entry_marketable_ticks_max": _ceiling(0, 1),
    "execution.entry_life_seconds": _ceiling(1, 90),
    "execution.slow_fill_seconds": _ceiling(1, 90),
    "execution.slippage_surprise_multiple": _ceiling(1, 3),
    "execution.eqs_losses.*.amount": _ceiling("0.05", 1),
    "execution.eqs_losses.*.half_life_bars": _ceiling(10, 390),
    "execution.reconcile_seconds": _ceiling(1, 30),
    "execution.reconcile_flat_seconds": _ceiling(1, 300),
    "execution.protect_within_seconds": _ceiling(1, 5),
    "execution.unknown_order_seconds_max": _ceiling(1, 60),
    "execution.connection_lost_seconds_max": _ceiling(1, 120),
    "execution.flatten_verify_seconds": _ceiling(1, 30),
    "execution.order_latency_ms": _range(0, 10_000),
}

TRADE: Final = {
    "trade.volatility_atr_multiple": _ceiling(1, 3),
    "trade.volatility_stop_atr": _ceiling("0.25", 3),
    "trade.profit_protection_r": _ceiling("0.25", 2),
}

BIASES: Final = {
    "biases.theta_abs_max": _ceiling(0, "0.20"),
    "biases.catalogue[].expression.beyond": _range(-10, 10),
    "biases.catalogue[].expression.theta": _ceiling("-0.20", "0.20"),
}

LEARNING: Final = {
    "learning.attribution.lucky_adverse_stops": _SHARE,
    "learning.attribution.noise_bars": _BARS,
    "learning.attribution.noise_further_stops": _range("0.1", 5),
    "learning.attribution.timing_bars": _BARS,
    "learning.attribution.expression_gain_stops": _range("0.1", 5),
    "learning.attribution.wrong_gain_stops_below": _SHARE,
    "learning.scores.belief_band": _range("0.01", "0.50"),
    "learning.scores.peers_min": _range(10, 10_000),
    "learning.scores.same_result_r": _SHARE,
    "learning.scores.near_stop_luck_min": _range("0.5", 1),
    "learning.scores.slippage_loss_per_tick": _SHARE,
    "learning.scores.reject_loss": _SHARE,
    "learning.scores.partial_loss": _SHARE,
    "learning.scores.unprotected_free_seconds": _range(0, 5),
    "learning.scores.unprotected_loss_per_second": _SHARE,
    "learning.reliability.window": _range(10, 200),
    "learning.reliability.throttle_from": _ceiling(2, 50),
    "learning.reliability.throttle_win_rate": _ceiling("0.20", 1),
    "learning.reliability.throttle_hard_win_rate": _ceiling("0.10", 1),
    "learning.reliability.modifier_throttled": _range(1, 10),
    "learning.reliability.modifier_throttled_hard": _range(1, 10),
    "learning.reliability.losses_in_a_row": _ceiling(2, 5),
    "learning.reliability.expectancy_from": _ceiling(2, 50),
    "learning.reliability.win_rate_from": _ceiling(2, 50),
    "learning.reliability.win_rate_min": _ceiling("0.20", 1),
    "learning.reliability.shadow_wins_in_a_row": _ceiling(1, 10),
    "learning.reliability.wins_to_active": _range(1, 10),
    "learning.calibration.bins": _range(5, 50),
    "learning.calibration.resamples": _range(100, 10_000),
    "learning.calibration.confidence": _range("0.50", "0.999"),
    "learning.calibration.sessions_min": _range(5, 1_000),
    "learning.calibration.sessions_max": _range(20, 1_000),
    "learning.calibration.refit_sessions": _range(1, 250),
    "learning.calibration.knots_max": _range(2, 50),
    "learning.evolution.weight_step": _ceiling("0.001", "0.05"),
    "learning.evolution.threshold_step": _ceiling("0.001", "0.01"),
    "learning.evolution.memory_step": _ceiling("0.001", "0.005"),
    "learning.evolution.time_stop_step_minutes": _ceiling(1, 2),
    "learning.evolution.attributed_min": _range(10, 10_000),
    "learning.evolution.shadow_trades_min": _range(20, 10_000),
    "learning.evolution.folds": _range(2, 50),
    "learning.evolution.confidence": _range("0.90", "0.999"),
}

RANGES: Final = (
    INSTRUMENT
    | CALENDAR
    | DATA
    | BELIEFS
    | STRATEGIES
    | CONSTITUTION
    | DECISION
    | EXECUTION
    | TRADE
    | BIASES
    | LEARNING
)
"""Range of every number by its pattern: `[]` stands for any list item, `.*` for any mapping key
that has no row of its own.
"""

PRODUCTS: Final = {
    "MES": (Decimal("0.25"), Decimal(5)),
    "MNQ": (Decimal("0.25"), Decimal(2)),
    "M2K": (Decimal("0.10"), Decimal(5)),
    "MYM": (Decimal(1), Decimal("0.5")),
    "ES": (Decimal("0.25"), Decimal(50)),
    "NQ": (Decimal("0.25"), Decimal(20)),
    "RTY": (Decimal("0.10"), Decimal(50)),
    "YM": (Decimal(1), Decimal(5)),
}
"""By symbol: tick size in index points and USD a point, as the CME defines the product."""

FEES_USD_PER_SIDE_MIN: Final = Decimal("0.25")
"""Commission, exchange and regulator together: nobody carries a lot for less."""

CALENDAR_NAMES: Final = {
    "rth_calendar": "XNYS",
    "globex_calendar": "CMES",
    "timezone": "America/New_York",
}
"""What the calendar must name: every minute of the contracts counts from 09:30 in New York."""

NO_TRADE_MINUTES: Final = (range(5), range(120, 240))
"""Minutes since the open in which no file may allow an entry: 09:30 to 09:35, 11:30 to 13:30."""

SLIPPAGE_MULTIPLIERS_MIN: Final = {range(30): 1.5, range(360, 390): 1.25}
"""By minutes since the open, the least factor that slippage must be multiplied by."""

TIER_FLOORS: Final = (
    (Decimal(2500), 10, Decimal("12.50")),
    (Decimal("Infinity"), 12, Decimal(15)),
)
"""An account that may hold less equity than the first risks at most so many ticks and dollars."""

TEMPLATE_EQUITY_USD_MIN: Final = {"K1": 0, "K2": 0, "K3": 2500, "K4": 7500}
"""Equity below which a template is never traded; one that is not listed needs the most."""


def check_ranges(file: str, block: object) -> None:
    """Raise `ContractError` at the first number of `block` outside its range, or without one."""
    for pattern, key, number in numbers(block, file, ""):
        bounds = RANGES.get(f"{file}.{key}") or _named(pattern, key) or RANGES.get(pattern)
        if bounds is None:
            raise ContractError(
                f"{file}.yaml: '{key}' has no range in contracts/ceilings.py; add '{pattern}' there"
            )
        if key.endswith("_bars") and number % 1:
            raise ContractError(
                f"{file}.yaml: '{key}': expected a whole number of bars, got {number}; round it"
            )
        if not bounds.low <= Decimal(str(number)) <= bounds.high:
            what = "the hard ceiling in code" if bounds.is_ceiling else "a meaningful range"
            raise ContractError(
                f"{file}.yaml: '{key}': expected {bounds.low} to {bounds.high} ({what}), "
                f"got {number}; bring it inside"
            )


def _named(pattern: str, key: str) -> Range | None:
    """The row of a mapping's key by its name, wherever the mapping stands."""
    is_of_mapping = pattern.endswith(".*")
    return RANGES.get(f"{pattern[:-1]}{key.rpartition('.')[2]}") if is_of_mapping else None
