"""What single values cannot show: thresholds and windows of one file that contradict each other."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise

from contracts.ceilings import (
    CALENDAR_NAMES,
    FEES_USD_PER_SIDE_MIN,
    NO_TRADE_MINUTES,
    PRODUCTS,
    SLIPPAGE_MULTIPLIERS_MIN,
    TIER_FLOORS,
)
from engine.biases import BIAS_FAMILIES, BIAS_SIDES, Bias, BiasModifier, BiasRules
from engine.calendar import NoTradeWindow, SessionRules
from engine.errors import ContractError
from engine.instrument import Instrument
from engine.rules import (
    BeliefFit,
    BeliefRules,
    Constitution,
    ConstraintRules,
    DataRules,
    DecisionRules,
    ExecutionRules,
    LearningRules,
    Rules,
    SlippageWindow,
    StrategyRules,
    ThetaWindow,
    Tier,
)


def check_within(rules: Rules) -> None:
    """Raise `ContractError` at the first contradiction inside one file."""
    _check_calendar(rules.session)
    _check_data(rules.data)
    _check_beliefs(rules.beliefs)
    _check_strategies(rules.strategies)
    _check_constitution(rules.constitution)
    _check_tiers(rules.constitution)
    _check_decision(rules.decision)
    _check_execution(rules.execution)
    _check_biases(rules.biases)
    _check_learning(rules.learning)


def check_instrument(instrument: Instrument) -> None:
    """Raise `ContractError` where a product is not what its exchange says, or costs nothing."""
    symbol, tick = instrument.symbol, instrument.tick_size
    known = PRODUCTS.get(symbol)
    if known is None:
        raise contradiction(
            "instrument", symbol, f"one of {', '.join(PRODUCTS)} (contracts/ceilings.py), got it"
        )
    size, usd_a_point = known
    for key, given, expected, why in (
        ("tick_size", tick, size, "index points, the tick of the exchange"),
        (
            "tick_value_usd",
            instrument.tick_value_usd,
            size * usd_a_point,
            f"USD, {size} points of {usd_a_point} USD",
        ),
        ("currency", instrument.currency, "USD", "the currency of every amount of the contracts"),
    ):
        if given != expected:
            raise contradiction("instrument", f"{symbol}.{key}", f"{expected} ({why}), got {given}")
    if instrument.round_number_points % tick:
        given = instrument.round_number_points
        expected = f"a multiple of the tick {tick}, got {given}"
        raise contradiction("instrument", f"{symbol}.round_number_points", expected)
    paid = instrument.fees.per_side_usd
    if paid < FEES_USD_PER_SIDE_MIN:
        least = f"at least {FEES_USD_PER_SIDE_MIN} USD a side together (the hard ceiling in code)"
        raise contradiction("instrument", f"{symbol}.fees", f"{least}, got {paid}")


def _check_calendar(session: SessionRules) -> None:
    for key, name in CALENDAR_NAMES.items():
        given = getattr(session, key)
        if given != name:
            raise contradiction("calendar", key, f"{name} (fixed in code), got {given}")
    _check_rising(
        "calendar",
        ("mid_morning_from_minute", session.mid_morning_from_minute),
        ("lunch_from_minute", session.lunch_from_minute),
        ("afternoon_from_minute", session.afternoon_from_minute),
        ("390 - close_minutes_before_end", 390 - session.close_minutes_before_end),
    )
    _check_windows("calendar", "no_trade_windows", session.no_trade_windows)
    _check_no_trade(session.no_trade_windows)
    if session.no_entry_minutes_before_end < session.flatten_minutes_before_end:
        raise contradiction(
            "calendar",
            "no_entry_minutes_before_end",
            "at least flatten_minutes_before_end, or an entry would be flattened at once",
        )


def _check_no_trade(windows: Sequence[NoTradeWindow]) -> None:
    """Every minute without trade is inside a window, of whatever name."""
    shut = {minute for each in windows for minute in range(each.from_minute, each.until_minute)}
    for minutes in NO_TRADE_MINUTES:
        if open_ := sorted(set(minutes) - shut):
            raise contradiction(
                "calendar",
                "no_trade_windows",
                f"all minutes from {minutes.start} to {minutes.stop} inside (the hard ceiling in "
                f"code), got {_shown(windows)}, which leave minute {open_[0]} open",
            )


def _shown(windows: Sequence[NoTradeWindow | SlippageWindow]) -> str:
    spans = (f"{each.from_minute} to {each.until_minute}" for each in windows)
    return ", ".join(spans) or "no windows"


def _check_data(data: DataRules) -> None:
    if data.outlier_atr_multiple <= data.shock_atr_multiple:
        raise contradiction("data", "outlier_atr_multiple", "more than shock_atr_multiple")


def _check_beliefs(beliefs: BeliefRules) -> None:
    check_unique("beliefs", "constraints", (constraint.id for constraint in beliefs.constraints))
    _check_rising("beliefs", ("p_win_min", beliefs.p_win_min), ("p_win_max", beliefs.p_win_max))
    _check_fit(beliefs.fit)
    if beliefs.prior_median < beliefs.fit.median_likelihood:
        raise contradiction(
            "beliefs",
            "prior_median",
            f"at least fit.median_likelihood ({beliefs.fit.median_likelihood}), or the median bar "
            f"had an edge, got {beliefs.prior_median}",
        )
    for constraint in beliefs.constraints:
        _check_constraint(constraint)


def _check_fit(fit: BeliefFit) -> None:
    _check_rising(
        "beliefs",
        ("fit.median_likelihood", fit.median_likelihood),
        ("fit.high_likelihood", fit.high_likelihood),
    )
    first, last = fit.first_session_date, fit.last_session_date
    if fit.sessions == 0 and first is None and last is None:
        return
    if fit.sessions == 0 or first is None or last is None or last < first:
        raise contradiction("beliefs", "fit", "two dates in order, or no date with 0 sessions")


def _check_constraint(constraint: ConstraintRules) -> None:
    key = f"constraints[{constraint.id}]"
    if not constraint.evidence or not constraint.phases:
        raise contradiction("beliefs", key, "at least one phase and one evidence term")
    if any(term.weight == 0 for term in constraint.evidence):
        raise contradiction("beliefs", f"{key}.evidence", "no zero weight; leave the term out")
    check_unique("beliefs", f"{key}.evidence", (term.signal for term in constraint.evidence))
    if constraint.is_directional != (constraint.template is not None):
        raise contradiction("beliefs", f"{key}.template", "a template exactly if it has a side")
    if constraint.is_gate and constraint.is_directional:
        raise contradiction("beliefs", f"{key}.is_gate", "false for a constraint with sides")


def _check_strategies(strategies: StrategyRules) -> None:
    check_unique("strategies", "templates", (template.id for template in strategies.templates))
    for template in strategies.templates:
        key = f"templates[{template.id}]"
        check_unique("strategies", f"{key}.tiers", template.tiers)
        if template.belief_min <= strategies.thesis_belief_min:
            raise contradiction("strategies", f"{key}.belief_min", "more than thesis_belief_min")


def _check_constitution(law: Constitution) -> None:
    _check_rising(
        "constitution",
        ("loss_usd_per_trade_max", law.loss_usd_per_trade_max),
        ("loss_usd_per_day_max", law.loss_usd_per_day_max),
        ("loss_usd_per_week_max", law.loss_usd_per_week_max),
        ("loss_usd_per_month_max", law.loss_usd_per_month_max),
    )
    for score in ("dvs", "eqs"):
        names = (f"{score}_kill_below", f"{score}_hold_min", f"{score}_entry_min")
        _check_rising("constitution", *((name, getattr(law, name)) for name in names))


def _check_tiers(law: Constitution) -> None:
    if not law.tiers:
        raise contradiction("constitution", "tiers", "at least one tier")
    check_unique("constitution", "tiers", (tier.name for tier in law.tiers))
    for tier, floor in tier_floors(law):
        _check_tier(tier, floor, law)


def _check_tier(tier: Tier, floor: Decimal, law: Constitution) -> None:
    key = f"tiers[{tier.name}]"
    below = tier.equity_usd_below
    if (below is None) != (tier is law.tiers[-1]):
        raise contradiction("constitution", f"{key}.equity_usd_below", "null on the last tier only")
    if below is not None and below <= floor:
        raise contradiction("constitution", f"{key}.equity_usd_below", f"more than {floor}")
    ticks_max, usd_max = next((ticks, usd) for least, ticks, usd in TIER_FLOORS if floor < least)
    if tier.stop_ticks_max > min(ticks_max, law.stop_ticks_max):
        raise contradiction(
            "constitution",
            f"{key}.stop_ticks_max",
            f"at most {ticks_max} (hard ceiling from ${floor} of equity) and stop_ticks_max",
        )
    if tier.loss_usd_per_trade_max > min(usd_max, law.loss_usd_per_trade_max):
        raise contradiction(
            "constitution",
            f"{key}.loss_usd_per_trade_max",
            f"at most {usd_max} (hard ceiling from ${floor} of equity) and loss_usd_per_trade_max",
        )


def tier_floors(law: Constitution) -> list[tuple[Tier, Decimal]]:
    """Each tier with the least equity, in USD, that an account in it may have."""
    floors = [Decimal(0), *(tier.equity_usd_below or Decimal(0) for tier in law.tiers[:-1])]
    return list(zip(law.tiers, floors, strict=True))


def _check_decision(decision: DecisionRules) -> None:
    _check_windows("decision", "theta_windows", decision.theta_windows)
    if not decision.theta_min <= decision.theta_base <= decision.theta_max:
        raise contradiction("decision", "theta_base", "between theta_min and theta_max")
    _check_rising(
        "decision",
        ("regime_quiet_atr_ratio", decision.regime_quiet_atr_ratio),
        ("regime_volatile_atr_ratio", decision.regime_volatile_atr_ratio),
        ("shock_lockout_atr_ratio", decision.shock_lockout_atr_ratio),
    )


def _check_execution(execution: ExecutionRules) -> None:
    _check_windows("execution", "slippage_windows", execution.slippage_windows)
    _check_slippage(execution.slippage_windows)
    if execution.slippage_ticks_per_side > execution.slippage_ticks_max:
        raise contradiction("execution", "slippage_ticks_per_side", "at most slippage_ticks_max")
    if execution.slow_fill_seconds > execution.entry_life_seconds:
        raise contradiction("execution", "slow_fill_seconds", "at most entry_life_seconds")


def _check_slippage(windows: Sequence[SlippageWindow]) -> None:
    """No minute costs less than the code allows; 1 is the factor outside every window."""
    factors = {
        minute: each.multiplier
        for each in windows
        for minute in range(each.from_minute, each.until_minute)
    }
    for minutes, least in SLIPPAGE_MULTIPLIERS_MIN.items():
        for minute in minutes:
            factor = factors.get(minute, 1.0)
            if factor < least:
                raise contradiction(
                    "execution",
                    "slippage_windows",
                    f"a multiplier of at least {least} from minute {minutes.start} to "
                    f"{minutes.stop} (the hard ceiling in code), got {factor} in minute {minute}",
                )


def _check_biases(biases: BiasRules) -> None:
    check_unique("biases", "catalogue", (bias.id for bias in biases.catalogue))
    check_unique("biases", "catalogue", (bias.name.casefold() for bias in biases.catalogue))
    for bias in biases.catalogue:
        if bias.family not in BIAS_FAMILIES:
            families = f"one of {', '.join(BIAS_FAMILIES)}, got {bias.family}"
            raise contradiction("biases", f"catalogue[{bias.id}].family", families)
        if isinstance(bias.expression, BiasModifier):
            _check_modifier(bias, bias.expression, biases.theta_abs_max)


def _check_modifier(bias: Bias, modifier: BiasModifier, bound: float) -> None:
    key = f"catalogue[{bias.id}].expression"
    if abs(modifier.theta) > bound:
        raise contradiction("biases", f"{key}.theta", f"within ±{bound}, got {modifier.theta}")
    if modifier.side not in BIAS_SIDES:
        sides = f"one of {', '.join(BIAS_SIDES)}, got {modifier.side}"
        raise contradiction("biases", f"{key}.side", sides)


def _check_learning(learning: LearningRules) -> None:
    law = learning.attribution
    if law.noise_bars >= law.timing_bars:
        raise contradiction(
            "learning",
            "attribution.noise_bars",
            "less than attribution.timing_bars, or no stop could have been ill timed",
        )
    _check_rising(
        "learning",
        ("attribution.wrong_gain_stops_below", law.wrong_gain_stops_below),
        ("attribution.expression_gain_stops", law.expression_gain_stops),
    )
    trust = learning.reliability
    _check_rising(
        "learning",
        ("reliability.throttle_hard_win_rate", trust.throttle_hard_win_rate),
        ("reliability.throttle_win_rate", trust.throttle_win_rate),
    )
    _check_rising(
        "learning",
        ("reliability.modifier_throttled", trust.modifier_throttled),
        ("reliability.modifier_throttled_hard", trust.modifier_throttled_hard),
    )
    compared = learning.calibration
    _check_rising(
        "learning",
        ("calibration.sessions_min", compared.sessions_min),
        ("calibration.sessions_max", compared.sessions_max),
    )
    for key in ("throttle_from", "expectancy_from", "win_rate_from", "losses_in_a_row"):
        if getattr(trust, key) > trust.window:
            raise contradiction("learning", f"reliability.{key}", "at most reliability.window")


def check_unique(file: str, key: str, names: Iterable[str]) -> None:
    """Raise `ContractError` for a name that stands twice in a list."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise contradiction(file, f"{key}[{repeated[0]}]", "each name once")


def _check_rising(file: str, *values: tuple[str, float | Decimal]) -> None:
    for (low_key, low), (high_key, high) in pairwise(values):
        if not low < high:
            raise contradiction(file, low_key, f"less than {high_key} ({high}), got {low}")


def _check_windows(
    file: str, key: str, windows: Sequence[NoTradeWindow | ThetaWindow | SlippageWindow]
) -> None:
    check_unique(file, key, (window.name for window in windows))
    end = 0
    for window in windows:
        if not end <= window.from_minute < window.until_minute:
            raise contradiction(
                file,
                f"{key}[{window.name}]",
                "windows in order, without overlap, each of some length",
            )
        end = window.until_minute


def contradiction(file: str, key: str, expected: str) -> ContractError:
    """The error of a value that does not fit another one."""
    return ContractError(f"{file}.yaml: '{key}': expected {expected}; correct the file")
