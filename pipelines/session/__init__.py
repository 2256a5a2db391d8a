"""The session run: the desk live at a broker, its lock, its heartbeat and a person's levers."""
