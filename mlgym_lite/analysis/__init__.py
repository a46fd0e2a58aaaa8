"""Run directories looked at: the viewer."""
