"""The law as values: one typed block per contract file, bundled with the hash of all of them.

`contracts/` reads and checks the files; the engine only ever sees these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from engine.biases import BiasRules
from engine.calendar import SessionRules
from engine.instrument import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRules:
    """`contracts/data.yaml`: when a bar is doubtful, and how much each doubt costs."""

    penalties: Mapping[str, float]
    window_bars: int
    missing_gap_seconds: int
    stuck_feed_bars: int
    outlier_atr_multiple: float
    outlier_volume_z: float
    late_bar_seconds: float
    spread_anomaly_ticks: int
    shock_atr_multiple: float
    shock_volume_z: float
    shock_body_deviations: float
    shock_deviation_bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceTerm:
    """One weighted input of a constraint. A negative weight leans against the signal."""

    signal: str
    weight: float
    absolute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintRules:
    """One question F1–F6: its evidence, memory, slope and intercept, and where it applies.

    A gate is asked before every entry and is rarely shut, so its fit looks at the lower tail.
    """

    id: str
    name: str
    question: str
    template: str | None
    is_directional: bool
    is_gate: bool
    memory: float
    slope: float
    intercept: float
    phases: tuple[int, ...]
    evidence: tuple[EvidenceTerm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BeliefFit:
    """How slope and intercept were set, and from what: written by `credence fit-beliefs`."""

    median_likelihood: float
    high_quantile: float
    high_likelihood: float
    source: str
    first_session_date: date | None
    last_session_date: date | None
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BeliefRules:
    """`contracts/beliefs.yaml`."""

    coverage_min: float
    instability_alpha: float
    applicability_dvs_min: float
    applicability_eqs_min: float
    prior_strength: float
    prior_median: float
    p_win_min: float
    p_win_max: float
    calibration_outcomes_min: int
    fit: BeliefFit
    constraints: tuple[ConstraintRules, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRules:
    """One strategy template; `settings` are the numbers only its own file reads."""

    id: str
    name: str
    constraint: str
    belief_min: float
    instability_max: float
    target_r: float
    time_stop_minutes: int
    tiers: tuple[str, ...]
    settings: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRules:
    """`contracts/strategies.yaml`."""

    stop_ticks_min: int
    noise_constraint: str
    noise_veto_belief: float
    tradability_constraint: str
    tradability_belief_min: float
    thesis_belief_min: float
    fallback_stop_atr: float
    templates: tuple[TemplateRules, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What an account of a given size may do; `equity_usd_below` is null for the last tier."""

    name: str
    equity_usd_below: Decimal | None
    stop_ticks_max: int
    loss_usd_per_trade_max: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Constitution:
    """`contracts/constitution.yaml`: limits that learning can never change."""

    version: str
    contracts_max: int
    positions_max: int
    stop_ticks_max: int
    loss_usd_per_trade_max: Decimal
    loss_usd_per_day_max: Decimal
    loss_usd_per_week_max: Decimal
    loss_usd_per_month_max: Decimal
    trades_per_day_max: int
    consecutive_losses_max: int
    entries_per_hour_max: int
    minutes_between_entries_min: int
    dvs_entry_min: float
    dvs_hold_min: float
    dvs_kill_below: float
    eqs_entry_min: float
    eqs_hold_min: float
    eqs_kill_below: float
    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThetaWindow:
    """A time-of-day modifier of theta: minutes since the open, from inclusive, until exclusive."""

    name: str
    from_minute: int
    until_minute: int
    theta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRules:
    """`contracts/decision.yaml`: score weights, theta and its modifiers, lockouts."""

    theta_base: float
    theta_min: float
    theta_max: float
    theta_windows: tuple[ThetaWindow, ...]
    theta_last_minutes: int
    theta_last: float
    theta_monday: float
    theta_friday_afternoon: float
    friday_afternoon_from_minute: int
    theta_volatile: float
    theta_quiet: float
    theta_compression: float
    compression_below: float
    theta_conflict: float
    weight_dvs: float
    weight_eqs: float
    weight_instability: float
    instability_scale: float
    weight_belief: float
    friction_share_max: float
    shock_lockout_atr_multiple: float
    shock_lockout_atr_ratio: float
    shock_lockout_minutes: int
    spread_lockout_ticks: float
    spread_lockout_minutes: int
    news_lockout_minutes: int
    regime_shock_bars: int
    regime_volatile_atr_ratio: float
    regime_quiet_atr_ratio: float
    regime_trend_strength: float
    regime_trend_efficiency: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlippageWindow:
    """A multiplier of slippage: minutes since the open, from inclusive, until exclusive."""

    name: str
    from_minute: int
    until_minute: int
    multiplier: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityLoss:
    """What one kind of execution trouble takes from the EQS, and how fast half is forgiven."""

    amount: float
    half_life_bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRules:
    """`contracts/execution.yaml`: slippage, order life, EQS, reconciliation and kill policy."""

    slippage_ticks_per_side: float
    slippage_per_atr_ratio: float
    slippage_per_spread_tick: float
    slippage_unknown_ticks: float
    slippage_ticks_max: float
    slippage_windows: tuple[SlippageWindow, ...]
    entry_marketable_ticks_max: int
    entry_life_seconds: int
    slow_fill_seconds: int
    slippage_surprise_multiple: float
    eqs_losses: Mapping[str, QualityLoss]
    reconcile_seconds: int
    reconcile_flat_seconds: int
    protect_within_seconds: int
    unknown_order_seconds_max: int
    connection_lost_seconds_max: int
    flatten_verify_seconds: int
    limit_fills_on_touch: bool
    order_latency_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRules:
    """`contracts/trade.yaml`: how an open trade is managed."""

    volatility_atr_multiple: float
    volatility_stop_atr: float
    profit_protection_r: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionRules:
    """`contracts/learning.yaml`, `attribution`: thresholds of the causes A0 to A9.

    Gains and losses in multiples of the planned stop, bars counted from the exit.
    """

    lucky_adverse_stops: float
    noise_bars: int
    noise_further_stops: float
    timing_bars: int
    expression_gain_stops: float
    wrong_gain_stops_below: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRules:
    """`contracts/learning.yaml`, `scores`: how lucky and how well executed a trade was."""

    belief_band: float
    peers_min: int
    same_result_r: float
    near_stop_luck_min: float
    slippage_loss_per_tick: float
    reject_loss: float
    partial_loss: float
    unprotected_free_seconds: float
    unprotected_loss_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityRules:
    """`contracts/learning.yaml`, `reliability`: when results throttle, stop and restore a template.

    Rates are shares of results that made money; `window` results are looked at, the newest ones.
    """

    window: int
    throttle_from: int
    throttle_win_rate: float
    throttle_hard_win_rate: float
    modifier_throttled: float
    modifier_throttled_hard: float
    losses_in_a_row: int
    expectancy_from: int
    win_rate_from: int
    win_rate_min: float
    shadow_wins_in_a_row: int
    wins_to_active: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRules:
    """`contracts/learning.yaml`, `calibration`: how beliefs are compared with what came true."""

    bins: int
    resamples: int
    confidence: float
    sessions_min: int
    sessions_max: int
    refit_sessions: int
    knots_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionRules:
    """`contracts/learning.yaml`, `evolution`: how far one proposal may move, and when it is one."""

    weight_step: float
    threshold_step: float
    memory_step: float
    time_stop_step_minutes: int
    attributed_min: int
    shadow_trades_min: int
    folds: int
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRules:
    """`contracts/learning.yaml`: what the night may conclude from finished trades."""

    attribution: AttributionRules
    scores: ScoreRules
    reliability: ReliabilityRules
    calibration: CalibrationRules
    evolution: EvolutionRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Everything the desk is bound by, for one instrument, with the hash of its files."""

    instrument: Instrument
    session: SessionRules
    data: DataRules
    beliefs: BeliefRules
    strategies: StrategyRules
    constitution: Constitution
    decision: DecisionRules
    execution: ExecutionRules
    trade: TradeRules
    biases: BiasRules
    learning: LearningRules
    contracts_hash: str
