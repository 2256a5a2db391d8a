"""Five templates behind one small protocol; adding one is a file and its contract block."""
