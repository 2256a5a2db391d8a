"""Every rule of the desk and nothing else: pure, without I/O, clock or randomness of its own."""
