"""The rule in NautilusTrader: its bracket orders on bars, filled at this close as it does."""

from decimal import Decimal

import nautilus_trader
from given import Answer, Bars, Rule, Watch, read_given, write_answer
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import PerContractFeeModel
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.indicators import DonchianChannel
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, AssetClass, OmsType, OrderSide
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import FuturesContract
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

CASH_USD = 10_000_000
EXPIRES_NS = 2_208_988_800_000_000_000


class ChannelBreakout(Strategy):
    """The rule, with the fills it got in `fills`."""

    def __init__(
        self, bars: Bars, rule: Rule, bar_type: BarType, instrument: FuturesContract
    ) -> None:
        super().__init__()
        self.bars = bars
        self.rule = rule
        self.bar_type = bar_type
        self.instrument = instrument
        self.channel = DonchianChannel(rule.channel_bars)
        self.one = Quantity.from_int(1)
        self.bar = -1
        self.is_open = False
        self.was_flat = True
        self.fills: list[tuple[int, int, float, float]] = []

    def on_start(self) -> None:
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar: Bar) -> None:
        self.bar += 1
        rule, minutes_left = self.rule, self.bars.minutes_left[self.bar]
        was_flat, self.was_flat = self.was_flat, not self.is_open
        if self.is_open:
            if minutes_left == rule.flat_minutes:
                self.cancel_all_orders(self.instrument.id)
                self.close_all_positions(self.instrument.id)
        elif was_flat and rule.may_enter(self.bars.minute[self.bar], minutes_left):
            close = bar.close.as_double()
            if close > self.channel.upper:
                self.enter(OrderSide.BUY, close, 1)
            elif close < self.channel.lower:
                self.enter(OrderSide.SELL, close, -1)
        self.channel.handle_bar(bar)

    def enter(self, side: OrderSide, close: float, sign: int) -> None:
        """Send a market entry with its stop and target."""
        orders = self.order_factory.bracket(
            instrument_id=self.instrument.id,
            order_side=side,
            quantity=self.one,
            sl_trigger_price=Price(close - sign * self.rule.stop_points, 2),
            tp_price=Price(close + sign * self.rule.target_points, 2),
            tp_post_only=False,
        )
        self.submit_order_list(orders)
        self.was_flat = False

    def on_order_filled(self, event: OrderFilled) -> None:
        sign = 1 if event.order_side == OrderSide.BUY else -1
        self.is_open = not self.is_open
        self.fills.append(
            (event.ts_event, sign, event.last_px.as_double(), event.commission.as_double())
        )


def contract_of(rule: Rule) -> FuturesContract:
    """A micro future that does not expire while the bars last."""
    return FuturesContract(
        instrument_id=InstrumentId.from_str("MES.XCME"),
        raw_symbol=Symbol("MES"),
        asset_class=AssetClass.INDEX,
        currency=USD,
        price_precision=2,
        price_increment=Price(rule.tick_points, 2),
        multiplier=Quantity.from_int(int(rule.point_usd)),
        lot_size=Quantity.from_int(1),
        underlying="ES",
        activation_ns=0,
        expiration_ns=EXPIRES_NS,
        ts_event=0,
        ts_init=0,
        margin_init=Decimal(0),
        margin_maint=Decimal(0),
    )


def engine_of(bars: Bars, rule: Rule) -> tuple[BacktestEngine, ChannelBreakout]:
    """An engine with its venue, bars and strategy; nothing is logged and every risk check is on."""
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(max_order_submit_rate="1000000/00:00:01"),
            run_analysis=False,
        )
    )
    engine.add_venue(
        venue=Venue("XCME"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        starting_balances=[Money(CASH_USD, USD)],
        fee_model=PerContractFeeModel(Money(rule.fee_usd, USD)),
        bar_adaptive_high_low_ordering=True,
    )
    instrument = contract_of(rule)
    engine.add_instrument(instrument)
    bar_type = BarType.from_str("MES.XCME-1-MINUTE-LAST-EXTERNAL")
    engine.add_data(bars_of(bars, bar_type))
    strategy = ChannelBreakout(bars, rule, bar_type, instrument)
    engine.add_strategy(strategy)
    return engine, strategy


def bars_of(bars: Bars, bar_type: BarType) -> list[Bar]:
    """The bars as this engine has them."""
    prices = zip(bars.open, bars.high, bars.low, bars.close, strict=True)
    return [
        Bar(bar_type, *(Price(price, 2) for price in four), Quantity(volume, 0), ns, ns)
        for four, volume, ns in zip(prices, bars.volume, bars.closes_at_ns, strict=True)
    ]


def main() -> None:
    watch = Watch()
    bars, rule = read_given()
    answer = Answer(version=nautilus_trader.__version__)
    engine, strategy = engine_of(bars, rule)
    answer.setup_seconds = watch.lap()
    engine.run()
    answer.run_seconds, answer.cpu_seconds = watch.lap(), watch.cpu_seconds
    number_of = {ns: number for number, ns in enumerate(bars.closes_at_ns)}
    fills = iter(strategy.fills)
    for at, side, price, fee in fills:
        closed_at, _, closed, fee_out = next(fills)
        answer.trade(side, (number_of[at], price), (number_of[closed_at], closed), fee + fee_out)
    write_answer(answer)


if __name__ == "__main__":
    main()
