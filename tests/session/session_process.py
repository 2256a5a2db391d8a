"""One session run, to be killed: HOME PORT DIES_AT STOPS_AT.

DIES_AT names a point at which the process sends itself SIGKILL: `before:place_bracket` is after the
intent is on disk and before anything is sent, `after:place_bracket` after the send and before any
answer is heard, `told:ExecutionReported` when the fill was read and nothing was booked.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from replay_market import RULES
from session_stage import SessionStage

from pipelines.brokers.ibkr import ClockKind, IbkrBroker, IbkrSettings


class DyingBroker:
    """A broker at which the process ends by its own hand."""

    def __init__(self, broker: IbkrBroker, dies_at: str) -> None:
        self._broker = broker
        self._when, _, self._what = dies_at.partition(":")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        if name != self._what:
            return found

        def call(*arguments: object) -> object:
            if self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = found(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call

    def told(self) -> Sequence[object]:
        told = self._broker.told()
        if self._when == "told" and any(type(each).__name__ == self._what for each in told):
            os.kill(os.getpid(), signal.SIGKILL)
        return told


def main(home: str, port: str, dies_at: str, stops_at: str) -> None:
    settings = IbkrSettings(port=int(port), clock=ClockKind.TOLD)
    stage = SessionStage(Path(home))
    run = stage.made(DyingBroker(IbkrBroker(settings, RULES), dies_at))

    def hear(line: str) -> None:
        print(line, flush=True)
        if stops_at and stops_at in line:
            run.stop()

    stage.on_line = hear
    print(run.run().ending, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
