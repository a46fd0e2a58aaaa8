"""Putting up sandboxes: mechanisms, limits, the shell inside, virtual environments, and what this host can do."""
