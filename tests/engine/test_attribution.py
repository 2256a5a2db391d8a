"""Each cause by a trade that must get it, and by a near one that must not."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from night_cases import DAY, FLAT, PRICE, RULES, Night, Price, at, market_of, ref_of

from contracts.schemas import validate
from engine.broker import OrderEvent, OrderReported
from engine.learning.attribution import ATTRIBUTION_COLUMNS, Cause, attribution
from engine.learning.luck import PEER_COLUMNS
from engine.outcomes import OUTCOME_COLUMNS
from engine.trade import ExitKind, StopMoved
from engine.units import DecisionId

OF_A_PEER = {name: PEER_COLUMNS[name] for name in ("template", "regime", "belief", "net_r")}

LEAD = [FLAT] * 10
"""The bars up to the decision; the trade is opened in the one after them, bar 10."""

STOP, TARGET = PRICE - 8, PRICE + 12
DOWN: Price = (PRICE, PRICE + 1, STOP - 1, STOP)
BELOW: Price = (STOP, STOP + 1, STOP - 1, STOP)
UP: Price = (STOP, TARGET + 1, STOP - 1, TARGET)
FAR_BELOW: Price = (STOP, STOP, STOP - 9, STOP - 8)
ABOVE: Price = (TARGET, TARGET + 1, TARGET - 1, TARGET)


def outcome(template: str = "K1", ticks_net: float = -9.5, **changes: Any) -> dict[str, Any]:
    """What a template would have come to from the bar that was decided on."""
    row: dict[str, Any] = dict.fromkeys(OUTCOME_COLUMNS)
    row |= {
        "symbol": "MES",
        "session_date": DAY,
        "closes_at": at(10),
        "minute": 9,
        "template": template,
        "side": 1,
        "stop_ticks": 8,
        "target_ticks": 12,
        "is_fallback_stop": False,
        "exit_kind": "target" if ticks_net > 0 else "stop",
        "ticks_net": ticks_net,
    }
    return row | changes


def judged(
    night: Night,
    *outcomes: dict[str, Any],
    peers: Sequence[tuple[str, str, float, float]] = (),
) -> dict[str, Any]:
    """The only row of the attribution; without other outcomes the counterfactual lost."""
    told = pl.DataFrame(outcomes or [outcome()], schema=OUTCOME_COLUMNS, orient="row")
    compared = pl.DataFrame(list(peers), schema=OF_A_PEER, orient="row")
    rows = attribution(night.trades(), night.market, told, compared, RULES)
    validate("attribution", rows)
    (row,) = rows.to_dicts()
    return row


def cause_of(night: Night, *outcomes: dict[str, Any]) -> str:
    cause: str = judged(night, *outcomes)["cause"]
    return cause


def market(*bars: Price, **columns: Any) -> pl.DataFrame:
    """The bars after the decision behind the ones before it; columns are those of all of them."""
    return market_of(*LEAD, *bars, **columns)


def stopped(frame: pl.DataFrame, minute: float = 12.5, price_ticks: int = STOP) -> Night:
    night = Night(frame).planned().filled(10.004, "entry", 1, PRICE)
    return night.filled(minute, "stop", -1, price_ticks)


def won(frame: pl.DataFrame) -> Night:
    night = Night(frame).planned().filled(10.004, "entry", 1, PRICE)
    return night.filled(12.5, "target", -1, TARGET)


def bars_with(count: int, place: int, value: Any, otherwise: Any) -> list[Any]:
    values = [otherwise] * count
    values[place] = value
    return values


SLIDE = (FLAT, FLAT, DOWN, *[BELOW] * 40)
"""Never up, stopped in bar 12, and never back."""


def test_a_loss_that_price_never_agreed_with_is_a_wrong_model() -> None:
    row = judged(stopped(market(*SLIDE)))

    assert (row["cause"], row["cause_name"]) == ("A1", "wrong model")
    assert (row["belief_least"], row["rival_template"]) == (0.7, None)
    assert row["verdict"].startswith("K1 long lost $11.24 (-1.12 R): wrong model.")


def protected(price_ticks: int) -> Night:
    """Stopped where the stop had been moved to, three ticks in profit, or less well than there."""
    moved = StopMoved(
        at=at(12),
        decision_id=DecisionId("MES-1440"),
        from_ticks=STOP,
        to_ticks=PRICE + 3,
        cause="profit_protection",
    )
    night = Night(market(*SLIDE)).planned().filled(10.004, "entry", 1, PRICE).told(moved)
    return night.filled(12.5, "stop", -1, price_ticks)


@pytest.mark.parametrize(("price_ticks", "cause"), [(PRICE + 2, "A0"), (PRICE, "A8")])
def test_slippage_is_to_blame_if_at_mid_the_trade_would_have_won(
    price_ticks: int, cause: str
) -> None:
    assert cause_of(protected(price_ticks)) == cause


def test_slippage_that_only_made_a_loss_larger_is_not_to_blame() -> None:
    slipped = stopped(market(*SLIDE), price_ticks=STOP - 3)

    assert cause_of(slipped, outcome(ticks_net=11)) == "A1"


def test_a_refused_order_is_to_blame_only_if_the_plan_would_have_ended_otherwise() -> None:
    refused = OrderReported(at=at(10), ref=ref_of("target"), event=OrderEvent.REJECTED)
    night = Night(market(*SLIDE)).planned().told(refused).filled(10.004, "entry", 1, PRICE)
    night.filled(12.5, "stop", -1, STOP)

    row = judged(night, outcome(ticks_net=11))

    assert row["cause"] == "A8"
    assert "1 of its orders was refused; as planned it would have won." in row["verdict"]
    assert cause_of(night, outcome(ticks_net=-9)) == "A1"
    assert cause_of(night, outcome(exit_kind="no_data")) == "A1"


@pytest.mark.parametrize(("seconds", "cause"), [(6, "A8"), (5, "A1")])
def test_more_than_five_seconds_without_a_stop_are_a_failure(seconds: int, cause: str) -> None:
    gone = OrderReported(at=at(12.5 - seconds / 60), ref=ref_of("stop"), event=OrderEvent.CANCELLED)
    night = Night(market(*SLIDE)).planned().filled(10.004, "entry", 1, PRICE).told(gone)

    night.filled(12.5, "flatten", -1, PRICE)

    assert cause_of(night, outcome(ticks_net=11)) == cause


@pytest.mark.parametrize(("place", "cause"), [(9, "A1"), (10, "A7"), (12, "A7"), (13, "A1")])
def test_a_data_event_counts_on_the_bars_of_the_trade(place: int, cause: str) -> None:
    events = bars_with(10 + len(SLIDE), place, "zero_volume", "")

    assert cause_of(stopped(market(*SLIDE, quality_events=events))) == cause


@pytest.mark.parametrize(("dvs", "cause"), [(0.79, "A7"), (0.80, "A1")])
def test_a_bar_that_has_become_doubtful_since_proves_nothing(dvs: float, cause: str) -> None:
    stored = bars_with(10 + len(SLIDE), 9, dvs, 1.0)

    assert cause_of(stopped(market(*SLIDE, dvs=stored))) == cause


@pytest.mark.parametrize(("place", "cause"), [(9, "A1"), (11, "A6"), (12, "A6"), (13, "A1")])
def test_a_shock_counts_while_the_trade_is_held(place: int, cause: str) -> None:
    falling: Price = (PRICE, PRICE + 1, PRICE - 7, PRICE - 6)
    bars = [*LEAD, *SLIDE]
    if place != 12:
        bars[place] = falling
    shocks = bars_with(len(bars), place, value=True, otherwise=False)

    assert cause_of(stopped(market_of(*bars, is_shock=shocks))) == cause


def test_a_shock_in_our_favour_is_no_excuse() -> None:
    rising: Price = (PRICE - 6, PRICE + 1, PRICE - 7, PRICE)
    shocks = bars_with(10 + len(SLIDE), 11, value=True, otherwise=False)
    frame = market(FLAT, rising, *SLIDE[2:], is_shock=shocks)

    assert cause_of(stopped(frame)) == "A1"


@pytest.mark.parametrize(("dip", "is_lucky"), [(6, False), (7, True)])
def test_a_win_is_earned_and_lucky_if_it_nearly_stopped(dip: int, is_lucky: bool) -> None:
    frame = market(FLAT, (PRICE, PRICE + 1, PRICE - dip, PRICE), ABOVE)

    row = judged(won(frame))

    assert (row["cause"], row["is_lucky"]) == ("A0", is_lucky)


def test_a_win_on_doubtful_data_is_not_earned() -> None:
    frame = market(FLAT, FLAT, ABOVE, quality_events=bars_with(13, 11, "late_bar", ""))

    assert cause_of(won(frame)) == "A7"


@pytest.mark.parametrize(
    ("belief", "regime", "cause"),
    [(0.44, "trend", "A5"), (0.45, "trend", "A1"), (0.44, "range", "A9")],
)
def test_a_regime_shift_needs_another_regime_and_a_lost_belief(
    belief: float, regime: str, cause: str
) -> None:
    count = 10 + len(SLIDE)
    frame = market(
        *SLIDE,
        regime=["range"] * 11 + [regime] * (count - 11),
        f1_long_effective=bars_with(count, 11, belief, 0.7),
    )

    assert cause_of(stopped(frame)) == cause


def test_a_belief_that_is_lost_after_the_exit_is_no_regime_shift() -> None:
    count = 10 + len(SLIDE)
    frame = market(
        *SLIDE,
        regime=["range"] * 12 + ["trend"] * (count - 12),
        f1_long_effective=bars_with(count, 12, 0.2, 0.7),
    )

    row = judged(stopped(frame))

    assert (row["cause"], row["regime_at_exit"]) == ("A1", "range")


@pytest.mark.parametrize(
    ("after", "cause"),
    [
        ([*[BELOW] * 14, UP], "A3"),
        ([*[BELOW] * 15, UP], "A2"),
        ([*[BELOW] * 29, UP], "A2"),
        ([*[BELOW] * 30, UP], "A1"),
        ([BELOW, FAR_BELOW, UP], "A2"),
        ([BELOW, UP, FAR_BELOW], "A3"),
        ([(STOP, TARGET + 1, STOP - 9, TARGET)], "A2"),
        ([(STOP, TARGET, STOP - 1, TARGET)], "A1"),
    ],
    ids=str,
)
def test_what_came_after_a_stop_tells_noise_from_timing(after: list[Price], cause: str) -> None:
    frame = market(FLAT, FLAT, DOWN, *after, *[BELOW] * 5)

    assert cause_of(stopped(frame)) == cause


def test_the_next_session_does_not_tell_what_came_after() -> None:
    today = market(FLAT, FLAT, DOWN, BELOW)
    tomorrow = market(UP, UP).with_columns(
        pl.col("opens_at", "closes_at").dt.offset_by("1d"),
        pl.col("session_date").dt.offset_by("1d"),
    )

    row = judged(stopped(pl.concat([today, tomorrow])))

    assert (row["cause"], row["bars_to_target"]) == ("A1", None)


@pytest.mark.parametrize("minute", [-5.0, 60.0])
def test_a_trade_beside_the_bars_of_its_session_is_judged_by_none_of_them(minute: float) -> None:
    count = 10 + len(SLIDE)
    shocks, events = [True] * count, ["zero_volume"] * count
    frame = market(*SLIDE, is_shock=shocks, quality_events=events)
    tomorrow = frame.with_columns(
        pl.col("opens_at", "closes_at").dt.offset_by("1d"),
        pl.col("session_date").dt.offset_by("1d"),
    )
    night = Night(pl.concat([frame, tomorrow]))

    row = judged(
        night.filled(minute, "", 1, PRICE, ref="").filled(minute + 1, "", -1, PRICE, ref="")
    )

    assert (row["data_events"], row["has_adverse_shock"]) == (0, False)
    assert row["regime_at_exit"] == (None if minute < 0 else "range")


def test_only_a_stop_can_have_been_too_close_or_too_early() -> None:
    frame = market(FLAT, FLAT, DOWN, UP, *[BELOW] * 5)
    night = Night(frame).planned().filled(10.004, "entry", 1, PRICE)
    night.asked_out(12.2, ExitKind.PERSON).filled(12.5, "flatten", -1, STOP)

    assert cause_of(night) == "A1"


@pytest.mark.parametrize(("gained", "cause"), [(8, "A4"), (7, "A9"), (3, "A9"), (2, "A1")])
def test_how_far_price_agreed_tells_expression_from_model(gained: int, cause: str) -> None:
    frame = market(FLAT, (PRICE, PRICE + gained, PRICE - 1, PRICE), *SLIDE[2:])

    assert cause_of(stopped(frame)) == cause


@pytest.mark.parametrize(
    ("rival", "cause"),
    [
        (outcome("K2", 15.0), "A4"),
        (outcome("K2", 15.0, side=-1), "A1"),
        (outcome("K2", 15.0, is_fallback_stop=True), "A1"),
        (outcome("K2", 3.0, exit_kind="time"), "A1"),
        (outcome("K2", 15.0, closes_at=at(11)), "A1"),
    ],
)
def test_another_template_that_would_have_won_blames_the_expression(
    rival: dict[str, Any], cause: str
) -> None:
    assert cause_of(stopped(market(*SLIDE)), outcome(), rival) == cause


def test_what_nobody_decided_on_is_undetermined_even_if_it_won() -> None:
    night = Night(market(*SLIDE)).filled(10.1, "", 1, PRICE, ref="").filled(12, "", -1, PRICE + 4)

    row = judged(night)

    assert (row["cause"], row["luck"], row["execution"]) == ("A9", None, None)
    assert "no decision opened made $3.76" in row["verdict"]


def test_every_cause_was_asked_for_and_the_order_is_the_stated_one() -> None:
    assert [cause.value for cause in Cause] == [
        *("A8", "A7", "A6"),
        "A0",
        "A5",
        *("A3", "A2"),
        "A4",
        "A1",
        "A9",
    ]


def test_the_columns_are_those_declared_even_without_a_trade() -> None:
    empty = Night(market(*SLIDE))
    told = pl.DataFrame(schema=OUTCOME_COLUMNS)
    compared = pl.DataFrame(schema=PEER_COLUMNS)

    rows = attribution(empty.trades(), empty.market, told, compared, RULES)

    assert rows.schema == pl.Schema(ATTRIBUTION_COLUMNS)
    assert rows.is_empty()


# ── Scores ──────────────────────────────────────────────────────────────────────────────────────


def peers_of(*results: float, belief: float = 0.7, regime: str = "range") -> list[Any]:
    return [("K1", regime, belief, result) for result in results]


def test_luck_is_the_place_among_what_happened_at_such_beliefs() -> None:
    lost = stopped(market(*SLIDE))
    same = peers_of(*[-1.1] * 30, *[1.4] * 20)

    row = judged(lost, peers=[*same, *peers_of(*[-9.0] * 99, belief=0.5)])

    # Thirty did as badly, none worse: the place is the middle of those thirty.
    assert (row["luck"], row["luck_peers"]) == (0.3, 50)
    assert row["luck_basis"] == "belief_and_regime"
    assert row["learning_weight"] == pytest.approx((1 - 2 * 0.2) * row["execution"])


@pytest.mark.parametrize(
    ("peers", "basis"),
    [
        (peers_of(*[1.0] * 29) + peers_of(1.0, regime="trend"), "belief"),
        (peers_of(*[1.0] * 30, belief=0.5), "regime"),
        (peers_of(*[1.0] * 30, belief=0.5, regime="trend"), "template"),
        (peers_of(*[1.0] * 29), None),
    ],
)
def test_with_too_few_alike_less_similar_ones_are_asked(peers: Any, basis: str | None) -> None:
    row = judged(stopped(market(*SLIDE)), peers=peers)

    assert row["luck_basis"] == basis
    assert (row["learning_weight"] is None) == (basis is None)


def test_a_win_that_nearly_stopped_says_little_as_a_single_case() -> None:
    common = peers_of(*[-1.1] * 20, *[1.4] * 30)
    nearly = market(FLAT, (PRICE, PRICE + 1, PRICE - 7, PRICE), ABOVE)

    smooth = judged(won(market(FLAT, FLAT, ABOVE)), peers=common)
    lucky = judged(won(nearly), peers=common)

    assert (smooth["luck"], lucky["luck"]) == (0.7, 0.9)
    assert lucky["learning_weight"] < smooth["learning_weight"]


def test_the_execution_score_falls_with_slippage_rejects_pieces_and_bare_seconds() -> None:
    clean = stopped(market(*SLIDE))
    slipped = stopped(market(*SLIDE), price_ticks=STOP - 2)
    gone = OrderReported(at=at(12.4), ref=ref_of("stop"), event=OrderEvent.CANCELLED)
    bare = Night(market(*SLIDE)).planned().filled(10.004, "entry", 1, PRICE).told(gone)
    bare.filled(12.5, "flatten", -1, PRICE)

    assert judged(clean)["execution"] == 1.0
    assert judged(slipped)["execution"] == pytest.approx(1 - 0.10 * 1.5)
    assert judged(bare)["execution"] == pytest.approx(1 - 0.10 * 5)


def test_a_trade_that_came_out_even_says_so() -> None:
    night = Night(market(*SLIDE)).planned()
    night.filled(10.004, "entry", 1, PRICE, fee_usd=Decimal("0.625"))
    night.filled(12.2, "stop", -1, PRICE + 1, fee_usd=Decimal("0.625"))

    assert judged(night)["verdict"].startswith("K1 long came out even (+0.00 R)")
