"""The signals a second time, bar by bar in plain Python, as the specification words them.

Slow and obvious on purpose: it shares no code with `engine.signals`.
"""

from collections.abc import Sequence
from math import exp, floor, sqrt
from statistics import fmean, pstdev
from typing import Any

import numpy as np

Bar = dict[str, Any]
Context = dict[str, Any]
Value = float | None


def clip(x: float, low: float, high: float) -> float:
    return max(low, min(high, x))


def logistic(x: float) -> float:
    return 1 / (1 + exp(-x))


def sign(x: float) -> int:
    return (x > 0) - (x < 0)


class Oracle:
    """Signals of every bar of one session; `bars` as dicts of bar columns, `context` its row."""

    def __init__(self, bars: Sequence[Bar], context: Context) -> None:
        self.context = context
        self.open = [b["open_ticks"] for b in bars]
        self.high = [b["high_ticks"] for b in bars]
        self.low = [b["low_ticks"] for b in bars]
        self.close = [b["close_ticks"] for b in bars]
        self.volume = [b["volume"] for b in bars]
        self.minute = [b["minute"] for b in bars]
        self.true_range = [
            self.high[i] - self.low[i]
            if i == 0
            else max(self.high[i], self.close[i - 1]) - min(self.low[i], self.close[i - 1])
            for i in range(len(bars))
        ]
        self.atr = {n: self._wilder(n) for n in (5, 14, 30)}
        self.vwap, self.deviation = self._vwap()
        self.vol_z = [self._vol_z(t) for t in range(len(bars))]
        self.raw_z = list(self.vol_z)
        self.vol_z = [None if z is None else clip(z, -3, 3) for z in self.vol_z]
        self.sweeps = [self._sweep(t) for t in range(len(bars))]

    def _wilder(self, n: int) -> list[Value]:
        out: list[Value] = []
        last: Value = self.context["atr_seed_ticks"]
        for t, size in enumerate(self.true_range):
            if last is not None:
                last = last + (size - last) / n
            elif t == n - 1:
                last = fmean(self.true_range[:n])
            out.append(last)
        return out

    def _vwap(self) -> tuple[list[Value], list[Value]]:
        typical = (np.array(self.high) + np.array(self.low) + np.array(self.close)) / 3
        volume = np.array(self.volume, float)
        means: list[Value] = []
        deviations: list[Value] = []
        for t in range(len(typical)):
            weights = volume[: t + 1]
            if weights.sum() == 0:
                means.append(None)
                deviations.append(None)
                continue
            mean = np.average(typical[: t + 1], weights=weights)
            spread = np.average((typical[: t + 1] - mean) ** 2, weights=weights)
            means.append(float(mean))
            deviations.append(max(2.0, sqrt(spread)))
        return means, deviations

    def _vol_z(self, t: int) -> Value:
        window = self.volume[max(0, t - 59) : t + 1]
        if len(window) < 20:
            return None
        return (self.volume[t] - fmean(window)) / max(1.0, pstdev(window))

    def _extremes(self, t: int) -> tuple[int, int] | None:
        return (max(self.high[t - 60 : t]), min(self.low[t - 60 : t])) if t >= 60 else None

    def _sweep(self, t: int) -> float:
        if (extremes := self._extremes(t)) is None:
            return 0.0
        high, low = extremes
        close, swept = self.close[t], 0.0
        if self.low[t] <= low - 2 and close > low:
            swept += close - low
        if self.high[t] >= high + 2 and close < high:
            swept += close - high
        return clip(swept / max(1.0, self.atr[14][t] or 0.0), -1, 1)

    def _beyond(self, t: int, high: float, low: float) -> float:
        return (max(0, self.close[t] - high) - max(0, low - self.close[t])) / self._atr(14, t)

    def _atr(self, n: int, t: int) -> float:
        value = self.atr[n][t]
        assert value is not None
        return max(1.0, value)

    def s1(self, t: int) -> Value:
        if self.vwap[t] is None:
            return None
        return (self.close[t] - self.vwap[t]) / self.deviation[t]

    def s2(self, t: int) -> Value:
        window = self.vwap[max(0, t - 29) : t + 1]
        if len(window) < 30 or None in window:
            return None
        return float(np.polyfit(range(30), window, 1)[0]) * 30 / (3 * self._atr(30, t))

    def s3(self, t: int) -> Value:
        median = self.context[f"atr_median_{self.minute[t] // 30:02d}"]
        return None if median is None else self.atr[14][t] / max(1.0, median)

    def s4(self, t: int) -> Value:
        return self.atr[5][t] / self._atr(30, t)

    def s5(self, t: int) -> Value:
        if t < 30:
            return None
        scores = [
            (self.high[i] > self.high[i - 1] and self.low[i] > self.low[i - 1])
            - (self.high[i] < self.high[i - 1] and self.low[i] < self.low[i - 1])
            for i in range(t - 29, t + 1)
        ]
        return 2 * fmean(scores)

    def s6(self, t: int) -> Value:
        extremes = self._extremes(t)
        return None if extremes is None else self._beyond(t, *extremes)

    def s7(self, t: int) -> Value:
        lower = min(self.open[t], self.close[t]) - self.low[t]
        upper = self.high[t] - max(self.open[t], self.close[t])
        return (lower - upper) / max(1, self.true_range[t])

    def s8(self, t: int) -> Value:
        size = self.high[t] - self.low[t]
        if size == 0:
            return 0.0
        return ((self.close[t] - self.low[t]) - (self.high[t] - self.close[t])) / size

    def s9(self, t: int) -> Value:
        if self.context["prior_close_ticks"] is None:
            return None
        gap = self.open[0] - self.context["prior_close_ticks"]
        return gap / max(1.0, self.context["median_range_ticks"])

    def s10(self, t: int) -> Value:
        if self.context["prior_poc_ticks"] is None:
            return None
        gap = self.close[t] - self.context["prior_poc_ticks"]
        return gap / max(1.0, self.context["prior_vw_deviation_ticks"])

    def s11(self, t: int) -> Value:
        if t < 5:
            return None
        return (self.close[t] - self.close[t - 5]) / (self._atr(14, t) * sqrt(5))

    def s12(self, t: int) -> Value:
        return (self.close[t] - self.open[t]) / self._atr(14, t)

    def s13(self, t: int) -> Value:
        return self.vol_z[t]

    def s14(self, t: int) -> Value:
        if t < 19:
            return None
        window = self.volume[t - 19 : t + 1]
        return float(np.polyfit(range(20), window, 1)[0]) * 20 / max(1.0, fmean(window))

    def s15(self, t: int) -> Value:
        if t < 19:
            return None
        effort = self.volume[t] / max(1.0, fmean(self.volume[t - 19 : t + 1]))
        result = self.true_range[t] / max(1.0, fmean(self.true_range[t - 19 : t + 1]))
        return clip((effort - result) / 2, -1, 1)

    def s16(self, t: int) -> Value:
        if self.vol_z[t] is None:
            return None
        expansion = max(0.0, self.true_range[t] / self._atr(30, t) - 1)
        return sign(self.close[t] - self.open[t]) * expansion * max(0.0, self.vol_z[t]) / 2

    def s17(self, t: int) -> Value:
        wide = self.true_range[t] > 2 * self.atr[14][t]
        if self.vol_z[t] is None:
            return None if wide else 0.0
        return float(sign(self.close[t] - self.open[t]) if wide and self.vol_z[t] > 2 else 0)

    def s18(self, t: int) -> Value:
        narrow = self.true_range[t] < 0.5 * self.atr[14][t]
        if self.vol_z[t] is None:
            return None if narrow else 0.0
        return float(narrow and self.vol_z[t] < -1)

    def s19(self, t: int) -> Value:
        if self.vol_z[t] is None:
            return None
        run = 0
        while t - run >= 0 and (z := self.vol_z[t - run]) is not None and z > 1:
            run += 1
        return run / 5

    def s20(self, t: int) -> Value:
        if self.vol_z[t] is None:
            return None
        expansion = self.true_range[t] / self._atr(14, t) - 1
        return logistic(self.vol_z[t] + expansion - self.s15(t))

    def s21(self, t: int) -> Value:
        minute, length = self.minute[t], self.context["session_minutes"]
        if minute >= length - 60:
            return 5.0
        return 1.0 if minute < 30 else 2.0 if minute < 120 else 3.0 if minute < 240 else 4.0

    def s22(self, t: int) -> Value:
        first = [i for i in range(t + 1) if self.minute[i] < 30]
        if self.minute[t] < 30 or not first:
            return None
        high, low = max(self.high[i] for i in first), min(self.low[i] for i in first)
        return self._beyond(t, high, low)

    def s23(self, t: int) -> Value:
        return 0.0 if 120 <= self.minute[t] < 240 else 1.0

    def s24(self, t: int) -> Value:
        if self.minute[t] < self.context["session_minutes"] - 60:
            return 0.0
        if self.vol_z[t] is None or self.vwap[t] is None:
            return None
        return logistic(1 - abs(clip(self.s1(t), -3, 3)) + self.vol_z[t] / 2)

    def s29(self, t: int) -> Value:
        if t < 30:
            return None
        micro = clip(self.s11(t), -1, 1)
        rest = 0.3 * max(0.0, self.vol_z[t]) / 3 + 0.3 * abs(clip(self.s5(t), -1, 1))
        return sign(micro) * (0.4 * abs(micro) + rest)

    def s30(self, t: int) -> Value:
        if self.vol_z[t] is None:
            return None
        fall, climax = max(0.0, -clip(self.s11(t), -1, 1)), max(0.0, -self.s17(t))
        return 0.5 * fall + 0.3 * climax + 0.2 * max(0.0, self.vol_z[t] - 1) / 2

    def s31(self, t: int) -> Value:
        if t < 60:
            return None
        for age, share in enumerate((1, 2 / 3, 1 / 3)):
            if self.sweeps[t - age]:
                return self.sweeps[t - age] * share
        return 0.0

    def s32(self, t: int) -> Value:
        step = 200
        nearest = floor(self.close[t] / step + 0.5) * step
        return 1 - abs(self.close[t] - nearest) / (2 * self._atr(14, t))

    def s33(self, t: int) -> Value:
        if self.context["median_range_ticks"] is None:
            return None
        high, low = max(self.high[: t + 1]), min(self.low[: t + 1])
        travelled = max(self.close[t] - low, high - self.close[t])
        share = travelled / max(1.0, self.context["median_range_ticks"])
        return share if share > 0.7 else 0.0

    def s34(self, t: int) -> Value:
        if t < 30:
            return None
        path = sum(abs(self.close[i] - self.close[i - 1]) for i in range(t - 29, t + 1))
        return abs(self.close[t] - self.close[t - 30]) / max(1, path)

    def s35(self, t: int) -> Value:
        if self.vol_z[t] is None:
            return None
        way = sign(self.close[t] - self.close[t - 1])
        run = 0
        while t - run >= 1 and way and sign(self.close[t - run] - self.close[t - run - 1]) == way:
            run += 1
        return way * run / 8 * (0.5 + 0.5 * max(0.0, self.vol_z[t]) / 3)

    def failed_break(self, t: int) -> Value:
        if t < 60:
            return None
        failed = 0
        for way, level_of in ((1, 1), (-1, 0)):
            for i in range(max(60, t - 5), t):
                level = self._extremes(i)[level_of]
                was_beyond = (level - self.close[i]) * way > 0
                is_back = (self.close[t] - level) * way >= 1
                if was_beyond and is_back:
                    failed += way
                    break
        return float(failed)
