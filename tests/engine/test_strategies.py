"""Templates: prices of entries, stops that only tighten, exits in order, and how K6 arrives."""

import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_market import RULES

from engine.errors import ContractError
from engine.rules import Rules, StrategyRules
from engine.strategies.protocol import (
    ExitCause,
    StopCause,
    TemplateSummary,
    TradeResult,
    TradeView,
)
from engine.strategies.registry import sort_by_kind, template, templates, vetoes
from engine.units import Side

OPENED_AT = datetime(2024, 3, 12, 15, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]

sides = st.sampled_from(Side)


@dataclass(frozen=True)
class Row:
    """A closed bar as a template reads it."""

    close_ticks: int = 20_000
    bid_ticks: int | None = None
    ask_ticks: int | None = None
    atr_14_ticks: float | None = 5.0
    minutes_held: int = 5
    beliefs: dict[tuple[str, Side], float | None] = field(default_factory=dict)

    @property
    def closes_at(self) -> datetime:
        return OPENED_AT + timedelta(minutes=self.minutes_held)

    def effective_belief(self, constraint: str, side: Side) -> float | None:
        return self.beliefs.get((constraint, side), 0.6 if side is Side.LONG else 0.2)


@dataclass(frozen=True)
class Candidate:
    side: int
    stop_ticks: int = 8
    target_ticks: int = 16


def trade(side: Side = Side.LONG, **changes: object) -> TradeView:
    view = TradeView(
        template="K1",
        side=side,
        opened_at=OPENED_AT,
        entry_price_ticks=20_000,
        stop_price_ticks=20_000 - side * 8,
        stop_distance_ticks=8,
        entry_atr_14_ticks=5.0,
        friction_ticks=2.2,
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def with_strategies(**changes: object) -> Rules:
    strategies: StrategyRules = replace(RULES.strategies, **changes)  # type: ignore[arg-type]
    return replace(RULES, strategies=strategies)


K1 = template("K1", RULES)


def test_every_contract_block_has_its_file_in_order() -> None:
    assert [found.id for found in templates(RULES)] == ["K1", "K2", "K3", "K4"]
    assert [found.id for found in vetoes()] == ["K5"]


@pytest.mark.parametrize(
    ("side", "quotes", "limit"),
    [
        (1, {"ask_ticks": 20_001}, 20_001),
        (1, {"ask_ticks": 20_000}, 20_000),
        (1, {"ask_ticks": 20_004}, 20_001),
        (1, {}, 20_001),
        (-1, {"bid_ticks": 19_999}, 19_999),
        (-1, {"bid_ticks": 19_990}, 19_999),
        (-1, {}, 19_999),
    ],
)
def test_an_entry_takes_the_far_quote_up_to_one_tick_beyond_the_close(
    side: int, quotes: dict[str, int], limit: int
) -> None:
    plan = K1.plan_entry(Row(**quotes), Candidate(side), RULES)  # type: ignore[arg-type]

    assert plan.entry_limit_ticks == limit
    assert plan.stop_price_ticks == limit - side * 8
    assert plan.target_price_ticks == limit + side * 16
    assert plan.time_stop_minutes == 30


@given(
    side=sides,
    bid=st.none() | st.integers(19_980, 20_020),
    ask=st.none() | st.integers(19_980, 20_020),
    stop=st.integers(6, 12),
    target=st.integers(6, 24),
)
def test_no_quote_makes_an_entry_pay_more_or_risk_more_than_planned(
    side: Side, bid: int | None, ask: int | None, stop: int, target: int
) -> None:
    row = Row(bid_ticks=bid, ask_ticks=ask)

    plan = K1.plan_entry(row, Candidate(side, stop, target), RULES)

    paid = side * (plan.entry_limit_ticks - row.close_ticks)
    assert paid <= RULES.execution.entry_marketable_ticks_max
    assert side * (plan.entry_limit_ticks - plan.stop_price_ticks) == stop
    assert side * (plan.target_price_ticks - plan.entry_limit_ticks) == target


def test_a_thesis_that_is_gone_or_unknown_ends_the_trade() -> None:
    mine = ("F1", Side.LONG)

    assert K1.plan_exit(trade(), Row(), RULES) is None
    assert K1.plan_exit(trade(), Row(beliefs={mine: 0.45}), RULES) is None
    assert K1.plan_exit(trade(), Row(beliefs={mine: 0.44}), RULES) is ExitCause.THESIS
    assert K1.plan_exit(trade(), Row(beliefs={mine: None}), RULES) is ExitCause.THESIS


def test_a_belief_in_the_other_side_ends_the_trade() -> None:
    other = ("F1", Side.SHORT)

    assert K1.plan_exit(trade(), Row(beliefs={other: 0.64}), RULES) is None
    assert K1.plan_exit(trade(), Row(beliefs={other: 0.65}), RULES) is ExitCause.OPPOSITE_BELIEF


def test_time_is_the_last_reason_to_leave() -> None:
    late, lost = Row(minutes_held=30), {("F1", Side.LONG): 0.1}

    assert K1.plan_exit(trade(), Row(minutes_held=29), RULES) is None
    assert K1.plan_exit(trade(), late, RULES) is ExitCause.TIME_STOP
    assert K1.plan_exit(trade(), replace(late, beliefs=lost), RULES) is ExitCause.THESIS


@pytest.mark.parametrize("side", Side)
def test_profit_of_one_r_moves_the_stop_past_the_entry_by_friction(side: Side) -> None:
    near, reached = Row(close_ticks=20_000 + side * 7), Row(close_ticks=20_000 + side * 8)

    move = K1.plan_management(trade(side), reached, RULES)

    assert K1.plan_management(trade(side), near, RULES) is None
    assert move is not None
    assert (move.stop_price_ticks, move.cause) == (
        20_000 + side * 3,
        StopCause.PROFIT_PROTECTION,
    )


@pytest.mark.parametrize("side", Side)
def test_volatility_brings_the_stop_within_one_atr_of_price(side: Side) -> None:
    calm, wild = Row(atr_14_ticks=8.9), Row(atr_14_ticks=9.0, close_ticks=20_000 + side * 3)

    move = K1.plan_management(trade(side), wild, RULES)

    assert K1.plan_management(trade(side), calm, RULES) is None
    assert move is not None
    assert (move.stop_price_ticks, move.cause) == (20_000 - side * 6, StopCause.VOLATILITY)


@given(
    side=sides,
    stop=st.integers(-12, 30),
    close=st.integers(-12, 40),
    atr=st.none() | st.floats(0.5, 40),
    friction=st.floats(0, 8),
)
def test_a_stop_only_ever_moves_toward_profit(
    side: Side, stop: int, close: int, atr: float | None, friction: float
) -> None:
    open_trade = trade(side, stop_price_ticks=20_000 + side * stop, friction_ticks=friction)
    row = Row(close_ticks=20_000 + side * close, atr_14_ticks=atr)

    move = K1.plan_management(open_trade, row, RULES)

    if move is not None:
        assert side * (move.stop_price_ticks - open_trade.stop_price_ticks) > 0


def test_an_unknown_atr_tightens_nothing() -> None:
    assert K1.plan_management(trade(), Row(atr_14_ticks=None), RULES) is None


def test_a_summary_counts_trades_wins_losses_in_a_row_and_r() -> None:
    summary = TemplateSummary(template="K1")

    for net_ticks in (16.0, -4.0, 0.0):
        result = TradeResult(template="K1", stop_distance_ticks=8, net_ticks=net_ticks)
        summary = K1.post_trade_update(summary, result)

    assert summary == TemplateSummary(
        template="K1", trades=3, wins=1, consecutive_losses=2, net_r=1.5
    )


# ── The registry ────────────────────────────────────────────────────────────────────────────────


def test_a_block_without_its_file_is_refused() -> None:
    k6 = replace(RULES.strategies.templates[0], id="K6")
    rules = with_strategies(templates=(*RULES.strategies.templates, k6))

    with pytest.raises(ContractError, match="K6"):
        templates(rules)


def test_a_file_without_its_block_is_refused() -> None:
    rules = with_strategies(templates=RULES.strategies.templates[:3])

    with pytest.raises(ContractError, match="K4"):
        templates(rules)
    with pytest.raises(ContractError, match="K4"):
        template("K4", RULES).plan_exit(trade(), Row(), rules)


def test_a_setting_that_is_missing_is_refused() -> None:
    first, *others = RULES.strategies.templates
    rules = with_strategies(templates=(replace(first, settings={}), *others))

    with pytest.raises(ContractError, match=r"K1.*settings\.stop_atr"):
        K1.detect(rules)


def test_an_id_used_twice_is_refused() -> None:
    module = SimpleNamespace(STRATEGY=K1)

    with pytest.raises(ContractError, match="K1"):
        sort_by_kind([module, module])  # type: ignore[list-item]
    assert sort_by_kind([ModuleType("nothing")]) == ((), ())


def test_an_id_that_is_no_template_is_refused() -> None:
    with pytest.raises(ContractError, match="K9"):
        template("K9", RULES)


K6_FILE = '''
"""K6: follow the last close, to show that a template is one file."""

import polars as pl

from engine.rules import Rules
from engine.strategies.protocol import Detection
from engine.strategies.template import Template


class LastClose(Template):
    """The side of the bar's body."""

    id = "K6"

    def detect(self, rules: Rules) -> Detection:
        return Detection(
            side=pl.col("close_location_value").sign(),
            stop_ticks=lambda _side: pl.lit(7.2),
            target_ticks=lambda _side, stop: self.rules(rules).target_r * stop,
        )


STRATEGY = LastClose()
'''

K6_BLOCK = """
  - id: K6
    name: last_close
    constraint: F1
    belief_min: 0.60
    instability_max: 0.20
    target_r: 2.0
    time_stop_minutes: 10
    tiers: [B]
    settings: {}
"""

ASK_FOR_K6 = """
from datetime import date
from contracts import load_rules
from contracts.calendar import sessions_between
from engine.context import session_contexts, session_summaries
from engine.generator import generate_bars
from engine.market import market_frame, market_rows
from engine.outcomes import outcomes
from engine.strategies.registry import template

rules = load_rules("MES")
sessions = sessions_between(date(2024, 1, 2), date(2024, 1, 12), rules.session)
bars = generate_bars(sessions, 3, rules.instrument).bars
contexts = session_contexts(session_summaries(bars, rules), sessions, rules)
frame = market_frame(contexts, bars, rules)
setups = [setup for row in market_rows(frame) for setup in row.setups if setup.template == "K6"]
assert {setup.stop_ticks for setup in setups} == {8}
assert {setup.target_ticks for setup in setups} == {16}
ended = outcomes(frame, rules).filter(template="K6")
assert ended.height == 2 * frame.height
print(template("K6", rules).id, len(setups))
"""


def test_a_sixth_template_is_one_file_and_one_contract_block(tmp_path: Path) -> None:
    for folder in ("engine", "contracts"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    (tmp_path / "engine" / "strategies" / "k6_last_close.py").write_text(K6_FILE)
    contract = tmp_path / "contracts" / "strategies.yaml"
    contract.write_text(contract.read_text().rstrip() + "\n" + K6_BLOCK)

    asked = subprocess.run(
        [sys.executable, "-c", ASK_FOR_K6],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert asked.returncode == 0, asked.stderr
    name, count = asked.stdout.split()
    assert name == "K6"
    assert int(count) > 0
