"""Many parameter sets over many sessions, each trade for trade what a replay under it would do."""
