"""The deployment checklist: real probes against the configured broker, machine and home."""
