"""A simulated IB Gateway: the TWS socket protocol, server side, over the simulated exchange."""
