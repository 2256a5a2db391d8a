"""What the market data is worth at the moment: the worst of everything that is wrong with it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from engine.broker import FeedReported, FeedState
from pipelines.brokers.ibkr.error_codes import (
    MARKET_DATA_FARM_CODES,
    DataReaction,
    LinkReaction,
    data_reaction,
    farm_of,
    link_reaction,
)
from pipelines.brokers.ibkr.messages import ErrorTold

WORST_FIRST: Final = (
    FeedState.COMPETING,
    FeedState.DELAYED,
    FeedState.BROKEN,
    FeedState.STALE,
    FeedState.LIVE,
)
LIVE_DATA: Final = 1
FROZEN_DATA: Final = 2

_REFUSED: Final = "refused"
_TYPE: Final = "type"
_AGE: Final = "age"


@dataclass(slots=True)
class FeedHealth:
    """Collects causes of doubt and reports the feed's state when it changes.

    Nothing is reported before the first bar or the first doubt. An idle farm is healthy: it wakes
    when data is asked of it.
    """

    _doubts: dict[str, tuple[FeedState, str]] = field(default_factory=dict)
    _told: FeedState | None = None

    def on_error(self, told: ErrorTold, at: datetime) -> list[FeedReported]:
        """A code about data or about a farm; notices change nothing."""
        match link_reaction(told.code):
            case LinkReaction.FARM_BROKEN if told.code in MARKET_DATA_FARM_CODES:
                self._doubts[f"farm {farm_of(told.text)}"] = (FeedState.BROKEN, told.text)
            case LinkReaction.FARM_OK | LinkReaction.FARM_IDLE:
                self._doubts.pop(f"farm {farm_of(told.text)}", None)
            case _:
                self._on_data_code(told)
        return self._changed(at)

    def on_data_type(self, data_type: int, at: datetime) -> list[FeedReported]:
        """Live, frozen or delayed, as the broker says of a subscription."""
        if data_type == LIVE_DATA:
            self._doubts.pop(_TYPE, None)
        elif data_type == FROZEN_DATA:
            self._doubts[_TYPE] = (FeedState.STALE, "the last quotes before the close")
        else:
            self._doubts[_TYPE] = (FeedState.DELAYED, f"market data of type {data_type}")
        return self._changed(at)

    def on_bar(self, at: datetime) -> list[FeedReported]:
        """A live bar came: nothing refuses the data any more, and it is not old."""
        self._doubts.pop(_REFUSED, None)
        self._doubts.pop(_AGE, None)
        if self._told is None and not self._doubts:
            self._told = FeedState.LIVE
            return [FeedReported(at=at, state=FeedState.LIVE)]
        return self._changed(at)

    def on_silence(self, seconds: float, at: datetime) -> list[FeedReported]:
        """No bar came for this long while the market was open."""
        self._doubts[_AGE] = (FeedState.STALE, f"no bar for {seconds:.0f} s")
        return self._changed(at)

    def _on_data_code(self, told: ErrorTold) -> None:
        text = f"{told.code}: {told.text}"
        match data_reaction(told.code):
            case DataReaction.COMPETING:
                self._doubts[_REFUSED] = (FeedState.COMPETING, text)
            case DataReaction.BROKEN:
                if _REFUSED not in self._doubts:  # A competing session also refuses the bars.
                    self._doubts[_REFUSED] = (FeedState.BROKEN, text)
            case DataReaction.DELAYED:
                self._doubts[_TYPE] = (FeedState.DELAYED, text)
            case DataReaction.ASK_AGAIN | None:
                return

    def _changed(self, at: datetime) -> list[FeedReported]:
        state, text = min(
            self._doubts.values(),
            key=lambda doubt: WORST_FIRST.index(doubt[0]),
            default=(FeedState.LIVE, ""),
        )
        if state is self._told or (self._told is None and state is FeedState.LIVE):
            return []
        self._told = state
        return [FeedReported(at=at, state=state, text=text)]
