"""Learning: what finished trades say, and how far each template is trusted because of it."""
