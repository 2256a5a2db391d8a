"""Dagster assets, one thin file per stage, with their checks beside them."""
