"""The catalogue of biases is whole, of one voice and honest: nothing twice, nothing unexplained."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

import pytest
from spoiled import with_value

from contracts import load_rules
from contracts.bias_page import biases_page
from contracts.loader import rules_of
from contracts.reading import Plain
from engine.biases import BIAS_FAMILIES, Bias, BiasModifier, NotExpressed, ShownBySignal
from engine.errors import ContractError
from engine.signals import SIGNALS

BIASES: Final = load_rules().biases
CATALOGUE: Final = BIASES.catalogue

MIND: Final = {"judgement", "prospect theory", "belief and evidence", "probability and statistics"}
MARKET: Final = {"market microstructure", "price dynamics", "calendar and time of day"}
CROWD: Final = {"social influence", "emotion and state", "investor behaviour", "judgement"}

PLAUSIBLE: Final = {
    "vwap_z": {"investor behaviour", *MARKET},
    "vwap_slope": {"probability and statistics", *MARKET},
    "atr_14_n": {"prospect theory", *MARKET},
    "range_compression": {"probability and statistics", *MARKET},
    "hhll_trend_strength": {"belief and evidence", *MARKET},
    "breakout_distance_n": MARKET,
    "rejection_wick_n": MARKET,
    "close_location_value": MARKET,
    "gap_from_prev_close_n": {"trader execution", *MARKET},
    "distance_from_poc": MARKET,
    "micro_trend_5": {"memory and attention", *MARKET},
    "real_body_impulse_n": {"memory and attention", *MARKET},
    "vol_z": MARKET,
    "vol_slope_20": MARKET,
    "effort_vs_result": MARKET,
    "range_expansion_on_volume": MARKET,
    "climax_bar_flag": MARKET,
    "quiet_bar_flag": MARKET,
    "consecutive_high_vol_bars": {"probability and statistics", *MARKET},
    "participation_expansion_index": {"social influence", *MARKET},
    "session_phase": MARKET,
    "opening_range_break": MARKET,
    "lunch_void_gate": MARKET,
    "close_magnet_index": MARKET,
    "spread_tickiness": {"trader execution", "market microstructure"},
    "slippage_risk": {"trader execution", "market microstructure"},
    "friction_regime_index": {"trader execution", "investor behaviour"},
    "dvs": {"memory and attention", "market microstructure", "research and backtest"},
    "fomo_index": CROWD,
    "panic_index": {*CROWD, *MARKET},
    "sweep_reversal_score": MARKET,
    "round_number_proximity": MARKET,
    "late_entry_flag": {*CROWD, *MARKET},
    "auction_efficiency": {*MIND, *MARKET},
    "herding_score": {*CROWD, *MIND},
}
"""The families whose biases a signal can show: a spread shows no mood, a mood no bad tick."""

FILLERS: Final = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be because but by for from has have if in into is it its more most no "
        "not of on one or so than that the their them they this to was what when where which who "
        "with would",
    )
)


def words_of(text: str) -> frozenset[str]:
    """Words that carry meaning."""
    return frozenset(re.findall(r"[a-z0-9]+", text.lower())) - FILLERS


def near_duplicates(texts: Sequence[str], share: float) -> list[tuple[str, str]]:
    """Pairs that have at least this share of their words in common."""
    known = [(text, words_of(text)) for text in texts]
    return [
        (one, other)
        for (one, left), (other, right) in combinations(known, 2)
        if len(left & right) >= share * len(left | right)
    ]


def reasons(catalogue: Iterable[Bias]) -> list[str]:
    expressions = [bias.expression for bias in catalogue]
    return [each.not_expressed for each in expressions if isinstance(each, NotExpressed)]


def first_with(key: str, change: dict[str, Plain]) -> None:
    """Load the contracts with a changed expression of the first bias that has this key."""
    catalogue = with_value(("trade", "profit_protection_r"), 1)["biases"]["catalogue"]
    assert isinstance(catalogue, list)
    places = [index for index, bias in enumerate(catalogue) if key in bias["expression"]]  # type: ignore[index, operator, call-overload]
    path = ("biases", "catalogue", places[0], "expression")
    rules_of(with_value(path, change), "MES")


def test_the_catalogue_has_three_hundred_entries_numbered_in_order() -> None:
    assert [bias.id for bias in CATALOGUE] == [f"B{number:03}" for number in range(1, 301)]


def test_no_two_biases_have_the_same_name_but_for_small_words_and_case() -> None:
    counts = Counter(words_of(bias.name) for bias in CATALOGUE)

    assert [sorted(words) for words, count in counts.items() if count > 1] == []


def test_no_two_mechanisms_say_nearly_the_same() -> None:
    mechanisms = [bias.mechanism for bias in CATALOGUE]

    assert near_duplicates(mechanisms, share=0.4) == []


def test_a_mechanism_told_again_in_slightly_other_words_is_found() -> None:
    first = CATALOGUE[0].mechanism
    again = first.replace("draw late buyers", "attract tardy buyers").replace("pays", "is paying")

    found = near_duplicates([*(bias.mechanism for bias in CATALOGUE), again], share=0.4)

    assert found == [(first, again)]


def test_every_family_is_a_known_one_and_has_more_than_a_handful() -> None:
    counts = Counter(bias.family for bias in CATALOGUE)

    assert set(counts) == set(BIAS_FAMILIES)
    assert min(counts.values()) >= 12


def test_every_mechanism_is_one_plain_sentence() -> None:
    wrong = [
        bias.id
        for bias in CATALOGUE
        if not 8 <= len(bias.mechanism.split()) <= 45
        or not re.fullmatch(r"[A-Z0-9].*[^.?!]\.", bias.mechanism)
        or re.search(r"[.?!] [A-Z]", bias.mechanism)
    ]

    assert wrong == []


def test_every_source_names_authors_year_and_where_to_find_it() -> None:
    shape = re.compile(r"[A-Z][^()]+ \((1[89]|20)\d\d\), .+, .*[A-Z].+")

    wrong = [bias.source for bias in CATALOGUE if not shape.fullmatch(bias.source)]
    counts = Counter(bias.source for bias in CATALOGUE)

    assert wrong == []
    assert [source for source, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_is_only_said_to_show_what_it_can_show(signal: str) -> None:
    shown = [
        bias
        for bias in CATALOGUE
        if not isinstance(bias.expression, NotExpressed) and bias.expression.signal == signal
    ]

    assert shown, f"{signal} shows no bias"
    assert {bias.family for bias in shown} <= PLAUSIBLE[signal]


def test_every_reference_is_to_a_signal_that_exists() -> None:
    named = [
        bias.expression.signal
        for bias in CATALOGUE
        if not isinstance(bias.expression, NotExpressed)
    ]

    assert set(named) <= set(SIGNALS)


def test_the_modifiers_of_theta_are_few_bounded_and_derived_from_the_entries() -> None:
    found = {
        bias.id: (each.signal, each.beyond, each.side, each.theta)
        for bias in CATALOGUE
        if isinstance(each := bias.expression, BiasModifier)
    }

    assert found == {
        "B001": ("fomo_index", 0.6, "with", 0.05),
        "B002": ("panic_index", 0.5, "any", 0.05),
        "B003": ("late_entry_flag", 0.7, "any", 0.04),
        "B004": ("herding_score", 0.6, "with", 0.04),
        "B005": ("round_number_proximity", 0.8, "any", 0.03),
        "B006": ("climax_bar_flag", 0.5, "with", 0.05),
    }
    assert [modifier.signal for modifier in BIASES.modifiers] == [row[0] for row in found.values()]
    assert all(abs(modifier.theta) <= BIASES.theta_abs_max for modifier in BIASES.modifiers)


def test_every_modifier_can_hold_and_can_fail() -> None:
    for modifier in BIASES.modifiers:
        signal = SIGNALS[modifier.signal]

        assert 0 < modifier.beyond < signal.high
        assert signal.signed or modifier.side == "any"


def test_every_reason_for_not_expressing_a_bias_is_its_own() -> None:
    given = reasons(CATALOGUE)

    assert [reason for reason in given if not reason.startswith("because ")] == []
    assert [reason for reason in given if len(words_of(reason)) < 5] == []
    assert near_duplicates(given, share=0.5) == []


def test_a_copied_reason_is_found() -> None:
    given = reasons(CATALOGUE)

    assert near_duplicates([*given, f"{given[7]} too"], share=0.5) == [
        (given[7], f"{given[7]} too")
    ]


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("not_expressed", {}, "missing key 'catalogue[B007].expression.signal'"),
        ("not_expressed", {"not_expressed": ""}, "'catalogue[B007].expression.not_expressed' is"),
        (
            "not_expressed",
            {"not_expressed": "because of it", "signal": "dvs"},
            "unknown key 'catalogue[B007].expression.not_expressed'",
        ),
        (
            "beyond",
            {"signal": "fomo_index", "side": "with", "theta": 0},
            "missing key 'catalogue[B001].expression.beyond'",
        ),
        (
            "beyond",
            {"signal": "fomo_index", "beyond": 1, "side": "up", "theta": 0},
            "'catalogue[B001].expression.side': expected one of with, against, any, got up",
        ),
        (
            "beyond",
            {"signal": "fomo_index", "beyond": 1, "side": "with", "theta": 1},
            "'catalogue[B001].expression.theta': expected -0.20 to 0.20 (the hard ceiling in code)",
        ),
        (
            "beyond",
            {"signal": "greed", "beyond": 1, "side": "with", "theta": 0},
            "'catalogue[B001].expression.signal': expected the name of a signal, got greed",
        ),
    ],
)
def test_an_expression_that_is_none_or_two_is_refused_with_file_and_key(
    key: str, change: dict[str, Plain], message: str
) -> None:
    with pytest.raises(ContractError) as caught:
        first_with(key, change)

    assert str(caught.value).startswith("biases.yaml: ")
    assert message in str(caught.value)


def test_the_page_shows_every_bias_once_in_the_section_of_its_family() -> None:
    page = biases_page(BIASES)

    sections = {part.partition("\n")[0]: part for part in page.split("\n## ")[1:]}
    for bias in CATALOGUE:
        rows = re.findall(rf"^\| {bias.id} \| .*$", page, re.MULTILINE)
        assert len(rows) == 1
        assert rows[0] in sections[bias.family.capitalize()]
        assert bias.source in rows[0]
    shown = sum(isinstance(bias.expression, ShownBySignal) for bias in CATALOGUE)
    assert f"300 entries: {shown} shown by a signal, 6 that change theta" in page
