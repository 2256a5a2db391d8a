"""What every other engine is given, and what it hands back; for any Python, nothing but itself.

`python run_ENGINE.py BARS RULE ANSWER`: bars as CSV, the rule as JSON, the answer as JSON.
"""

import csv
import json
import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any


@dataclass(frozen=True)
class Rule:
    """The rule of the race; `pipelines.stopwatch.rule` says what the numbers mean."""

    channel_bars: int
    stop_ticks: int
    target_ticks: int
    flat_minutes: int
    tick_points: float
    point_usd: float
    fee_usd: float
    fills: str

    @property
    def stop_points(self) -> float:
        return self.stop_ticks * self.tick_points

    @property
    def target_points(self) -> float:
        return self.target_ticks * self.tick_points

    @property
    def fills_at_close(self) -> bool:
        return self.fills == "this_close"

    def may_enter(self, minute: int, minutes_left: int) -> bool:
        """Whether the channel lies in today's session and there is time left to trade."""
        return minute >= self.channel_bars and minutes_left > self.flat_minutes


@dataclass(frozen=True)
class Bars:
    """Columns of bars, in time order; prices in points."""

    closes_at_ns: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[int]
    minute: list[int]
    minutes_left: list[int]

    def __len__(self) -> int:
        return len(self.close)


@dataclass
class Answer:
    """How long it took, and the trades: side, bars and prices of entry and exit, fees.

    `run_seconds` by the clock and `cpu_seconds` of the processor are the engine's run alone.
    """

    version: str
    trades: list[Mapping[str, Any]] = field(default_factory=list)
    setup_seconds: float = 0.0
    run_seconds: float = 0.0
    cpu_seconds: float = 0.0
    warm_up_seconds: float = 0.0
    peak_rss_mb: float = 0.0

    def trade(
        self, side: int, entry: tuple[int, float], exited: tuple[int, float], fees_usd: float
    ) -> None:
        """Keep one closed trade; `entry` and `exited` are the number of a bar and a price."""
        self.trades.append(
            {
                "side": side,
                "entry_bar": entry[0],
                "entry": entry[1],
                "exit_bar": exited[0],
                "exit": exited[1],
                "fees_usd": fees_usd,
            }
        )


class Watch:
    """Seconds since it was made or last read, by the clock; `cpu_seconds` of the processor."""

    def __init__(self) -> None:
        self._since, self._cpu_since = perf_counter(), process_time()
        self.cpu_seconds = 0.0

    def lap(self) -> float:
        now, cpu_now = perf_counter(), process_time()
        seconds, self.cpu_seconds = now - self._since, cpu_now - self._cpu_since
        self._since, self._cpu_since = now, cpu_now
        return seconds


def read_given() -> tuple[Bars, Rule]:
    """Bars and rule of the files this process was started with."""
    with Path(sys.argv[1]).open(newline="", encoding="ascii") as lines:
        rows = csv.reader(lines)
        names = next(rows)
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    rule = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    bars = Bars(
        closes_at_ns=list(map(int, columns["closes_at_ns"])),
        open=list(map(float, columns["open"])),
        high=list(map(float, columns["high"])),
        low=list(map(float, columns["low"])),
        close=list(map(float, columns["close"])),
        volume=list(map(int, columns["volume"])),
        minute=list(map(int, columns["minute"])),
        minutes_left=list(map(int, columns["minutes_left"])),
    )
    return bars, Rule(**rule)


def peak_rss_mb() -> float:
    """The most memory this process held; `getrusage` would also count what started it."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.is_file() else []
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    kilobytes = peaks[0] if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1_024


def write_answer(answer: Answer, file: Path | None = None) -> None:
    """Write what was measured into a file, else into the one this process was given for it."""
    answer.peak_rss_mb = peak_rss_mb()
    (file or Path(sys.argv[3])).write_text(json.dumps(asdict(answer)), encoding="utf-8")
