"""One run of ours in a process of its own: `python -m … NAME FOLDER ANSWER`.

`full` and `trades` are whole replays of the desk from bars in memory to a journal on disk; `rule`
is the rule of the race on the exchange alone. The answer is that of the other engines' scripts.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.context import session_contexts, session_summaries
from engine.desk import Recording
from pipelines.journal_files import write_fresh_journal
from pipelines.measurements import EQUITY_USD, BenchBars
from pipelines.replay import ReplaySettings, replay
from pipelines.stopwatch.foreign.given import Answer, Watch, write_answer
from pipelines.stopwatch.own_rule import plain_exchange, play_rule
from pipelines.stopwatch.rule import CALM, Fills, rule_bars

RECORDINGS: Final = {"full": Recording.FULL, "trades": Recording.TRADES}


def run_desk(folder: Path, recording: Recording) -> Answer:
    """A replay of the desk; the contexts of the sessions are part of the run.

    Its trades are those of its own strategies, told to be counted.
    """
    watch = Watch()
    rules, bars = load_rules(), BenchBars.stored(folder).bars
    dates = bars["session_date"]
    sessions = sessions_between(dates[0], dates[-1], rules.session)
    answer = Answer(version=version("credence"), setup_seconds=watch.lap())
    with TemporaryDirectory(dir=folder) as scratch:
        watch.lap()
        contexts = session_contexts(session_summaries(bars, rules), sessions, rules)
        settings = ReplaySettings(equity_usd=EQUITY_USD, recording=recording)
        result = write_fresh_journal(
            Path(scratch) / "replay.sqlite",
            Path(scratch) / "aside",
            lambda sink: replay(contexts, bars, rules, settings, sink=sink),
        )
        answer.run_seconds, answer.cpu_seconds = watch.lap(), watch.cpu_seconds
    answer.trades = [{"closed_at": trade["closed_at"].isoformat()} for trade in result.trades]
    return answer


def run_rule(folder: Path) -> Answer:
    """The rule on the exchange alone, filled at this close as every other engine can."""
    watch = Watch()
    rules, market = load_rules(), BenchBars.stored(folder)
    bars = rule_bars(market.bars, market.contexts)
    exchange = plain_exchange(rules.instrument)
    answer = Answer(version=version("credence"), setup_seconds=watch.lap())
    trades = play_rule(bars, CALM, Fills.THIS_CLOSE, exchange, rules.instrument.symbol)
    answer.run_seconds, answer.cpu_seconds = watch.lap(), watch.cpu_seconds
    tick_points = float(rules.instrument.tick_size)
    for trade in trades:
        answer.trade(
            trade.side.value,
            (trade.entry_bar, trade.entry_ticks * tick_points),
            (trade.exit_bar, trade.exit_ticks * tick_points),
            float(trade.fees_usd),
        )
    return answer


def main(name: str, folder: Path, answer_file: Path) -> None:
    """Run it once and write the answer."""
    recording = RECORDINGS.get(name)
    answer = run_rule(folder) if recording is None else run_desk(folder, recording)
    write_answer(answer, answer_file)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
