"""What single values cannot show: the order of thresholds, and names that must exist elsewhere."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from contracts.ceilings import TEMPLATE_EQUITY_USD_MIN, TIER_FLOORS
from engine.calendar import NoTradeWindow, SessionRules
from engine.errors import ContractError
from engine.rules import (
    BeliefRules,
    BiasRules,
    Constitution,
    DataRules,
    DecisionRules,
    ExecutionRules,
    Rules,
    SlippageWindow,
    StrategyRules,
    ThetaWindow,
)

QUALITY_EVENTS: Final = frozenset(
    {
        "missing_gap",
        "time_regression",
        "stuck_feed",
        "zero_volume",
        "outlier_no_shock",
        "late_bar",
        "spread_anomaly",
        "crossed_quote",
        "missing_quote",
        "price_band",
    }
)
"""Events that `engine.quality` can find; each must have a penalty."""

EXECUTION_TROUBLES: Final = frozenset(
    {"reject", "slow_fill", "slippage", "partial", "unknown_state", "disconnect"}
)
"""Troubles that `engine.execution_quality` can count; each must have a loss."""

BIAS_SIDES: Final = ("with", "against", "any")


def check_across(rules: Rules, signals: Collection[str] | None = None) -> None:
    """Raise `ContractError` at the first contradiction within or between files.

    `signals` are the names evidence and biases may use.
    """
    _check_calendar(rules.session)
    _check_names("data", "penalties", rules.data.penalties, QUALITY_EVENTS)
    _check_data(rules.data)
    _check_beliefs(rules.beliefs)
    _check_strategies(rules.strategies, rules.beliefs)
    _check_constitution(rules.constitution)
    _check_tiers(rules.constitution, rules.strategies)
    _check_decision(rules.decision)
    _check_names("execution", "eqs_losses", rules.execution.eqs_losses, EXECUTION_TROUBLES)
    _check_execution(rules.execution)
    _check_biases(rules.biases)
    if rules.strategies.stop_ticks_min > rules.constitution.stop_ticks_max:
        raise _contradiction("strategies", "stop_ticks_min", "at most constitution.stop_ticks_max")
    if signals is not None:
        _check_signals(rules, signals)


def _check_calendar(session: SessionRules) -> None:
    _check_rising(
        "calendar",
        ("mid_morning_from_minute", session.mid_morning_from_minute),
        ("lunch_from_minute", session.lunch_from_minute),
        ("afternoon_from_minute", session.afternoon_from_minute),
        ("390 - close_minutes_before_end", 390 - session.close_minutes_before_end),
    )
    _check_windows("calendar", "no_trade_windows", session.no_trade_windows)
    if session.no_entry_minutes_before_end < session.flatten_minutes_before_end:
        raise _contradiction(
            "calendar",
            "no_entry_minutes_before_end",
            "at least flatten_minutes_before_end, or an entry would be flattened at once",
        )


def _check_data(data: DataRules) -> None:
    if data.outlier_atr_multiple <= data.shock_atr_multiple:
        raise _contradiction("data", "outlier_atr_multiple", "more than shock_atr_multiple")


def _check_beliefs(beliefs: BeliefRules) -> None:
    _check_unique("beliefs", "constraints", (constraint.id for constraint in beliefs.constraints))
    _check_rising("beliefs", ("p_win_min", beliefs.p_win_min), ("p_win_max", beliefs.p_win_max))
    fit = beliefs.fit
    _check_rising(
        "beliefs",
        ("fit.median_likelihood", fit.median_likelihood),
        ("fit.high_likelihood", fit.high_likelihood),
    )
    dates = (fit.first_session_date, fit.last_session_date)
    if (fit.sessions == 0) != (dates == (None, None)) or (None in dates and dates != (None, None)):
        raise _contradiction(
            "beliefs", "fit", "two dates with sessions, or no date with 0 sessions"
        )
    for constraint in beliefs.constraints:
        key = f"constraints[{constraint.id}]"
        if not constraint.evidence or not constraint.phases:
            raise _contradiction("beliefs", key, "at least one phase and one evidence term")
        if any(term.weight == 0 for term in constraint.evidence):
            raise _contradiction("beliefs", f"{key}.evidence", "no zero weight; leave the term out")
        _check_unique("beliefs", f"{key}.evidence", (term.signal for term in constraint.evidence))
        if constraint.is_directional != (constraint.template is not None):
            raise _contradiction(
                "beliefs", f"{key}.template", "a template exactly if it has a side"
            )


def _check_strategies(strategies: StrategyRules, beliefs: BeliefRules) -> None:
    constraints = {constraint.id: constraint for constraint in beliefs.constraints}
    _check_unique("strategies", "templates", (template.id for template in strategies.templates))
    for key in ("noise_constraint", "tradability_constraint"):
        named = constraints.get(getattr(strategies, key))
        if named is None or named.is_directional:
            raise _contradiction("strategies", key, "a constraint of beliefs.yaml without a side")
    for template in strategies.templates:
        key = f"templates[{template.id}]"
        constraint = constraints.get(template.constraint)
        if constraint is None or constraint.template != template.id:
            raise _contradiction(
                "strategies", f"{key}.constraint", f"a constraint whose template is {template.id}"
            )
        if template.belief_min <= strategies.thesis_belief_min:
            raise _contradiction("strategies", f"{key}.belief_min", "more than thesis_belief_min")
    traded = {template.id for template in strategies.templates}
    for constraint in beliefs.constraints:
        if constraint.template is not None and constraint.template not in traded:
            raise _contradiction(
                "beliefs", f"constraints[{constraint.id}].template", "a template of strategies.yaml"
            )


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


def _check_tiers(law: Constitution, strategies: StrategyRules) -> None:
    _check_unique("constitution", "tiers", (tier.name for tier in law.tiers))
    floor_by_name: dict[str, Decimal] = {}
    floor = Decimal(0)
    for index, tier in enumerate(law.tiers):
        key = f"tiers[{tier.name}]"
        is_last = index == len(law.tiers) - 1
        if (tier.equity_usd_below is None) != is_last:
            raise _contradiction(
                "constitution", f"{key}.equity_usd_below", "null on the last tier only"
            )
        ticks_max, usd_max = next(row[1:] for row in TIER_FLOORS if floor < row[0])
        if tier.stop_ticks_max > min(ticks_max, law.stop_ticks_max):
            raise _contradiction(
                "constitution",
                f"{key}.stop_ticks_max",
                f"at most {ticks_max} from ${floor} of equity",
            )
        if tier.loss_usd_per_trade_max > min(usd_max, law.loss_usd_per_trade_max):
            raise _contradiction(
                "constitution", f"{key}.loss_usd_per_trade_max", f"at most ${usd_max} from ${floor}"
            )
        floor_by_name[tier.name] = floor
        if tier.equity_usd_below is not None:
            if tier.equity_usd_below <= floor:
                raise _contradiction(
                    "constitution", f"{key}.equity_usd_below", f"more than ${floor}"
                )
            floor = tier.equity_usd_below
    if not law.tiers:
        raise _contradiction("constitution", "tiers", "at least one tier")
    _check_template_tiers(strategies, floor_by_name)


def _check_template_tiers(strategies: StrategyRules, floor_by_name: dict[str, Decimal]) -> None:
    most = max(TEMPLATE_EQUITY_USD_MIN.values())
    for template in strategies.templates:
        key = f"templates[{template.id}].tiers"
        _check_unique("strategies", key, template.tiers)
        for name in template.tiers:
            if name not in floor_by_name:
                raise _contradiction("strategies", key, f"tiers among {', '.join(floor_by_name)}")
            least = TEMPLATE_EQUITY_USD_MIN.get(template.id, most)
            if floor_by_name[name] < least:
                raise _contradiction("strategies", key, f"no tier that starts below ${least}")


def _check_decision(decision: DecisionRules) -> None:
    _check_windows("decision", "theta_windows", decision.theta_windows)
    if not decision.theta_min <= decision.theta_base <= decision.theta_max:
        raise _contradiction("decision", "theta_base", "between theta_min and theta_max")
    _check_rising(
        "decision",
        ("regime_quiet_atr_ratio", decision.regime_quiet_atr_ratio),
        ("regime_volatile_atr_ratio", decision.regime_volatile_atr_ratio),
        ("shock_lockout_atr_ratio", decision.shock_lockout_atr_ratio),
    )


def _check_execution(execution: ExecutionRules) -> None:
    _check_windows("execution", "slippage_windows", execution.slippage_windows)
    if execution.slippage_ticks_per_side > execution.slippage_ticks_max:
        raise _contradiction("execution", "slippage_ticks_per_side", "at most slippage_ticks_max")
    if execution.slow_fill_seconds > execution.entry_life_seconds:
        raise _contradiction("execution", "slow_fill_seconds", "at most entry_life_seconds")


def _check_biases(biases: BiasRules) -> None:
    _check_unique("biases", "modifiers", (modifier.id for modifier in biases.modifiers))
    for modifier in biases.modifiers:
        key = f"modifiers[{modifier.id}]"
        if abs(modifier.theta) > biases.theta_abs_max:
            raise _contradiction("biases", f"{key}.theta", f"within ±{biases.theta_abs_max}")
        if modifier.side not in BIAS_SIDES:
            raise _contradiction("biases", f"{key}.side", f"one of {', '.join(BIAS_SIDES)}")


def _check_signals(rules: Rules, signals: Collection[str]) -> None:
    for constraint in rules.beliefs.constraints:
        for term in constraint.evidence:
            if term.signal not in signals:
                raise _contradiction(
                    "beliefs",
                    f"constraints[{constraint.id}].evidence[{term.signal}]",
                    "a signal's name",
                )
    for modifier in rules.biases.modifiers:
        if modifier.signal not in signals:
            raise _contradiction("biases", f"modifiers[{modifier.id}].signal", "a signal's name")


def _check_names(file: str, key: str, names: Iterable[str], known: frozenset[str]) -> None:
    given = frozenset(names)
    if unknown := sorted(given - known):
        raise _contradiction(file, f"{key}.{unknown[0]}", f"names among {', '.join(sorted(known))}")
    if missing := sorted(known - given):
        raise _contradiction(file, f"{key}.{missing[0]}", "a value for every name; it is missing")


def _check_unique(file: str, key: str, names: Iterable[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise _contradiction(file, f"{key}[{repeated[0]}]", "each name once")


def _check_rising(file: str, *values: tuple[str, float | Decimal]) -> None:
    for (low_key, low), (high_key, high) in pairwise(values):
        if not low < high:
            raise _contradiction(file, low_key, f"less than {high_key} ({high}), got {low}")


def _check_windows(
    file: str, key: str, windows: Sequence[NoTradeWindow | ThetaWindow | SlippageWindow]
) -> None:
    _check_unique(file, key, (window.name for window in windows))
    end = 0
    for window in windows:
        if not end <= window.from_minute < window.until_minute:
            raise _contradiction(
                file,
                f"{key}[{window.name}]",
                "windows in order, without overlap, each of some length",
            )
        end = window.until_minute


def _contradiction(file: str, key: str, expected: str) -> ContractError:
    return ContractError(f"{file}.yaml: '{key}': expected {expected}; correct the file")
