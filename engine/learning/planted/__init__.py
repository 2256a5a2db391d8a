"""Trades whose cause is known because it was planted, and how often the rules find it.

A cause is planted as a way of price and of our own acts (a dip to the stop and back, a move that
never came), never as the numbers that the rules ask for, so the rules may be wrong about it. Beside
it every trade carries what looks like another cause and is none: a shock in our favour or after the
exit, a data event before the decision, slippage that turned nothing, a refused order that did not
matter.
"""

from engine.learning.planted.confusion import confusion
from engine.learning.planted.page import attribution_page
from engine.learning.planted.rows import Planted, planted

__all__ = ["Planted", "attribution_page", "confusion", "planted"]
