"""The Great Expectations review before the open: is the last session like the twenty before it?

Great Expectations takes seconds to import, so it is imported inside the functions; assets that do
not review do not pay for it.
"""

import os
import warnings
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

HISTORY_MIN: Final = 5
"""Sessions of history below which distributions are not judged: a median of four says little."""

TOTAL_FACTOR: Final = 4.0
"""How far a session's total may be from the median of the prior ones, as a factor either way."""

EXTREME_FACTOR: Final = 3.0
"""How far beyond the prior sessions' widest bar or gap a new one may reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One expectation and what came instead."""

    expectation: str
    column: str
    expected: str
    observed: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """All findings on one session; `page` is the Data Docs page as HTML."""

    findings: tuple[Finding, ...]
    history: int
    page: str

    @property
    def passed(self) -> bool:
        """Whether every expectation was met; too little history is judged by the caller."""
        return all(finding.passed for finding in self.findings)


def review_session(
    bars: pl.DataFrame, prior_bars: pl.DataFrame, *, minutes: int, price_band_share: float
) -> Review:
    """Hold one session's bars against fixed expectations and against the sessions before it.

    Both frames are `bars`; `minutes` is the length of the session. With less than `HISTORY_MIN`
    prior sessions only the fixed expectations are asked.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
    with warnings.catch_warnings():
        # What its own imports and its pandas are about to lose is not ours to change.
        warnings.simplefilter("ignore")
        return _reviewed(bars, prior_bars, minutes, price_band_share)


def _reviewed(
    bars: pl.DataFrame, prior_bars: pl.DataFrame, minutes: int, price_band_share: float
) -> Review:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    rows = _measured(bars, prior_bars)
    prior = _prior_totals(prior_bars)
    expectations = _fixed(minutes, price_band_share)
    if prior.height >= HISTORY_MIN:
        expectations += _against(prior)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("bars")
    asset = source.add_dataframe_asset("session")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch(
        {"dataframe": rows.to_pandas()}
    )
    suite = gx.ExpectationSuite(name="preopen", expectations=expectations)
    result = batch.validate(context.suites.add(suite))
    findings = tuple(_finding(each) for each in result.results)
    return Review(findings=findings, history=prior.height, page=_page(result))


def _measured(bars: pl.DataFrame, prior_bars: pl.DataFrame) -> pl.DataFrame:
    """The session's bars with the columns that the expectations speak of, one row per bar."""
    prior_close = prior_bars.sort("closes_at")["close_ticks"].last() if prior_bars.height else None
    ordered = bars.sort("closes_at")
    previous = pl.col("close_ticks").shift(1).fill_null(pl.lit(prior_close, dtype=pl.Int32))
    return ordered.select(
        "minute",
        volume=pl.col("volume").cast(pl.Float64),
        range_ticks=(pl.col("high_ticks") - pl.col("low_ticks")).cast(pl.Float64),
        spread_ticks=(pl.col("ask_ticks") - pl.col("bid_ticks")).cast(pl.Float64),
        close_outside_quotes_ticks=pl.max_horizontal(
            pl.col("bid_ticks") - pl.col("close_ticks"),
            pl.col("close_ticks") - pl.col("ask_ticks"),
            pl.lit(0),
        ).cast(pl.Float64),
        open_gap_ticks=(pl.col("open_ticks") - previous).abs().cast(pl.Float64),
        move_share=(pl.col("close_ticks") / prior_close - 1).abs().cast(pl.Float64)
        if prior_close
        else pl.lit(0.0),
        volume_total=pl.col("volume").sum().cast(pl.Float64),
    )


def _prior_totals(prior_bars: pl.DataFrame) -> pl.DataFrame:
    """One row per prior session: totals and extremes."""
    first_open = pl.col("open_ticks").sort_by("closes_at").first()
    last_close = pl.col("close_ticks").sort_by("closes_at").last()
    span = (pl.col("high_ticks") - pl.col("low_ticks")).cast(pl.Float64)
    totals = prior_bars.group_by("session_date").agg(
        volume_total=pl.col("volume").sum().cast(pl.Float64),
        range_mean=span.mean(),
        range_max=span.max(),
        spread_mean=(pl.col("ask_ticks") - pl.col("bid_ticks")).cast(pl.Float64).mean(),
        open_ticks=first_open,
        close_ticks=last_close,
    )
    gap = (pl.col("open_ticks") - pl.col("close_ticks").shift(1)).abs().cast(pl.Float64)
    return totals.sort("session_date").with_columns(gap_ticks=gap)


def _fixed(minutes: int, price_band_share: float) -> list[Any]:
    """What must hold of any session, with or without history."""
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=int(0.98 * minutes), max_value=minutes),
        gxe.ExpectColumnValuesToBeUnique(column="minute"),
        gxe.ExpectColumnValuesToBeBetween(column="volume", min_value=1, mostly=0.98),
        gxe.ExpectColumnValuesToBeBetween(
            column="spread_ticks", min_value=1, max_value=10, mostly=0.95
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="close_outside_quotes_ticks", max_value=2, mostly=0.95
        ),
        gxe.ExpectColumnMaxToBeBetween(column="move_share", max_value=price_band_share),
    ]


def _against(prior: pl.DataFrame) -> list[Any]:
    """What must hold of this session given the sessions before it."""
    import great_expectations.expectations as gxe

    def around(name: str) -> dict[str, float]:
        usual = _number(prior[name].median())
        return {"min_value": usual / TOTAL_FACTOR, "max_value": usual * TOTAL_FACTOR}

    def up_to(name: str, floor: float) -> dict[str, float]:
        return {"max_value": max(_number(prior[name].max()) * EXTREME_FACTOR, floor)}

    expectations = [
        gxe.ExpectColumnMeanToBeBetween(column="volume_total", **around("volume_total")),
        gxe.ExpectColumnMeanToBeBetween(column="range_ticks", **around("range_mean")),
        gxe.ExpectColumnMaxToBeBetween(column="range_ticks", **up_to("range_max", 20.0)),
        gxe.ExpectColumnMaxToBeBetween(column="open_gap_ticks", **up_to("gap_ticks", 40.0)),
    ]
    if prior["spread_mean"].drop_nulls().len() >= HISTORY_MIN:
        bounds = around("spread_mean")
        expectations.append(gxe.ExpectColumnMeanToBeBetween(column="spread_ticks", **bounds))
    return expectations


def _number(value: object) -> float:
    if not isinstance(value, float):
        raise TypeError(f"expected a number over the prior sessions, got {value!r}")
    return value


def _finding(result: Any) -> Finding:
    config = result.expectation_config
    limits = {
        key: config.kwargs[key]
        for key in ("min_value", "max_value", "mostly")
        if config.kwargs.get(key) is not None
    }
    observed = result.result.get("observed_value", None)
    if observed is None:
        observed = f"{result.result.get('unexpected_percent', 0.0):.2f} % of rows outside"
    return Finding(
        expectation=config.type.removeprefix("expect_"),
        column=config.kwargs.get("column", "all rows"),
        expected=", ".join(f"{key} {value:g}" for key, value in limits.items()) or "unique",
        observed=str(observed),
        passed=bool(result.success),
    )


def _page(result: Any) -> str:
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    for each in result.results:
        observed = each.result.get("observed_value")
        if hasattr(observed, "item"):  # Its renderer refuses the NumPy scalars it was given.
            each.result["observed_value"] = observed.item()
    return str(DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(result)))
