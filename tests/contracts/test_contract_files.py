"""The law is read whole, strictly and exactly; nothing looser than the code allows gets through."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoiled import CONTENTS, Steps, paths, value_at, with_value, without

from contracts import contracts_hash, load_rules
from contracts.across import EXECUTION_TROUBLES
from contracts.ceilings import RANGES, check_ranges
from contracts.loader import rules_of
from contracts.reading import Plain, content_hash
from contracts.typed import numbers
from engine.errors import ContractError
from engine.quality import QUALITY_EVENTS
from engine.rules import TradeRules

Spoil = Callable[[str, str, str], Path]


def is_number(value: Plain) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


NUMBERS = paths(is_number)
SCALARS = paths(lambda value: not isinstance(value, dict | list))
KEYS = [path for path in paths(lambda _: True) if isinstance(path[-1], str) and len(path) > 1]
MAPPINGS = paths(lambda value: isinstance(value, dict))


def pattern_of(path: Steps) -> str:
    """The row of `RANGES` that bounds the number at `path`."""
    steps = list(path)
    if steps[0] == "instrument":
        del steps[1]
    text = str(steps[0])
    for step in steps[1:]:
        text += "[]" if isinstance(step, int) else f".{step}"
    if text.startswith("strategies.templates[].settings.") and text not in RANGES:
        return "strategies.templates[].settings.*"
    if text.startswith("execution.eqs_losses."):
        return f"execution.eqs_losses.*.{steps[-1]}"
    return text


def test_the_law_of_mes_is_what_the_specification_says() -> None:
    rules = load_rules("MES")

    assert rules.instrument.tick_value_usd == Decimal("1.25")
    assert rules.instrument.fees.per_side_usd == Decimal("0.62")
    assert rules.constitution.loss_usd_per_trade_max == 15
    assert [tier.name for tier in rules.constitution.tiers] == ["S", "A", "B"]
    assert rules.data.penalties["price_band"] == 0.5
    assert rules.decision.theta_base == 0.1
    assert {t.id: t.time_stop_minutes for t in rules.strategies.templates} == {
        "K1": 30,
        "K2": 20,
        "K3": 15,
        "K4": 30,
    }


def test_the_weights_of_every_constraint_sum_to_one() -> None:
    rules = load_rules()

    sums = {
        c.id: round(sum(abs(t.weight) for t in c.evidence), 12) for c in rules.beliefs.constraints
    }

    assert sums == dict.fromkeys(("F1", "F2", "F3", "F4", "F5", "F6"), 1.0)


def test_a_second_instrument_is_a_second_block() -> None:
    first, second = load_rules("MES"), load_rules("MNQ")

    assert second.instrument.name == "Micro E-mini Nasdaq-100 futures"
    assert (first.instrument.to_usd(4), second.instrument.to_usd(4)) == (5, 2)
    assert replace(second, instrument=first.instrument) == first


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_any_number_just_beyond_its_range_is_refused_with_its_key(path: Steps) -> None:
    bounds = RANGES[pattern_of(path)]
    step = 1 if isinstance(value_at(path), int) else Decimal("0.000001")

    for value in (bounds.low - step, bounds.high + step):
        whole = int(value) if isinstance(step, int) and value == int(value) else value
        with pytest.raises(ContractError) as caught:
            rules_of(with_value(path, whole), "MES")

        assert f"{path[0]}.yaml" in str(caught.value)
        assert str(next(name for name in reversed(path) if isinstance(name, str))) in str(
            caught.value
        )


def test_the_refusal_names_file_key_bound_value_and_what_to_do(spoil: Spoil) -> None:
    folder = spoil("constitution", "trades_per_day_max: 2", "trades_per_day_max: 3")

    with pytest.raises(ContractError) as caught:
        load_rules(folder=folder)

    assert str(caught.value) == (
        "constitution.yaml: 'trades_per_day_max': expected 0 to 2 (the hard ceiling in code), "
        "got 3; bring it inside"
    )


def test_every_ceiling_of_the_constitution_stands_at_the_specified_limit() -> None:
    rules = load_rules()

    at_the_bound = {
        pattern
        for pattern, _, value in numbers(rules.constitution, "constitution", "")
        if Decimal(str(value)) in (RANGES[pattern].low, RANGES[pattern].high)
    }

    looser_allowed = {p for p in RANGES if p.startswith("constitution.")} - at_the_bound
    assert looser_allowed == {"constitution.tiers[].equity_usd_below"}


def test_a_number_without_a_range_is_refused() -> None:
    trade = TradeRules(
        volatility_atr_multiple=1.8, volatility_stop_atr=1.0, profit_protection_r=1.0
    )

    with pytest.raises(ContractError, match=r"add 'unheard\.volatility_atr_multiple'"):
        check_ranges("unheard", trade)


def test_every_range_belongs_to_a_number_of_the_files() -> None:
    assert {pattern_of(path) for path in NUMBERS} == set(RANGES) - {
        "beliefs.constraints[].phases[]",  # Written by name in the file.
        "strategies.templates[].settings.*",  # Of a template that is added.
    }


@given(st.sampled_from(KEYS))
def test_any_missing_key_is_refused(path: Steps) -> None:
    is_optional = path[-1] == "absolute"

    if is_optional:
        rules_of(without(path), "MES")
    else:
        with pytest.raises(ContractError):
            rules_of(without(path), "MES")


@given(st.sampled_from(MAPPINGS))
def test_any_unknown_key_is_refused(path: Steps) -> None:
    if path == ("instrument",):
        return  # A second symbol is a second block.

    with pytest.raises(ContractError, match=r"unknown|no_such_key"):
        rules_of(with_value((*path, "no_such_key"), Decimal("0.1")), "MES")


@given(st.sampled_from(SCALARS))
def test_any_value_of_another_type_is_refused(path: Steps) -> None:
    value = value_at(path)
    wrong: Plain = True if isinstance(value, str) or value is None else f"{value}"

    with pytest.raises(ContractError):
        rules_of(with_value(path, wrong), "MES")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("contracts_max: 1", "contracts_max: 1\ncontracts_max: 1", "'contracts_max' appears twice"),
        (
            "contracts_max: 1",
            "contract_max: 1",
            "unknown key 'contract_max'; did you mean 'contrac",
        ),
        ("contracts_max: 1", "contracts_max: yes", "expected a whole number, got str yes"),
        ("contracts_max: 1", "contracts_max: 1.0", "expected a whole number, got Decimal 1.0"),
        ("contracts_max: 1", "contracts_max: 0o1", "expected a whole number, got str 0o1"),
        ("contracts_max: 1", "contracts_max: true", "expected a whole number, got bool True"),
        ("contracts_max: 1", "contracts_max:", "expected a whole number, got nothing"),
        ("dvs_entry_min: 0.80", "dvs_entry_min: .nan", "expected a finite number, got .nan"),
        ("dvs_entry_min: 0.80", "dvs_entry_min: .inf", "expected a finite number, got .inf"),
        ("contracts_max: 1", "1: 1", "key 1 must be text"),
        ("contracts_max: 1", "contracts_max: [", "correct the file"),
    ],
)
def test_strict_yaml_has_no_traps(spoil: Spoil, old: str, new: str, message: str) -> None:
    folder = spoil("constitution", f"\n{old} ", f"\n{new} ")

    with pytest.raises(ContractError) as caught:
        load_rules(folder=folder)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("stem", "old", "new", "message"),
    [
        (
            "calendar",
            "mid_morning_from_minute: 30",
            "mid_morning_from_minute: 120",
            "less than lunch",
        ),
        ("calendar", "from_minute: 120\n", "from_minute: 4\n", "in order, without overlap"),
        ("calendar", "no_entry_minutes_before_end: 5", "no_entry_minutes_before_end: 5", ""),
        (
            "calendar",
            "flatten_minutes_before_end: 5",
            "flatten_minutes_before_end: 6",
            "at least flat",
        ),
        ("constitution", "dvs_hold_min: 0.60", "dvs_hold_min: 0.80", "less than dvs_entry_min"),
        ("constitution", "equity_usd_below: 2500", "equity_usd_below: 2000", "at most 10 (hard"),
        ("constitution", "equity_usd_below: 2500", "equity_usd_below: null", "null on the last"),
        ("constitution", "equity_usd_below: 7500", "equity_usd_below: 5000", "no tier below $7500"),
        ("constitution", "- name: A", "- name: S", "each name once"),
        ("strategies", "tiers: [A, B]", "tiers: [S, A, B]", "no tier below $2500"),
        ("strategies", "tiers: [A, B]", "tiers: [A, C]", "tiers among S, A, B"),
        ("strategies", "    constraint: F2", "    constraint: F3", "whose template is K2"),
        ("strategies", "noise_constraint: F5", "noise_constraint: F1", "without a side"),
        ("strategies", "vwap_z_min: 1.5", "vwap_min: 1.5", "settings"),
        (
            "strategies",
            "      breakout_min:",
            "      spare: 1.0\n      breakout_min:",
            "never reads it",
        ),
        ("beliefs", "template: K2", "template: null", "exactly if it has a side"),
        ("beliefs", "{signal: dvs, weight: 0.35}", "{signal: dvs, weight: 0.0}", "no zero weight"),
        ("beliefs", "signal: dvs", "signal: lunch_void_gate", "each name once"),
        ("beliefs", "[opening, mid_morning, afternoon, close]", "[tea_time]", "got tea_time"),
        ("decision", "theta_max: 0.60", "theta_max: 0.05", "expected 0.60 to 1"),
        ("decision", "until_minute: 30 ", "until_minute: 31 ", "without overlap"),
        ("execution", "slow_fill_seconds: 60", "slow_fill_seconds: 90", ""),
        ("execution", "entry_life_seconds: 90", "entry_life_seconds: 50", "at most entry_life"),
        ("execution", "  disconnect:", "  disconnection:", "names among"),
        ("data", "outlier_atr_multiple: 6.0", "outlier_atr_multiple: 4.0", "more than shock"),
        ("biases", "theta_abs_max: 0.10", "theta_abs_max: 0.04", "within ±0.04"),
        ("biases", "side: with  #", "side: wit  #", "one of with, against, any, got wit"),
        ("biases", "id: B002", "id: B001", "each name once"),
        ("biases", "name: panic selling", "name: House money effect", "each name once"),
        ("biases", "family: investor behaviour  #", "family: folklore  #", "got folklore"),
        ("biases", "signal: late_entry_flag", "signal: calm_index", "the name of a signal"),
        ("biases", "signal: quiet_bar_flag", "signal: calm_index", "catalogue[B"),
        ("biases", "signal: quiet_bar_flag", "because: of it", "unknown key 'catalogue[B"),
        ("biases", "      beyond: 0.7\n", "", "expression.beyond'"),
        ("learning", "noise_bars: 15", "noise_bars: 30", "less than attribution.timing_bars"),
        ("learning", "_below: 0.3 ", "_below: 1.0 ", "less than attribution.expression_gain"),
    ],
)
def test_files_that_contradict_themselves_or_each_other_are_refused(
    spoil: Spoil, stem: str, old: str, new: str, message: str
) -> None:
    folder = spoil(stem, old, new)

    if not message:
        load_rules(folder=folder)
    else:
        with pytest.raises(ContractError) as caught:
            load_rules(folder=folder)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("first", "last", "sessions", "is_whole"),
    [
        (None, None, 0, True),
        (date(2025, 1, 2), date(2025, 3, 31), 60, True),
        (None, None, 60, False),
        (date(2025, 1, 2), None, 60, False),
        (date(2025, 1, 2), date(2025, 3, 31), 0, False),
        (date(2025, 3, 31), date(2025, 1, 2), 60, False),
    ],
)
def test_a_fit_names_its_sessions_or_says_that_there_was_none(
    first: date | None, last: date | None, sessions: int, is_whole: bool
) -> None:
    fit = value_at(("beliefs", "fit"))
    assert isinstance(fit, dict)
    fit = fit | {"first_session_date": first, "last_session_date": last, "sessions": sessions}
    contents = with_value(("beliefs", "fit"), fit)

    if is_whole:
        assert rules_of(contents, "MES").beliefs.fit.sessions == sessions
    else:
        with pytest.raises(ContractError, match=r"'fit': expected two dates in order"):
            rules_of(contents, "MES")


OPENING = {"name": "opening", "from_minute": 0, "until_minute": 30, "multiplier": Decimal("1.5")}
LOOSER: dict[str, tuple[Steps, Plain, str]] = {
    "no window without trade": (
        ("calendar", "no_trade_windows"),
        [],
        (
            "calendar.yaml: 'no_trade_windows': expected all minutes from 0 to 5 inside (the hard "
            "ceiling in code), got no windows, which leave minute 0 open"
        ),
    ),
    "a minute of lunch": (
        ("calendar", "no_trade_windows", 1, "until_minute"),
        121,
        (
            "calendar.yaml: 'no_trade_windows': expected all minutes from 120 to 240 inside (the "
            "hard ceiling in code), got 0 to 5, 120 to 121, which leave minute 121 open"
        ),
    ),
    "an opening that ends early": (
        ("calendar", "no_trade_windows", 0, "until_minute"),
        4,
        (
            "calendar.yaml: 'no_trade_windows': expected all minutes from 0 to 5 inside (the hard "
            "ceiling in code), got 0 to 4, 120 to 240, which leave minute 4 open"
        ),
    ),
    "no dear minutes": (
        ("execution", "slippage_windows"),
        [],
        (
            "execution.yaml: 'slippage_windows': expected a multiplier of at least 1.5 from minute "
            "0 to 30 (the hard ceiling in code), got 1.0 in minute 0"
        ),
    ),
    "a close like any half hour": (
        ("execution", "slippage_windows"),
        [OPENING],
        (
            "execution.yaml: 'slippage_windows': expected a multiplier of at least 1.25 from "
            "minute 360 to 390 (the hard ceiling in code), got 1.0 in minute 360"
        ),
    ),
    "slippage that never counts": (
        ("execution", "slippage_ticks_max"),
        1,
        "execution.yaml: 'slippage_ticks_max': expected 6 to 12 (the hard ceiling in code), got 1",
    ),
    "volatility for nothing": (
        ("execution", "slippage_per_atr_ratio"),
        0,
        (
            "execution.yaml: 'slippage_per_atr_ratio': expected 0.5 to 6 (the hard ceiling in "
            "code), got 0"
        ),
    ),
    "a spread for nothing": (
        ("execution", "slippage_per_spread_tick"),
        0,
        (
            "execution.yaml: 'slippage_per_spread_tick': expected 0.5 to 6 (the hard ceiling in "
            "code), got 0"
        ),
    ),
    "doubt for nothing": (
        ("execution", "slippage_unknown_ticks"),
        0,
        (
            "execution.yaml: 'slippage_unknown_ticks': expected 0.25 to 6 (the hard ceiling in "
            "code), got 0"
        ),
    ),
    "half a side": (
        ("execution", "slippage_ticks_per_side"),
        Decimal("0.25"),
        (
            "execution.yaml: 'slippage_ticks_per_side': expected 0.5 to 6 (the hard ceiling in "
            "code), got 0.25"
        ),
    ),
    "a gap that is nothing": (
        ("data", "penalties", "missing_gap"),
        Decimal("0.05"),
        (
            "data.yaml: 'penalties.missing_gap': expected 0.50 to 1 (the hard ceiling in code), "
            "got 0.05"
        ),
    ),
    "a price that cannot be, for little": (
        ("data", "penalties", "price_band"),
        Decimal("0.49"),
        (
            "data.yaml: 'penalties.price_band': expected 0.50 to 1 (the hard ceiling in code), "
            "got 0.49"
        ),
    ),
    "another exchange": (
        ("calendar", "rth_calendar"),
        "XLON",
        "calendar.yaml: 'rth_calendar': expected XNYS (fixed in code), got XLON",
    ),
    "sessions of the futures": (
        ("calendar", "rth_calendar"),
        "CMES",
        "calendar.yaml: 'rth_calendar': expected XNYS (fixed in code), got CMES",
    ),
    "another market behind it": (
        ("calendar", "globex_calendar"),
        "XNYS",
        "calendar.yaml: 'globex_calendar': expected CMES (fixed in code), got XNYS",
    ),
    "no zone of this world": (
        ("calendar", "timezone"),
        "Mars/Phobos",
        "calendar.yaml: 'timezone': expected America/New_York (fixed in code), got Mars/Phobos",
    ),
    "a tick worth a tenth": (
        ("instrument", "MES", "tick_value_usd"),
        Decimal("0.125"),
        (
            "instrument.yaml: 'MES.tick_value_usd': expected 1.25 (USD, 0.25 points of 5 USD), got "
            "0.125"
        ),
    ),
    "a finer grid": (
        ("instrument", "MES", "tick_size"),
        Decimal("0.05"),
        "instrument.yaml: 'MES.tick_size': expected 0.25 (index points, the tick of the exchange)",
    ),
    "another money": (
        ("instrument", "MNQ", "currency"),
        "JPY",
        "instrument.yaml: 'MNQ.currency': expected USD (the currency of every amount",
    ),
    "a round number between ticks": (
        ("instrument", "MES", "round_number_points"),
        Decimal("0.3"),
        "instrument.yaml: 'MES.round_number_points': expected a multiple of the tick 0.25, got 0.3",
    ),
    "no exchange fee": (
        ("instrument", "MES", "fees", "exchange_usd"),
        Decimal(0),
        "instrument.yaml: 'fees.exchange_usd': expected 0.05 to 10 (the hard ceiling in code)",
    ),
    "a setup of no bars": (
        ("strategies", "templates", 1, "settings", "setup_bars"),
        0,
        (
            "strategies.yaml: 'templates[K2].settings.setup_bars': expected 1 to 10 (the hard "
            "ceiling in code), got 0"
        ),
    ),
    "a setup that lasts all day": (
        ("strategies", "templates", 3, "settings", "setup_bars"),
        100,
        "strategies.yaml: 'templates[K4].settings.setup_bars': expected 1 to 10",
    ),
    "any distance is a stretch": (
        ("strategies", "templates", 0, "settings", "vwap_z_min"),
        0,
        "strategies.yaml: 'templates[K1].settings.vwap_z_min': expected 1 to 10",
    ),
    "a last quarter of an hour that is cheaper": (
        ("decision", "theta_last"),
        Decimal("-0.15"),
        "decision.yaml: 'theta_last': expected 0 to 0.20 (the hard ceiling in code), got -0.15",
    ),
    "a belief that needs no evidence": (
        ("beliefs", "constraints", 0, "intercept"),
        Decimal(20),
        (
            "beliefs.yaml: 'constraints[F1].intercept': expected less than 0.6190, the log-odds of "
            "0.65 from which it lets an entry through, got 20"
        ),
    ),
    "a day that is always tradable": (
        ("beliefs", "constraints", 5, "intercept"),
        Decimal(20),
        "beliefs.yaml: 'constraints[F6].intercept': expected less than -1.3863",
    ),
    "noise that is never heard": (
        ("beliefs", "constraints", 4, "slope"),
        Decimal(0),
        "beliefs.yaml: 'constraints[F5].slope': expected at least 1.4558, or no evidence could",
    ),
    "an edge of the median bar": (
        ("beliefs", "prior_median"),
        Decimal("0.05"),
        "beliefs.yaml: 'prior_median': expected at least fit.median_likelihood (0.35)",
    ),
    "most of three bars": (
        ("strategies", "templates", 1, "settings", "setup_bars"),
        Decimal("2.9"),
        (
            "strategies.yaml: 'templates[K2].settings.setup_bars': expected a whole number of "
            "bars, got 2.9"
        ),
    ),
}


@pytest.mark.parametrize("name", LOOSER)
def test_a_looser_law_names_file_key_bound_and_value(name: str) -> None:
    path, value, message = LOOSER[name]

    with pytest.raises(ContractError) as caught:
        rules_of(with_value(path, value), "MES")

    assert str(caught.value).startswith(message)


def test_fees_that_no_broker_asks_are_refused_whichever_of_them_is_missing() -> None:
    fees = value_at(("instrument", "MES", "fees"))
    assert isinstance(fees, dict)
    cheap = {"commission_usd": 0, "exchange_usd": Decimal("0.1"), "regulatory_usd": Decimal("0.02")}

    with pytest.raises(ContractError) as caught:
        rules_of(with_value(("instrument", "MES", "fees"), {**fees, **cheap}), "MES")

    assert str(caught.value) == (
        "instrument.yaml: 'MES.fees': expected at least 0.25 USD a side together (the hard ceiling "
        "in code), got 0.12; correct the file"
    )


def test_a_product_that_the_code_does_not_know_is_refused() -> None:
    block = value_at(("instrument", "MES"))

    with pytest.raises(ContractError, match=r"'XYZ': expected one of MES, MNQ"):
        rules_of(with_value(("instrument", "XYZ"), block), "MES")


def test_stricter_windows_under_other_names_are_the_files_own_affair() -> None:
    whole = [{"name": "all morning", "from_minute": 0, "until_minute": 240}]

    rules = rules_of(with_value(("calendar", "no_trade_windows"), whole), "MNQ")

    assert [window.until_minute for window in rules.session.no_trade_windows] == [240]


def test_a_template_nobody_wrote_a_file_for_is_refused(spoil: Spoil) -> None:
    folder = spoil("strategies", "id: K2", "id: K6")

    with pytest.raises(ContractError, match="K6"):
        load_rules(folder=folder)


def test_a_missing_file_an_unknown_file_and_an_unknown_symbol_are_refused(folder: Path) -> None:
    with pytest.raises(ContractError, match="expected a block 'ZZ', found MES, MNQ"):
        load_rules("ZZ", folder)

    (folder / "limits.yaml").write_text("loss_max: 1")
    with pytest.raises(ContractError, match="no contract has this name"):
        load_rules(folder=folder)

    (folder / "limits.yaml").unlink()
    (folder / "constitution.yaml").unlink()
    with pytest.raises(ContractError, match=r"expected constitution\.yaml"):
        load_rules(folder=folder)


def test_comments_spacing_and_order_do_not_change_the_hash(folder: Path) -> None:
    path = folder / "trade.yaml"
    lines = [line.split("#")[0] for line in path.read_text().splitlines() if line[0] != "#"]
    path.write_text("# another comment\n" + "\n\n".join(reversed(lines)).replace("1.8", "1.80"))

    assert contracts_hash(folder) == contracts_hash() == load_rules().contracts_hash


@given(st.sampled_from(SCALARS))
def test_any_other_value_changes_the_hash(path: Steps) -> None:
    value = value_at(path)
    if isinstance(value, bool):
        other: Plain = not value
    elif isinstance(value, int | Decimal):
        other = value + Decimal("0.000000001")
    else:
        other = f"{value} "

    assert content_hash(with_value(path, other)) != content_hash(CONTENTS)


def test_text_and_number_of_the_same_spelling_have_different_hashes() -> None:
    path: Steps = ("constitution", "version")

    hashes = {
        content_hash(with_value(path, value)) for value in ("1", 1, True, "true", None, "null")
    }

    assert len(hashes) == 6


def test_the_engine_and_the_law_know_the_same_events_and_troubles() -> None:
    rules = load_rules()

    assert set(rules.data.penalties) == set(QUALITY_EVENTS)
    assert set(rules.execution.eqs_losses) == set(EXECUTION_TROUBLES)
