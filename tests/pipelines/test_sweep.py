"""A sweep: every set takes exactly the trades that its full replay takes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from command_line import copied, credence
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_market import RULES, Market, market

from assets.report.pictures import svg_of
from assets.report.sweep_pictures import scaling_spec
from engine.errors import InputRefused
from engine.execution_quality import Trouble
from engine.learning.parameter_sets import ParameterSet, parameter_sets, rules_with
from engine.learning.sweep.accounts import SetOrder
from engine.learning.sweep.counters import Carried
from engine.learning.sweep.lone_trades import Key, LoneTrades
from engine.learning.sweep.market import loosest
from engine.learning.sweep.terms import Played, Terms
from engine.learning.variants import Variant
from engine.rules import Rules
from engine.trade import ExitKind, TradeClosed
from pipelines.commands.exits import Exit
from pipelines.replay import ReplaySettings
from pipelines.stored_bars import StoredBars
from pipelines.sweep import SetResult, Sweep, SweepRequest, _results, difference
from pipelines.sweep_crew import Crew
from pipelines.sweep_scaling import OF_BARS, OF_SESSIONS, OF_SETS, scaling
from pipelines.sweep_stretch import Replayed, Stretch, StretchOrder, Walked, replay_set
from pipelines.sweep_table import sweep_rows
from pipelines.wiring import Wiring

SETS = parameter_sets(RULES, 400, 3)
GATES = loosest(rules_with(RULES, each.changes) for each in SETS)
RICH = 1_000_000
"""Cents of an account in the highest tier."""


ROOT: list[Path] = []
"""Where this module's stretches lie: kept between its tests, because one of them is shared."""


@pytest.fixture(autouse=True, scope="module")
def _root(tmp_path_factory: pytest.TempPathFactory) -> None:
    ROOT[:] = [tmp_path_factory.mktemp("sweep")]


def folder_of(days: Market) -> Path:
    folder = ROOT[0] / str(len(list(ROOT[0].iterdir())))
    folder.mkdir()
    days.bars.write_parquet(folder / "bars.parquet")
    days.contexts.write_parquet(folder / "contexts.parquet")
    return folder


def stretch_of(
    days: Market, rules: Rules = RULES, *, minutes_before: int = 0
) -> tuple[Stretch, Path]:
    folder = folder_of(days)
    order = StretchOrder(
        folder=folder, rules=rules, gates=GATES, minutes_before=minutes_before, seed=0
    )
    return Stretch(order), folder


@cache
def usual() -> tuple[Stretch, Path]:
    """One stretch for many tests, so that each meets the lone trades of those before it."""
    return stretch_of(market(24))


def walk(stretch: Stretch, chosen: ParameterSet, equity: int = RICH) -> Walked:
    return stretch.walk([SetOrder(chosen, Carried(equity=equity), keeps=True)])[0]


def replayed(
    folder: Path, chosen: ParameterSet, equity: int = RICH, rules: Rules = RULES
) -> Replayed:
    request = SweepRequest(sets=1, equity_usd=Decimal(equity) / 100)
    return replay_set(folder, rules, chosen, request.replayed_as)


def compare(place: tuple[Stretch, Path], chosen: ParameterSet, equity: int = RICH) -> Walked:
    """The set's way, after every field of every trade was held against the replay's."""
    stretch, folder = place
    walked, full = walk(stretch, chosen, equity), replayed(folder, chosen, equity)
    assert walked.refused is None
    assert difference(walked.kept, full) is None
    assert walked.net_cents.tolist() == list(full.net_cents.values())
    return walked


@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    number=st.integers(0, len(SETS) - 1),
    equity=st.sampled_from([RICH, 751_000, 500_000, 252_000, 100_000]),
)
def test_a_swept_set_takes_the_trades_of_its_full_replay(number: int, equity: int) -> None:
    walked = compare(usual(), SETS[number], equity)

    assert walked.trades > 0


LAWS: Mapping[str, Mapping[str, object]] = {
    "a day ends early": {"loss_usd_per_day_max": Decimal(20)},
    "a week ends early": {"loss_usd_per_week_max": Decimal(30)},
    "a month ends early": {"loss_usd_per_month_max": Decimal(45)},
    "one loss locks out": {"consecutive_losses_max": 1},
    "one entry a day": {"trades_per_day_max": 1},
    "many entries an hour": {
        "trades_per_day_max": 6,
        "entries_per_hour_max": 3,
        "minutes_between_entries_min": 5,
        "loss_usd_per_day_max": Decimal(200),
    },
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
def test_a_limit_that_binds_binds_a_swept_set_as_it_binds_the_desk(law: Mapping[str, Any]) -> None:
    rules = replace(RULES, constitution=replace(RULES.constitution, **law))
    stretch, folder = stretch_of(market(24), rules)

    walked = walk(stretch, SETS[0])

    assert walked.refused is None
    assert difference(walked.kept, replayed(folder, SETS[0], rules=rules)) is None
    assert walked.trades != walk(usual()[0], SETS[0]).trades


ODD: Mapping[str, tuple[str, float, ExitKind | None]] = {
    "hardly any time": ("time_stop_minutes", 2, ExitKind.TIME_STOP),
    "hardly any patience": ("thesis_belief_min", 0.9, ExitKind.THESIS),
    "a veto on most bars": ("noise_veto_belief", 0.36, None),
}


@pytest.mark.parametrize(("name", "after", "kind"), ODD.values(), ids=ODD.keys())
def test_a_set_far_from_today_takes_the_trades_of_its_replay(
    name: str, after: float, kind: ExitKind | None
) -> None:
    ids = [block.id for block in RULES.strategies.templates]
    keys = [f"templates[{each}].{name}" for each in ids] if name.startswith("time") else [name]
    changes = [Variant(file="strategies", key=key, before=0, after=after) for key in keys]
    far = ParameterSet(number=1, changes=tuple(changes))

    walked = compare(usual(), far)

    if kind is None:
        assert 0 < walked.trades < walk(usual()[0], SETS[0]).trades
    else:
        assert sum(each.exit_kind is kind for each in walked.kept) > walked.trades / 3


def test_sessions_that_end_early_are_swept_as_they_are_replayed() -> None:
    days = market(12, start=date(2024, 11, 20))
    is_half = pl.col("session_minutes") < 300
    (half_day,) = days.contexts.filter(is_half)["session_date"].to_list()
    place = stretch_of(days)

    walked = [compare(place, chosen) for chosen in SETS[:3]]

    assert half_day == date(2024, 11, 29)
    assert any(each.at.date() == half_day for way in walked for each in way.kept)


def test_remembered_slippage_is_scored_as_the_desk_scores_it() -> None:
    execution = replace(RULES.execution, slippage_surprise_multiple=0.5)
    touchy = replace(RULES, execution=execution)
    stretch, folder = stretch_of(market(24), touchy)

    walked = walk(stretch, SETS[0])

    played = [each for lives in stretch._trades._known.values() for each in lives]
    assert Trouble.SLIPPAGE in {trouble for each in played for trouble, _ in each.troubles}
    assert difference(walked.kept, replayed(folder, SETS[0], rules=touchy)) is None


def test_a_lone_trade_is_played_once_for_the_sets_that_see_the_same() -> None:
    stretch, _ = usual()
    walk(stretch, SETS[0])
    before = stretch._trades.played

    again = walk(stretch, SETS[0])

    assert again.trades > 0
    assert stretch._trades.played == before


class Careless(LoneTrades):
    """The planted bug: a trade is taken for the same whatever manages it."""

    __slots__ = ()

    def known(self, key: Key, terms: Terms) -> Played | None:
        return next(iter(self._known.get(key, ())), None)


def test_sharing_a_trade_between_sets_that_manage_it_differently_would_be_seen() -> None:
    stretch, folder = stretch_of(market(24))
    right = stretch._trades
    stretch._trades = Careless(tape=right.tape, sessions=right.sessions, rules=RULES)
    patient, hasty = (
        ParameterSet(number=number, changes=tuple(changes))
        for number, changes in enumerate(([], [time_stop("K1", 4), time_stop("K4", 4)]))
    )
    walk(stretch, patient)

    careless = walk(stretch, hasty)

    assert difference(careless.kept, replayed(folder, hasty)) is not None
    stretch._trades = right
    assert difference(walk(stretch, hasty).kept, replayed(folder, hasty)) is None


def time_stop(template: str, minutes: int) -> Variant:
    key = f"templates[{template}].time_stop_minutes"
    return Variant(file="strategies", key=key, before=30, after=minutes)


def test_two_stretches_come_to_the_same_as_one() -> None:
    days = market(24)
    dates = days.contexts["session_date"].to_list()
    halves = [
        Market(*(frame.filter(pl.col("session_date").is_in(some)) for frame in days))
        for some in (dates[:11], dates[11:])
    ]
    minutes = int(halves[0].contexts["session_minutes"].sum())
    early, late = stretch_of(halves[0])[0], stretch_of(halves[1], minutes_before=minutes)[0]

    for chosen in SETS[:4]:
        whole = walk(usual()[0], chosen)
        first = walk(early, chosen)
        (second,) = late.walk([SetOrder(chosen, first.carried, keeps=True)])

        assert first.kept + second.kept == whole.kept
        assert second.carried == whole.carried


def test_sets_side_by_side_do_not_touch_each_other() -> None:
    """Rich, of the lowest tier, and nearly ruined: whoever drops out leaves the others alone."""
    orders = [
        SetOrder(chosen, Carried(equity=equity), keeps=True)
        for chosen in SETS[:8]
        for equity in (RICH, 100_000, 9_000)
    ]

    together = usual()[0].walk(orders)

    apart = [usual()[0].walk([order])[0] for order in orders]
    assert [each.kept for each in together] == [each.kept for each in apart]
    assert [each.carried for each in together] == [each.carried for each in apart]
    assert [each.refused for each in together] == [each.refused for each in apart]
    assert len({each.trades for each in together}) > 3


def test_data_that_kills_the_desk_ends_the_entries_of_its_session_alone() -> None:
    days = market(24)
    entered = [each for each in walk(usual()[0], SETS[0]).kept if each.opened_at is not None]
    at = next(each for each in entered[3:] if each.at.hour < 19).decision_id
    spoilt = spoil(days, entered, at)

    walked = compare(stretch_of(spoilt), SETS[0])

    kept = {(each.at.date(), each.decision_id) for each in walked.kept}
    day = next(each.at.date() for each in entered if each.decision_id == at)
    assert (day, at) not in kept
    assert any(each.at.date() > day for each in walked.kept)


def spoil(days: Market, trades: Sequence[TradeClosed], decision_id: str) -> Market:
    """The bars before a decision made so bad that the desk is killed: a gap, no volume, crossed."""
    trade = next(each for each in trades if each.decision_id == decision_id)
    assert trade.opened_at is not None
    minute = pl.col("closes_at") - pl.lit(trade.opened_at).dt.truncate("1m")
    behind = minute.dt.total_minutes()
    is_bad = behind == -12
    bars = days.bars.filter(~behind.is_in([-13, -14, -15])).with_columns(
        volume=pl.when(is_bad).then(0).otherwise("volume"),
        bid_ticks=pl.when(is_bad).then(pl.col("ask_ticks") + 1).otherwise("bid_ticks"),
    )
    return Market(days.contexts, bars.select(days.bars.columns).cast(dict(days.bars.schema)))


class Here(Crew):
    """A crew whose replays are played in this process."""

    __slots__ = ()

    def replays(
        self, chosen: Sequence[ParameterSet], settings: ReplaySettings
    ) -> Iterator[Replayed]:
        for each in chosen:
            yield replay_set(self.folder, self.rules, each, settings)


def test_a_set_whose_trade_the_bars_do_not_follow_to_its_end_is_replayed() -> None:
    days = cut_short(market(24), walk(usual()[0], SETS[0]).kept)
    stretch, folder = stretch_of(days)
    dates = days.contexts["session_date"].to_list()
    walked = walk(stretch, SETS[0])
    assert walked.refused is not None

    crew, asked = Here(folder, RULES, ()), SweepRequest(sets=1).replayed_as
    (today,) = _results(crew, SETS[:1], {0: [walked]}, dates, asked)

    full = replayed(folder, SETS[0])
    assert today.why_replayed == f"{walked.refused.session_date}: {walked.refused.text}"
    assert today.net_cents.tolist() == [full.net_cents.get(day, 0) for day in dates]
    assert today.trades == sum(trade["opened_at"] is not None for trade in full.trades)


def cut_short(days: Market, trades: Sequence[TradeClosed]) -> Market:
    """The session of a long trade ends while it is open."""
    long = max(trades, key=lambda trade: len(trade.path_ticks))
    assert long.opened_at is not None
    is_later = pl.col("closes_at") > pl.lit(long.opened_at).dt.offset_by("2m")
    is_same_day = pl.col("session_date") == long.opened_at.date()
    return Market(days.contexts, days.bars.filter(~(is_later & is_same_day)))


def test_numbers_that_change_what_looks_back_over_bars_are_refused() -> None:
    stretch, _ = usual()
    shocked = Variant(file="decision", key="shock_lockout_atr_multiple", before=4.0, after=5.0)

    with pytest.raises(InputRefused, match="looks back over bars"):
        walk(stretch, ParameterSet(number=1, changes=(shocked,)))


def test_more_cannot_be_checked_than_is_swept() -> None:
    with pytest.raises(InputRefused, match="3 sets and 4 to check"):
        SweepRequest(sets=3, checked=4)


def test_a_difference_names_the_trade_and_its_fields() -> None:
    full = replayed(usual()[1], SETS[0])
    kept = walk(usual()[0], SETS[0]).kept
    off = [kept[0], replace(kept[1], mae_ticks=kept[1].mae_ticks - 1), *kept[2:]]

    assert difference(kept, full) is None
    assert difference(off, full) == f"trade 2 of {kept[1].decision_id} differs in mae_ticks"
    assert difference(kept[:-1], full) == f"{len(kept) - 1} trades swept, {len(kept)} replayed"


def test_the_rows_of_a_sweep_say_what_each_set_gained_and_how_far_it_may_be_luck() -> None:
    today = np.array([-1500, 0, 1500, -3000] * 5)
    swept = swept_of({0: today, 1: today, 2: today + np.array([1500, 0, 1500, 0] * 5)})

    rows = sweep_rows(swept, RULES, seed=9, source="generator:7")

    assert rows["net_usd"].to_list() == [Decimal(-150), Decimal(-150), Decimal(0)]
    assert rows["drawdown_usd"].to_list() == [Decimal(150), Decimal(150), Decimal(30)]
    assert rows["gain_r"].to_list() == [0.0, 0.0, 0.5]
    assert rows["deflated_sharpe"][1] == 0.0
    assert rows["deflated_sharpe"][2] > 0.95
    assert rows["is_checked"].to_list() == [False, False, False]
    assert rows["session_date"].unique().to_list() == [date(2025, 1, 20)]


def swept_of(results: Mapping[int, np.ndarray]) -> Sweep:
    sets = [
        SetResult(
            chosen=ParameterSet(
                number=number, changes=() if number == 0 else (time_stop("K1", 4),)
            ),
            trades=20,
            wins=5,
            unfilled=0,
            net_cents=cents.astype(np.int64),
        )
        for number, cents in results.items()
    ]
    dates = tuple(date(2025, 1, day) for day in range(1, 21))
    return Sweep(
        session_dates=dates,
        bars=7_800,
        sets=tuple(sets),
        checked=(),
        seconds=1.0,
        cpu_seconds=1.0,
        check_seconds=0.0,
        peak_rss_mb=100.0,
    )


def test_the_cost_is_measured_for_more_bars_sets_and_sessions() -> None:
    days = market(8)
    dates = tuple(days.contexts["session_date"])
    stored = StoredBars(session_dates=dates, bars=days.bars, contexts=days.contexts)

    costs = scaling(stored, RULES, SweepRequest(sets=4), lambda _: None)

    amounts = {(each.what, each.amount) for each in costs}
    assert {amount for what, amount in amounts if what == OF_SESSIONS} == {1, 2, 4, 8}
    assert {amount for what, amount in amounts if what == OF_SETS} == {1, 2, 4}
    assert max(amount for what, amount in amounts if what == OF_BARS) == days.bars.height
    assert all(each.cpu_seconds > 0 for each in costs)
    drawn = svg_of(scaling_spec(), {"costs": [each._asdict() for each in costs]})
    assert all(title in drawn for title in (OF_BARS, OF_SETS, OF_SESSIONS))


def test_the_command_checks_stores_draws_and_judges(ingested_home: Path, tmp_path: Path) -> None:
    home = copied(ingested_home, tmp_path / "home")

    ended = credence(home, "sweep", "--sets", "6", "--verify", "2", "--json")

    assert ended.code == Exit.DONE
    answer = ended.json
    assert [each["difference"] for each in answer["checked"]] == [None, None]
    wiring = Wiring.from_environment({"CREDENCE_HOME": str(home)})
    rows = wiring.warehouse.query("SELECT * FROM sweep ORDER BY number")
    assert rows["number"].to_list() == list(range(6))
    assert rows["trades"].sum() == answer["trades"] > 0
    assert rows["is_checked"].sum() == 2
    assert Path(answer["picture"]).read_text(encoding="utf-8").startswith("<svg")


def test_a_sweep_of_other_bars_leaves_that_of_the_stored_ones(
    ingested_home: Path, tmp_path: Path
) -> None:
    home = copied(ingested_home, tmp_path / "home")
    few = ("sweep", "--sets", "2", "--verify", "0", "--json")
    stored = credence(home, *few).json
    dates = ("--from", stored["first_session_date"], "--to", stored["last_session_date"])

    other = credence(home, *few, "--source", "generator:8", *dates).json
    again = credence(home, *few, "--source", "generator:8", *dates).json

    wiring = Wiring.from_environment({"CREDENCE_HOME": str(home)})
    rows = wiring.warehouse.query("SELECT source, number FROM sweep ORDER BY source, number")
    assert (stored["source"], other["source"], again["source"]) == (
        "generator:7",
        "generator:8",
        "generator:8",
    )
    assert stored["picture"] != other["picture"]
    assert rows.rows() == [
        (source, number) for source in ("generator:7", "generator:8") for number in range(2)
    ]
