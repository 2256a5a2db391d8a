"""Adapters of brokers to the port in `engine/broker.py`: they translate, they never decide."""
