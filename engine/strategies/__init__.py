"""Five templates behind one small protocol; adding one is a file here and a block in its contract."""
